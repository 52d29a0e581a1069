/**
 * Helpers that only some of the programs of a type may call, by what they attach to: others would come to themselves
 * again, or be called with locks held.
 *
 * Source: bpf_d_path_allowed in kernel/trace/bpf_trace.c, bpf_sk_storage_tracing_allowed in net/core/bpf_sk_storage.c
 * of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import type { Proof } from '../proof.ts'
import { SLEEPABLE_LSM_HOOKS } from './lsm-hooks.ts'

const A = BPF_ATTACH_TYPE
const T = BPF_PROG_TYPE

const ID = { skStorageGet: 107, skStorageDelete: 108, dPath: 147 } as const

const D_PATH_FUNCTIONS: ReadonlySet<string> = new Set([
  'security_file_permission',
  'security_inode_getattr',
  'security_file_open',
  'security_path_truncate',
  'vfs_truncate',
  'vfs_fallocate',
  'dentry_open',
  'vfs_getattr',
  'filp_close',
])

/** May the program call the helper from where it attaches? */
export function isAllowedInProbe({ input, target }: Proof, id: number): boolean {
  const { programType, expectedAttachType } = input
  const name = target?.name ?? ''
  const isTracing = programType === T.BPF_PROG_TYPE_TRACING
  const isIterator = isTracing && expectedAttachType === A.BPF_TRACE_ITER
  switch (id) {
    case ID.dPath:
      return programType === T.BPF_PROG_TYPE_LSM
        ? SLEEPABLE_LSM_HOOKS.has(name)
        : isIterator || D_PATH_FUNCTIONS.has(name)
    case ID.skStorageGet:
    case ID.skStorageDelete: {
      // Other programs have helpers of their own of these numbers.
      if (programType === T.BPF_PROG_TYPE_SYSCALL) return false
      if (!isTracing || isIterator || expectedAttachType === A.BPF_TRACE_RAW_TP) return true
      const isAround = expectedAttachType === A.BPF_TRACE_FENTRY || expectedAttachType === A.BPF_TRACE_FEXIT
      return isAround && target?.program === undefined && !name.startsWith('bpf_sk_storage')
    }
    default:
      return true
  }
}
