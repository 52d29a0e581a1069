/** What a program says to whoever looks after it, and what it asks of maps. Source: kernel/bpf/stream.c, map_iter.c of Linux. */
import { ENOENT, ENOSPC } from '../../abi/index.ts'
import { badMap, badMemory, endOfString, failure, u32Of } from '../access.ts'
import { readArguments } from '../bodies/print.ts'
import { prepareFormat, printFormat } from '../format.ts'
import type { KfuncBody } from './row.ts'

const TEXT_BYTES = 1024
const STREAMS: readonly number[] = [1, 2]

/** To the program's stdout (1) or stderr (2). */
export const streamVprintk: KfuncBody = (env, _call, r1, r2, r3, r4) => {
  const stream = u32Of(r1)
  if (!STREAMS.includes(stream) || env.caller === undefined || env.writeStream === undefined) {
    return failure(ENOENT)
  }
  const args = readArguments(env, 3, r3, u32Of(r4))
  if (!Array.isArray(args)) return args as bigint
  const end = endOfString(env, r2)
  if (end < 0) return badMemory(2, r2, 1, 'read')
  const pieces = prepareFormat(env, env.arena.bytes.slice(env.arena.offsetOf(r2), end), args)
  if (typeof pieces === 'number') return BigInt(pieces)
  const line = new Uint8Array(TEXT_BYTES)
  printFormat(env, pieces, line)
  const text = new TextDecoder().decode(line.subarray(0, line.indexOf(0)))
  return failure(env.writeStream(env.caller, stream, text) ? 0 : ENOSPC)
}

/** Elements of a hash table; 0 for types that do not count them. */
export const mapSumElemCount: KfuncBody = (env, _call, r1) => {
  const map = env.mapAt(r1)
  return map === undefined ? badMap(1, r1) : BigInt(map.count ?? 0)
}
