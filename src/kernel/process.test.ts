/** Processes: system calls by number, descriptors across fork and exec, memory that cannot be trusted. */
import { describe, expect, test } from 'vitest'
import {
  BPF_CMD,
  BPF_MAP_TYPE,
  EBADF,
  EFAULT,
  EINVAL,
  EMFILE,
  ENODEV,
  ENOENT,
  ENOSYS,
  mapCreateAttr,
  O_CLOEXEC,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import type { UserAccess } from './types.ts'

const NR = {
  dup: 23,
  dup3: 24,
  fcntl: 25,
  openat: 56,
  close: 57,
  read: 63,
  ppoll: 73,
  mmap: 222,
  bpf: 280,
} as const
const AT_FDCWD = -100n

/** A page of user memory at 0x1000. */
class Page implements UserAccess {
  readonly bytes = new Uint8Array(4096)

  read(pointer: bigint, into: Uint8Array): boolean {
    const at = this.#place(pointer, into.length)
    if (at >= 0) into.set(this.bytes.subarray(at, at + into.length))
    return at >= 0
  }

  write(pointer: bigint, bytes: Uint8Array): boolean {
    const at = this.#place(pointer, bytes.length)
    if (at >= 0) this.bytes.set(bytes, at)
    return at >= 0
  }

  put(at: number, bytes: Uint8Array | string): bigint {
    this.bytes.set(typeof bytes === 'string' ? new TextEncoder().encode(`${bytes}\0`) : bytes, at)
    return 0x1000n + BigInt(at)
  }

  #place(pointer: bigint, length: number): number {
    const at = pointer - 0x1000n
    return at >= 0n && at + BigInt(length) <= 4096n ? Number(at) : -1
  }
}

function setUp() {
  const kernel = createKernel({ port: new TinyPort() })
  const memory = new Page()
  const process = kernel.createProcess({ memory, firstFd: 512, pid: 7 })
  const createMap = (of = process) => {
    const attr = mapCreateAttr.encode({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
      key_size: 4,
      value_size: 8,
      max_entries: 1,
    })
    return of.syscall(NR.bpf, BigInt(BPF_CMD.BPF_MAP_CREATE), memory.put(0, attr), BigInt(attr.length))
  }
  const open = (path: string, flags = 0) =>
    process.syscall(NR.openat, AT_FDCWD, memory.put(1024, path), BigInt(flags))
  return { kernel, memory, process, createMap, open }
}

test('descriptors are the lowest free numbers from firstFd up', () => {
  const { process, createMap } = setUp()
  expect([createMap(), createMap(), createMap()]).toEqual([512n, 513n, 514n])
  expect(process.syscall(NR.close, 513n)).toBe(0n)
  expect(process.syscall(NR.close, 513n)).toBe(BigInt(-EBADF))
  expect(createMap()).toBe(513n)
  expect(process.owns(514)).toBe(true)
  expect(process.owns(515)).toBe(false)
  expect(process.owns(3)).toBe(false)
})

test('dup, dup3 and fcntl', () => {
  const { kernel, process, createMap } = setUp()
  const map = createMap()
  expect(process.syscall(NR.dup, map)).toBe(513n)
  expect(process.syscall(NR.dup3, map, 600n, BigInt(O_CLOEXEC))).toBe(600n)
  expect(process.syscall(NR.dup3, map, map, 0n)).toBe(BigInt(-EINVAL))
  expect(process.syscall(NR.dup3, map, 3n, 0n)).toBe(BigInt(-EBADF))
  expect(process.syscall(NR.dup3, map, 601n, 1n)).toBe(BigInt(-EINVAL))
  expect(process.syscall(NR.fcntl, 600n, 1n)).toBe(1n)
  // F_SETFD, F_GETFD; bpf(2) gives descriptors that exec closes.
  expect(process.syscall(NR.fcntl, map, 1n)).toBe(1n)
  expect(process.syscall(NR.fcntl, map, 2n, 0n)).toBe(0n)
  expect(process.syscall(NR.fcntl, map, 1n)).toBe(0n)
  // F_DUPFD from 700
  expect(process.syscall(NR.fcntl, map, 0n, 700n)).toBe(700n)
  expect(process.syscall(NR.fcntl, map, 0n, 700n)).toBe(701n)
  expect(process.syscall(NR.fcntl, 999n, 1n)).toBe(BigInt(-EBADF))
  for (const fd of [map, 513n, 600n, 700n]) process.syscall(NR.close, fd)
  expect(kernel.stats().maps).toBe(1)
  process.syscall(NR.close, 701n)
  expect(kernel.stats()).toMatchObject({ maps: 0, descriptors: 0 })
})

test('a child has its parent’s descriptors; exec closes those that are marked; exit closes all', () => {
  const { kernel, memory, process, createMap } = setUp()
  const map = createMap()
  const kept = process.syscall(NR.dup, map)
  const child = process.fork({ memory, pid: 8 })
  process.exit()
  expect(kernel.stats()).toMatchObject({ maps: 1, descriptors: 2 })
  child.exec()
  expect(child.owns(Number(map))).toBe(false)
  expect(child.owns(Number(kept))).toBe(true)
  child.exit()
  child.exit()
  expect(kernel.stats()).toMatchObject({ maps: 0, descriptors: 0 })
})

test('there is an end to descriptors', () => {
  const { kernel, process, createMap } = setUp()
  const map = createMap()
  let last = map
  while (last > 0n) last = process.syscall(NR.dup, map)
  expect(last).toBe(BigInt(-EMFILE))
  process.exit()
  expect(kernel.stats()).toMatchObject({ maps: 0, descriptors: 0 })
})

test('pointers that lead nowhere are EFAULT, unknown numbers ENOSYS, memory that cannot be shared ENODEV', () => {
  const { process, createMap, open, memory } = setUp()
  const bad = BigInt(-EFAULT)
  expect(process.syscall(NR.bpf, 0n, 0x9000n, 72n)).toBe(bad)
  expect(process.syscall(NR.bpf, 0n, 0x1fc0n, 72n)).toBe(bad)
  expect(process.syscall(NR.openat, AT_FDCWD, 0xffff_ffff_ffff_fff0n, 0n)).toBe(bad)
  expect(process.syscall(NR.ppoll, 0x9000n, 1n, 0n, 0n, 0n)).toBe(bad)
  const file = open('/proc/kallsyms')
  expect(process.syscall(NR.read, file, 0x9000n, 10n)).toBe(bad)
  expect(process.syscall(9999)).toBe(BigInt(-ENOSYS))
  expect(process.syscall(NR.mmap, 0n, 4096n, 1n, 1n, createMap(), 0n)).toBe(BigInt(-ENODEV))
  expect(process.syscall(NR.mmap, 0n, 4096n, 1n, 1n, 999n, 0n)).toBe(BigInt(-EBADF))
  // A read leaves what it does not fill as it was.
  const buffer = memory.put(2048, new Uint8Array(64).fill(0xaa))
  const cpus = open('/sys/devices/system/cpu/possible')
  expect(process.syscall(NR.read, cpus, buffer, 64n)).toBe(2n)
  expect([...memory.bytes.subarray(2048, 2052)]).toEqual([0x30, 0x0a, 0xaa, 0xaa])
})

describe('files', () => {
  const { caller, port } = (() => {
    const port = new TinyPort({ cpuCount: 2 })
    port.types = Uint8Array.of(1, 2, 3)
    return { port, caller: new Caller(createKernel({ port }).openClient()) }
  })()

  test.each([
    ['/sys/bus/event_source/devices/kprobe/type', /^\d+\n$/],
    ['/sys/bus/event_source/devices/kprobe/format/retprobe', /^config:0\n$/],
    ['/sys/devices/system/cpu/possible', /^0-1\n$/],
    ['/proc/kallsyms', /^ffffffff80000100 T add_one\n/],
  ])('%s', (path, contents) => {
    expect(caller.readText(path)).toMatch(contents)
  })

  test('the types of the operating system', () => {
    expect(caller.readFile('/sys/kernel/btf/vmlinux')).toEqual(port.types)
  })

  test('fdinfo of a map, a program and a link', () => {
    const map = caller.createArray(8)
    const program = caller.load('r0 = 0\nexit')
    const link = caller.link(program, caller.openProbe('add_one'))
    const info = (fd: number) => caller.readText(`/proc/self/fdinfo/${fd}`)
    expect(info(map)).toMatch(
      /^pos:\t0\nflags:\t02000002\nmap_type:\t2\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t1\n/,
    )
    expect(info(program)).toMatch(/prog_type:\t2\nprog_jited:\t1\nprog_tag:\t59f4a931744dcdc6\n/)
    expect(info(link)).toMatch(/link_type:\tperf\nlink_id:\t\d+\nprog_id:\t\d+\n/)
    expect(info(999)).toBe(-ENOENT)
  })

  test('nothing else', () => {
    expect(caller.readText('/etc/passwd')).toBe(-ENOENT)
  })
})
