/** A run that is held to bounds of time and memory. */
import { getHeapStatistics } from 'node:v8'
import { Flaw, type Target } from './target.ts'

/** What a run may take: far above what real input takes. */
const RUN_MS = 1500
const RUN_BYTES = 96 << 20
const BYTES_FOR_A_BYTE = 256

export interface Measured {
  /** Which way the input went. */
  readonly way: string
  readonly tookMs: number
  readonly memoryBytes: number
}

const memoryInUse = (): number => {
  const { used_heap_size, external_memory } = getHeapStatistics()
  return used_heap_size + external_memory
}

/** Throws what the target throws, and a `Flaw` for what takes too much. */
export function boundedRun(target: Target, input: Uint8Array): Measured {
  const runMs = target.runMs ?? RUN_MS
  const before = memoryInUse()
  const start = performance.now()
  const way = target.run(input)
  let tookMs = performance.now() - start
  const memory = memoryInUse() - before
  // Other processes take time, too: only what is slow again and again counts.
  for (let i = 0; i < 2 && tookMs > runMs; i++) tookMs = Math.min(tookMs, time(target, input))
  if (tookMs > runMs) throw new Flaw(`takes ${tookMs.toFixed(0)} ms`)
  if (memory > (target.runBytes ?? RUN_BYTES) + BYTES_FOR_A_BYTE * input.length) {
    throw new Flaw(`takes ${(memory / 2 ** 20).toFixed(0)} MiB for ${input.length} bytes of input`)
  }
  return { way, tookMs, memoryBytes: memory }
}

function time(target: Target, input: Uint8Array): number {
  const start = performance.now()
  target.run(input)
  return performance.now() - start
}
