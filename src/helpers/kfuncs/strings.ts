/**
 * Strings of any memory of the kernel, with the answers of the C library's functions as positions.
 *
 * A string ends after 64 KiB at the latest (-E2BIG); what cannot be read is -EFAULT, what is not found -ENOENT.
 *
 * Source: bpf_strcmp() and its like of kernel/bpf/helpers.c of Linux 6.18.
 */
import { E2BIG, EFAULT, ENOENT } from '../../abi/index.ts'
import { failure, u32Of } from '../access.ts'
import type { HelperEnvironment } from '../environment.ts'
import { readKernel } from '../foreign-memory.ts'
import type { KfuncBody } from './row.ts'

const MOST = 65536
const CHUNK = 64

/** The bytes of a string, read as they are asked for; a number is -errno. */
class Text {
  readonly #env: HelperEnvironment
  readonly #address: bigint
  readonly #chunk = new Uint8Array(CHUNK)
  #from = -1
  #length = 0

  constructor(env: HelperEnvironment, address: bigint) {
    this.#env = env
    this.#address = address
  }

  /** Byte `index`, or -EFAULT. */
  at(index: number): number {
    if (this.#from < 0 || index < this.#from || index >= this.#from + this.#length) {
      const address = BigInt.asUintN(64, this.#address + BigInt(index))
      const most = CHUNK - Number(address & BigInt(CHUNK - 1))
      this.#from = index
      this.#length = readKernel(this.#env, address, this.#chunk.subarray(0, most)) === 0 ? most : 1
      if (this.#length === 1 && readKernel(this.#env, address, this.#chunk.subarray(0, 1)) !== 0) {
        this.#from = -1
        return -EFAULT
      }
    }
    return this.#chunk[index - this.#from] as number
  }
}

/** Visits bytes until `decide` answers; `otherwise` where `count` of them did not make it. */
function walk(
  text: Text,
  count: number,
  decide: (byte: number, index: number) => number | undefined,
  otherwise: number,
): bigint {
  for (let index = 0; index < Math.min(count, MOST); index++) {
    const byte = text.at(index)
    if (byte < 0) return BigInt(byte)
    const answer = decide(byte, index)
    if (answer !== undefined) return BigInt(answer)
  }
  return BigInt(count >= MOST ? -E2BIG : otherwise)
}

const lower = (byte: number): number => {
  const isUpper = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0xc0 && byte <= 0xde && byte !== 0xd7)
  return isUpper ? byte + 0x20 : byte
}

const compare =
  (fold: (byte: number) => number): KfuncBody =>
  (env, _call, r1, r2) => {
    const second = new Text(env, r2)
    return walk(
      new Text(env, r1),
      MOST,
      (byte, index) => {
        const other = second.at(index)
        if (other < 0) return other
        const [a, b] = [fold(byte), fold(other)]
        if (a !== b) return a < b ? -1 : 1
        return byte === 0 ? 0 : undefined
      },
      0,
    )
  }

export const strcmp = compare((byte) => byte)
export const strcasecmp = compare(lower)

const countOf = (value: bigint): number => (value > BigInt(MOST) ? MOST : Number(value))
const charOf = (value: bigint): number => u32Of(value) & 0xff

function find(env: HelperEnvironment, address: bigint, count: number, wanted: number): bigint {
  const decide = (byte: number, index: number) => (byte === wanted ? index : byte === 0 ? -ENOENT : undefined)
  return walk(new Text(env, address), count, decide, -ENOENT)
}

export const strchr: KfuncBody = (env, _call, r1, r2) => find(env, r1, MOST, charOf(r2))
export const strnchr: KfuncBody = (env, _call, r1, r2, r3) => find(env, r1, countOf(r2), charOf(r3))

export const strchrnul: KfuncBody = (env, _call, r1, r2) =>
  walk(new Text(env, r1), MOST, (byte, index) => (byte === 0 || byte === charOf(r2) ? index : undefined), 0)

export const strrchr: KfuncBody = (env, _call, r1, r2) => {
  let last = -ENOENT
  const decide = (byte: number, index: number) => {
    if (byte === charOf(r2)) last = index
    return byte === 0 ? last : undefined
  }
  return walk(new Text(env, r1), MOST, decide, 0)
}

const length = (env: HelperEnvironment, address: bigint, count: number): bigint =>
  walk(new Text(env, address), count, (byte, index) => (byte === 0 ? index : undefined), count)

export const strlen: KfuncBody = (env, _call, r1) => length(env, r1, MOST)
export const strnlen: KfuncBody = (env, _call, r1, r2) => length(env, r1, countOf(r2))

/** How many bytes from the start are, or are not, among those of the other string. */
const span =
  (accepts: boolean): KfuncBody =>
  (env, _call, r1, r2) => {
    const others = new Text(env, r2)
    return walk(
      new Text(env, r1),
      MOST,
      (byte, index) => {
        if (byte === 0) return index
        for (let at = 0; at < MOST; at++) {
          const other = others.at(at)
          if (other < 0) return other
          if (other === 0) return accepts ? index : undefined
          if (other === byte) return accepts ? undefined : index
        }
        return -E2BIG
      },
      0,
    )
  }

export const strspn = span(true)
export const strcspn = span(false)

function search(env: HelperEnvironment, r1: bigint, r2: bigint, most: number): bigint {
  const [text, wanted] = [new Text(env, r1), new Text(env, r2)]
  for (let start = 0; start < MOST; start++) {
    let at = 0
    for (; start + at <= most && at < MOST; at++) {
      const other = wanted.at(at)
      if (other < 0) return BigInt(other)
      if (other === 0) return BigInt(start)
      // One byte more of what is looked for than of where: it may end together with it.
      if (start + at === most) break
      const byte = text.at(start + at)
      if (byte < 0) return BigInt(byte)
      if (byte === 0) return failure(ENOENT)
      if (byte !== other) break
    }
    if (at === MOST) return failure(E2BIG)
    if (start + at === most) return failure(ENOENT)
  }
  return failure(E2BIG)
}

export const strstr: KfuncBody = (env, _call, r1, r2) => search(env, r1, r2, MOST)
export const strnstr: KfuncBody = (env, _call, r1, r2, r3) => search(env, r1, r2, countOf(r3))
