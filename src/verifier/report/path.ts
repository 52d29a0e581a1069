/** The path that failed, read from a log of level 1, which keeps that path only. */

export interface Step {
  /** Slot. */
  readonly instruction: number
  /** The instruction as the kernel writes it. */
  readonly text: string
  /** What it changed, `R1=fp0`, as far as the log says. */
  readonly changes: string
}

export interface FailingPath {
  readonly steps: readonly Step[]
  /** What was written behind the last instruction, but for the last line and the counts. */
  readonly notes: readonly string[]
}

const STATISTICS = /^(processed \d+ insns|verification time|stack depth)/

/** Characters of the log's end that are read: a path of a million instructions is no help to anyone. */
const TAIL = 1 << 20

export const tailOf = (log: string): string =>
  log.length <= TAIL ? log : log.slice(log.indexOf('\n', log.length - TAIL) + 1)

export function pathOf(log: string): FailingPath {
  const steps: Step[] = []
  let notes: string[] = []
  for (const line of tailOf(log).split('\n')) {
    const match = /^(\d+): \([0-9a-f]{2}\) (.*?)(?: +; ?(.*))?$/.exec(line)
    if (match !== null) {
      steps.push({
        instruction: Number(match[1]),
        text: (match[2] as string).trimEnd(),
        changes: match[3] ?? '',
      })
      notes = []
    } else if (line !== '' && !line.startsWith(';') && !STATISTICS.test(line)) notes.push(line)
  }
  return { steps, notes: notes.slice(0, -1) }
}

const WRITTEN = /^[rw](\d+) (?:[^=!<>]{0,3})?=/

/** Does the instruction write register `n`? Calls leave nothing in the first six. */
export const writes = ({ text }: Step, n: number): boolean =>
  Number(WRITTEN.exec(text)?.[1]) === n || (n <= 5 && text.startsWith('call '))

/** `bpf_map_lookup_elem`, of `call bpf_map_lookup_elem#1`. */
export const calleeOf = (text: string | undefined): string | undefined => /^call (\w+)#/.exec(text ?? '')?.[1]

/** What the register held when the log last spoke of it; undefined: never. */
export function lastSaid(steps: readonly Step[], n: number): string | undefined {
  const pattern = new RegExp(`\\bR${n}=(\\S+)`)
  for (let i = steps.length - 1; i >= 0; i--) {
    const found = pattern.exec((steps[i] as Step).changes)?.[1]
    if (found !== undefined) return found
  }
  return undefined
}
