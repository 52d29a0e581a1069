/**
 * Runs a target on bad input of its own making.
 *
 * Inputs that went a way which none before them went are kept and changed further. What a run takes is held to
 * bounds: time, and memory in relation to the input. The same target, seed and number of runs do the same, but for
 * what depends on time.
 */
import { boundedRun } from './bounded-run.ts'
import { Random } from './random.ts'
import type { Seed, Target } from './target.ts'

export interface Failure {
  readonly target: string
  readonly run: number
  readonly message: string
  readonly stack: string
  readonly seed: Seed
  /** The last of these failed; the others came before it since the target was last settled. */
  readonly inputs: readonly Uint8Array[]
}

export interface Report {
  readonly target: string
  readonly runs: number
  readonly accepted: number
  /** Different ways that the inputs went. */
  readonly ways: ReadonlyMap<string, number>
  readonly slowestMs: number
  readonly slowestInput: Uint8Array | undefined
  readonly mostMemoryBytes: number
  readonly failures: readonly Failure[]
}

export interface LoopOptions {
  readonly runs: number
  readonly seed: number
  /** Stops after so many failures of different kinds. Default 1. */
  readonly mostFailures?: number
  /** Told of each input before it runs. */
  readonly onInput?: (run: number, input: Uint8Array) => void
}

interface Kept {
  readonly seed: Seed
  readonly bytes: Uint8Array
}

/** Inputs kept for new ways; more would only take memory. */
const MOST_KEPT = 4000

export function fuzz(target: Target, options: LoopOptions): Report {
  const random = new Random(options.seed)
  const ways = new Map<string, number>()
  const kept: Kept[] = []
  const failures: Failure[] = []
  const failed = new Set<string>()
  let history: Uint8Array[] = []
  let [accepted, slowestMs, mostMemoryBytes, run] = [0, 0, 0, 0]
  let slowestInput: Uint8Array | undefined

  const fail = (error: unknown, seed: Seed): void => {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    const stack = error instanceof Error ? (error.stack ?? '') : ''
    const key = placeOf(stack) || message
    if (!failed.has(key)) {
      failed.add(key)
      failures.push({ target: target.name, run, message, stack, seed, inputs: history.slice() })
    }
  }

  for (; run < options.runs && failures.length < (options.mostFailures ?? 1); run++) {
    const parent: Kept = kept.length > 0 && random.oneIn(2) ? random.pick(kept) : fresh(random, target)
    const input = target.mutate(random, parent.seed, parent.bytes)
    history.push(input)
    options.onInput?.(run, input)
    try {
      const { way, tookMs, memoryBytes } = boundedRun(target, input)
      if (tookMs > slowestMs) [slowestMs, slowestInput] = [tookMs, input]
      mostMemoryBytes = Math.max(mostMemoryBytes, memoryBytes)
      if (way.startsWith('accepted')) accepted++
      const seen = ways.get(way) ?? 0
      ways.set(way, seen + 1)
      if (seen === 0 && kept.length < MOST_KEPT) kept.push({ seed: parent.seed, bytes: input })
    } catch (error) {
      fail(error, parent.seed)
    }
    if (history.length >= target.runsBetweenSettling || run === options.runs - 1) {
      try {
        target.settle()
      } catch (error) {
        fail(error, parent.seed)
      }
      history = []
    }
  }
  return {
    target: target.name,
    runs: run,
    accepted,
    ways,
    slowestMs,
    slowestInput,
    mostMemoryBytes,
    failures,
  }
}

function fresh(random: Random, target: Target): Kept {
  const seed = random.pick(target.seeds)
  return { seed, bytes: seed.bytes }
}

/** The first line of the project's own that a stack names: failures there are of one kind. */
function placeOf(stack: string): string {
  return stack.split('\n').find((line) => line.includes('/src/')) ?? ''
}
