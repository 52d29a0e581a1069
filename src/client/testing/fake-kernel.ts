/**
 * A kernel for the client's tests: keeps maps, takes any program, records every call, and fails where it is told.
 *
 * It decodes what the client sends with the layouts of `abi/` and checks what Linux checks first (descriptors,
 * sizes), but nothing more: what a kernel does with programs is not the client's concern.
 */
import * as abi from '../../abi/index.ts'
import { FakeMemory } from './fake-memory.ts'

export interface FakeMap {
  readonly kind: 'map'
  readonly attr: abi.StructValue<typeof abi.mapCreateAttr>
  readonly valueBytes: number
  /** By the key's bytes in hexadecimal, in the order of insertion. */
  readonly elements: Map<string, Uint8Array>
  isFrozen: boolean
  /** Ring buffers: the consumer's page, and the producer's page with the data. */
  readonly consumer: Uint8Array
  readonly producer: Uint8Array
}

export interface FakeProgram {
  readonly kind: 'program'
  readonly attr: abi.StructValue<typeof abi.progLoadAttr>
  readonly instructions: Uint8Array
  readonly license: string
  readonly funcInfo: Uint8Array
  readonly lineInfo: Uint8Array
}

export interface FakeEvent {
  readonly kind: 'event'
  readonly attr: abi.StructValue<typeof abi.perfEventAttr>
  readonly symbol: string
  readonly pid: number
  readonly cpu: number
  isEnabled: boolean
  programFd: number | undefined
  readonly pages: Uint8Array
}

export type FakeObject =
  | FakeMap
  | FakeProgram
  | FakeEvent
  | { readonly kind: 'btf'; readonly bytes: Uint8Array }
  | { readonly kind: 'link'; readonly programFd: number; readonly eventFd: number; readonly cookie: bigint }
  | { readonly kind: 'file'; readonly path: string; text: Uint8Array }

export interface FakeKernelOptions {
  readonly cpuCount?: number
  /** Functions that can be probed. */
  readonly symbols?: readonly string[]
  /** Files by path, in addition to the usual ones; undefined removes one. */
  readonly files?: Readonly<Record<string, string | Uint8Array | undefined>>
  /**
   * Called before each call but close and munmap, with its number (from 0) and its name (`BPF_MAP_CREATE`, `open`,
   * ...): a negative number is returned in the place of the call.
   */
  readonly fail?: (index: number, call: string) => number | undefined
  /** Takes the attribute of a BPF_LINK_CREATE that is not of a perf event: 0, or -errno. Without it, they are -EINVAL. */
  readonly link?: (attr: Uint8Array, memory: FakeMemory) => number
  /** The verifier: a refusal and its log. */
  readonly verify?: (name: string, instructions: Uint8Array) => { errno: number; log: string } | undefined
  /** Whether it says how much room a log takes, as Linux since 6.4. */
  readonly tellsLogSize?: boolean
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

const commandNames = new Map<number, string>(
  Object.entries(abi.BPF_CMD).map(([name, number]) => [number, name]),
)

export class FakeKernel implements abi.Syscalls {
  readonly memory = new FakeMemory()
  readonly fds = new Map<number, FakeObject>()
  /** Names of the calls, in order. */
  readonly calls: string[] = []
  readonly #options: FakeKernelOptions
  readonly #files = new Map<string, string | Uint8Array>()
  #nextFd = 3

  constructor(options: FakeKernelOptions = {}) {
    this.#options = options
    const usual = {
      '/sys/devices/system/cpu/possible': `0-${(options.cpuCount ?? 2) - 1}\n`,
      '/sys/bus/event_source/devices/kprobe/type': '8\n',
      '/sys/bus/event_source/devices/kprobe/format/retprobe': 'config:0\n',
      '/sys/kernel/tracing/trace_pipe': '',
      ...options.files,
    }
    for (const [path, text] of Object.entries(usual)) if (text !== undefined) this.#files.set(path, text)
  }

  /** Open objects of one kind. */
  objects<K extends FakeObject['kind']>(kind: K): Extract<FakeObject, { kind: K }>[] {
    return [...this.fds.values()].filter(
      (object): object is Extract<FakeObject, { kind: K }> => object.kind === kind,
    )
  }

  bpf(cmd: number, attr: bigint, sizeBytes: number): number {
    const failure = this.#record(commandNames.get(cmd) ?? `bpf ${cmd}`)
    if (failure !== undefined) return failure
    const bytes = this.memory.view(attr, sizeBytes)
    switch (cmd) {
      case abi.BPF_CMD.BPF_BTF_LOAD: {
        const { btf, btf_size } = abi.btfLoadAttr.read(bytes)
        return this.#open({ kind: 'btf', bytes: this.memory.view(btf, btf_size).slice() })
      }
      case abi.BPF_CMD.BPF_MAP_CREATE:
        return this.#createMap(abi.mapCreateAttr.read(bytes))
      case abi.BPF_CMD.BPF_MAP_FREEZE: {
        const map = this.#map(abi.mapFreezeAttr.read(bytes).map_fd)
        if (map === undefined) return -abi.EBADF
        map.isFrozen = true
        return 0
      }
      case abi.BPF_CMD.BPF_MAP_LOOKUP_ELEM:
      case abi.BPF_CMD.BPF_MAP_LOOKUP_AND_DELETE_ELEM:
      case abi.BPF_CMD.BPF_MAP_UPDATE_ELEM:
      case abi.BPF_CMD.BPF_MAP_DELETE_ELEM:
        return this.#element(cmd, abi.mapElemAttr.read(bytes))
      case abi.BPF_CMD.BPF_MAP_GET_NEXT_KEY:
        return this.#nextKey(abi.mapNextKeyAttr.read(bytes))
      case abi.BPF_CMD.BPF_PROG_LOAD:
        return this.#loadProgram(abi.progLoadAttr.read(bytes), bytes)
      case abi.BPF_CMD.BPF_LINK_CREATE: {
        const { prog_fd, target_fd, attach_type, bpf_cookie } = abi.linkCreatePerfEventAttr.read(bytes)
        if (attach_type !== abi.BPF_ATTACH_TYPE.BPF_PERF_EVENT) {
          if (this.fds.get(prog_fd)?.kind !== 'program') return -abi.EBADF
          const answer = this.#options.link?.(bytes, this.memory) ?? -abi.EINVAL
          if (answer < 0) return answer
          return this.#open({ kind: 'link', programFd: prog_fd, eventFd: -1, cookie: 0n })
        }
        const event = this.fds.get(target_fd)
        if (this.fds.get(prog_fd)?.kind !== 'program' || event?.kind !== 'event') return -abi.EBADF
        event.programFd = prog_fd
        return this.#open({ kind: 'link', programFd: prog_fd, eventFd: target_fd, cookie: bpf_cookie })
      }
      case abi.BPF_CMD.BPF_RAW_TRACEPOINT_OPEN: {
        const { name, prog_fd } = abi.rawTracepointAttr.read(bytes)
        if (this.#string(name) !== 'sys_enter') return -abi.ENOENT
        if (this.fds.get(prog_fd)?.kind !== 'program') return -abi.EBADF
        return this.#open({ kind: 'link', programFd: prog_fd, eventFd: -1, cookie: 0n })
      }
      default:
        return -abi.EINVAL
    }
  }

  perfEventOpen(attr: bigint, pid: number, cpu: number, _groupFd: number, _flags: bigint): number {
    const failure = this.#record('perf_event_open')
    if (failure !== undefined) return failure
    const value = abi.perfEventAttr.read(this.memory.view(attr, abi.perfEventAttr.size))
    const symbol = value.config1 === 0n ? '' : this.#string(value.config1)
    if (value.type === 8 && !(this.#options.symbols ?? ['do_work']).includes(symbol)) return -abi.ENOENT
    const pages = new Uint8Array(9 * abi.PAGE_SIZE)
    return this.#open({
      kind: 'event',
      attr: value,
      symbol,
      pid,
      cpu,
      isEnabled: false,
      programFd: undefined,
      pages,
    })
  }

  ioctl(fd: number, request: number, argument: bigint): number {
    const names = new Map([
      [abi.PERF_EVENT_IOC_ENABLE, 'PERF_EVENT_IOC_ENABLE'],
      [abi.PERF_EVENT_IOC_DISABLE, 'PERF_EVENT_IOC_DISABLE'],
      [abi.PERF_EVENT_IOC_SET_BPF, 'PERF_EVENT_IOC_SET_BPF'],
    ])
    const failure = this.#record(names.get(request) ?? 'ioctl')
    if (failure !== undefined) return failure
    const event = this.fds.get(fd)
    if (event?.kind !== 'event') return -abi.EBADF
    if (request === abi.PERF_EVENT_IOC_SET_BPF) event.programFd = Number(argument)
    else event.isEnabled = request === abi.PERF_EVENT_IOC_ENABLE
    return 0
  }

  mmap(_address: bigint, length: number, _prot: number, _flags: number, fd: number, offset: number): bigint {
    const failure = this.#record('mmap')
    if (failure !== undefined) return BigInt(failure)
    const object = this.fds.get(fd)
    if (object?.kind === 'event') return this.memory.map(object.pages.subarray(0, length))
    if (object?.kind !== 'map') return BigInt(-abi.EBADF)
    return this.memory.map((offset === 0 ? object.consumer : object.producer).subarray(0, length))
  }

  munmap(address: bigint): number {
    this.calls.push('munmap')
    return this.memory.unmap(address) ? 0 : -abi.EINVAL
  }

  async poll(_fds: bigint, _count: number, timeoutMs: number): Promise<number> {
    const failure = this.#record('poll')
    if (failure !== undefined) return failure
    await new Promise((resolve) => setTimeout(resolve, Math.min(timeoutMs, 5)))
    return 0
  }

  open(path: string): number {
    const failure = this.#record('open')
    if (failure !== undefined) return failure
    const text = this.#files.get(path)
    if (text === undefined) return -abi.ENOENT
    const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
    return this.#open({ kind: 'file', path, text: bytes })
  }

  read(fd: number, buffer: bigint, length: number): number {
    const failure = this.#record('read')
    if (failure !== undefined) return failure
    const file = this.fds.get(fd)
    if (file?.kind !== 'file') return -abi.EBADF
    if (file.text.length === 0 && file.path.endsWith('trace_pipe')) return -abi.EAGAIN
    const part = file.text.subarray(0, length)
    this.memory.view(buffer, part.length).set(part)
    file.text = file.text.subarray(part.length)
    return part.length
  }

  close(fd: number): number {
    this.calls.push('close')
    if (!this.fds.delete(fd)) throw new Error(`close of ${fd}, which is not open`)
    return 0
  }

  #record(call: string): number | undefined {
    const failure = this.#options.fail?.(this.calls.length, call)
    this.calls.push(call)
    return failure
  }

  #open(object: FakeObject): number {
    const fd = this.#nextFd++
    this.fds.set(fd, object)
    return fd
  }

  #string(pointer: bigint): string {
    let text = ''
    for (;;) {
      const byte = this.memory.view(pointer + BigInt(text.length), 1)[0] as number
      if (byte === 0) return text
      text += String.fromCharCode(byte)
    }
  }

  #map(fd: number): FakeMap | undefined {
    const map = this.fds.get(fd)
    return map?.kind === 'map' ? map : undefined
  }

  #createMap(attr: FakeMap['attr']): number {
    const isRing = attr.map_type === abi.BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF
    if (isRing !== (attr.key_size === 0) || isRing !== (attr.value_size === 0)) return -abi.EINVAL
    if (attr.btf_fd !== 0 && this.fds.get(attr.btf_fd)?.kind !== 'btf') return -abi.EBADF
    const isPerCpu =
      attr.map_type === abi.BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH ||
      attr.map_type === abi.BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY
    const cpus = this.#options.cpuCount ?? 2
    const map: FakeMap = {
      kind: 'map',
      attr,
      valueBytes: isPerCpu ? ((attr.value_size + 7) & ~7) * cpus : attr.value_size,
      elements: new Map(),
      isFrozen: false,
      consumer: new Uint8Array(isRing ? abi.PAGE_SIZE : 0),
      producer: new Uint8Array(isRing ? abi.PAGE_SIZE + 2 * attr.max_entries : 0),
    }
    if (
      attr.map_type === abi.BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY ||
      attr.map_type === abi.BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY
    ) {
      for (let index = 0; index < attr.max_entries; index++) {
        map.elements.set(
          hex(abi.struct('key', { index: abi.u32 }).encode({ index })),
          new Uint8Array(map.valueBytes),
        )
      }
    }
    return this.#open(map)
  }

  #element(cmd: number, attr: abi.StructValue<typeof abi.mapElemAttr>): number {
    const map = this.#map(attr.map_fd)
    if (map === undefined) return -abi.EBADF
    if (cmd === abi.BPF_CMD.BPF_MAP_DELETE_ELEM && (attr.value !== 0n || attr.flags !== 0n))
      return -abi.EINVAL
    const key = hex(this.memory.view(attr.key, map.attr.key_size))
    const found = map.elements.get(key)
    if (cmd === abi.BPF_CMD.BPF_MAP_UPDATE_ELEM) {
      if (map.isFrozen) return -abi.EPERM
      if (found !== undefined && attr.flags === BigInt(abi.BPF_NOEXIST)) return -abi.EEXIST
      if (found === undefined && attr.flags === BigInt(abi.BPF_EXIST)) return -abi.ENOENT
      if (found === undefined && map.elements.size >= map.attr.max_entries) return -abi.E2BIG
      map.elements.set(key, this.memory.view(attr.value, map.valueBytes).slice())
      return 0
    }
    if (found === undefined) return -abi.ENOENT
    if (cmd !== abi.BPF_CMD.BPF_MAP_DELETE_ELEM) this.memory.view(attr.value, map.valueBytes).set(found)
    if (cmd !== abi.BPF_CMD.BPF_MAP_LOOKUP_ELEM) map.elements.delete(key)
    return 0
  }

  /** As a hash map of Linux: after a key that is not there comes the first one. */
  #nextKey(attr: abi.StructValue<typeof abi.mapNextKeyAttr>): number {
    const map = this.#map(attr.map_fd)
    if (map === undefined) return -abi.EBADF
    const keys = [...map.elements.keys()]
    const index = attr.key === 0n ? -1 : keys.indexOf(hex(this.memory.view(attr.key, map.attr.key_size)))
    const next = keys[index + 1]
    if (next === undefined) return -abi.ENOENT
    this.memory.view(attr.next_key, map.attr.key_size).set(Buffer.from(next, 'hex'))
    return 0
  }

  #loadProgram(attr: FakeProgram['attr'], bytes: Uint8Array): number {
    const instructions = this.memory.view(attr.insns, attr.insn_cnt * 8).slice()
    const refused = this.#options.verify?.(attr.prog_name, instructions)
    if (refused !== undefined) {
      if (attr.log_level === 0) return -refused.errno
      const log = new TextEncoder().encode(`${refused.log}\0`)
      const fits = log.length <= attr.log_size
      this.memory.view(attr.log_buf, attr.log_size).set(fits ? log : log.subarray(0, attr.log_size))
      if (this.#options.tellsLogSize === true) abi.progLoadAttr.set(bytes, 'log_true_size', log.length)
      return fits ? -refused.errno : -abi.ENOSPC
    }
    return this.#open({
      kind: 'program',
      attr,
      instructions,
      license: this.#string(attr.license),
      funcInfo: this.#records(attr.func_info, attr.func_info_cnt * attr.func_info_rec_size),
      lineInfo: this.#records(attr.line_info, attr.line_info_cnt * attr.line_info_rec_size),
    })
  }

  #records(pointer: bigint, sizeBytes: number): Uint8Array {
    return sizeBytes === 0 ? new Uint8Array(0) : this.memory.view(pointer, sizeBytes).slice()
  }
}
