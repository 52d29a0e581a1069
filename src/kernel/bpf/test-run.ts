/**
 * BPF_PROG_TEST_RUN: runs a program on what the caller gives it, as its type wants it.
 *
 * Source: bpf_prog_test_run() of kernel/bpf/syscall.c of Linux.
 */
import { EINVAL, ENOTSUPP, progTestRunAttr } from '../../abi/index.ts'
import { runWithArguments, runWithContext } from '../test-run/arguments.ts'
import { runFlowDissector } from '../test-run/flow-dissector.ts'
import { runSocketLookup } from '../test-run/sk-lookup.ts'
import { runWithSocketBuffer } from '../test-run/skb.ts'
import { runStructOps } from '../test-run/struct-ops.ts'
import { runXdp } from '../test-run/xdp.ts'
import type { BpfCall } from './call.ts'
import { programOf } from './descriptors.ts'

export function testRun(call: BpfCall): number {
  const attr = progTestRunAttr.read(call.attr)
  if ((attr.ctx_size_in !== 0) !== (attr.ctx_in !== 0n)) return -EINVAL
  if ((attr.ctx_size_out !== 0) !== (attr.ctx_out !== 0n)) return -EINVAL
  const program = programOf(call.process, attr.prog_fd)
  if (typeof program === 'number') return program
  const how = program.loaded.type.testRun
  const request = { call, attr, program }
  switch (how?.kind) {
    case 'skb':
      return runWithSocketBuffer(request, how)
    case 'xdp':
      return runXdp(request)
    case 'flow_dissector':
      return runFlowDissector(request)
    case 'sk_lookup':
      return runSocketLookup(request)
    case 'arguments':
      return runWithArguments(request)
    case 'context':
      return runWithContext(request)
    case 'struct_ops':
      return runStructOps(request)
    case undefined:
      return -ENOTSUPP
  }
}
