/**
 * Test runs of programs whose context is words or a struct of the caller's.
 *
 * Source: bpf_prog_test_run_raw_tp(), bpf_prog_test_run_syscall() of net/bpf/test_run.c of Linux.
 */
import { EFAULT, EINVAL, ENOMEM, ENXIO, progTestRunAttr } from '../../abi/index.ts'
import { programSyscalls } from '../program-syscalls.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { TestRequest } from './request.ts'

const BPF_F_TEST_RUN_ON_CPU = 1
/** MAX_BPF_FUNC_ARGS words. */
const LARGEST_ARGUMENTS = 12 * 8
const LARGEST_CONTEXT = 0xffff

/** raw_tracepoint: the context is the tracepoint's arguments, each a 64-bit word. */
export function runWithArguments(request: TestRequest): number {
  const { attr, call } = request
  const unused = attr.data_in !== 0n || attr.data_out !== 0n || attr.ctx_out !== 0n
  if (unused || attr.duration !== 0 || attr.repeat !== 0 || attr.batch_size !== 0) return -EINVAL
  if (attr.ctx_size_in > LARGEST_ARGUMENTS) return -EINVAL
  const isOnCpu = (attr.flags & BPF_F_TEST_RUN_ON_CPU) !== 0
  if (!isOnCpu && attr.cpu !== 0) return -EINVAL
  if (attr.cpu >= call.core.cpuCount) return -ENXIO
  return run(request, LARGEST_ARGUMENTS, 'read', attr.cpu)
}

/** syscall: the context is the caller's struct, which the program may change. */
export function runWithContext(request: TestRequest): number {
  const { attr } = request
  const unused = attr.data_in !== 0n || attr.data_out !== 0n || attr.ctx_out !== 0n
  if (unused || attr.data_size_in !== 0 || attr.data_size_out !== 0 || attr.ctx_size_out !== 0) return -EINVAL
  if (attr.duration !== 0 || attr.repeat !== 0 || attr.flags !== 0 || attr.batch_size !== 0) return -EINVAL
  if (attr.ctx_size_in > LARGEST_CONTEXT) return -EINVAL
  return run(request, attr.ctx_size_in, 'write', 0)
}

function run(
  { attr, call, program }: TestRequest,
  contextBytes: number,
  access: 'read' | 'write',
  cpu: number,
): number {
  const { core, process, pointer } = call
  const given = readBytes(process.memory, attr.ctx_in, attr.ctx_size_in)
  if (given === undefined) return -EFAULT
  const offset = core.arena.allocate(contextBytes, { access })
  if (offset === undefined) return -ENOMEM
  core.arena.bytes.set(given, offset)
  // What a verifier would have refused at load time ends the run.
  const system = programSyscalls(process)
  const result = core.runner.run(program, { cpu, context: core.arena.address(offset), system })
  const after = core.arena.bytes.slice(offset, offset + given.length)
  core.arena.free(offset)
  if (result === undefined) return -EFAULT
  if (access === 'write' && !process.memory.write(attr.ctx_in, after)) return -EFAULT
  const place = pointer + BigInt(progTestRunAttr.offsets.retval)
  return writeU32(process.memory, place, Number(BigInt.asUintN(32, result))) ? 0 : -EFAULT
}
