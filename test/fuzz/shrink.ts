/** Making what fails small: fewer inputs, then fewer changes to the last one. */
import { boundedRun } from './bounded-run.ts'
import type { Failure } from './loop.ts'
import type { Target } from './target.ts'

const MOST_TRIES = 2000

/** Whether running `inputs` one after the other, from a settled target on, fails as wanted. */
type Fails = (inputs: readonly Uint8Array[]) => boolean

export function fails(target: Target, inputs: readonly Uint8Array[]): string | undefined {
  let message: string | undefined
  try {
    for (const input of inputs) boundedRun(target, input)
  } catch (error) {
    message = String(error)
  }
  try {
    target.settle()
  } catch (error) {
    message ??= String(error)
  }
  return message
}

/** A failure with as few inputs, and as few bytes changed in the last one, as were found in bounded time. */
export function shrunken(target: Target, failure: Failure): Failure {
  const wanted = (message: string): string => message.replace(/\d+/g, '#')
  const first = fails(target, failure.inputs)
  if (first === undefined) return failure
  let tries = 0
  const check: Fails = (inputs) => {
    const message = tries++ < MOST_TRIES ? fails(target, inputs) : undefined
    return message !== undefined && wanted(message) === wanted(first)
  }
  let inputs = fewer(failure.inputs, check)
  const last = inputs.at(-1)
  if (last !== undefined) {
    const original = failure.seed.bytes
    const less =
      original.length === last.length
        ? revert(original, last, (bytes) => check([...inputs.slice(0, -1), bytes]))
        : last
    inputs = [...inputs.slice(0, -1), less]
  }
  return { ...failure, inputs }
}

/** Leaves out halves, quarters, ... of the list while the rest still fails. */
function fewer(all: readonly Uint8Array[], check: Fails): readonly Uint8Array[] {
  const last = all.slice(-1)
  if (check(last)) return last
  let list = all
  for (let size = Math.ceil(list.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < list.length; ) {
      const rest = [...list.slice(0, at), ...list.slice(at + size)]
      if (rest.length > 0 && check(rest)) list = rest
      else at += size
    }
  }
  return list
}

/** Gives changed bytes their first value back while it still fails. */
function revert(
  original: Uint8Array,
  changed: Uint8Array,
  check: (bytes: Uint8Array) => boolean,
): Uint8Array {
  let best = changed
  const places: number[] = []
  for (let i = 0; i < changed.length; i++) if (changed[i] !== original[i]) places.push(i)
  for (let size = Math.ceil(places.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < places.length; from += size) {
      const attempt = best.slice()
      for (const at of places.slice(from, from + size)) attempt[at] = original[at] as number
      if (check(attempt)) best = attempt
    }
  }
  return best
}

/** The bytes of `input` that are not those of `original`, as text; the whole where lengths differ. */
export function difference(original: Uint8Array, input: Uint8Array): string {
  if (original.length !== input.length) return `${input.length} bytes, ${original.length} in the seed`
  const parts: string[] = []
  for (let i = 0; i < input.length; i++) {
    if (original[i] === input[i]) continue
    parts.push(`[0x${i.toString(16)}] ${hex(original[i])} -> ${hex(input[i])}`)
  }
  return parts.slice(0, 40).join(', ') + (parts.length > 40 ? `, ... (${parts.length})` : '')
}

const hex = (byte: number | undefined): string => (byte ?? 0).toString(16).padStart(2, '0')
