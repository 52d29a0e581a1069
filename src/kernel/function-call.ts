/**
 * A call of a traced function, as its programs see it: 64 bits for each argument, then the result. A word before them
 * says how many there are, for bpf_get_func_arg() and its like.
 *
 * Source: arch_prepare_bpf_trampoline() of Linux: the layout that btf_ctx_access() lets programs read.
 */
import { CALL_HAS_RESULT } from '../helpers/index.ts'

export interface FunctionCall {
  readonly values: BigUint64Array
  /** Undefined at the entry. */
  readonly returned?: bigint
}

/** Source: MAX_BPF_FUNC_ARGS of Linux. */
const MOST_ARGUMENTS = 12
export const CALL_HEADER_BYTES = 8
export const CALL_BYTES = CALL_HEADER_BYTES + 8 * (MOST_ARGUMENTS + 1)

/** Writes `call` to where programs find it: at `context`, with its header before. */
export function writeCall(view: DataView, context: number, { values, returned }: FunctionCall): void {
  const count = Math.min(values.length, MOST_ARGUMENTS)
  view.setUint32(context - CALL_HEADER_BYTES, count, true)
  view.setUint32(context - CALL_HEADER_BYTES + 4, returned === undefined ? 0 : CALL_HAS_RESULT, true)
  for (let n = 0; n < count; n++) view.setBigUint64(context + 8 * n, values[n] as bigint, true)
  view.setBigUint64(context + 8 * count, returned ?? 0n, true)
}
