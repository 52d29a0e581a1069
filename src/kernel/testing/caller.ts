/** System calls on JavaScript values, for tests of the kernel. */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  linkCreatePerfEventAttr,
  mapCreateAttr,
  mapElemAttr,
  mapNextKeyAttr,
  perfEventAttr,
  progLoadAttr,
  type StructValue,
  type Syscalls,
  type UserPointer,
} from '../../abi/index.ts'
import { helperByName } from '../../helpers/index.ts'
import { assemble, encode, type Program } from '../../isa/index.ts'
import { KPROBE_PMU_TYPE } from '../perf-event-open.ts'

export class Caller {
  readonly syscalls: Syscalls

  constructor(syscalls: Syscalls) {
    this.syscalls = syscalls
  }

  /** A copy of `bytes` in user memory. */
  put(bytes: Uint8Array | string): UserPointer {
    const copied = typeof bytes === 'string' ? new TextEncoder().encode(`${bytes}\0`) : bytes
    const pointer = this.syscalls.memory.allocate(copied.length)
    this.syscalls.memory.view(pointer, copied.length).set(copied)
    return pointer
  }

  bpf(cmd: keyof typeof BPF_CMD | number, attr: Uint8Array): number {
    const pointer = this.put(attr)
    const number = typeof cmd === 'number' ? cmd : BPF_CMD[cmd]
    const result = this.syscalls.bpf(number, pointer, attr.length)
    attr.set(this.syscalls.memory.view(pointer, attr.length))
    return result
  }

  createMap(attr: Partial<StructValue<typeof mapCreateAttr>>): number {
    return this.bpf('BPF_MAP_CREATE', mapCreateAttr.encode(attr))
  }

  createArray(valueSize: number, entries = 1): number {
    return this.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
      key_size: 4,
      value_size: valueSize,
      max_entries: entries,
    })
  }

  update(fd: number, key: Uint8Array, value: Uint8Array, flags = 0n): number {
    const attr = { map_fd: fd, key: this.put(key), value: this.put(value), flags }
    return this.bpf('BPF_MAP_UPDATE_ELEM', mapElemAttr.encode(attr))
  }

  lookup(fd: number, key: Uint8Array, valueSize: number): Uint8Array | number {
    const value = this.syscalls.memory.allocate(valueSize)
    const attr = { map_fd: fd, key: this.put(key), value }
    const result = this.bpf('BPF_MAP_LOOKUP_ELEM', mapElemAttr.encode(attr))
    return result < 0 ? result : this.syscalls.memory.view(value, valueSize).slice()
  }

  lookupU64(fd: number, key: Uint8Array): bigint {
    const value = this.lookup(fd, key, 8)
    if (typeof value === 'number') throw new Error(`lookup: ${value}`)
    return new DataView(value.buffer).getBigUint64(0, true)
  }

  remove(fd: number, key: Uint8Array): number {
    const attr = mapElemAttr.encode({ map_fd: fd, key: this.put(key) })
    return this.bpf('BPF_MAP_DELETE_ELEM', attr)
  }

  nextKey(fd: number, key: Uint8Array | undefined, keySize: number): Uint8Array | number {
    const next = this.syscalls.memory.allocate(keySize)
    const pointer = key === undefined ? 0n : this.put(key)
    const attr = { map_fd: fd, key: pointer, next_key: next }
    const result = this.bpf('BPF_MAP_GET_NEXT_KEY', mapNextKeyAttr.encode(attr))
    return result < 0 ? result : this.syscalls.memory.view(next, keySize).slice()
  }

  /** Loads text in the kernel's syntax; `log` receives what the verifier says. */
  load(
    source: string | Program,
    attr: Partial<StructValue<typeof progLoadAttr>> = {},
    log?: { text: string },
  ): number {
    const code = encode(typeof source === 'string' ? program(source) : source)
    const logBytes = 4096
    const logBuffer = log === undefined ? 0n : this.syscalls.memory.allocate(logBytes)
    const bytes = progLoadAttr.encode({
      prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE,
      insns: this.put(code),
      insn_cnt: code.length / 8,
      license: this.put('GPL'),
      ...(log === undefined ? {} : { log_level: 1, log_size: logBytes, log_buf: logBuffer }),
      ...attr,
    })
    const result = this.bpf('BPF_PROG_LOAD', bytes)
    if (log !== undefined) {
      const written = this.syscalls.memory.view(logBuffer, logBytes)
      log.text = new TextDecoder().decode(written.slice(0, written.indexOf(0)))
    }
    return result
  }

  /** perf_event_open(2) of a kprobe. */
  openProbe(
    symbol: string,
    options: { offset?: bigint; isReturn?: boolean; disabled?: boolean } = {},
  ): number {
    const attr = perfEventAttr.encode({
      type: KPROBE_PMU_TYPE,
      size: perfEventAttr.size,
      config: options.isReturn === true ? 1n : 0n,
      flags: options.disabled === true ? 1n : 0n,
      config1: symbol === '' ? 0n : this.put(symbol),
      config2: options.offset ?? 0n,
    })
    return this.syscalls.perfEventOpen(this.put(attr), -1, 0, -1, 8n)
  }

  link(
    program: number,
    target: number,
    cookie = 0n,
    attach_type: number = BPF_ATTACH_TYPE.BPF_PERF_EVENT,
  ): number {
    return this.bpf(
      'BPF_LINK_CREATE',
      linkCreatePerfEventAttr.encode({
        prog_fd: program,
        target_fd: target,
        attach_type,
        bpf_cookie: cookie,
      }),
    )
  }

  /** The contents of a file. */
  readFile(path: string): Uint8Array | number {
    const fd = this.syscalls.open(path, 0)
    if (fd < 0) return fd
    const parts: number[] = []
    const buffer = this.syscalls.memory.allocate(4096)
    for (;;) {
      const count = this.syscalls.read(fd, buffer, 4096)
      if (count <= 0) {
        this.syscalls.close(fd)
        return count < 0 && parts.length === 0 ? count : Uint8Array.from(parts)
      }
      parts.push(...this.syscalls.memory.view(buffer, count))
    }
  }

  readText(path: string): string | number {
    const bytes = this.readFile(path)
    return typeof bytes === 'number' ? bytes : new TextDecoder().decode(bytes)
  }
}

export function program(source: string): Program {
  const result = assemble(source, { helperId: (name) => helperByName(name)?.id })
  if (!result.ok) throw new Error(result.errors.map((error) => error.message).join('\n'))
  return result.program
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  return bytes
}
