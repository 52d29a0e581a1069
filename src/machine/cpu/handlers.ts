/**
 * The numbers of the interpreter's handlers: the hot rows of the instruction table, the interpreter's own
 * steps, pairs of those, then everything cold. The decoder writes them, the generated loop dispatches on them.
 */
import type { InstructionRow } from './instructions.ts'
import { instructions } from './instructions.ts'

/** Steps that no instruction stands for one to one. */
export const hotSteps = [
  /** Does nothing. */
  'nop',
  /** rd = imm: `lui`, `addi rd, x0, imm` */
  'li',
  /** rd = rs1 */
  'mv',
  /** jal x0, and running into records that another block already has. */
  'jump',
  /** jalr x0 */
  'jumpRegister',
  /** Goes on at the page offset `immediate`, through the look-up. Counts no instruction. */
  'goto',
  /** Guards an instruction whose second half lies on the next page: `extra` is that page's entry table. Counts none. */
  'crossing',
  /** Ends a block that was cut short. Counts none. */
  'stop',
  /** x0 = 0, after an instruction whose rd is x0. Counts none. */
  'clearZero',
] as const
export type HotStep = (typeof hotSteps)[number]

export const hotRows: readonly InstructionRow[] = instructions.filter(({ cold }) => cold !== true)
export const coldRows: readonly InstructionRow[] = instructions.filter(({ cold }) => cold === true)

/**
 * Pairs that one handler does in one go, as often as the second follows the first: chosen by counting what the
 * demo guest and a compiled loop execute. The record of the first has the pair's handler, the second's is as
 * ever, so that jumps to it and faults in it need nothing special. Measured: 1.7 times the instructions a second
 * on a compiled loop, 1.2 times on the demo guest.
 */
const seconds: Readonly<Record<string, string>> = {
  addi: 'addi add xor mv li beq bne blt bltu ld lw lbu sd sb',
  add: 'add addi srli mv li bne bltu ld lw lbu sb sd',
  mv: 'mv addi li auipc bne beq ld sd',
  li: 'li mv addi bltu bne',
  auipc: 'addi jalr ld',
  slli: 'add xor srli sb lbu',
  srli: 'add addi xor andi',
  xor: 'slli srli andi bne',
  and: 'bne beq',
  andi: 'beq bne slli',
  addiw: 'srai addi',
  srliw: 'addi',
  sub: 'addi',
  ld: 'ld sd addi andi beq bne add',
  lw: 'addi srliw beq bne',
  lbu: 'bne beq addi xor sub bgeu',
  sd: 'sd ld addi mv',
  sb: 'add addi mv beq',
  sw: 'lw addi',
  beq: 'ld lw addi mv addiw',
  bne: 'ld addi mv mul',
  bgeu: 'sb add',
  mul: 'srli add',
}

const hotNames: readonly string[] = [...hotRows.map(({ name }) => name), ...hotSteps]

/** The pairs as numbers of handlers; pair `i` is handler `firstPair + i`. */
export const pairs: readonly (readonly [number, number])[] = Object.entries(seconds).flatMap(
  ([first, list]) => list.split(' ').map((second) => [numberOf(first), numberOf(second)] as const),
)

function numberOf(name: string): number {
  const number = hotNames.indexOf(name)
  if (number < 0) throw new Error(`${name} is not hot`)
  return number
}

export const firstStep = hotRows.length
export const firstPair = firstStep + hotSteps.length
export const firstCold = firstPair + pairs.length
/** Behind the cold rows: an illegal instruction. */
export const illegalHandler = firstCold + coldRows.length

export const stepHandler = (step: HotStep): number => firstStep + hotSteps.indexOf(step)

const numbers: ReadonlyMap<InstructionRow, number> = new Map([
  ...hotRows.map((row, i) => [row, i] as const),
  ...coldRows.map((row, i) => [row, firstCold + i] as const),
])

export const handlerOf = (row: InstructionRow): number => numbers.get(row) as number

const pairNumbers: ReadonlyMap<number, number> = new Map(
  pairs.map(([first, second], i) => [first * firstPair + second, firstPair + i]),
)

/** The handler that does two hot ones, or undefined. */
export const pairHandler = (first: number, second: number): number | undefined =>
  second < firstPair ? pairNumbers.get(first * firstPair + second) : undefined

/** The handler of a record's own instruction, without the one behind it. */
export const withoutPair = (handler: number): number => pairs[handler - firstPair]?.[0] ?? handler
