/**
 * What a kernel can do, found by trying: map types by making one, program types by loading the smallest program, helpers
 * by loading a call of one and reading why it is refused.
 *
 * Everything made here is closed again at once. Answers are those of this process: what it may not do counts as not
 * there.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_SLEEPABLE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  EINVAL,
  ENOTSUPP,
  type mapCreateAttr,
  PAGE_SIZE,
  progLoadAttr,
  type StructValue,
  type Syscalls,
} from '../abi/index.ts'
import { bpf, createMap, loadBtf } from './calls.ts'
import { KernelFacts } from './kernel-facts.ts'
import { Descriptor, Owner, UserBuffer } from './owner.ts'

const P = BPF_PROG_TYPE
const M = BPF_MAP_TYPE
const A = BPF_ATTACH_TYPE

type ProgramAttr = Partial<StructValue<typeof progLoadAttr>>
type MapAttr = Partial<StructValue<typeof mapCreateAttr>>

/** `r0 = 0; exit`, in bytes. */
const RETURN_ZERO = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]
const LOG_BYTES = 8192

/** The log of a long program would not fit. */
const WITHOUT_LOG = { log_level: 0, log_buf: 0n, log_size: 0 }

interface Attempt {
  /** 0, or -errno. */
  readonly result: number
  readonly log: string
}

function tryProgram(syscalls: Syscalls, type: number, code: readonly number[], more: ProgramAttr): Attempt {
  using owner = new Owner()
  const put = (bytes: Uint8Array) => owner.own(UserBuffer.of(syscalls.memory, bytes)).pointer
  const log = owner.own(new UserBuffer(syscalls.memory, LOG_BYTES))
  const attr = progLoadAttr.encode({
    prog_type: type,
    insns: put(Uint8Array.from(code)),
    insn_cnt: code.length / 8,
    license: owner.own(UserBuffer.ofString(syscalls.memory, 'GPL')).pointer,
    log_buf: log.pointer,
    log_size: log.sizeBytes,
    log_level: 1,
    ...more,
  })
  const fd = bpf(syscalls, BPF_CMD.BPF_PROG_LOAD, attr.subarray(0, progLoadAttr.offsets.signature))
  if (fd >= 0) new Descriptor(syscalls, fd)[Symbol.dispose]()
  const end = log.bytes.indexOf(0)
  return { result: Math.min(fd, 0), log: new TextDecoder().decode(log.bytes.slice(0, Math.max(end, 0))) }
}

/** What a program of a type must say of itself to be taken. */
const attachTypes: ReadonlyMap<number, ProgramAttr> = new Map([
  [P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, { expected_attach_type: A.BPF_CGROUP_INET4_CONNECT }],
  [P.BPF_PROG_TYPE_CGROUP_SOCKOPT, { expected_attach_type: A.BPF_CGROUP_GETSOCKOPT }],
  [P.BPF_PROG_TYPE_SK_LOOKUP, { expected_attach_type: A.BPF_SK_LOOKUP }],
  [P.BPF_PROG_TYPE_TRACING, { expected_attach_type: A.BPF_TRACE_FENTRY, attach_btf_id: 1 }],
  [P.BPF_PROG_TYPE_LSM, { expected_attach_type: A.BPF_LSM_MAC, attach_btf_id: 1 }],
  [P.BPF_PROG_TYPE_EXT, { attach_btf_id: 1 }],
  [P.BPF_PROG_TYPE_SYSCALL, { prog_flags: BPF_F_SLEEPABLE }],
  [P.BPF_PROG_TYPE_NETFILTER, { expected_attach_type: A.BPF_NETFILTER }],
])

/** Whether programs of a type (`BPF_PROG_TYPE_*`) can be loaded. */
export function hasProgramType(syscalls: Syscalls, type: number): boolean {
  const { result, log } = tryProgram(syscalls, type, RETURN_ZERO, attachTypes.get(type) ?? {})
  switch (type) {
    case P.BPF_PROG_TYPE_TRACING:
    case P.BPF_PROG_TYPE_LSM:
    case P.BPF_PROG_TYPE_EXT:
      // The kernel looks for a function under the id 1, which is none; where it does not know the type, it says nothing.
      return result >= 0 || /attach_btf_id|Cannot (replace|find)|[Ff]unction|FUNC/.test(log)
    case P.BPF_PROG_TYPE_STRUCT_OPS:
      return result >= 0 || result === -ENOTSUPP || log !== ''
    default:
      return result >= 0
  }
}

/** Types: 1 is `int`. */
function intTypes(): Uint8Array {
  const words = new DataView(new ArrayBuffer(24 + 16 + 5))
  words.setUint16(0, 0xeb9f, true)
  words.setUint8(2, 1)
  for (const [at, value] of [24, 0, 16, 16, 5, 1, 1 << 24, 4, (1 << 24) | 32].entries()) {
    words.setUint32(4 + at * 4, value, true)
  }
  const bytes = new Uint8Array(words.buffer)
  bytes.set(new TextEncoder().encode('\0int\0'), 40)
  return bytes
}

const localStorage: readonly number[] = [
  M.BPF_MAP_TYPE_SK_STORAGE,
  M.BPF_MAP_TYPE_INODE_STORAGE,
  M.BPF_MAP_TYPE_TASK_STORAGE,
  M.BPF_MAP_TYPE_CGRP_STORAGE,
]
const noPrealloc = { max_entries: 0, map_flags: BPF_F_NO_PREALLOC }
/** Where a map of a type is not one element with a key and a value of 4 bytes. */
const mapShapes: ReadonlyMap<number, MapAttr> = new Map<number, MapAttr>([
  [M.BPF_MAP_TYPE_STACK_TRACE, { value_size: 8 }],
  [M.BPF_MAP_TYPE_LPM_TRIE, { key_size: 8, value_size: 8, map_flags: BPF_F_NO_PREALLOC }],
  [M.BPF_MAP_TYPE_CGROUP_STORAGE, { key_size: 16, value_size: 8, max_entries: 0 }],
  [M.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, { key_size: 16, value_size: 8, max_entries: 0 }],
  [M.BPF_MAP_TYPE_QUEUE, { key_size: 0 }],
  [M.BPF_MAP_TYPE_STACK, { key_size: 0 }],
  [M.BPF_MAP_TYPE_BLOOM_FILTER, { key_size: 0 }],
  [M.BPF_MAP_TYPE_RINGBUF, { key_size: 0, value_size: 0, max_entries: PAGE_SIZE }],
  [M.BPF_MAP_TYPE_USER_RINGBUF, { key_size: 0, value_size: 0, max_entries: PAGE_SIZE }],
  [M.BPF_MAP_TYPE_ARENA, { key_size: 0, value_size: 0, map_flags: BPF_F_MMAPABLE }],
  [M.BPF_MAP_TYPE_STRUCT_OPS, { btf_vmlinux_value_type_id: 1 }],
])

/** Whether maps of a type (`BPF_MAP_TYPE_*`) can be made. */
export function hasMapType(syscalls: Syscalls, type: number): boolean {
  using owner = new Owner()
  const own = <T extends Disposable>(made: T | number): T | number =>
    typeof made === 'number' ? made : owner.own(made)
  const attr: MapAttr = { map_type: type, key_size: 4, value_size: 4, max_entries: 1, ...mapShapes.get(type) }
  const needsTypes = localStorage.includes(type) || type === M.BPF_MAP_TYPE_STRUCT_OPS
  const types = needsTypes ? own(loadBtf(syscalls, intTypes())) : undefined
  if (typeof types === 'number') return false
  const isOfMaps = type === M.BPF_MAP_TYPE_ARRAY_OF_MAPS || type === M.BPF_MAP_TYPE_HASH_OF_MAPS
  const inner = isOfMaps
    ? own(createMap(syscalls, { map_type: M.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 1 }))
    : undefined
  if (typeof inner === 'number') return false
  const made = own(
    createMap(syscalls, {
      ...attr,
      ...(types === undefined ? {} : { btf_fd: types.fd }),
      ...(localStorage.includes(type) ? { ...noPrealloc, btf_key_type_id: 1, btf_value_type_id: 1 } : {}),
      ...(inner === undefined ? {} : { inner_map_fd: inner.fd }),
    }),
  )
  // The type 1 is no struct of operations: a kernel that knows such maps says ENOTSUPP.
  return typeof made !== 'number' || (type === M.BPF_MAP_TYPE_STRUCT_OPS && made === -ENOTSUPP)
}

/** Whether programs of a type may call the helper with a number. */
export function hasHelper(syscalls: Syscalls, programType: number, helper: number): boolean {
  const call = [0x85, 0, 0, 0, helper & 0xff, helper >> 8, 0, 0, ...RETURN_ZERO.slice(8)]
  const { result, log } = tryProgram(syscalls, programType, call, attachTypes.get(programType) ?? {})
  if (result >= 0) return true
  // Any other complaint is about arguments, which means that the helper is known.
  return log !== '' && !/invalid func |unknown func |cannot use helper|helper .* not |not supported/.test(log)
}

/** Extensions that came one by one. */
export interface MiscFeatures {
  /** Programs of more than 4096 instructions. */
  readonly largeInstructionLimit: boolean
  readonly boundedLoops: boolean
  /** Jumps on less than. */
  readonly isaV2: boolean
  /** Jumps on the lower halves of registers. */
  readonly isaV3: boolean
}

export function miscFeatures(syscalls: Syscalls): MiscFeatures {
  const accepts = (...code: (readonly number[])[]) =>
    tryProgram(syscalls, P.BPF_PROG_TYPE_SOCKET_FILTER, code.flat(), WITHOUT_LOG).result >= 0
  const move = (value: number) => [0xb7, 0, 0, 0, value, 0, 0, 0]
  const exit = RETURN_ZERO.slice(8)
  return {
    largeInstructionLimit: accepts(...Array<readonly number[]>(4096).fill(move(1)), exit),
    boundedLoops: accepts(move(10), [0x17, 0, 0, 0, 1, 0, 0, 0], [0x55, 0, 0xfe, 0xff, 0, 0, 0, 0], exit),
    isaV2: accepts(move(0), [0xa5, 0, 1, 0, 0, 0, 0, 0], move(1), exit),
    isaV3: accepts(move(0), [0xa6, 0, 1, 0, 0, 0, 0, 0], move(1), exit),
  }
}

/** A descriptor that nobody has: a kernel that knows the command says EBADF or ENOENT, another EINVAL. */
const NOBODY = 0xff
/** For each command, the bytes of its attribute that are set (to 0xff) for an answer other than EINVAL. */
const commandProbes: Readonly<Partial<Record<keyof typeof BPF_CMD, readonly (readonly [number, number])[]>>> =
  {
    BPF_MAP_LOOKUP_ELEM: [[0, 4]],
    BPF_MAP_UPDATE_ELEM: [[0, 4]],
    BPF_MAP_DELETE_ELEM: [[0, 4]],
    BPF_MAP_GET_NEXT_KEY: [[0, 4]],
    BPF_OBJ_PIN: [[8, 4]],
    BPF_PROG_TEST_RUN: [[0, 4]],
    BPF_PROG_GET_FD_BY_ID: [[0, 4]],
    BPF_MAP_GET_FD_BY_ID: [[0, 4]],
    BPF_BTF_GET_FD_BY_ID: [[0, 4]],
    BPF_LINK_GET_FD_BY_ID: [[0, 4]],
    BPF_OBJ_GET_INFO_BY_FD: [[0, 4]],
    BPF_RAW_TRACEPOINT_OPEN: [[8, 4]],
    BPF_MAP_LOOKUP_AND_DELETE_ELEM: [[0, 4]],
    BPF_MAP_FREEZE: [[0, 4]],
    BPF_MAP_LOOKUP_BATCH: [[36, 4]],
    BPF_MAP_LOOKUP_AND_DELETE_BATCH: [[36, 4]],
    BPF_MAP_UPDATE_BATCH: [[36, 4]],
    BPF_MAP_DELETE_BATCH: [[36, 4]],
    BPF_LINK_CREATE: [[0, 4]],
    BPF_LINK_UPDATE: [[0, 4]],
    BPF_LINK_DETACH: [[0, 4]],
    BPF_ITER_CREATE: [[0, 4]],
    BPF_PROG_BIND_MAP: [[0, 4]],
    BPF_PROG_STREAM_READ_BY_FD: [[16, 4]],
  }

/** Whether a command of bpf(2) is known; undefined where nothing harmless tells. */
export function hasCommand(syscalls: Syscalls, command: keyof typeof BPF_CMD): boolean | undefined {
  const probe = commandProbes[command]
  if (probe === undefined) return undefined
  const attr = new Uint8Array(64)
  for (const [start, length] of probe) attr.fill(NOBODY, start, start + length)
  return bpf(syscalls, BPF_CMD[command], attr) !== -EINVAL
}

/** `CONFIG_*` settings by name, as `/boot/config-RELEASE` or `/proc/config.gz` has them; empty where neither is there. */
export function kernelConfig(syscalls: Syscalls): ReadonlyMap<string, string> {
  using facts = new KernelFacts(syscalls, {})
  return facts.configuration()
}

export interface KernelFeatures {
  /** By type. */
  readonly programTypes: ReadonlyMap<number, boolean>
  /** By type. */
  readonly mapTypes: ReadonlyMap<number, boolean>
  readonly commands: ReadonlyMap<keyof typeof BPF_CMD, boolean | undefined>
  /** Numbers of the helpers, by program type; empty where there is no such type. */
  readonly helpers: ReadonlyMap<number, readonly number[]>
  readonly misc: MiscFeatures
  /** Empty where the kernel does not show it. */
  readonly config: ReadonlyMap<string, string>
}

export interface ProbeFeaturesOptions {
  /** Numbers of the helpers to try: each takes a load for each program type. Default: none. */
  readonly helpers?: Iterable<number>
}

/** Tries everything. */
export function probeFeatures(syscalls: Syscalls, options: ProbeFeaturesOptions = {}): KernelFeatures {
  const all = (table: Readonly<Record<string, number>>) =>
    [...new Set(Object.values(table))].filter((type) => type !== 0)
  const programTypes = new Map(all(P).map((type) => [type, hasProgramType(syscalls, type)]))
  const mapTypes = new Map(all(M).map((type) => [type, hasMapType(syscalls, type)]))
  const names = Object.keys(BPF_CMD) as (keyof typeof BPF_CMD)[]
  const commands = new Map(names.map((name) => [name, hasCommand(syscalls, name)]))
  const wanted = [...(options.helpers ?? [])]
  const helpers = new Map<number, readonly number[]>()
  for (const [type, isThere] of programTypes) {
    helpers.set(type, isThere ? wanted.filter((helper) => hasHelper(syscalls, type, helper)) : [])
  }
  const config = kernelConfig(syscalls)
  return { programTypes, mapTypes, commands, helpers, misc: miscFeatures(syscalls), config }
}
