/**
 * What a kernel holds, whoever loaded it: programs, maps, types and links, found by their ids.
 *
 * An id names an object as long as it lives; another may be gone between two calls, so a look-up can always fail.
 */
import {
  BPF_CMD,
  BPF_LINK_INFO_SIZE,
  bpfBtfInfo,
  bpfMapInfo,
  bpfProgInfo,
  ENOENT,
  getIdAttr,
  objGetInfoAttr,
  objPinAttr,
  type StructValue,
  type Syscalls,
} from '../abi/index.ts'
import { Btf, type BtfError } from '../btf/index.ts'
import { bpf } from './calls.ts'
import { SyscallError } from './errors.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'

export type KernelObjectKind = 'prog' | 'map' | 'btf' | 'link'

const commands = {
  prog: { next: 'BPF_PROG_GET_NEXT_ID', open: 'BPF_PROG_GET_FD_BY_ID' },
  map: { next: 'BPF_MAP_GET_NEXT_ID', open: 'BPF_MAP_GET_FD_BY_ID' },
  btf: { next: 'BPF_BTF_GET_NEXT_ID', open: 'BPF_BTF_GET_FD_BY_ID' },
  link: { next: 'BPF_LINK_GET_NEXT_ID', open: 'BPF_LINK_GET_FD_BY_ID' },
} as const

/** The ids of all objects of a kind, rising. Throws a `SyscallError` where the kernel does not tell. */
export function* objectIds(syscalls: Syscalls, kind: KernelObjectKind): Generator<number, void> {
  const command = commands[kind].next
  for (let id = 0; ; ) {
    const attr = getIdAttr.encode({ id })
    const result = bpf(syscalls, BPF_CMD[command], attr.subarray(0, getIdAttr.offsets.fd_by_id_token_fd))
    if (result === -ENOENT) return
    if (result < 0) throw new SyscallError(command, result)
    id = getIdAttr.read(attr).next_id
    yield id
  }
}

/** Opens an object by its id; ENOENT where there is none (any more). */
export function openObjectById(
  syscalls: Syscalls,
  kind: KernelObjectKind,
  id: number,
): Descriptor | SyscallError {
  const command = commands[kind].open
  const attr = getIdAttr.encode({ id }).subarray(0, getIdAttr.offsets.fd_by_id_token_fd)
  const fd = bpf(syscalls, BPF_CMD[command], attr)
  return fd < 0 ? new SyscallError(command, fd, `${kind} ${id}`) : new Descriptor(syscalls, fd)
}

const PIN_BYTES = objPinAttr.offsets.path_fd

/** BPF_OBJ_PIN: keeps an object alive under a path of a bpffs. */
export function pinObject(syscalls: Syscalls, fd: number, path: string): SyscallError | undefined {
  using name = UserBuffer.ofString(syscalls.memory, path)
  const attr = objPinAttr.encode({ pathname: name.pointer, bpf_fd: fd }).subarray(0, PIN_BYTES)
  const result = bpf(syscalls, BPF_CMD.BPF_OBJ_PIN, attr)
  return result < 0 ? new SyscallError('BPF_OBJ_PIN', result, path) : undefined
}

/** BPF_OBJ_GET: opens what was pinned under a path, of whatever kind it is. */
export function openPinned(syscalls: Syscalls, path: string): Descriptor | SyscallError {
  using name = UserBuffer.ofString(syscalls.memory, path)
  const attr = objPinAttr.encode({ pathname: name.pointer }).subarray(0, PIN_BYTES)
  const fd = bpf(syscalls, BPF_CMD.BPF_OBJ_GET, attr)
  return fd < 0 ? new SyscallError('BPF_OBJ_GET', fd, path) : new Descriptor(syscalls, fd)
}

/** BPF_OBJ_GET_INFO_BY_FD, in place: `info` is both the question (pointers, room) and the answer. */
export function objectInfo(syscalls: Syscalls, fd: number, info: Uint8Array): SyscallError | undefined {
  using buffer = UserBuffer.of(syscalls.memory, info)
  const attr = objGetInfoAttr.encode({ bpf_fd: fd, info_len: info.length, info: buffer.pointer })
  const result = bpf(syscalls, BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, attr)
  if (result < 0) return new SyscallError('BPF_OBJ_GET_INFO_BY_FD', result)
  info.set(buffer.bytes)
  return undefined
}

export interface ProgramInfo extends StructValue<typeof bpfProgInfo> {
  readonly mapIds: readonly number[]
  /** The instructions as the kernel runs or compiles them; empty where it keeps them to itself. */
  readonly translated: Uint8Array
  /** `struct bpf_func_info[]` and `struct bpf_line_info[]`, of `func_info_rec_size` and `line_info_rec_size` bytes each. */
  readonly funcInfo: Uint8Array
  readonly lineInfo: Uint8Array
  /** Addresses of the compiled functions. */
  readonly jitedSymbols: readonly bigint[]
}

/** All that the kernel says of a program; asked twice, since the first answer says how much room the second takes. */
export function programInfo(syscalls: Syscalls, fd: number): ProgramInfo | SyscallError {
  const first = new Uint8Array(bpfProgInfo.size)
  const failure = objectInfo(syscalls, fd, first)
  if (failure !== undefined) return failure
  const sizes = bpfProgInfo.read(first)
  using owner = new Owner()
  const room = (bytes: number) => owner.own(new UserBuffer(syscalls.memory, bytes))
  const maps = room(sizes.nr_map_ids * 4)
  const translated = room(sizes.xlated_prog_len)
  const funcInfo = room(sizes.nr_func_info * sizes.func_info_rec_size)
  const lineInfo = room(sizes.nr_line_info * sizes.line_info_rec_size)
  const symbols = room(sizes.nr_jited_ksyms * 8)
  const second = bpfProgInfo.encode({
    nr_map_ids: sizes.nr_map_ids,
    map_ids: maps.pointer,
    xlated_prog_len: sizes.xlated_prog_len,
    xlated_prog_insns: sizes.xlated_prog_len === 0 ? 0n : translated.pointer,
    nr_func_info: sizes.nr_func_info,
    func_info_rec_size: sizes.func_info_rec_size,
    func_info: funcInfo.pointer,
    nr_line_info: sizes.nr_line_info,
    line_info_rec_size: sizes.line_info_rec_size,
    line_info: lineInfo.pointer,
    nr_jited_ksyms: sizes.nr_jited_ksyms,
    jited_ksyms: symbols.pointer,
  })
  const refusal = objectInfo(syscalls, fd, second)
  if (refusal !== undefined) return refusal
  const info = bpfProgInfo.read(second)
  const bytesOf = (buffer: UserBuffer, length: number) =>
    buffer.bytes.slice(0, Math.min(length, buffer.sizeBytes))
  const isKept = info.xlated_prog_insns === 0n
  return {
    ...info,
    mapIds: words(bytesOf(maps, info.nr_map_ids * 4)),
    translated: isKept ? new Uint8Array() : bytesOf(translated, info.xlated_prog_len),
    funcInfo: bytesOf(funcInfo, info.nr_func_info * info.func_info_rec_size),
    lineInfo: bytesOf(lineInfo, info.nr_line_info * info.line_info_rec_size),
    jitedSymbols: [...new BigUint64Array(bytesOf(symbols, info.nr_jited_ksyms * 8).buffer)],
  }
}

export type MapInfo = StructValue<typeof bpfMapInfo>

export function mapInfo(syscalls: Syscalls, fd: number): MapInfo | SyscallError {
  const info = new Uint8Array(bpfMapInfo.size)
  return objectInfo(syscalls, fd, info) ?? bpfMapInfo.read(info)
}

export interface BtfInfo {
  readonly id: number
  /** `vmlinux` and modules have one; empty for what programs brought. */
  readonly name: string
  readonly isKernel: boolean
  readonly sizeBytes: number
}

export function btfInfo(syscalls: Syscalls, fd: number): BtfInfo | SyscallError {
  using name = new UserBuffer(syscalls.memory, 64)
  const bytes = bpfBtfInfo.encode({ name: name.pointer, name_len: name.sizeBytes })
  const failure = objectInfo(syscalls, fd, bytes)
  if (failure !== undefined) return failure
  const info = bpfBtfInfo.read(bytes)
  const text = new TextDecoder().decode(name.bytes.slice(0, Math.max(name.bytes.indexOf(0), 0)))
  return { id: info.id, name: text, isKernel: info.kernel_btf !== 0, sizeBytes: info.btf_size }
}

/** The types with this id, or why there are none; `base` is what those of a module continue. */
export function loadedBtf(syscalls: Syscalls, id: number, base?: Btf): Btf | BtfError | SyscallError {
  const opened = openObjectById(syscalls, 'btf', id)
  if (opened instanceof SyscallError) return opened
  using descriptor = opened
  const info = btfInfo(syscalls, descriptor.fd)
  if (info instanceof SyscallError) return info
  using data = new UserBuffer(syscalls.memory, info.sizeBytes)
  const request = bpfBtfInfo.encode({ btf: data.pointer, btf_size: data.sizeBytes })
  const failure = objectInfo(syscalls, descriptor.fd, request)
  return failure ?? Btf.parse(data.bytes.slice(), base)
}

/** Types of a loaded program; undefined where it was loaded without. */
export function typesOfProgram(syscalls: Syscalls, fd: number): Btf | SyscallError | BtfError | undefined {
  const info = programInfo(syscalls, fd)
  if (info instanceof SyscallError) return info
  return info.btf_id === 0 ? undefined : loadedBtf(syscalls, info.btf_id)
}

/** The bytes of `struct bpf_link_info`, with pointers to names in `owner`'s memory given by `prepare`. */
export function linkInfoBytes(
  syscalls: Syscalls,
  fd: number,
  prepare: Uint8Array = new Uint8Array(BPF_LINK_INFO_SIZE),
): Uint8Array | SyscallError {
  const info = prepare.slice()
  return objectInfo(syscalls, fd, info) ?? info
}

const words = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.buffer, 0, bytes.length >> 2)]
