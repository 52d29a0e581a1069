/** On the Linux that runs the tests, where it may be called; skipped with the reason elsewhere. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BPF_CMD,
  BPF_F_MMAPABLE,
  BPF_MAP_TYPE,
  EAGAIN,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  MAP_PRIVATE,
  MAP_SHARED,
  mapCreateAttr,
  O_CLOEXEC,
  O_RDONLY,
  PAGE_SIZE,
  POLLIN,
  PROT_READ,
  PROT_WRITE,
} from '../../abi/index.ts'
import type { LinuxSyscalls } from './linux-syscalls.ts'
import { type Host, openLinux, openLinuxOn } from './open-linux.ts'
import { LinuxUnavailable } from './unavailable.ts'

const real = openLinux()
const why = real instanceof LinuxUnavailable ? real.message : ''
if (!(real instanceof LinuxUnavailable)) real[Symbol.dispose]()

const host = (given: Partial<Host>): Host => ({
  platform: 'linux',
  architecture: 'x64',
  loadKoffi: () => createRequire(import.meta.url)('koffi'),
  ...given,
})

test.each<[string, Partial<Host>, string, RegExp]>([
  ['another system', { platform: 'darwin' }, 'not-linux', /darwin/],
  ['an unknown architecture', { architecture: 'ia32' }, 'architecture', /ia32.*x64/],
  [
    'no koffi',
    {
      loadKoffi: () => {
        throw new Error("Cannot find module 'koffi'\nRequire stack: ...")
      },
    },
    'no-koffi',
    /npm install koffi.*Cannot find module 'koffi'$/,
  ],
  [
    'a C library without the calls',
    {
      loadKoffi: () => ({
        load() {
          throw new Error('no dlopen')
        },
      }),
    },
    'no-libc',
    /no dlopen/,
  ],
])('%s is said, not thrown', (_name, given, code, message) => {
  const opened = openLinuxOn(host(given))
  expect(opened).toBeInstanceOf(LinuxUnavailable)
  expect(opened).toMatchObject({ code, message: expect.stringMatching(message) })
  expect(String(opened)).toContain(code)
})

describe.skipIf(why !== '')(why === '' ? 'the running Linux' : `the running Linux (skipped: ${why})`, () => {
  let kernel: LinuxSyscalls
  afterEach(() => kernel?.[Symbol.dispose]())

  function open(): LinuxSyscalls {
    const opened = openLinux()
    if (opened instanceof LinuxUnavailable) throw new Error(opened.message)
    kernel = opened
    return opened
  }

  function createMap(attr: Parameters<typeof mapCreateAttr.encode>[0]): number {
    const pointer = kernel.memory.allocate(mapCreateAttr.size)
    kernel.memory.view(pointer, mapCreateAttr.size).set(mapCreateAttr.encode(attr))
    const fd = kernel.bpf(BPF_CMD.BPF_MAP_CREATE, pointer, mapCreateAttr.size)
    kernel.memory.free(pointer)
    expect(fd).toBeGreaterThanOrEqual(0)
    return fd
  }

  const createArray = () =>
    createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
      key_size: 4,
      value_size: 8,
      max_entries: 2,
      map_flags: BPF_F_MMAPABLE,
    })

  /** Something to wait for that never comes. */
  const createSilentRing = () =>
    createMap({ map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF, max_entries: PAGE_SIZE })

  test('says who lacks the right', ({ skip }) => {
    const script = "import { openLinux } from './src/ports/linux/index.ts'; console.log(String(openLinux()))"
    const dropped = ['--bounding-set=-bpf,-sys_admin', '--inh-caps=-bpf,-sys_admin']
    const run = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]
    const answer = spawnSync('setpriv', [...dropped, ...run], { encoding: 'utf8' })
    if (answer.error !== undefined) return skip('needs setpriv')
    expect(answer.stdout).toMatch(/^LinuxUnavailable\(not-permitted\): bpf\(2\) answers EPERM: run as root/)
  })

  test('memory is shared with the kernel, and checked', () => {
    const { memory } = open()
    const pointer = memory.allocate(64)
    expect(memory.view(pointer, 64)).toEqual(new Uint8Array(64))
    expect(() => memory.view(pointer, 65)).toThrow(RangeError)
    expect(() => memory.view(pointer - 1n, 2)).toThrow(RangeError)
    expect(() => memory.view(0n, 1)).toThrow(RangeError)
    expect(() => memory.free(pointer + 8n)).toThrow(/not allocated/)
    const fd = kernel.open('/proc/self/comm', O_RDONLY | O_CLOEXEC)
    const view = memory.view(pointer, 64)
    const count = kernel.read(fd, pointer, 64)
    expect(count).toBeGreaterThan(1)
    expect(view[count - 1]).toBe(10)
    expect(kernel.read(fd, pointer, 65)).toBe(-EFAULT)
    expect(kernel.bpf(BPF_CMD.BPF_MAP_CREATE, pointer, 80)).toBe(-EFAULT)
    expect(kernel.bpf(BPF_CMD.BPF_MAP_CREATE, 0x1000n, 16)).toBe(-EFAULT)
    memory.view(pointer, 64).set(new Uint8Array(Uint32Array.of(1, 128).buffer))
    expect(kernel.perfEventOpen(pointer, -1, 0, -1, 0n)).toBe(-EFAULT)
    memory.free(pointer)
    expect(() => memory.free(pointer)).toThrow(/not allocated/)
    expect(() => memory.view(pointer, 1)).toThrow(RangeError)
    expect(memory.allocations).toBe(0)
  })

  test('a mapping shows what the kernel has, and nothing once it is gone', () => {
    open()
    const fd = createArray()
    const address = kernel.mmap(0n, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
    const again = kernel.mmap(0n, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0)
    const stale = kernel.memory.view(address, 16)
    stale.set([1, 2, 3], 4)
    expect([...kernel.memory.view(again + 4n, 3)]).toEqual([1, 2, 3])
    expect(() => kernel.memory.view(address, PAGE_SIZE + 1)).toThrow(RangeError)
    // Only what was mapped here, and only as a whole.
    expect(kernel.munmap(address + 8n, 8)).toBe(-EINVAL)
    expect(kernel.munmap(address, 2 * PAGE_SIZE)).toBe(-EINVAL)
    expect(kernel.munmap(0x10000n, PAGE_SIZE)).toBe(-EINVAL)
    expect(kernel.munmap(address, 1)).toBe(0)
    expect(kernel.munmap(address, PAGE_SIZE)).toBe(-EINVAL)
    expect(() => kernel.memory.view(address, 1)).toThrow(RangeError)
    // A view that was kept does not end the process, and is no longer the kernel's.
    expect([...stale.subarray(4, 7)]).toEqual([0, 0, 0])
    stale.fill(9)
    expect([...kernel.memory.view(again + 4n, 3)]).toEqual([1, 2, 3])
    expect(kernel.munmap(again, PAGE_SIZE)).toBe(0)
  })

  test('addresses of mappings that were looked at come back with the last view', async ({ skip }) => {
    setFlagsFromString('--expose_gc')
    const collect: unknown = runInNewContext('gc')
    if (typeof collect !== 'function') return skip('needs a garbage collector that can be called')
    open()
    const fd = createArray()
    const addresses = Array.from({ length: 64 }, () => {
      const address = kernel.mmap(0n, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0)
      kernel.memory.view(address, 8)
      expect(kernel.munmap(address, PAGE_SIZE)).toBe(0)
      return address
    })
    const occupied = () => {
      const lines = readFileSync('/proc/self/maps', 'utf8').split('\n')
      const ranges = lines.map((line) =>
        (line.split(' ')[0] ?? '').split('-').map((end) => BigInt(`0x${end || 0}`)),
      )
      return addresses.filter((at) => ranges.some(([from = 0n, to = 0n]) => at >= from && at < to)).length
    }
    expect(new Set(addresses).size).toBe(64)
    expect(occupied()).toBe(64)
    for (let round = 0; round < 20 && occupied() > 0; round++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    // Others may have been given some of them since.
    expect(occupied()).toBeLessThan(8)
  })

  test('a fixed address never replaces what is there', () => {
    open()
    const fd = createArray()
    const MAP_FIXED = 0x10
    const taken = kernel.mmap(0n, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0)
    expect(kernel.mmap(taken, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0)).toBe(BigInt(-EEXIST))
    expect(kernel.munmap(taken, PAGE_SIZE)).toBe(0)
    expect(kernel.mmap(taken, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0)).toBe(taken)
    expect(kernel.mmap(0n, PAGE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0)).toBe(BigInt(-EINVAL))
  })

  test('only its own descriptors are closed, and all of them in the end', () => {
    const { openDescriptors } = open()
    expect(openDescriptors).toEqual([])
    expect(kernel.close(1)).toBe(-EBADF)
    const fd = createArray()
    expect(kernel.openDescriptors).toEqual([fd])
    expect(kernel.close(fd)).toBe(0)
    expect(kernel.close(fd)).toBe(-EBADF)
    const left = createArray()
    expect(kernel.open('/proc/none\0', O_RDONLY)).toBe(-ENOENT)
    kernel[Symbol.dispose]()
    kernel[Symbol.dispose]()
    expect(kernel.openDescriptors).toEqual([])
    expect(kernel.close(left)).toBe(-EBADF)
    expect(kernel.bpf(BPF_CMD.BPF_MAP_CREATE, 0n, 0)).toBe(-EBADF)
    expect(() => kernel.memory.allocate(8)).toThrow(/closed/)
  })

  describe('poll', () => {
    /** struct pollfd, each for input. */
    function pollfds(...fds: number[]) {
      const pointer = kernel.memory.allocate(8 * fds.length)
      const { buffer, byteOffset, length } = kernel.memory.view(pointer, 8 * fds.length)
      const view = new DataView(buffer, byteOffset, length)
      for (const [index, fd] of fds.entries()) {
        view.setInt32(8 * index, fd, true)
        view.setUint16(8 * index + 4, POLLIN, true)
      }
      return { pointer, revents: (index: number) => view.getUint16(8 * index + 6, true) }
    }

    test('waits in the event loop, many at a time, as long as it is told', async () => {
      open()
      const fd = createSilentRing()
      const start = performance.now()
      let turns = 0
      const ticking = setInterval(() => turns++, 2)
      const { pointer } = pollfds(fd, fd)
      const all = Array.from({ length: 20 }, () => kernel.poll(pointer, 2, 60))
      expect(await Promise.all(all)).toEqual(Array.from({ length: 20 }, () => 0))
      clearInterval(ticking)
      expect(performance.now() - start).toBeGreaterThan(50)
      expect(turns).toBeGreaterThan(0)
    })

    test('answers at once where there is something, or no time', async () => {
      open()
      const file = kernel.open('/proc/self/stat', O_RDONLY)
      const ring = createSilentRing()
      const fds = pollfds(ring, file, 0x3fff)
      expect(await kernel.poll(fds.pointer, 3, -1)).toBe(2)
      expect([fds.revents(0), fds.revents(1) & POLLIN, fds.revents(2)]).toEqual([0, POLLIN, 32])
      expect(await kernel.poll(fds.pointer, 1, 0)).toBe(0)
      expect(await kernel.poll(fds.pointer, 4, 0)).toBe(-EFAULT)
      expect(await kernel.poll(fds.pointer, -1, 0)).toBe(-EINVAL)
      expect(kernel.read(ring, fds.pointer, 8)).toBe(-EAGAIN)
    })

    test('ends when everything is closed', async () => {
      open()
      const { pointer } = pollfds(createSilentRing())
      const waiting = kernel.poll(pointer, 1, -1)
      setTimeout(() => kernel[Symbol.dispose](), 10)
      expect(await waiting).toBe(-EBADF)
      expect(await kernel.poll(pointer, 1, 0)).toBe(-EBADF)
    })
  })
})
