/** What verification took, one line a program, as veristat prints it. */
import type { Statistics } from '../../verifier/index.ts'

export interface StatisticsRow {
  readonly object: string
  readonly program: string
  readonly accepted: boolean
  readonly milliseconds: number
  /** Slots. */
  readonly size: number
  readonly statistics: Statistics
}

const HEAD = [
  'File',
  'Program',
  'Verdict',
  'Duration (us)',
  'Insns',
  'States',
  'Peak states',
  'Stack',
  'Program size',
]
/** Columns of words; the others are numbers. */
const WORDS = 3

const cells = ({ object, program, accepted, milliseconds, size, statistics }: StatisticsRow): string[] => [
  object.slice(object.lastIndexOf('/') + 1),
  program,
  accepted ? 'success' : 'failure',
  `${Math.round(milliseconds * 1000)}`,
  `${statistics.processed}`,
  `${statistics.totalStates}`,
  `${statistics.peakStates}`,
  statistics.stackDepths.join('+'),
  `${size}`,
]

export function statisticsTable(rows: readonly StatisticsRow[]): string {
  const table = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, i) => Math.max(...table.map((line) => (line[i] as string).length)))
  const lineOf = (line: readonly string[]): string =>
    line
      .map((cell, i) => (i < WORDS ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
      .join('  ')
      .trimEnd()
  const [head, ...rest] = table as [string[], ...string[][]]
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return `${[lineOf(head), rule, ...rest.map(lineOf)].join('\n')}\n`
}
