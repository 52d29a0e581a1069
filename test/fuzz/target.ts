import type { Random } from './random.ts'

/** A good input, from which bad ones are made. */
export interface Seed {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Something that takes bytes which may be anything. */
export interface Target {
  readonly name: string
  readonly seeds: readonly Seed[]
  /** A changed copy of `bytes`, which came of the seed. */
  mutate(random: Random, seed: Seed, bytes: Uint8Array): Uint8Array
  /**
   * Takes the input to where it is accepted or refused, and returns which way it went, in words that are the same for
   * inputs of one kind. Throws what is wrong with the project: a `Flaw`, or whatever the project threw.
   */
  run(bytes: Uint8Array): string
  /** Ends what the runs since the start, or since the last call, have opened; throws where something is left. */
  settle(): void
  /** Runs between two calls of `settle`: what may have to be repeated to see a fault again. */
  readonly runsBetweenSettling: number
  /** What a run may take, where it is more than usual. */
  readonly runMs?: number
  readonly runBytes?: number
  /** Counts of whatever is worth counting. */
  readonly counts: ReadonlyMap<string, number>
}

/** The project did what it promises not to do. */
export class Flaw extends Error {
  override readonly name = 'Flaw'
}

/** A message with numbers and names blotted out, so that refusals for one reason look alike. */
export function shapeOf(message: string): string {
  return message
    .replace(/'[^']*'|`[^`]*`|"[^"]*"/g, "'_'")
    .replace(/0x[0-9a-f]+|-?\d+/gi, '#')
    .replace(/[^\x20-\x7e]+/g, '?')
    .slice(0, 120)
}

/** Holds a refusal to its promise: one line that a person can use. */
export function checkMessage(code: string, message: string): string {
  const isUsable =
    message.length > 8 && !/\bNaN\b|\[object |\bundefined\b(?! ['`])|\bInfinity\b/.test(message)
  if (!isUsable) throw new Flaw(`refused without saying why: ${code}: ${JSON.stringify(message)}`)
  return `${code}: ${shapeOf(message)}`
}
