/**
 * Accesses to the pages of an arena map, which only a verifier can tell from others. They have the opcodes that Linux's
 * verifier gives them. Where a page is missing a load gives 0, a store writes nothing, and an atomic instruction does
 * nothing at all.
 *
 * Source: `BPF_PROBE_MEM32`, `BPF_PROBE_MEM32SX` and `BPF_PROBE_ATOMIC`, include/linux/filter.h of Linux.
 */
import type { ArenaUse } from '../maps/index.ts'

const MODE = 0xe0
const MEM = 0x60
const MEMSX = 0x80
const ATOMIC = 0xc0
const LOAD = 1
const CLASS = 7
const PROBE_MEM32 = 0xa0
const PROBE_MEM32SX = 0xc0
const PROBE_ATOMIC = 0xe0
/** By the size field of the opcode: word, half word, byte, double word. */
const sizes = [4, 2, 1, 8] as const

/** The opcode that an instruction of this kind has while it runs. */
export function pagedOpcode(opcode: number): number {
  const rest = opcode & ~MODE
  switch (opcode & MODE) {
    case MEM:
      return rest | PROBE_MEM32
    case MEMSX:
      return rest | PROBE_MEM32SX
    case ATOMIC:
      return rest | PROBE_ATOMIC
    default:
      return opcode
  }
}

export const accessBytes = (opcode: number): 1 | 2 | 4 | 8 => sizes[(opcode >>> 3) & 3] as 1 | 2 | 4 | 8

/** How far from the first byte of the arena an access lies, of whose address only the low 32 bits count. */
export function pagedPlace({ map }: ArenaUse, register: bigint, offset: number): number {
  const first = BigInt.asUintN(32, map.userStart)
  return Number(BigInt.asUintN(32, register) - first) + offset
}

/** What a load with the paged opcode `opcode` gives. */
export function loadPaged(use: ArenaUse, opcode: number, at: number): bigint {
  const sizeBytes = accessBytes(opcode)
  const bytes = new Uint8Array(8)
  use.map.pages.read(at, bytes.subarray(0, sizeBytes))
  const value = new DataView(bytes.buffer).getBigUint64(0, true)
  const isSigned = (opcode & CLASS) === LOAD && (opcode & MODE) === PROBE_MEM32SX
  return isSigned ? BigInt.asIntN(8 * sizeBytes, value) : value
}

export function storePaged(use: ArenaUse, opcode: number, at: number, value: bigint): void {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true)
  use.map.pages.write(at, bytes.subarray(0, accessBytes(opcode)))
}

/** The address of user space with the low 32 bits of `value`; null stays null. */
export function castToUser(use: ArenaUse, value: bigint): bigint {
  const low = BigInt.asUintN(32, value)
  return low === 0n ? 0n : ((use.map.userStart >> 32n) << 32n) | low
}
