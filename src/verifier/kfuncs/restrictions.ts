/**
 * Kernel functions that only some programs of a type may call.
 *
 * Source: the filters of BTF_KFUNCS sets in Linux 6.18 (bpf_fs_kfuncs_filter, tracing_iter_filter, bpf_sock_addr kfunc
 * filter, bpf_qdisc_kfunc_filter).
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import type { Proof } from '../proof.ts'
import type { Kfunc } from './table.ts'

const LSM_ONLY: ReadonlySet<string> = new Set([
  'bpf_get_task_exe_file',
  'bpf_put_file',
  'bpf_path_d_path',
  'bpf_get_dentry_xattr',
  'bpf_get_file_xattr',
  'bpf_set_dentry_xattr',
  'bpf_remove_dentry_xattr',
  'bpf_cgroup_read_xattr',
  'bpf_real_data_inode',
])
const UNIX_HOOKS: readonly number[] = [
  BPF_ATTACH_TYPE.BPF_CGROUP_UNIX_CONNECT,
  BPF_ATTACH_TYPE.BPF_CGROUP_UNIX_SENDMSG,
  BPF_ATTACH_TYPE.BPF_CGROUP_UNIX_RECVMSG,
  BPF_ATTACH_TYPE.BPF_CGROUP_UNIX_GETPEERNAME,
  BPF_ATTACH_TYPE.BPF_CGROUP_UNIX_GETSOCKNAME,
]

/** Those of queueing disciplines: any of their programs may call them, or that of one member. */
const OF_QDISCS: Readonly<Record<string, readonly string[] | 'all'>> = {
  bpf_skb_get_hash: 'all',
  bpf_kfree_skb: 'all',
  bpf_qdisc_skb_drop: ['enqueue'],
  bpf_qdisc_watchdog_schedule: ['enqueue', 'dequeue'],
  bpf_qdisc_bstats_update: ['dequeue'],
}

function isFilteredOut(p: Proof, name: string): boolean {
  const { programType, expectedAttachType } = p.input
  if (LSM_ONLY.has(name)) return programType !== BPF_PROG_TYPE.BPF_PROG_TYPE_LSM
  if (name === 'bpf_sock_destroy') {
    return (
      programType !== BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING ||
      expectedAttachType !== BPF_ATTACH_TYPE.BPF_TRACE_ITER
    )
  }
  const members = OF_QDISCS[name]
  if (members !== undefined) {
    const mayCall = members === 'all' || members.includes(p.target?.name ?? '')
    return p.structOpsName !== 'Qdisc_ops' || !mayCall
  }
  if (name === 'bpf_sock_addr_set_sun_path') return !UNIX_HOOKS.includes(expectedAttachType)
  return false
}

/** May programs of this kind call the function at all? */
export const isAllowed = (p: Proof, { isKnown, programTypes, name }: Kfunc): boolean =>
  isKnown &&
  (programTypes === undefined || programTypes.includes(p.input.programType)) &&
  !isFilteredOut(p, name)
