/**
 * What all test runs share: the caller's data and context in, the results out.
 *
 * Source: bpf_test_init(), bpf_test_run(), bpf_test_finish(), bpf_ctx_init(), bpf_ctx_finish() of net/bpf/test_run.c
 * of Linux.
 */
import { E2BIG, EFAULT, EINVAL, ENOSPC, progTestRunAttr, type StructValue } from '../../abi/index.ts'
import type { BpfCall } from '../bpf/call.ts'
import type { ProgramObject } from '../program-object.ts'
import type { Invocation } from '../run-environment.ts'
import { isZero, readBytes, writeU32 } from '../user-copy.ts'
import { LocalStorages } from './local-storage.ts'

export interface TestRequest {
  readonly call: BpfCall
  readonly attr: StructValue<typeof progTestRunAttr>
  readonly program: ProgramObject
}

export interface TestResult {
  readonly returned: number
  /** Of one run, on average. */
  readonly durationNs: number
}

/** Nothing can interrupt the runs, as a signal does on Linux. */
const MOST_REPEATS = 1 << 20
const U32_MAX = 0xffff_ffff

/** The first `linearBytes` of the packet have to fit a page with what Linux keeps around them. */
export function readData(
  { call, attr }: TestRequest,
  options: { readonly linearBytes: number; readonly roomBytes: number },
): Uint8Array | number {
  if (options.linearBytes > options.roomBytes) return -EINVAL
  return readBytes(call.process.memory, attr.data_in, attr.data_size_in) ?? -EFAULT
}

/** The caller's context, zero where it is shorter; undefined where it neither gives one nor wants one. */
export function readContext({ call, attr }: TestRequest, sizeBytes: number): Uint8Array | undefined | number {
  if (attr.ctx_in === 0n && attr.ctx_out === 0n) return undefined
  const context = new Uint8Array(sizeBytes)
  if (attr.ctx_in === 0n) return context
  const { memory } = call.process
  if (attr.ctx_size_in > sizeBytes) {
    if (attr.ctx_size_in > MOST_CONTEXT) return -E2BIG
    const beyond = isZero(memory, attr.ctx_in + BigInt(sizeBytes), attr.ctx_size_in - sizeBytes)
    if (typeof beyond === 'number') return beyond
    if (!beyond) return -E2BIG
  }
  return memory.read(attr.ctx_in, context.subarray(0, attr.ctx_size_in)) ? context : -EFAULT
}

/** Source: bpf_check_uarg_tail_zero(), "silly large". */
const MOST_CONTEXT = 4096

/** Runs the program as often as asked, `one` being one run: undefined after a run-time error, which is -EFAULT. */
export function repeatRun(
  { call, attr, program }: TestRequest,
  one: () => bigint | undefined,
): TestResult | number {
  const { core } = call
  if (attr.repeat > MOST_REPEATS) return -EINVAL
  const repeat = Math.max(attr.repeat, 1)
  program.executable.makeReady?.()
  const start = core.profilingClockNs()
  let returned: bigint | undefined
  for (let i = 0; i < repeat; i++) {
    returned = one()
    if (returned === undefined) return -EFAULT
  }
  const durationNs = Number((core.profilingClockNs() - start) / BigInt(repeat))
  return {
    returned: Number(BigInt.asUintN(32, returned as bigint)),
    durationNs: Math.min(durationNs, U32_MAX),
  }
}

export function runProgram(request: TestRequest, invocation: Invocation): TestResult | number {
  const { core } = request.call
  using localStorage = new LocalStorages(core)
  const whole = { ...invocation, localStorage }
  return repeatRun(request, () => core.runner.run(request.program, whole))
}

/** Hands over `data`, as far as there is room, its length, and the result. */
export function writeResult(
  { call, attr }: TestRequest,
  data: Uint8Array,
  result: TestResult,
  /** Of data that comes in fragments, only what goes beyond them is known to have room. */
  fragmentBytes = 0,
): number {
  const { process, pointer } = call
  const { memory } = process
  const isCut = attr.data_size_out !== 0 && data.length > attr.data_size_out
  const room = isCut ? attr.data_size_out : data.length
  if (attr.data_out !== 0n) {
    if (room < fragmentBytes) return -ENOSPC
    // Linux copies what is left of the room after the fragments, then the fragments: not always what comes next.
    const first = room - fragmentBytes
    const fragments = data.subarray(data.length - fragmentBytes)
    if (!memory.write(attr.data_out, data.subarray(0, first))) return -EFAULT
    if (!memory.write(attr.data_out + BigInt(first), fragments)) return -EFAULT
  }
  const at = progTestRunAttr.offsets
  const told =
    writeU32(memory, pointer + BigInt(at.data_size_out), data.length) &&
    writeU32(memory, pointer + BigInt(at.retval), result.returned) &&
    writeU32(memory, pointer + BigInt(at.duration), result.durationNs)
  if (!told) return -EFAULT
  return isCut ? -ENOSPC : 0
}

export function writeContext({ call, attr }: TestRequest, context: Uint8Array | undefined): number {
  if (context === undefined || attr.ctx_out === 0n) return 0
  const { memory } = call.process
  const room = Math.min(attr.ctx_size_out, context.length)
  const sizeAt = call.pointer + BigInt(progTestRunAttr.offsets.ctx_size_out)
  if (!memory.write(attr.ctx_out, context.subarray(0, room))) return -EFAULT
  if (!writeU32(memory, sizeAt, context.length)) return -EFAULT
  return room < context.length ? -ENOSPC : 0
}

export const isZeroBetween = (bytes: Uint8Array, from: number, to: number): boolean =>
  bytes.subarray(from, to).every((byte) => byte === 0)
