/**
 * bpf_dummy_ops: no part of a kernel calls it, so that it cannot be registered; its programs are there to be test-run.
 *
 * Source: net/bpf/bpf_dummy_struct_ops.c of Linux.
 */
import { EOPNOTSUPP } from '../../abi/index.ts'
import type { StructOpsType } from './types.ts'

export const dummyOps: StructOpsType = {
  name: 'bpf_dummy_ops',
  sleepable: ['test_sleepable'],
  writable: { bpf_dummy_ops_state: ['val'] },
  initMember: () => -EOPNOTSUPP,
  register: () => -EOPNOTSUPP,
  unregister() {},
}
