/**
 * Helpers of a program: those of its type, less what its attach point leaves out.
 *
 * Source: sock_addr_func_proto in net/core/filter.c, cgroup_common_func_proto in kernel/bpf/cgroup.c,
 * bpf_lsm_func_proto in kernel/bpf/bpf_lsm.c, tracing_prog_func_proto in kernel/trace/bpf_trace.c,
 * bpf_tcp_ca_get_func_proto in net/ipv4/bpf_tcp_ca.c, bpf_iter_tcp_get_func_proto in net/ipv4/tcp_ipv4.c of
 * Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import type { BtfId } from '../../btf/index.ts'
import { type HelperPrototype, helperPrototypes } from '../../helpers/index.ts'
import type { ProgramInput } from '../program.ts'

const A = BPF_ATTACH_TYPE
const T = BPF_PROG_TYPE

const ID = {
  setsockopt: 49,
  getsockopt: 57,
  overrideReturn: 58,
  getStack: 67,
  bind: 64,
  getLocalStorage: 81,
  getTaskStack: 141,
  seqPrintf: 126,
  seqWrite: 127,
  seqPrintfBtf: 150,
  getAttachCookie: 174,
  getFuncArg: 183,
  getFuncRet: 184,
  getFuncArgCnt: 185,
  getRetval: 186,
  setRetval: 187,
} as const

/** The hook's result means nothing to these. */
const WITHOUT_RESULT: readonly number[] = [
  A.BPF_CGROUP_INET_INGRESS,
  A.BPF_CGROUP_INET_EGRESS,
  A.BPF_CGROUP_SOCK_OPS,
  A.BPF_CGROUP_UDP4_RECVMSG,
  A.BPF_CGROUP_UDP6_RECVMSG,
  A.BPF_CGROUP_UNIX_RECVMSG,
  A.BPF_CGROUP_INET4_GETPEERNAME,
  A.BPF_CGROUP_INET6_GETPEERNAME,
  A.BPF_CGROUP_UNIX_GETPEERNAME,
  A.BPF_CGROUP_INET4_GETSOCKNAME,
  A.BPF_CGROUP_INET6_GETSOCKNAME,
  A.BPF_CGROUP_UNIX_GETSOCKNAME,
]
const WITHOUT_OPTIONS: readonly number[] = [A.BPF_CGROUP_UNIX_GETPEERNAME, A.BPF_CGROUP_UNIX_GETSOCKNAME]
const CONNECT: readonly number[] = [A.BPF_CGROUP_INET4_CONNECT, A.BPF_CGROUP_INET6_CONNECT]
const TRAMPOLINES: readonly number[] = [A.BPF_TRACE_FENTRY, A.BPF_TRACE_FEXIT, A.BPF_MODIFY_RETURN]
const SOCKET_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_sock_graft',
  'bpf_lsm_inet_csk_clone',
  'bpf_lsm_inet_conn_established',
  'bpf_lsm_socket_post_create',
  'bpf_lsm_socket_socketpair',
])
const SOCKET_ITERATORS: ReadonlySet<string> = new Set(['bpf_iter_tcp', 'bpf_iter_unix'])

const targetName = ({ attach, kernelTypes }: ProgramInput): string => {
  const btf = attach?.btf ?? kernelTypes
  const id = attach === undefined ? undefined : btf?.id(attach.btfId)
  return id === undefined || btf === undefined ? '' : btf.nameOf(id as BtfId)
}

const isOptions = (id: number): boolean => id === ID.setsockopt || id === ID.getsockopt

/** Do the kernel and the attach point leave the helper in? */
function isLeftIn(input: ProgramInput, id: number, target: string): boolean {
  const { programType, expectedAttachType: attach } = input
  if (input.hasHelper === undefined ? id === ID.overrideReturn : !input.hasHelper(id)) return false
  if ((id === ID.getRetval || id === ID.setRetval) && programType !== T.BPF_PROG_TYPE_LSM) {
    return !WITHOUT_RESULT.includes(attach)
  }
  const hasTrampoline =
    (programType === T.BPF_PROG_TYPE_TRACING && TRAMPOLINES.includes(attach)) ||
    (programType === T.BPF_PROG_TYPE_LSM && attach === A.BPF_LSM_MAC)
  switch (programType) {
    case T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
      if (id === ID.bind) return CONNECT.includes(attach)
      if (isOptions(id)) return !WITHOUT_OPTIONS.includes(attach)
      return true
    case T.BPF_PROG_TYPE_CGROUP_SOCKOPT:
      return !isOptions(id) || attach === A.BPF_CGROUP_SETSOCKOPT
    case T.BPF_PROG_TYPE_LSM:
      if (id === ID.getLocalStorage || id === ID.getRetval || id === ID.setRetval) {
        return attach === A.BPF_LSM_CGROUP
      }
      if (isOptions(id)) return attach === A.BPF_LSM_CGROUP && SOCKET_HOOKS.has(target)
      if (id === ID.seqPrintf || id === ID.seqWrite || id === ID.seqPrintfBtf) return false
      break
    case T.BPF_PROG_TYPE_TRACING:
      if (id === ID.seqPrintf || id === ID.seqWrite || id === ID.seqPrintfBtf) {
        return attach === A.BPF_TRACE_ITER
      }
      if (id === ID.getAttachCookie) return hasTrampoline || attach === A.BPF_TRACE_RAW_TP
      break
    default:
      return true
  }
  if (id === ID.getAttachCookie || (id >= ID.getFuncArg && id <= ID.getFuncArgCnt)) return hasTrampoline
  return true
}

/** Helpers whose rows say that they may sleep, which they only do for programs that may. */
const ADAPTS: ReadonlySet<number> = new Set([ID.getStack, ID.getTaskStack])

const rowsByType = new Map<number, ReadonlyMap<number, HelperPrototype>>()

/** The helpers of a type of program, wherever it attaches: the first row of each. */
function rowsOf(programType: number): ReadonlyMap<number, HelperPrototype> {
  let rows = rowsByType.get(programType)
  if (rows === undefined) {
    const own = helperPrototypes.filter((row) => row.programTypes.includes(programType))
    rows = new Map(own.toReversed().map((row) => [row.id, row]))
    rowsByType.set(programType, rows)
  }
  return rows
}

/** The helpers of one program: each is looked for when it is called, as few are. */
export class AvailableHelpers {
  readonly #input: ProgramInput
  readonly #target: string
  readonly #rows: ReadonlyMap<number, HelperPrototype>
  readonly #without: readonly number[]

  /** `without`: ids of helpers that it does not have, whatever its type. */
  constructor(input: ProgramInput, without: readonly number[] = []) {
    this.#input = input
    this.#target = targetName(input)
    this.#rows = rowsOf(input.programType)
    this.#without = without
  }

  get(id: number): HelperPrototype | undefined {
    if (this.#without.includes(id)) return undefined
    const input = this.#input
    if (isOptions(id) && isOfSocketStructs(input, this.#target)) return optionsOf(input, id, this.#target)
    const row = this.#rows.get(id)
    if (row === undefined || !isLeftIn(input, id, this.#target)) return undefined
    const isSleepable = (input.flags & 0x10) !== 0
    return ADAPTS.has(id) && !isSleepable ? { ...row, mightSleep: false } : row
  }
}

const isSocketIterator = ({ programType, expectedAttachType }: ProgramInput, target: string): boolean =>
  programType === T.BPF_PROG_TYPE_TRACING &&
  expectedAttachType === A.BPF_TRACE_ITER &&
  SOCKET_ITERATORS.has(target)

const isOfSocketStructs = (input: ProgramInput, target: string): boolean =>
  input.programType === T.BPF_PROG_TYPE_STRUCT_OPS || isSocketIterator(input, target)

/** Socket options of a struct that the program is given, where it has no socket for a context. */
function optionsOf(input: ProgramInput, id: number, target: string): HelperPrototype | undefined {
  const isCongestion = input.programType === T.BPF_PROG_TYPE_STRUCT_OPS && target === 'tcp_congestion_ops'
  if (!isSocketIterator(input, target) && !(isCongestion && !isRelease(input))) return undefined
  return rowsOf(T.BPF_PROG_TYPE_CGROUP_SOCKOPT).get(id)
}

/** The function that lets go of a connection may not change it any more. */
function isRelease({ attach, kernelTypes, expectedAttachType }: ProgramInput): boolean {
  const btf = attach?.btf ?? kernelTypes
  const id = attach === undefined ? undefined : btf?.id(attach.btfId)
  if (id === undefined || btf === undefined) return false
  const type = btf.typeById(id)
  return 'members' in type && type.members[expectedAttachType]?.name === 'release'
}
