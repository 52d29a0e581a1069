/** System calls on JavaScript values: bytes are copied into user memory for the time of a call. */
import {
  BPF_CMD,
  btfLoadAttr,
  EAGAIN,
  mapCreateAttr,
  O_CLOEXEC,
  O_RDONLY,
  progLoadAttr,
  type StructGiven,
  type Syscalls,
} from '../abi/index.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'

/** A kernel may answer -EAGAIN to BPF_PROG_LOAD while a signal is pending; libbpf, too, gives up after five. */
const LOAD_ATTEMPTS = 5

/**
 * Bytes of an attribute that are sent. The newest members (hashes of signed programs) are left out, as an old
 * kernel answers E2BIG to what it does not know.
 */
const MAP_CREATE_BYTES = mapCreateAttr.offsets.excl_prog_hash
const PROG_LOAD_BYTES = progLoadAttr.offsets.signature
const LOG_TRUE_SIZE = progLoadAttr.offsets.log_true_size

/** bpf(2) with a copy of `attr`; `attr` holds afterwards what the kernel wrote. */
export function bpf(
  syscalls: Syscalls,
  cmd: (typeof BPF_CMD)[keyof typeof BPF_CMD],
  attr: Uint8Array,
): number {
  const { memory } = syscalls
  const pointer = memory.allocate(attr.length)
  try {
    memory.view(pointer, attr.length).set(attr)
    const result = syscalls.bpf(cmd, pointer, attr.length)
    attr.set(memory.view(pointer, attr.length))
    return result
  } finally {
    memory.free(pointer)
  }
}

/** BPF_MAP_CREATE: an open map, or -errno. */
export function createMap(syscalls: Syscalls, attr: StructGiven<typeof mapCreateAttr>): Descriptor | number {
  const fd = bpf(syscalls, BPF_CMD.BPF_MAP_CREATE, mapCreateAttr.encode(attr).subarray(0, MAP_CREATE_BYTES))
  return fd < 0 ? fd : new Descriptor(syscalls, fd)
}

/** BPF_BTF_LOAD: open type information, or -errno. */
export function loadBtf(syscalls: Syscalls, types: Uint8Array): Descriptor | number {
  using buffer = UserBuffer.of(syscalls.memory, types)
  const attr = btfLoadAttr.encode({ btf: buffer.pointer, btf_size: types.length })
  const fd = bpf(syscalls, BPF_CMD.BPF_BTF_LOAD, attr)
  return fd < 0 ? fd : new Descriptor(syscalls, fd)
}

/** What BPF_PROG_LOAD takes, by value. */
export interface ProgramToLoad {
  readonly name: string
  readonly type: number
  readonly expectedAttachType: number
  readonly flags: number
  readonly license: string
  readonly kernelVersion: number
  readonly instructions: Uint8Array
  /** The function or type of the kernel that the program is for: its id, and the module's descriptor (0: the kernel). */
  readonly attachTo?: { readonly id: number; readonly btfFd: number } | undefined
  /** Descriptors that instructions name by index: types of the modules whose functions are called. */
  readonly fdArray?: readonly number[]
  /** Descriptor of the types, with `struct bpf_func_info[]` and `struct bpf_line_info[]`. */
  readonly btf:
    | { readonly fd: number; readonly funcInfo: Uint8Array; readonly lineInfo: Uint8Array }
    | undefined
}

/** How much the verifier is to say, and the room for it. */
export interface LogRequest {
  readonly level: number
  readonly sizeBytes: number
}

export interface ProgramLoadAnswer {
  /** An open program, or -errno. */
  readonly result: Descriptor | number
  readonly log: string
  /** Bytes that the whole log takes, its NUL included; 0 where the kernel does not tell (before Linux 6.4). */
  readonly wholeLogBytes: number
}

const FUNC_INFO_BYTES = 8
const LINE_INFO_BYTES = 16

/** BPF_PROG_LOAD, with a log if one is asked for. */
export function loadProgram(
  syscalls: Syscalls,
  program: ProgramToLoad,
  log: LogRequest | undefined,
): ProgramLoadAnswer {
  using owner = new Owner()
  const put = (bytes: Uint8Array) => owner.own(UserBuffer.of(syscalls.memory, bytes)).pointer
  const logBuffer = log === undefined ? undefined : owner.own(new UserBuffer(syscalls.memory, log.sizeBytes))
  const types = program.btf
  const funcInfo = types?.funcInfo.length ? types.funcInfo : undefined
  const lineInfo = funcInfo !== undefined && types?.lineInfo.length ? types.lineInfo : undefined
  const attr = progLoadAttr
    .encode({
      prog_type: program.type,
      expected_attach_type: program.expectedAttachType,
      prog_flags: program.flags,
      prog_name: program.name,
      kern_version: program.kernelVersion,
      insns: put(program.instructions),
      insn_cnt: program.instructions.length / 8,
      license: owner.own(UserBuffer.ofString(syscalls.memory, program.license)).pointer,
      attach_btf_id: program.attachTo?.id ?? 0,
      attach_prog_fd: program.attachTo?.btfFd ?? 0,
      fd_array: program.fdArray?.length
        ? put(new Uint8Array(Int32Array.from(program.fdArray).buffer))
        : undefined,
      log_level: log?.level,
      log_buf: logBuffer?.pointer,
      log_size: logBuffer?.sizeBytes,
      prog_btf_fd: funcInfo && types?.fd,
      func_info_rec_size: funcInfo && FUNC_INFO_BYTES,
      func_info: funcInfo && put(funcInfo),
      func_info_cnt: funcInfo && funcInfo.length / FUNC_INFO_BYTES,
      line_info_rec_size: lineInfo && LINE_INFO_BYTES,
      line_info: lineInfo && put(lineInfo),
      line_info_cnt: lineInfo && lineInfo.length / LINE_INFO_BYTES,
    })
    .subarray(0, PROG_LOAD_BYTES)
  let fd = -EAGAIN
  for (let attempt = 0; fd === -EAGAIN && attempt < LOAD_ATTEMPTS; attempt++) {
    fd = bpf(syscalls, BPF_CMD.BPF_PROG_LOAD, attr)
  }
  return {
    result: fd < 0 ? fd : new Descriptor(syscalls, fd),
    log: logBuffer === undefined ? '' : textOf(logBuffer.bytes),
    wholeLogBytes: new DataView(attr.buffer, attr.byteOffset).getUint32(LOG_TRUE_SIZE, true),
  }
}

/** Text up to the first NUL. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(bytes.slice(0, end < 0 ? bytes.length : end))
}

/** openat(2): an open file, or -errno. */
export function openFile(syscalls: Syscalls, path: string, flags = O_RDONLY): Descriptor | number {
  const fd = syscalls.open(path, flags | O_CLOEXEC)
  return fd < 0 ? fd : new Descriptor(syscalls, fd)
}

/** Bytes that are asked for at a time. */
