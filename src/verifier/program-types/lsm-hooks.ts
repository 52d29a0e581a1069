/** What security hooks return. Source: bpf_lsm_get_retval_range in kernel/bpf/bpf_lsm.c of Linux 6.18. */
import type { Proof } from '../proof.ts'
import type { ReturnRange } from '../state/state.ts'

const MAX_ERRNO = 4095

/** Hooks that answer yes or no. */
export const BOOLEAN_LSM_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_audit_rule_known',
  'bpf_lsm_inode_xattr_skipcap',
])

/** The range that a program at this hook may return; undefined: the hook returns nothing. */
export function lsmReturns(p: Proof): ReturnRange | undefined {
  const { target } = p
  if (target?.prototype === undefined || target.prototype.returns === 0) return undefined
  if (BOOLEAN_LSM_HOOKS.has(target.name)) return { min: 0, max: 1 }
  return { min: -MAX_ERRNO, max: 0 }
}
