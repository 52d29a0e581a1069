/**
 * What the Linux that runs this process says of a subject: BPF_PROG_LOAD and nothing more, its program is closed at
 * once. Maps and types are made once and kept.
 */
import {
  BPF_CMD,
  BPF_MAP_TYPE,
  btfLoadAttr,
  mapCreateAttr,
  mapElemAttr,
  progLoadAttr,
} from '../../src/abi/index.ts'
import type { Btf } from '../../src/btf/index.ts'
import { encode, isWide } from '../../src/isa/index.ts'
import { type LinuxSyscalls, LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import type { MapSpec } from '../../src/verifier/index.ts'
import type { Subject } from './subject.ts'

/** The kernel is never asked for more: it would give it, at the cost of everything else on the machine. */
const MOST_MAP_BYTES = 64 << 20
const LOG_BYTES = 1 << 20
const MOST_INSTRUCTIONS = 1 << 16
/** Reasons and statistics, but not every step. */
const LOG_LEVEL = 4
const LOG_ALL_PATHS = 2
const FUNC_INFO_BYTES = 8
const ATTR_BYTES = 256

export interface LinuxVerdict {
  readonly accepted: boolean
  readonly errno: number
  /** The last line that is no statistic. */
  readonly message: string
  /** Instructions processed; undefined where the log does not say. */
  readonly processed: number | undefined
  readonly log: string
}

export class LinuxKernel implements Disposable {
  readonly #calls: LinuxSyscalls
  readonly #maps = new Map<MapSpec, number>()
  readonly #types = new Map<Btf, number>()
  readonly #attr: bigint
  readonly #program: bigint
  readonly #functions: bigint
  readonly #license: bigint
  readonly #log: bigint

  private constructor(calls: LinuxSyscalls) {
    this.#calls = calls
    const { memory } = calls
    this.#attr = memory.allocate(ATTR_BYTES)
    this.#program = memory.allocate(MOST_INSTRUCTIONS * 8)
    this.#functions = memory.allocate(256 * FUNC_INFO_BYTES)
    this.#license = memory.allocate(64)
    this.#log = memory.allocate(LOG_BYTES)
  }

  /** The kernel, or why there is none to ask. */
  static open(): LinuxKernel | string {
    const calls = openLinux()
    return calls instanceof LinuxUnavailable ? calls.message : new LinuxKernel(calls)
  }

  [Symbol.dispose](): void {
    this.#calls[Symbol.dispose]()
  }

  /** `types` are the bytes of the subject's BTF. A string: why it cannot be asked. */
  ask(subject: Subject, types: Uint8Array | undefined, wantsPaths = false): LinuxVerdict | string {
    const { instructions, functions, programType, expectedAttachType, flags } = subject
    if (instructions.length > MOST_INSTRUCTIONS || functions.length > 256) return 'too large'
    if (subject.attach !== undefined) return 'attaches to a function'
    const bytes = encode(instructions)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let i = 0; i < instructions.length; i++) {
      const insn = instructions[i]
      if (insn === undefined || !isWide(insn)) continue
      if (insn.src === 1 || insn.src === 2) {
        const spec = subject.maps[insn.imm]
        if (spec !== undefined) {
          const fd = this.#mapOf(spec)
          if (fd < 0) return `map ${spec.name}: ${fd}`
          view.setInt32(i * 8 + 4, fd, true)
        } else view.setInt32(i * 8 + 4, 0x7fff_0000, true)
      }
      i++
    }
    const btf = subject.btf === undefined || types === undefined ? 0 : this.#typesOf(subject.btf, types)
    if (btf < 0) return `types: ${btf}`
    const { memory } = this.#calls
    memory.view(this.#program, bytes.length).set(bytes)
    const info = memory.view(this.#functions, 256 * FUNC_INFO_BYTES)
    const infoView = new DataView(info.buffer, info.byteOffset, info.length)
    functions.forEach(({ instruction, typeId }, n) => {
      infoView.setUint32(n * FUNC_INFO_BYTES, instruction, true)
      infoView.setUint32(n * FUNC_INFO_BYTES + 4, typeId, true)
    })
    this.#writeText(this.#license, 64, subject.license)
    const log = memory.view(this.#log, LOG_BYTES)
    log[0] = 0
    const fd = this.#call(
      BPF_CMD.BPF_PROG_LOAD,
      progLoadAttr.encode({
        prog_type: programType,
        insn_cnt: instructions.length,
        insns: this.#program,
        license: this.#license,
        log_level: wantsPaths ? LOG_ALL_PATHS | LOG_LEVEL : LOG_LEVEL,
        log_size: LOG_BYTES,
        log_buf: this.#log,
        prog_flags: flags,
        expected_attach_type: expectedAttachType,
        ...(btf > 0
          ? {
              prog_btf_fd: btf,
              func_info_rec_size: FUNC_INFO_BYTES,
              func_info: this.#functions,
              func_info_cnt: functions.length,
            }
          : {}),
      }),
    )
    if (fd >= 0) this.#calls.close(fd)
    return parse(fd, Buffer.from(log.subarray(0, log.indexOf(0))).toString())
  }

  /** Closes maps and types but those in `kept`. */
  forget(kept: readonly MapSpec[]): void {
    for (const [spec, fd] of this.#maps) {
      if (kept.includes(spec)) continue
      this.#maps.delete(spec)
      if (fd >= 0) this.#calls.close(fd)
    }
  }

  #call(command: number, attr: Uint8Array): number {
    const { memory } = this.#calls
    memory.view(this.#attr, attr.length).set(attr)
    return this.#calls.bpf(command, this.#attr, attr.length)
  }

  #writeText(at: bigint, room: number, text: string): void {
    const bytes = this.#calls.memory.view(at, room)
    bytes.fill(0)
    bytes.set(new TextEncoder().encode(text).subarray(0, room - 1))
  }

  #mapOf(spec: MapSpec): number {
    const known = this.#maps.get(spec)
    if (known !== undefined) return known
    const cost = spec.maxEntries * (spec.keySize + (spec.valueSize + 8) * 64 + 128)
    let fd = -1
    const isPlain =
      spec.inner === undefined && spec.btf === undefined && spec.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA
    if (cost <= MOST_MAP_BYTES && isPlain) {
      fd = this.#call(
        BPF_CMD.BPF_MAP_CREATE,
        mapCreateAttr.encode({
          map_type: spec.type,
          key_size: spec.keySize,
          value_size: spec.valueSize,
          max_entries: spec.maxEntries,
          map_flags: spec.flags,
          map_name: spec.name,
          map_extra: spec.extra,
        }),
      )
      if (fd >= 0 && spec.value !== undefined) this.#fill(fd, spec.value)
      if (fd >= 0 && spec.frozen) this.#call(BPF_CMD.BPF_MAP_FREEZE, mapElemAttr.encode({ map_fd: fd }))
    }
    this.#maps.set(spec, fd)
    return fd
  }

  #fill(fd: number, value: Uint8Array): void {
    const { memory } = this.#calls
    const at = memory.allocate(8 + value.length)
    const bytes = memory.view(at, 8 + value.length)
    bytes.fill(0, 0, 8)
    bytes.set(value, 8)
    this.#call(BPF_CMD.BPF_MAP_UPDATE_ELEM, mapElemAttr.encode({ map_fd: fd, key: at, value: at + 8n }))
    memory.free(at)
  }

  #typesOf(btf: Btf, bytes: Uint8Array): number {
    const known = this.#types.get(btf)
    if (known !== undefined) return known
    const { memory } = this.#calls
    const at = memory.allocate(bytes.length)
    memory.view(at, bytes.length).set(bytes)
    const fd = this.#call(BPF_CMD.BPF_BTF_LOAD, btfLoadAttr.encode({ btf: at, btf_size: bytes.length }))
    memory.free(at)
    this.#types.set(btf, fd)
    return fd
  }
}

function parse(fd: number, log: string): LinuxVerdict {
  const lines = log
    // One message of Linux has no end of line.
    .replace(/verification time \d+ usec/, '\n')
    .split('\n')
    .filter((line) => line !== '' && !/^(processed \d|verification time|stack depth)/.test(line))
  const processed = /^processed (\d+) insns/m.exec(log)?.[1]
  return {
    accepted: fd >= 0,
    errno: fd >= 0 ? 0 : -fd,
    message: fd >= 0 ? '' : (lines.at(-1) ?? ''),
    processed: processed === undefined ? undefined : Number(processed),
    log,
  }
}
