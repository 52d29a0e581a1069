/**
 * Loads through pointers that may be of the operating system's kernel, which only a verifier can tell from others. They
 * have the opcodes that Linux's verifier gives them, and are 0 where the pointer leads nowhere.
 *
 * Source: `BPF_PROBE_MEM` and `BPF_PROBE_MEMSX`, include/linux/filter.h of Linux.
 */
import type { Environment } from './environment.ts'

const MEM_TO_PROBE = 0x60 ^ 0x20
const MEMSX_TO_PROBE = 0x80 ^ 0x40
const IS_SIGNED = 0x40
const MODE = 0xe0
const MEM = 0x60
/** By the size field of the opcode: word, half word, byte, double word. */
const sizes = [4, 2, 1, 8] as const

/** The opcode that a load of this kind has while it runs. */
export const foreignOpcode = (opcode: number): number =>
  opcode ^ ((opcode & MODE) === MEM ? MEM_TO_PROBE : MEMSX_TO_PROBE)

/** What the load with the foreign opcode `opcode` gives. */
export function loadForeign(environment: Environment, opcode: number, address: bigint): bigint {
  const sizeBytes = sizes[(opcode >>> 3) & 3] as 1 | 2 | 4 | 8
  const bytes = new Uint8Array(8)
  const failed = environment.readForeign?.(BigInt.asUintN(64, address), bytes.subarray(0, sizeBytes)) ?? -1
  if (failed < 0) return 0n
  const value = new DataView(bytes.buffer).getBigUint64(0, true)
  return (opcode & IS_SIGNED) === 0 ? value : BigInt.asIntN(8 * sizeBytes, value)
}
