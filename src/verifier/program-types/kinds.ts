/** One row for each program type. */
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import type { Proof } from '../proof.ts'
import { argumentContext } from './attach.ts'
import { writeConnection } from './conntrack.ts'
import * as contexts from './contexts.ts'
import type { ContextRequest, ContextValue, ProgramKind } from './kind.ts'
import { writeThroughStructOps } from './struct-ops.ts'

const T = BPF_PROG_TYPE

const plain = (context: ProgramKind['context'], packet: ProgramKind['packet'] = 'none'): ProgramKind => ({
  context,
  packet,
  convertsContext: true,
})

/** The packet and the hook's state, as kernel structs. */
function netfilterContext(p: Proof, { offset, size, isWrite }: ContextRequest): ContextValue | undefined {
  if (offset < 0 || offset >= 16 || offset % size !== 0 || isWrite || size !== 8) return undefined
  const id = p.kernel?.find(offset === 0 ? 'nf_hook_state' : 'sk_buff', BTF_KIND.STRUCT)
  if (id === undefined || p.kernel === undefined) return undefined
  return { kind: BASE.BTF_ID | FLAG.TRUSTED, btf: p.kernel, btfId: id }
}

const notConverted = (context: ProgramKind['context']): ProgramKind => ({
  context,
  packet: 'none',
  convertsContext: false,
})

export const PROGRAM_KINDS: Readonly<Record<number, ProgramKind>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: plain(contexts.socketFilterContext),
  [T.BPF_PROG_TYPE_KPROBE]: notConverted(contexts.kprobeContext),
  [T.BPF_PROG_TYPE_SCHED_CLS]: { ...plain(contexts.schedContext, 'write'), writeStruct: writeConnection },
  [T.BPF_PROG_TYPE_SCHED_ACT]: { ...plain(contexts.schedContext, 'write'), writeStruct: writeConnection },
  [T.BPF_PROG_TYPE_TRACEPOINT]: notConverted(contexts.tracepointContext),
  [T.BPF_PROG_TYPE_XDP]: { ...plain(contexts.xdpContext, 'write'), writeStruct: writeConnection },
  [T.BPF_PROG_TYPE_PERF_EVENT]: plain(contexts.perfEventContext),
  [T.BPF_PROG_TYPE_CGROUP_SKB]: plain(contexts.cgroupSkbContext, 'read'),
  [T.BPF_PROG_TYPE_CGROUP_SOCK]: plain(contexts.cgroupSockContext),
  [T.BPF_PROG_TYPE_LWT_IN]: plain(contexts.lwtContext, 'read'),
  [T.BPF_PROG_TYPE_LWT_OUT]: plain(contexts.lwtContext, 'read'),
  [T.BPF_PROG_TYPE_LWT_XMIT]: plain(contexts.lwtContext, 'write'),
  [T.BPF_PROG_TYPE_LWT_SEG6LOCAL]: plain(contexts.lwtContext, 'read'),
  [T.BPF_PROG_TYPE_SOCK_OPS]: plain(contexts.sockOpsContext),
  [T.BPF_PROG_TYPE_SK_SKB]: plain(contexts.skSkbContext, 'write'),
  [T.BPF_PROG_TYPE_CGROUP_DEVICE]: plain(contexts.cgroupDeviceContext),
  [T.BPF_PROG_TYPE_SK_MSG]: plain(contexts.skMsgContext, 'write'),
  [T.BPF_PROG_TYPE_RAW_TRACEPOINT]: notConverted(contexts.rawTracepointContext),
  [T.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE]: notConverted(contexts.writableTracepointContext),
  [T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR]: plain(contexts.sockAddrContext),
  [T.BPF_PROG_TYPE_LIRC_MODE2]: notConverted((_p, r) =>
    !r.isWrite && r.offset === 0 && r.size === 4 ? { kind: BASE.SCALAR } : undefined,
  ),
  [T.BPF_PROG_TYPE_SK_REUSEPORT]: plain(contexts.skReuseportContext, 'read'),
  [T.BPF_PROG_TYPE_FLOW_DISSECTOR]: plain(contexts.flowDissectorContext, 'read'),
  [T.BPF_PROG_TYPE_CGROUP_SYSCTL]: plain(contexts.sysctlContext),
  [T.BPF_PROG_TYPE_CGROUP_SOCKOPT]: plain(contexts.sockoptContext, 'write'),
  [T.BPF_PROG_TYPE_TRACING]: notConverted(argumentContext),
  // Until it is known what it extends.
  [T.BPF_PROG_TYPE_EXT]: plain(() => undefined),
  [T.BPF_PROG_TYPE_LSM]: notConverted(argumentContext),
  [T.BPF_PROG_TYPE_STRUCT_OPS]: { ...notConverted(argumentContext), writeStruct: writeThroughStructOps },
  [T.BPF_PROG_TYPE_SK_LOOKUP]: plain(contexts.skLookupContext),
  [T.BPF_PROG_TYPE_SYSCALL]: notConverted(contexts.syscallContext),
  [T.BPF_PROG_TYPE_NETFILTER]: notConverted(netfilterContext),
}
