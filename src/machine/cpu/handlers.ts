/**
 * The numbers of the interpreter's handlers: the hot rows of the instruction table, the interpreter's own
 * steps, then everything cold. The decoder writes them, the generated loop dispatches on them.
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

export const firstStep = hotRows.length
export const firstCold = firstStep + hotSteps.length
/** Behind the cold rows: an illegal instruction. */
export const illegalHandler = firstCold + coldRows.length

export const stepHandler = (step: HotStep): number => firstStep + hotSteps.indexOf(step)

const numbers: ReadonlyMap<InstructionRow, number> = new Map([
  ...hotRows.map((row, i) => [row, i] as const),
  ...coldRows.map((row, i) => [row, firstCold + i] as const),
])

export const handlerOf = (row: InstructionRow): number => numbers.get(row) as number
