/**
 * Sees what a loader hands to bpf(2): a program as BPF_PROG_LOAD got it, with its maps and types by value, as a row that
 * `verifier-corpus.ts` reads. Everything is passed on to the kernel unchanged.
 */
import { createHash } from 'node:crypto'
import {
  BPF_CMD,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  btfLoadAttr,
  mapCreateAttr,
  mapElemAttr,
  mapFreezeAttr,
  progLoadAttr,
  type StructValue,
  type Syscalls,
  type UserPointer,
} from '../src/abi/index.ts'
import type { RecordedLoad, RecordedMap } from './verifier-corpus.ts'

interface SeenMap {
  readonly attr: StructValue<typeof mapCreateAttr>
  readonly inner: SeenMap | undefined
  readonly btf: string | null
  /** Contents of a map that only programs' constants are in, since it was frozen. */
  value: string | null
  isFrozen: boolean
}

/** A load without what names it in a corpus. */
export type SeenLoad = Omit<RecordedLoad, 'id' | 'btf_dir'>

const LDIMM64 = 0x18
const INSTRUCTION_BYTES = 8
const FUNC_INFO_BYTES = 8

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

export class LoadRecorder {
  readonly #kernel: Syscalls
  readonly #maps = new Map<number, SeenMap>()
  readonly #types = new Map<number, string>()
  /** Type information by the first half of its SHA-256, base64. */
  readonly blobs = new Map<string, string>()
  /** The last program that was handed over. */
  last: SeenLoad | undefined

  constructor(kernel: Syscalls) {
    this.#kernel = kernel
  }

  /** The kernel's system calls, each bpf(2) seen on its way. */
  get syscalls(): Syscalls {
    const kernel = this.#kernel
    return {
      memory: kernel.memory,
      bpf: (cmd, attr, sizeBytes) => this.#bpf(cmd, attr, sizeBytes),
      perfEventOpen: (...a) => kernel.perfEventOpen(...a),
      ioctl: (...a) => kernel.ioctl(...a),
      mmap: (...a) => kernel.mmap(...a),
      munmap: (...a) => kernel.munmap(...a),
      poll: (...a) => kernel.poll(...a),
      open: (...a) => kernel.open(...a),
      read: (...a) => kernel.read(...a),
      close: (fd) => kernel.close(fd),
    }
  }

  #bpf(cmd: number, attr: UserPointer, sizeBytes: number): number {
    const bytes = this.#bytes(attr, sizeBytes)
    if (cmd === BPF_CMD.BPF_PROG_LOAD) this.last = this.#program(progLoadAttr.read(widened(bytes)))
    const result = this.#kernel.bpf(cmd, attr, sizeBytes)
    if (result < 0) return result
    if (cmd === BPF_CMD.BPF_MAP_CREATE) this.#maps.set(result, this.#map(mapCreateAttr.read(widened(bytes))))
    if (cmd === BPF_CMD.BPF_BTF_LOAD) this.#types.set(result, this.#blob(btfLoadAttr.read(widened(bytes))))
    if (cmd === BPF_CMD.BPF_MAP_FREEZE) this.#freeze(mapFreezeAttr.read(widened(bytes)).map_fd)
    return result
  }

  /** A copy: what the kernel writes later is not what it was given. */
  #bytes(pointer: UserPointer, sizeBytes: number): Uint8Array {
    return sizeBytes === 0 ? new Uint8Array() : this.#kernel.memory.view(pointer, sizeBytes).slice()
  }

  #map(attr: SeenMap['attr']): SeenMap {
    return {
      attr,
      inner: this.#maps.get(attr.inner_map_fd),
      btf: attr.btf_fd === 0 ? null : (this.#types.get(attr.btf_fd) ?? null),
      value: null,
      isFrozen: false,
    }
  }

  #blob(attr: StructValue<typeof btfLoadAttr>): string {
    const types = this.#bytes(attr.btf, attr.btf_size)
    const sha = createHash('sha256').update(types).digest('hex').slice(0, 16)
    this.blobs.set(sha, base64(types))
    return sha
  }

  #freeze(fd: number): void {
    const map = this.#maps.get(fd)
    if (map === undefined) return
    map.isFrozen = true
    const { memory } = this.#kernel
    const key = memory.allocate(map.attr.key_size)
    const value = memory.allocate(map.attr.value_size)
    const attr = memory.allocate(mapElemAttr.size)
    memory.view(attr, mapElemAttr.size).set(mapElemAttr.encode({ map_fd: fd, key, value }))
    if (this.#kernel.bpf(BPF_CMD.BPF_MAP_LOOKUP_ELEM, attr, mapElemAttr.size) === 0) {
      map.value = base64(memory.view(value, map.attr.value_size))
    }
    for (const pointer of [key, value, attr]) memory.free(pointer)
  }

  #program(attr: StructValue<typeof progLoadAttr>): SeenLoad {
    const instructions = this.#bytes(attr.insns, attr.insn_cnt * INSTRUCTION_BYTES)
    const view = viewOf(instructions)
    const maps: SeenMap[] = []
    const indexOf = (map: SeenMap | undefined): number => {
      if (map === undefined) return -1
      if (!maps.includes(map)) maps.push(map)
      return maps.indexOf(map)
    }
    let descriptorsUsed = 0
    for (let at = 0; at < instructions.length; at += INSTRUCTION_BYTES) {
      const code = view.getUint8(at)
      const source = view.getUint8(at + 1) >> 4
      if (code === LDIMM64) {
        const operand = view.getUint32(at + 4, true)
        if (source === BPF_PSEUDO_MAP_FD || source === BPF_PSEUDO_MAP_VALUE) {
          view.setInt32(at + 4, indexOf(this.#maps.get(operand)), true)
        }
        if (source === BPF_PSEUDO_MAP_IDX || source === BPF_PSEUDO_MAP_IDX_VALUE) {
          descriptorsUsed = Math.max(descriptorsUsed, operand + 1)
        }
        at += INSTRUCTION_BYTES
      } else if (code === 0x85 && source === 2) {
        const offset = view.getInt16(at + 2, true)
        if (offset > 0) descriptorsUsed = Math.max(descriptorsUsed, offset + 1)
      }
    }
    const descriptors: { idx: number; map: number; btf: string | null }[] = []
    if (attr.fd_array !== 0n && descriptorsUsed > 0) {
      const fds = viewOf(this.#bytes(attr.fd_array, descriptorsUsed * 4))
      for (let idx = 0; idx < descriptorsUsed; idx++) {
        const map = indexOf(this.#maps.get(fds.getInt32(idx * 4, true)))
        // What is no map that was made here is the types of a module.
        descriptors.push({ idx, map, btf: map < 0 && fds.getInt32(idx * 4, true) > 0 ? 'module' : null })
      }
    }
    for (const map of maps) indexOf(map.inner)
    const functions: [number, number][] = []
    if (attr.func_info_cnt > 0) {
      const size = attr.func_info_rec_size
      const table = viewOf(this.#bytes(attr.func_info, attr.func_info_cnt * size))
      for (let at = 0; at + FUNC_INFO_BYTES <= table.byteLength; at += size) {
        functions.push([table.getUint32(at, true), table.getUint32(at + 4, true)])
      }
    }
    return {
      prog_type_id: attr.prog_type,
      expected_attach_type: attr.expected_attach_type,
      prog_flags: attr.prog_flags,
      kern_version: attr.kern_version,
      license: this.#text(attr.license),
      prog_name: attr.prog_name,
      attach_btf_id: attr.attach_btf_id,
      attach_prog_fd: attr.attach_prog_fd === 0 ? 0 : 1,
      insns: base64(instructions),
      btf: this.#types.get(attr.prog_btf_fd) ?? null,
      func_info: functions,
      fd_array: descriptors,
      maps: maps.map((map) => row(map, indexOf(map.inner))),
    }
  }

  #text(pointer: UserPointer): string {
    let text = ''
    for (let at = pointer; ; at++) {
      const [byte] = this.#kernel.memory.view(at, 1)
      if (!byte) return text
      text += String.fromCharCode(byte)
    }
  }
}

function row({ attr, btf, value, isFrozen }: SeenMap, inner: number): RecordedMap {
  return {
    type: attr.map_type,
    name: attr.map_name,
    key_size: attr.key_size,
    value_size: attr.value_size,
    max_entries: attr.max_entries,
    flags: attr.map_flags,
    inner,
    extra: Number(attr.map_extra),
    key_type_id: attr.btf_key_type_id,
    value_type_id: attr.btf_value_type_id,
    vmlinux_value_type_id: attr.btf_vmlinux_value_type_id,
    btf,
    frozen: isFrozen,
    value,
  }
}

/** Members that the caller left out are 0. */
function widened(bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(Math.max(bytes.length, progLoadAttr.size))
  all.set(bytes)
  return all
}
