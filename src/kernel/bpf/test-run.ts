/**
 * BPF_PROG_TEST_RUN: runs a program once on what the caller gives it.
 *
 * Source: bpf_prog_test_run() of kernel/bpf/syscall.c; bpf_prog_test_run_raw_tp(), bpf_prog_test_run_syscall() and
 * bpf_prog_test_run_skb() of net/bpf/test_run.c of Linux.
 */
import {
  EFAULT,
  EINVAL,
  ENOMEM,
  ENOTSUPP,
  ENXIO,
  progTestRunAttr,
  type StructValue,
} from '../../abi/index.ts'
import type { ProgramObject } from '../program-object.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { programOf } from './descriptors.ts'

type Attr = StructValue<typeof progTestRunAttr>

const RETVAL = BigInt(progTestRunAttr.offsets.retval)
const BPF_F_TEST_RUN_ON_CPU = 1
/** MAX_BPF_FUNC_ARGS words. */
const LARGEST_ARGUMENTS = 12 * 8
const LARGEST_CONTEXT = 0xffff

export function testRun(call: BpfCall): number {
  const attr = progTestRunAttr.read(call.attr)
  if ((attr.ctx_size_in !== 0) !== (attr.ctx_in !== 0n)) return -EINVAL
  if ((attr.ctx_size_out !== 0) !== (attr.ctx_out !== 0n)) return -EINVAL
  const program = programOf(call.process, attr.prog_fd)
  if (typeof program === 'number') return program
  switch (program.loaded.type.testRun) {
    case 'arguments':
      return runWithArguments(call, attr, program)
    case 'context':
      return runWithContext(call, attr, program)
    default:
      return -ENOTSUPP
  }
}

/** raw_tracepoint: the context is the tracepoint's arguments, each a 64-bit word. */
function runWithArguments(call: BpfCall, attr: Attr, program: ProgramObject): number {
  const unused = attr.data_in !== 0n || attr.data_out !== 0n || attr.ctx_out !== 0n
  if (unused || attr.duration !== 0 || attr.repeat !== 0 || attr.batch_size !== 0) return -EINVAL
  if (attr.ctx_size_in > LARGEST_ARGUMENTS) return -EINVAL
  const isOnCpu = (attr.flags & BPF_F_TEST_RUN_ON_CPU) !== 0
  if (!isOnCpu && attr.cpu !== 0) return -EINVAL
  if (attr.cpu >= call.core.cpuCount) return -ENXIO
  return run(call, attr, program, LARGEST_ARGUMENTS, 'read', attr.cpu)
}

/** syscall: the context is the caller's struct, which the program may change. */
function runWithContext(call: BpfCall, attr: Attr, program: ProgramObject): number {
  const unused = attr.data_in !== 0n || attr.data_out !== 0n || attr.ctx_out !== 0n
  if (unused || attr.data_size_in !== 0 || attr.data_size_out !== 0 || attr.ctx_size_out !== 0) return -EINVAL
  if (attr.duration !== 0 || attr.repeat !== 0 || attr.flags !== 0 || attr.batch_size !== 0) return -EINVAL
  if (attr.ctx_size_in > LARGEST_CONTEXT) return -EINVAL
  return run(call, attr, program, attr.ctx_size_in, 'write', 0)
}

function run(
  { core, process, pointer }: BpfCall,
  attr: Attr,
  program: ProgramObject,
  contextBytes: number,
  access: 'read' | 'write',
  cpu: number,
): number {
  const given = readBytes(process.memory, attr.ctx_in, attr.ctx_size_in)
  if (given === undefined) return -EFAULT
  const offset = core.arena.allocate(contextBytes, { access })
  if (offset === undefined) return -ENOMEM
  core.arena.bytes.set(given, offset)
  // What a verifier would have refused at load time ends the run.
  const result = core.runner.run(program, { cpu, context: core.arena.address(offset) })
  const after = core.arena.bytes.slice(offset, offset + given.length)
  core.arena.free(offset)
  if (result === undefined) return -EFAULT
  if (access === 'write' && !process.memory.write(attr.ctx_in, after)) return -EFAULT
  return writeU32(process.memory, pointer + RETVAL, Number(BigInt.asUintN(32, result))) ? 0 : -EFAULT
}
