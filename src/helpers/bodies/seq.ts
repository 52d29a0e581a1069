/** Text of iterators. Source: bpf_seq_printf() and its neighbours, kernel/trace/bpf_trace.c of Linux. */
import { EINVAL, EOVERFLOW } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperFault } from '../environment.ts'
import { prepareFormat, printFormat } from '../format.ts'
import type { SeqText } from '../seq-text.ts'
import { readArguments } from './print.ts'
import { printPointed } from './typed.ts'

function seqAt({ seq }: HelperEnvironment, address: bigint): SeqText | HelperFault {
  if (seq !== undefined && seq.address === address) return seq.text
  return badMemory(1, address, 1, 'write')
}

const outcome = (fits: boolean): bigint => failure(fits ? 0 : EOVERFLOW)

export const seqPrintf: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const seq = seqAt(env, r1)
  if ('kind' in seq) return seq
  const size = u32Of(r3)
  const format = env.arena.check(r2, size, false)
  if (format < 0) return badMemory(2, r2, size, 'read')
  const args = readArguments(env, 4, r4, u32Of(r5))
  if (!Array.isArray(args)) return args as bigint | HelperFault
  const bytes = env.arena.bytes.slice(format, format + size)
  const end = bytes.indexOf(0)
  if (end < 0) return failure(EINVAL)
  const pieces = prepareFormat(env, bytes.subarray(0, end), args)
  if (typeof pieces === 'number') return BigInt(pieces)
  return outcome(seq.writeWith((room) => printFormat(env, pieces, room)))
}

export const seqWrite: HelperBody = (env, r1, r2, r3) => {
  const seq = seqAt(env, r1)
  if ('kind' in seq) return seq
  const size = u32Of(r3)
  const from = size === 0 ? 0 : env.arena.check(r2, size, false)
  if (from < 0) return badMemory(2, r2, size, 'read')
  return outcome(seq.write(env.arena.bytes.subarray(from, from + size)))
}

/** That the text did not fit is for the reader alone. */
export const seqPrintfBtf: HelperBody = (env, r1, r2, r3, r4) => {
  const seq = seqAt(env, r1)
  if ('kind' in seq) return seq
  const status = printPointed(env, [2, r2, u32Of(r3)], r4, (text) => seq.print(text))
  return typeof status === 'object' ? status : BigInt(status)
}
