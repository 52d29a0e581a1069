/**
 * Arguments as claims: what helper bodies use to look at a pointer before they follow it.
 *
 * For a verified program the checks always succeed; they are what keeps a program without proof inside its
 * memory. A body that gets -1 answers with the fault that `badMemory` describes.
 */
import { ARENA_BASE } from '../memory/index.ts'
import type { HelperEnvironment, HelperFault } from './environment.ts'

/** The low 32 bits, as a helper that declares `u32` takes its argument. */
export function u32Of(value: bigint): number {
  return Number(BigInt.asUintN(32, value))
}

/** -errno as r0. */
export function failure(errno: number): bigint {
  return BigInt(-errno)
}

export function badMemory(
  argument: number,
  address: bigint,
  sizeBytes: number,
  access: 'read' | 'write',
): HelperFault {
  const reason = `R${argument} is 0x${address.toString(16)}, where ${sizeBytes} bytes cannot be ${access === 'read' ? 'read' : 'written'}`
  return { kind: 'fault', argument, address, sizeBytes, access, reason }
}

export function badMap(argument: number, address: bigint, why = 'which is no map'): HelperFault {
  const reason = `R${argument} is 0x${address.toString(16)}, ${why}`
  return { kind: 'fault', argument, address, sizeBytes: 0, access: 'map', reason }
}

export function badRecord(argument: number, address: bigint): HelperFault {
  const reason = `R${argument} is 0x${address.toString(16)}, which is no reserved ring-buffer record`
  return { kind: 'fault', argument, address, sizeBytes: 0, access: 'record', reason }
}

/** The callback that a helper ran has faulted: its own fault is the one to show. */
export function failedCallback(argument: number, address: bigint): HelperFault {
  const reason = `the callback at 0x${address.toString(16)} faulted`
  return { kind: 'fault', argument, address, sizeBytes: 0, access: 'call', reason }
}

/** Offset of the NUL of a string that programs may read from `address` on; -1 where it runs out of bounds. */
export function endOfString(env: HelperEnvironment, address: bigint): number {
  const { arena } = env
  const start = arena.check(address, 1, false)
  if (start < 0) return -1
  const bytes = arena.bytes
  for (let at = start; arena.checkOffset(at, 1, false); at++) {
    if (bytes[at] === 0) return at
  }
  return -1
}

/** Whether `address` lies in the arena's 4 GiB window, inside or outside of its memory. */
export function isArenaAddress(address: bigint): boolean {
  return address >= ARENA_BASE && address < ARENA_BASE + 0x1_0000_0000n
}
