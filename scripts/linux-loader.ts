/**
 * Loads recorded programs into the Linux that runs here, to compare logs and times in the same run. Needs root. What
 * the recordings name by a number of their kernel's types is looked up again by its name.
 */
import { readFileSync } from 'node:fs'
import {
  BPF_CMD,
  btfLoadAttr,
  mapCreateAttr,
  mapElemAttr,
  mapFreezeAttr,
  progLoadAttr,
} from '../src/abi/index.ts'
import { Btf, BtfError } from '../src/btf/index.ts'
import { openLinux } from '../src/ports/linux/index.ts'
import type { LinuxSyscalls } from '../src/ports/linux/linux-syscalls.ts'
import { type Corpus, innerIndex, type RecordedLoad, type RecordedMap } from './verifier-corpus.ts'

export interface LinuxVerdict {
  /** Positive; 0 where the program was accepted. */
  readonly errno: number
  readonly log: string
  /** The kernel's own figure, in microseconds; undefined below log level 4. */
  readonly microseconds: number | undefined
}

const LOG_SIZE = 1 << 26
const WIDE = 0x18
const CALL = 0x85
const ARENA = 33
const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const PAGE = 4096

interface Mapping {
  readonly at: bigint
  readonly size: number
}

function runningTypes(): Btf | undefined {
  try {
    const btf = Btf.parse(readFileSync('/sys/kernel/btf/vmlinux'))
    return btf instanceof BtfError ? undefined : btf
  } catch {
    return undefined
  }
}

export class LinuxLoader implements Disposable {
  readonly #corpus: Corpus
  readonly #syscalls: LinuxSyscalls
  readonly #log: bigint
  readonly #btfs = new Map<string, number>()
  readonly #running: Btf | undefined

  private constructor(corpus: Corpus, syscalls: LinuxSyscalls) {
    this.#running = runningTypes()
    this.#corpus = corpus
    this.#syscalls = syscalls
    this.#log = syscalls.memory.allocate(LOG_SIZE)
  }

  /** A loader, or why there is none here. */
  static open(corpus: Corpus): LinuxLoader | string {
    const syscalls = openLinux()
    if (!('bpf' in syscalls)) return syscalls.message
    return new LinuxLoader(corpus, syscalls)
  }

  /** What Linux says of the program; a string where it could not be asked. */
  load(load: RecordedLoad, logLevel: number): LinuxVerdict | string {
    const opened: number[] = []
    const allocated: bigint[] = []
    const mapped: Mapping[] = []
    const put = (bytes: Uint8Array): bigint => {
      const at = this.#syscalls.memory.allocate(Math.max(bytes.length, 8))
      this.#syscalls.memory.view(at, bytes.length).set(bytes)
      allocated.push(at)
      return at
    }
    try {
      if (load.attach_prog_fd !== 0) return 'attaches to another program'
      const maps = this.#createMaps(load, opened, mapped, put)
      if (typeof maps === 'string') return maps
      const instructions = Buffer.from(load.insns, 'base64')
      for (let at = 0; at < instructions.length; at += 8) {
        const source = (instructions[at + 1] as number) >> 4
        const imm = instructions.readInt32LE(at + 4)
        const isKfunc = instructions[at] === CALL && source === 2 && instructions.readInt16LE(at + 2) === 0
        if (isKfunc && imm !== 0) instructions.writeInt32LE(this.#translated(load, imm), at + 4)
        if (instructions[at] !== WIDE) continue
        if (source === 1 || source === 2) instructions.writeInt32LE(maps[imm] ?? -1, at + 4)
        if (source === 3 && instructions.readInt32LE(at + 12) === 0) {
          instructions.writeInt32LE(this.#translated(load, imm), at + 4)
        }
        at += 8
      }
      const btf = load.btf === null ? 0 : this.#btf(load.btf)
      if (btf < 0) return `BPF_BTF_LOAD: errno ${-btf}`
      const records = Uint32Array.from(load.func_info.flat())
      const descriptors = new Int32Array(Math.max(0, ...load.fd_array.map((entry) => entry.idx + 1)))
      for (const { idx, map, btf: kind } of load.fd_array) {
        if (kind === 'module') return 'uses a kernel module'
        if (map >= 0) descriptors[idx] = maps[map] ?? -1
      }
      const attr = progLoadAttr.encode({
        prog_type: load.prog_type_id,
        insn_cnt: instructions.length / 8,
        insns: put(instructions),
        license: put(Buffer.from(`${load.license}\0`)),
        log_level: logLevel,
        log_size: LOG_SIZE,
        log_buf: this.#log,
        kern_version: load.kern_version,
        prog_flags: load.prog_flags,
        prog_name: load.prog_name.slice(0, 15),
        expected_attach_type: load.expected_attach_type,
        prog_btf_fd: btf,
        func_info_rec_size: 8,
        func_info: put(new Uint8Array(records.buffer)),
        func_info_cnt: load.func_info.length,
        attach_btf_id: this.#translated(load, load.attach_btf_id),
        fd_array: put(new Uint8Array(descriptors.buffer)),
      })
      const memory = this.#syscalls.memory.view(this.#log, LOG_SIZE)
      memory[0] = 0
      const result = this.#syscalls.bpf(BPF_CMD.BPF_PROG_LOAD, put(attr), attr.length)
      if (result >= 0) opened.push(result)
      const log = Buffer.from(memory.subarray(0, memory.indexOf(0))).toString()
      const time = /^verification time (\d+) usec$/m.exec(log)?.[1]
      return {
        errno: result < 0 ? -result : 0,
        log,
        microseconds: time === undefined ? undefined : Number(time),
      }
    } finally {
      for (const { at, size } of mapped) this.#syscalls.munmap(at, size)
      for (const fd of opened.reverse()) this.#syscalls.close(fd)
      for (const at of allocated) this.#syscalls.memory.free(at)
    }
  }

  [Symbol.dispose](): void {
    this.#syscalls[Symbol.dispose]()
  }

  /** The number in the running kernel of a type of the recorded kernel; the same number where it has none. */
  #translated(load: RecordedLoad, recorded: number): number {
    const btf = this.#corpus.kernel(load.btf_dir)
    const id = recorded > 0 ? btf?.id(recorded) : undefined
    if (btf === undefined || id === undefined) return recorded
    return this.#running?.find(btf.nameOf(id), btf.kindOf(id)) ?? recorded
  }

  #btf(sha: string): number {
    const known = this.#btfs.get(sha)
    if (known !== undefined) return known
    const bytes = this.#corpus.blob(sha)
    if (bytes === undefined) return -2
    const { memory } = this.#syscalls
    const at = memory.allocate(bytes.length)
    memory.view(at, bytes.length).set(bytes)
    const attr = btfLoadAttr.encode({ btf: at, btf_size: bytes.length })
    const pointer = memory.allocate(attr.length)
    memory.view(pointer, attr.length).set(attr)
    const result = this.#syscalls.bpf(BPF_CMD.BPF_BTF_LOAD, pointer, attr.length)
    memory.free(at)
    memory.free(pointer)
    this.#btfs.set(sha, result)
    return result
  }

  #createMaps(
    load: RecordedLoad,
    opened: number[],
    mapped: Mapping[],
    put: (bytes: Uint8Array) => bigint,
  ): readonly number[] | string {
    const fds: number[] = []
    const create = (index: number): number | string => {
      const known = fds[index]
      if (known !== undefined) return known
      const map = load.maps[index] as RecordedMap
      const inner = innerIndex(load.maps, index)
      const innerFd = inner >= 0 ? create(inner) : 0
      if (typeof innerFd === 'string') return innerFd
      const btf = map.btf === null ? 0 : this.#btf(map.btf)
      if (btf < 0) return `BPF_BTF_LOAD of map ${map.name}: errno ${-btf}`
      const attr = mapCreateAttr.encode({
        map_type: map.type,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        map_flags: map.flags,
        inner_map_fd: innerFd,
        map_name: map.name.slice(0, 15),
        btf_fd: btf,
        btf_key_type_id: map.key_type_id,
        btf_value_type_id: map.value_type_id,
        btf_vmlinux_value_type_id: this.#translated(load, map.vmlinux_value_type_id),
        map_extra: BigInt(map.extra),
      })
      const fd = this.#syscalls.bpf(BPF_CMD.BPF_MAP_CREATE, put(attr), attr.length)
      if (fd < 0) return `BPF_MAP_CREATE of ${map.name}: errno ${-fd}`
      opened.push(fd)
      fds[index] = fd
      if (map.type === ARENA) {
        // The program may only use an arena whose place in the loader's memory is known.
        const size = map.max_entries * PAGE
        const at = this.#syscalls.mmap(BigInt(map.extra), size, PROT_READ_WRITE, MAP_SHARED, fd, 0)
        if (at < 0n) return `mmap of ${map.name}: errno ${-at}`
        mapped.push({ at, size })
      }
      if (map.value !== null) {
        const attribute = mapElemAttr.encode({
          map_fd: fd,
          key: put(new Uint8Array(4)),
          value: put(Buffer.from(map.value, 'base64')),
        })
        this.#syscalls.bpf(BPF_CMD.BPF_MAP_UPDATE_ELEM, put(attribute), attribute.length)
      }
      if (map.frozen) {
        const attribute = mapFreezeAttr.encode({ map_fd: fd })
        this.#syscalls.bpf(BPF_CMD.BPF_MAP_FREEZE, put(attribute), attribute.length)
      }
      return fd
    }
    for (let i = 0; i < load.maps.length; i++) {
      const fd = create(i)
      if (typeof fd === 'string') return fd
    }
    return fds
  }
}
