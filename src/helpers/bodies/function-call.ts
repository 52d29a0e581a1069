/**
 * What a tracing program may ask of the call that it runs at. Source: bpf-helpers(7); kernel/trace/bpf_trace.c of Linux.
 *
 * The context of such a program is the arguments, 64 bits each, and the result behind them. The word before says how
 * many arguments there are and, in its upper half, whether there is a result yet.
 */
import { EINVAL, EOPNOTSUPP } from '../../abi/index.ts'
import { badMemory, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperResult } from '../environment.ts'

export const CALL_HAS_RESULT = 1

interface Call {
  /** Arena offset of the first argument. */
  readonly at: number
  readonly count: number
  readonly hasResult: boolean
}

function callAt(env: HelperEnvironment, context: bigint): Call | undefined {
  const header = env.arena.check(context - 8n, 16, false)
  if (header < 0) return undefined
  const { view } = env.arena
  return {
    at: header + 8,
    count: view.getUint32(header, true),
    hasResult: view.getUint32(header + 4, true) === CALL_HAS_RESULT,
  }
}

/** Copies word `n` of the call to what argument `argument` of the helper points to. */
function give(env: HelperEnvironment, { at }: Call, n: number, argument: number, to: bigint): HelperResult {
  const target = env.arena.check(to, 8, true)
  if (target < 0) return badMemory(argument, to, 8, 'write')
  env.arena.copy(target, at + 8 * n, 8)
  return 0n
}

export const getFuncArg: HelperBody = (env, r1, r2, r3) => {
  const call = callAt(env, r1)
  if (call === undefined) return badMemory(1, r1, 8, 'read')
  return r2 >= BigInt(call.count) ? BigInt(-EINVAL) : give(env, call, u32Of(r2), 3, r3)
}

export const getFuncRet: HelperBody = (env, r1, r2) => {
  const call = callAt(env, r1)
  if (call === undefined) return badMemory(1, r1, 8, 'read')
  return call.hasResult ? give(env, call, call.count, 2, r2) : BigInt(-EOPNOTSUPP)
}

export const getFuncArgCnt: HelperBody = (env, r1) => {
  const call = callAt(env, r1)
  return call === undefined ? badMemory(1, r1, 8, 'read') : BigInt(call.count)
}
