/** Helpers that format text. Source: bpf-helpers(7). */
import { EINVAL } from '../../abi/index.ts'
import { badMemory, endOfString, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperResult } from '../environment.ts'
import { prepareFormat, printFormat } from '../format.ts'

const TRACE_LINE_BYTES = 1024
const MOST_ARGUMENT_BYTES = 12 * 8

/** At most three arguments, in registers. */
export const tracePrintk: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const size = u32Of(r2)
  const format = env.arena.check(r1, size, false)
  if (format < 0) return badMemory(1, r1, size, 'read')
  return trace(env, env.arena.bytes.subarray(format, format + size), [r3, r4, r5])
}

/** Up to twelve arguments, in an array of u64. */
export const traceVprintk: HelperBody = (env, r1, r2, r3, r4) => {
  const size = u32Of(r2)
  const format = env.arena.check(r1, size, false)
  if (format < 0) return badMemory(1, r1, size, 'read')
  const args = readArguments(env, 3, r3, u32Of(r4))
  return Array.isArray(args)
    ? trace(env, env.arena.bytes.subarray(format, format + size), args)
    : (args as HelperResult)
}

/** Gives the length of the whole text with its NUL, also where it was cut. */
export const snprintf: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const size = u32Of(r2)
  const target = size === 0 ? 0 : env.arena.check(r1, size, true)
  if (target < 0) return badMemory(1, r1, size, 'write')
  const format = env.arena.offsetOf(r3)
  const formatEnd = endOfString(env, r3)
  if (formatEnd < 0) return badMemory(3, r3, 1, 'read')
  const args = readArguments(env, 4, r4, u32Of(r5))
  if (!Array.isArray(args)) return args as HelperResult
  const pieces = prepareFormat(env, env.arena.bytes.slice(format, formatEnd), args)
  if (typeof pieces === 'number') return BigInt(pieces)
  return BigInt(printFormat(env, pieces, env.arena.bytes.subarray(target, target + size)) + 1)
}

function trace(env: HelperEnvironment, buffer: Uint8Array, args: readonly bigint[]): HelperResult {
  const end = buffer.indexOf(0)
  if (end < 0) return failure(EINVAL)
  const pieces = prepareFormat(env, buffer.slice(0, end), args)
  if (typeof pieces === 'number') return BigInt(pieces)
  const line = new Uint8Array(TRACE_LINE_BYTES)
  const length = printFormat(env, pieces, line)
  env.tracePrint(new TextDecoder().decode(line.subarray(0, line.indexOf(0))))
  return BigInt(length)
}

export function readArguments(
  env: HelperEnvironment,
  argument: number,
  address: bigint,
  sizeBytes: number,
): bigint[] | HelperResult {
  if (sizeBytes % 8 !== 0 || sizeBytes > MOST_ARGUMENT_BYTES || (sizeBytes > 0 && address === 0n)) {
    return failure(EINVAL)
  }
  if (sizeBytes === 0) return []
  const start = env.arena.check(address, sizeBytes, false)
  if (start < 0) return badMemory(argument, address, sizeBytes, 'read')
  const view = env.arena.view
  return Array.from({ length: sizeBytes / 8 }, (_, index) => view.getBigUint64(start + 8 * index, true))
}
