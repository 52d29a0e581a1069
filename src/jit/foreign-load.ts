/**
 * Loads through pointers that may be of the operating system's kernel. What lies in the arena is loaded in place; the
 * rest is asked of the environment, and 0 where the pointer leads nowhere.
 */
import type { Row } from '../isa/index.ts'
import { type Code, type FunctionRef, i32, i64, memory, seq, when } from '../wasm/index.ts'
import { runBlock } from './layout.ts'
import type { ModuleContext } from './module-context.ts'
import type { Embedding } from './subprogram.ts'

/** Upper word of every arena address. */
const ARENA_HIGH = 0xffff_c900n
const LARGEST_BYTES = 8
const PAGE_SHIFT = 16

/** Leaves the bytes in the result of the run's block: run, address (low, high), size. */
export type ForeignRead = FunctionRef<readonly ['i32', 'i32', 'i32', 'i32'], 'void'>

/** Where the value can be loaded from after `before`: its own place, or a copy in the run's block. */
export function foreignLoad(
  context: ModuleContext,
  { scope, frame }: Embedding,
  row: Row,
  pointer: Code<'i64'>,
  offset: number,
): { readonly before: Code; readonly address: Code<'i32'> } {
  const { old, address } = scope
  const run = context.runOf(frame)
  const isArena = i64.eq(i64.shr_u(old.get, i64.const(32n)), i64.const(ARENA_HIGH))
  const end = i32.sub(i32.shl(memory.size(), i32.const(PAGE_SHIFT)), i32.const(LARGEST_BYTES))
  const isInside = i32.le_u(address.get, end)
  const high = i32.wrap_i64(i64.shr_u(old.get, i64.const(32n)))
  const ask = context.readForeign.call(run, address.get, high, i32.const(row.bits / 8))
  return {
    before: seq(
      old.set(i64.add(pointer, i64.const(BigInt(offset)))),
      address.set(i32.wrap_i64(old.get)),
      when(
        i32.eqz(i32.and(isArena, isInside)),
        seq(ask, address.set(i32.add(run, i32.const(runBlock.result)))),
      ),
    ),
    address: address.get,
  }
}
