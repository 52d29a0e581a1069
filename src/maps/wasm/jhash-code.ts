/** The hashes of keys in WebAssembly, for keys of a known length: the same numbers as `jhash.ts` and `short-hash.ts`. */
import {
  block,
  br,
  brIf,
  type Code,
  i32,
  type Label,
  type Local,
  label,
  load32,
  loop,
  seq,
} from '../../wasm/index.ts'
import { SHORT_HASH_FIRST, SHORT_HASH_SECOND } from '../short-hash.ts'

const GOLDEN = 0xdeadbeef
/** Rounds of 12 bytes that are written out; more become a loop. */
const MOST_UNROLLED = 6

export interface HashLocals {
  readonly a: Local<'i32'>
  readonly b: Local<'i32'>
  /** The hash, in the end. */
  readonly c: Local<'i32'>
  /** Walks over long keys. */
  readonly at: Local<'i32'>
}

const { add, sub, xor, rotl } = i32

/** `shortHash`, left in `c`. */
export function shortHashCode(key: Code<'i32'>, length: number, seed: number, { c }: HashLocals): Code {
  const fold = (bits: number) => c.set(xor(c.get, i32.shr_u(c.get, i32.const(bits))))
  const first = i32.mul(xor(load32.full(key), i32.const(seed)), i32.const(SHORT_HASH_FIRST))
  const second = i32.mul(xor(c.get, load32.full(key, 4)), i32.const(SHORT_HASH_SECOND))
  return seq(c.set(first), fold(15), ...(length === 8 ? [c.set(second), fold(13)] : []))
}

/** Leaves the hash of `length` bytes at `key` in `c`. */
export function hashCode(key: Code<'i32'>, length: number, seed: number, locals: HashLocals): Code {
  const { a, b, c, at } = locals
  const start = i32.const((GOLDEN + length + seed) | 0)
  const rounds = Math.max(0, Math.ceil(length / 12) - 1)
  const out: Code[] = [a.set(start), b.set(start), c.set(start)]
  const isLoop = rounds > MOST_UNROLLED
  if (isLoop) out.push(roundsInLoop(key, rounds, locals))
  else for (let n = 0; n < rounds; n++) out.push(round(key, n * 12, locals))
  const left = length - rounds * 12
  if (left === 0) return seq(...out)
  const from = isLoop ? at.get : key
  const first = isLoop ? 0 : rounds * 12
  const word = (n: number) => partOfWord(from, first + 4 * n, left - 4 * n)
  const into = (local: Local<'i32'>, n: number) => (left > 4 * n ? [local.set(add(local.get, word(n)))] : [])
  out.push(...into(a, 0), ...into(b, 1), ...into(c, 2))
  const last = (x: Local<'i32'>, y: Local<'i32'>, bits: number) =>
    x.set(sub(xor(x.get, y.get), rotl(y.get, i32.const(bits))))
  out.push(
    last(c, b, 14),
    last(a, c, 11),
    last(b, a, 25),
    last(c, b, 16),
    last(a, c, 4),
    last(b, a, 14),
    last(c, b, 24),
  )
  return seq(...out)
}

function round(key: Code<'i32'>, offset: number, { a, b, c }: HashLocals): Code {
  const take = (local: Local<'i32'>, n: number) => local.set(add(local.get, load32.full(key, offset + 4 * n)))
  const mix = (x: Local<'i32'>, y: Local<'i32'>, z: Local<'i32'>, bits: number) =>
    seq(x.set(xor(sub(x.get, y.get), rotl(y.get, i32.const(bits)))), y.set(add(y.get, z.get)))
  return seq(
    take(a, 0),
    take(b, 1),
    take(c, 2),
    mix(a, c, b, 4),
    mix(b, a, c, 6),
    mix(c, b, a, 8),
    mix(a, c, b, 16),
    mix(b, a, c, 19),
    mix(c, b, a, 4),
  )
}

function roundsInLoop(key: Code<'i32'>, rounds: number, locals: HashLocals): Code {
  const { at } = locals
  const again: Label = label('rounds')
  const done: Label = label('rounds end')
  const end = add(key, i32.const(rounds * 12))
  return seq(
    at.set(key),
    block(
      done,
      loop(
        again,
        seq(
          brIf(done, i32.ge_u(at.get, end)),
          round(at.get, 0, locals),
          at.set(add(at.get, i32.const(12))),
          br(again),
        ),
      ),
    ),
  )
}

/** The little-endian word of which only the first `left` bytes count. */
function partOfWord(key: Code<'i32'>, offset: number, left: number): Code<'i32'> {
  if (left >= 4) return load32.full(key, offset)
  if (left === 1) return load32.u8(key, offset)
  const low = load32.u16(key, offset)
  return left === 2 ? low : i32.or(low, i32.shl(load32.u8(key, offset + 2), i32.const(16)))
}
