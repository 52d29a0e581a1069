/**
 * Fault-safe reads of memory that is not the program's: what the bpf_probe_read family and `%s` go through.
 *
 * Kernel addresses that lie in the arena (map values, the program's own stack) are served from there; all
 * others go to the operating system.
 */
import { EFAULT } from '../abi/index.ts'
import { isArenaAddress } from './access.ts'
import type { HelperEnvironment } from './environment.ts'

/** Copies bytes to `into`: 0, or -errno with nothing promised about `into`. */
export type ForeignRead = (env: HelperEnvironment, address: bigint, into: Uint8Array) => number

const ARENA_FIRST = 4096
const CHUNK = 64
const USER_END = 1n << 63n

export const readKernel: ForeignRead = (env, address, into) => {
  if (!isArenaAddress(address)) return env.readKernel(address, into)
  const offset = env.arena.offsetOf(address)
  if (offset < ARENA_FIRST || offset + into.length > env.arena.bytes.length) return -EFAULT
  into.set(env.arena.bytes.subarray(offset, offset + into.length))
  return 0
}

export const readUser: ForeignRead = (env, address, into) => env.readUser(address, into)

/** Either space, told apart by the address; kernels whose own addresses are low come second there. */
export const readAny: ForeignRead = (env, address, into) => {
  if (address >= USER_END) return readKernel(env, address, into)
  const status = readUser(env, address, into)
  return status === 0 ? 0 : readKernel(env, address, into)
}

/**
 * Copies a string with its NUL into `into`, cutting it to `into.length - 1` characters. Returns the bytes
 * written with the NUL, or -errno. Reads nothing beyond the 64-byte block (or page) that holds the NUL.
 */
export function readString(
  env: HelperEnvironment,
  read: ForeignRead,
  address: bigint,
  into: Uint8Array,
): number {
  for (let at = 0; at < into.length; ) {
    const from = BigInt.asUintN(64, address + BigInt(at))
    const length = Math.min(CHUNK - (Number(from & 63n) % CHUNK), into.length - at)
    const chunk = into.subarray(at, at + length)
    const status = read(env, from, chunk)
    if (status < 0) return status
    const end = chunk.indexOf(0)
    if (end >= 0) {
      chunk.fill(0, end)
      return at + end + 1
    }
    at += length
  }
  if (into.length > 0) into[into.length - 1] = 0
  return into.length
}
