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
  ENOSPC,
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
const BPF_F_TEST_SKB_CHECKSUM_COMPLETE = 4
const ETHERNET_HEADER = 14
/** A page, less what Linux keeps before and behind the packet. */
const LARGEST_PACKET = 4096 - 66 - 320
const SK_BUFF_BYTES = 192
/** Nothing can interrupt the runs, as a signal does on Linux. */
const MOST_REPEATS = 1 << 20
const SK_BUFF_PROTOCOL = 16

export function testRun(call: BpfCall): number {
  const attr = progTestRunAttr.read(call.attr)
  if ((attr.ctx_size_in !== 0) !== (attr.ctx_in !== 0n)) return -EINVAL
  if ((attr.ctx_size_out !== 0) !== (attr.ctx_out !== 0n)) return -EINVAL
  const program = programOf(call.process, attr.prog_fd)
  if (typeof program === 'number') return program
  switch (program.loaded.type.testRun) {
    case 'packet':
      return runWithPacket(call, attr, program)
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

/**
 * socket_filter: an Ethernet frame, of which the program sees what follows the header. The context is a
 * struct __sk_buff, as far as a packet without a device fills it.
 */
function runWithPacket(call: BpfCall, attr: Attr, program: ProgramObject): number {
  const { core, process, pointer } = call
  if ((attr.flags & ~BPF_F_TEST_SKB_CHECKSUM_COMPLETE) !== 0 || attr.cpu !== 0) return -EINVAL
  if (attr.batch_size !== 0 || attr.ctx_in !== 0n || attr.ctx_out !== 0n) return -EINVAL
  if (attr.repeat > MOST_REPEATS) return -EINVAL
  if (attr.data_size_in < ETHERNET_HEADER || attr.data_size_in > LARGEST_PACKET) return -EINVAL
  const frame = readBytes(process.memory, attr.data_in, attr.data_size_in)
  if (frame === undefined) return -EFAULT
  const packet = frame.subarray(ETHERNET_HEADER)
  const offset = core.arena.allocate(SK_BUFF_BYTES)
  if (offset === undefined) return -ENOMEM
  const context = core.arena.address(offset)
  core.arena.view.setUint32(offset, packet.length, true)
  core.arena.view.setUint16(
    offset + SK_BUFF_PROTOCOL,
    (frame[12] as number) | ((frame[13] as number) << 8),
    true,
  )
  const repeat = Math.max(attr.repeat, 1)
  const start = core.profilingClockNs()
  let result: bigint | undefined = 0n
  for (let i = 0; i < repeat && result !== undefined; i++) {
    result = core.runner.run(program, { cpu: 0, context, packet })
  }
  const duration = (core.profilingClockNs() - start) / BigInt(repeat)
  core.arena.free(offset)
  if (result === undefined) return -EFAULT
  // Linux gives the packet back with a header of zeroes in the place of the one that it took off.
  frame.fill(0, 0, ETHERNET_HEADER)
  const room = attr.data_size_out === 0 ? frame.length : Math.min(attr.data_size_out, frame.length)
  if (attr.data_out !== 0n && !process.memory.write(attr.data_out, frame.subarray(0, room))) return -EFAULT
  const { offsets } = progTestRunAttr
  const told =
    writeU32(process.memory, pointer + BigInt(offsets.data_size_out), frame.length) &&
    writeU32(process.memory, pointer + RETVAL, Number(BigInt.asUintN(32, result))) &&
    writeU32(process.memory, pointer + BigInt(offsets.duration), Number(BigInt.asUintN(32, duration)))
  if (!told) return -EFAULT
  return attr.data_out !== 0n && room < frame.length ? -ENOSPC : 0
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
