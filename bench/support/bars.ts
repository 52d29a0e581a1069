/** What the compiler is to reach beside Linux's, and whether it does. */

export interface Measured {
  readonly name: string
  readonly slots: number
  /** With maps, with calls of subprograms, or with neither. */
  readonly kind: 'plain' | 'maps' | 'calls'
  /** Our time for a run over Linux's; NaN where there is no Linux. */
  readonly ratio: number
  readonly loadNs: number
}

const meanMost = { plain: 0.8, maps: 0.4, calls: 0.35 } as const
const RATIO_MOST = 1.15
/** Programs up to so many slots are to load within so many milliseconds. */
const loadMost = [
  { slots: 110, ms: 3 },
  { slots: 5000, ms: 30 },
] as const

const text = { plain: 'without maps and calls', maps: 'with maps', calls: 'with calls' } as const

/** One line for each bar: the figure, the bar, and whether it holds. */
export function verdicts(all: readonly Measured[]): string[] {
  const lines: string[] = []
  const say = (what: string, found: number, most: number, unit = '') =>
    lines.push(
      `${what}: ${found.toFixed(2)}${unit} (${found <= most ? 'holds' : 'MISSED'}: at most ${most}${unit})`,
    )
  const compared = all.filter(({ ratio }) => !Number.isNaN(ratio))
  for (const kind of ['plain', 'maps', 'calls'] as const) {
    const logs = compared.filter((each) => each.kind === kind).map(({ ratio }) => Math.log(ratio))
    if (logs.length === 0) continue
    const mean = Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length)
    say(`JIT/Linux, geometric mean ${text[kind]}`, mean, meanMost[kind])
  }
  const slowest = compared.reduce<Measured | undefined>(
    (a, b) => (a === undefined || b.ratio > a.ratio ? b : a),
    undefined,
  )
  if (slowest !== undefined) say(`JIT/Linux, the slowest (${slowest.name})`, slowest.ratio, RATIO_MOST)
  let beyond = 0
  for (const { slots, ms } of loadMost) {
    const within = all.filter((each) => each.slots > beyond && each.slots <= slots)
    const longest = within.reduce<Measured | undefined>(
      (a, b) => (a === undefined || b.loadNs > a.loadNs ? b : a),
      undefined,
    )
    if (longest !== undefined) {
      say(`load, the longest up to ${slots} slots (${longest.name})`, longest.loadNs / 1e6, ms, ' ms')
    }
    beyond = slots
  }
  return lines
}
