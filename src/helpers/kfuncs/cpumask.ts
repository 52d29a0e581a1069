/**
 * Sets of CPUs: `struct cpumask` is their bits, `struct bpf_cpumask` those and a count of owners.
 *
 * Source: kernel/bpf/cpumask.c of Linux 6.18.
 */
import { EACCES, EINVAL } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperEnvironment, HelperFault } from '../environment.ts'
import { readKernel } from '../foreign-memory.ts'
import type { KfuncBody } from './row.ts'

const WORD_BYTES = 8

/** The bits of a set, as a number; or a fault. Sets may be of the operating system's own. */
function bitsAt(env: HelperEnvironment, argument: number, address: bigint): bigint | HelperFault {
  const bytes = bytesOf(env)
  const copy = new Uint8Array(bytes)
  if (readKernel(env, address, copy) !== 0) return badMemory(argument, address, bytes, 'read')
  return copy.reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n) & all(env)
}

const cpusOf = ({ objects }: HelperEnvironment): number => objects?.cpuCount ?? 1
const bytesOf = (env: HelperEnvironment): number => Math.ceil(cpusOf(env) / 64) * WORD_BYTES
const all = (env: HelperEnvironment): bigint => (1n << BigInt(cpusOf(env))) - 1n

function put(
  env: HelperEnvironment,
  argument: number,
  address: bigint,
  bits: bigint,
): HelperFault | undefined {
  const bytes = bytesOf(env)
  const at = env.arena.check(address, bytes, true)
  if (at < 0) return badMemory(argument, address, bytes, 'write')
  for (let word = 0; word < bytes; word += WORD_BYTES) {
    env.arena.view.setBigUint64(at + word, BigInt.asUintN(64, bits >> BigInt(word * 8)), true)
  }
  return undefined
}

export const create: KfuncBody = (env) => env.objects?.createCpuMask() ?? 0n
export const acquire: KfuncBody = (env, _call, r1) => {
  env.objects?.acquire(r1)
  return r1
}
export const release: KfuncBody = (env, _call, r1) => {
  env.objects?.release(r1)
  return 0n
}

/** What a set, or two, say. */
const say =
  (answer: (env: HelperEnvironment, bits: bigint) => number): KfuncBody =>
  (env, _call, r1) => {
    const bits = bitsAt(env, 1, r1)
    return typeof bits === 'bigint' ? BigInt(answer(env, bits)) : bits
  }
const sayOfTwo =
  (answer: (env: HelperEnvironment, first: bigint, second: bigint) => number): KfuncBody =>
  (env, _call, r1, r2) => {
    const first = bitsAt(env, 1, r1)
    if (typeof first !== 'bigint') return first
    const second = bitsAt(env, 2, r2)
    return typeof second === 'bigint' ? BigInt(answer(env, first, second)) : second
  }

/** The lowest, or the number of CPUs where there is none. */
function lowest(env: HelperEnvironment, bits: bigint): number {
  for (let cpu = 0; cpu < cpusOf(env); cpu++) if (((bits >> BigInt(cpu)) & 1n) !== 0n) return cpu
  return cpusOf(env)
}

function weightOf(bits: bigint): number {
  let count = 0
  for (let rest = bits; rest !== 0n; rest >>= 1n) if ((rest & 1n) !== 0n) count++
  return count
}

export const first = say(lowest)
export const firstZero = say((env, bits) => lowest(env, ~bits & all(env)))
export const firstAnd = sayOfTwo((env, a, b) => lowest(env, a & b))
export const empty = say((_env, bits) => Number(bits === 0n))
export const full = say((env, bits) => Number(bits === all(env)))
export const weight = say((_env, bits) => weightOf(bits))
export const equal = sayOfTwo((_env, a, b) => Number(a === b))
export const intersects = sayOfTwo((_env, a, b) => Number((a & b) !== 0n))
export const subset = sayOfTwo((_env, a, b) => Number((a & ~b) === 0n))

/** One CPU of a set: `change` gives the set as it is to be, undefined where it stays. What is given back is the bit. */
const oneBit =
  (change: ((bits: bigint, bit: bigint) => bigint) | undefined, answers: boolean): KfuncBody =>
  (env, _call, r1, r2) => {
    const cpu = u32Of(r1)
    if (cpu >= cpusOf(env)) return 0n
    const bits = bitsAt(env, 2, r2)
    if (typeof bits !== 'bigint') return bits
    const bit = 1n << BigInt(cpu)
    const fault = change === undefined ? undefined : put(env, 2, r2, change(bits, bit))
    return fault ?? (answers && (bits & bit) !== 0n ? 1n : 0n)
  }

export const setCpu = oneBit((bits, bit) => bits | bit, false)
export const clearCpu = oneBit((bits, bit) => bits & ~bit, false)
export const testCpu = oneBit(undefined, true)
export const testAndSetCpu = oneBit((bits, bit) => bits | bit, true)
export const testAndClearCpu = oneBit((bits, bit) => bits & ~bit, true)

export const setall: KfuncBody = (env, _call, r1) => put(env, 1, r1, all(env)) ?? 0n
export const clear: KfuncBody = (env, _call, r1) => put(env, 1, r1, 0n) ?? 0n

/** Puts into r1 what becomes of r2 and r3; 1 where it is not empty, if that `answers`. */
const combine =
  (operate: (a: bigint, b: bigint) => bigint, answers: boolean): KfuncBody =>
  (env, _call, r1, r2, r3) => {
    const a = bitsAt(env, 2, r2)
    if (typeof a !== 'bigint') return a
    const b = bitsAt(env, 3, r3)
    if (typeof b !== 'bigint') return b
    const bits = operate(a, b)
    return put(env, 1, r1, bits) ?? (answers && bits !== 0n ? 1n : 0n)
  }

export const and = combine((a, b) => a & b, true)
export const or = combine((a, b) => a | b, false)
export const xor = combine((a, b) => a ^ b, false)

export const copy: KfuncBody = (env, _call, r1, r2) => {
  const bits = bitsAt(env, 2, r2)
  return typeof bits === 'bigint' ? (put(env, 1, r1, bits) ?? 0n) : bits
}

/** From memory of the program, which must be as large as the set at least and a whole number of words. */
export const populate: KfuncBody = (env, _call, r1, r2, r3) => {
  const size = Number(r3)
  const at = env.arena.check(r2, size, false)
  if (at < 0) return badMemory(2, r2, size, 'read')
  if (size < bytesOf(env)) return failure(EACCES)
  if (size % WORD_BYTES !== 0) return failure(EINVAL)
  const bits = bitsAt(env, 2, r2)
  return typeof bits === 'bigint' ? (put(env, 1, r1, bits) ?? 0n) : bits
}
