/**
 * What is known of registers before a program runs: constants (the addresses of maps among them) and pointers into
 * the stack. The first select the code of a helper call, the second need no check.
 */
import type { Row } from '../isa/index.ts'
import type { Local } from '../wasm/index.ts'
import type { ControlFlow } from './control-flow.ts'
import type { Slot } from './program.ts'
import { registerUse } from './registers.ts'

export type Value =
  | { readonly kind: 'constant'; readonly value: bigint }
  /** `offset` bytes from r10 of the frame `frame`: a number for each frame of a subprogram and of those inlined. */
  | { readonly kind: 'stack'; readonly frame: number; readonly offset: number }
  /** `plus` and what a local holds, which is between 0 and `most`. */
  | { readonly kind: 'index'; readonly origin: Local<'i32'>; readonly most: bigint; readonly plus: bigint }
  | undefined

/** Of r0 to r10. */
export type Registers = readonly Value[]

export const nothingKnown = (frame: number): Registers =>
  Array.from({ length: 11 }, (_, n): Value => (n === 10 ? { kind: 'stack', frame, offset: 0 } : undefined))

const constantOf = (value: bigint): Value => ({ kind: 'constant', value: BigInt.asUintN(64, value) })

export function same(a: Value, b: Value): boolean {
  if (a === b) return true
  if (a?.kind === 'constant') return b?.kind === 'constant' && a.value === b.value
  return a?.kind === 'stack' && b?.kind === 'stack' && a.frame === b.frame && a.offset === b.offset
}

/** Changes `registers` as the instruction does. */
export function step(registers: Value[], slot: Slot): void {
  const row: Row | undefined = slot.row
  const before = registers[slot.dst]
  const { writes } = registerUse(
    slot,
    () => 5,
    () => 0,
  )
  if (writes === 0) return
  const value = row === undefined ? undefined : result(row, slot, before, registers[slot.src])
  for (let n = 0; n < 11; n++) if ((writes >> n) & 1) registers[n] = undefined
  if (value !== undefined) registers[slot.dst] = value
}

function result(row: Row, slot: Slot, dst: Value, src: Value): Value {
  const { constant } = slot
  if (row.kind === 'wide') return constantOf(constant as bigint)
  if (row.kind !== 'alu') return undefined
  const operand = constant === undefined ? src : constantOf(constant)
  if (row.op === 'mov') {
    if (row.bits === 64) return operand
    return operand?.kind === 'constant' ? constantOf(operand.value & 0xffff_ffffn) : undefined
  }
  if (row.bits !== 64 || operand === undefined || dst === undefined) return undefined
  if (row.op === 'add' && operand.kind === 'index' && dst.kind === 'constant') {
    return { ...operand, plus: operand.plus + dst.value }
  }
  if (operand.kind !== 'constant') return undefined
  const amount = BigInt.asIntN(64, operand.value)
  const signed = row.op === 'add' ? amount : row.op === 'sub' ? -amount : undefined
  if (signed === undefined) return undefined
  if (dst.kind === 'constant') return constantOf(dst.value + signed)
  if (dst.kind === 'index') return { ...dst, plus: dst.plus + signed }
  const offset = BigInt(dst.offset) + signed
  return offset >= -0x8000n && offset <= 0x7fffn ? { ...dst, offset: Number(offset) } : undefined
}

/** What is known at the start of each block; undefined for one that is never reached. */
export function valuesOf(flow: ControlFlow, entry: Registers): readonly (Registers | undefined)[] {
  const known: (Value[] | undefined)[] = flow.blocks.map(() => undefined)
  known[0] = [...entry]
  const isDue = flow.blocks.map((_, number) => number === 0)
  for (let number = 0; number < isDue.length; ) {
    if (!isDue[number]) {
      number++
      continue
    }
    isDue[number] = false
    const block = flow.blocks[number] as ControlFlow['blocks'][number]
    const after = [...(known[number] as Value[])]
    for (const slot of block.slots) step(after, slot)
    const { exit } = block
    const successors =
      exit.kind === 'none' ? [] : exit.kind === 'goto' ? [exit.to] : [exit.taken, exit.otherwise]
    let least = number + 1
    for (const to of successors) {
      if (!meet(known, to, after)) continue
      isDue[to] = true
      least = Math.min(least, to)
    }
    number = least
  }
  return known
}

/** Keeps of what is known at a block what also holds on this way to it; whether that changed anything. */
function meet(known: (Value[] | undefined)[], to: number, registers: readonly Value[]): boolean {
  const there = known[to]
  if (there === undefined) {
    known[to] = [...registers]
    return true
  }
  let changed = false
  for (let n = 0; n < 11; n++) {
    if (there[n] === undefined || same(there[n], registers[n])) continue
    there[n] = undefined
    changed = true
  }
  return changed
}
