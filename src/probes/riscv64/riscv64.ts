import type { DecodedInstruction, ProbeArchitecture } from '../architecture.ts'
import { probeRows } from './rows.ts'

const RA = 1
const SP = 2

const EBREAK = Uint8Array.of(0x73, 0x00, 0x10, 0x00)
const C_EBREAK = Uint8Array.of(0x02, 0x90)

/**
 * The row of the instruction at the start of `bytes`.
 *
 * Bits 1..0 of the first 16 bits other than 11: two bytes; bits 4..2 other than 111: four bytes; longer formats
 * are not in use. Source: The RISC-V Instruction Set Manual, Volume I (20240411), section 1.5.
 */
function decode(bytes: Uint8Array): DecodedInstruction | undefined {
  if (bytes.length < 2) return undefined
  const low = (bytes[0] as number) | ((bytes[1] as number) << 8)
  const lengthBytes = (low & 3) !== 3 ? 2 : 4
  if (lengthBytes === 4 && ((low & 0x1c) === 0x1c || bytes.length < 4)) return undefined
  const encoding =
    lengthBytes === 2 ? low : (low | ((bytes[2] as number) << 16) | ((bytes[3] as number) << 24)) >>> 0
  const row = probeRows.find(
    (candidate) =>
      candidate.lengthBytes === lengthBytes && (encoding & candidate.mask) >>> 0 === candidate.match >>> 0,
  )
  return {
    name: row?.name ?? 'unknown',
    lengthBytes,
    encoding,
    action: row?.action ?? 'refuse',
    simulate: row?.simulate,
    exclusive: row?.exclusive,
  }
}

/** RV64GC. */
export const riscv64: ProbeArchitecture = {
  name: 'riscv64',
  alignmentBytes: 2,
  longestInstructionBytes: 4,
  slotBytes: 8,
  decode,
  breakpoint: (lengthBytes) => (lengthBytes === 2 ? C_EBREAK : EBREAK),
  isBreakpoint: (bytes) =>
    C_EBREAK.every((byte, i) => byte === bytes[i]) || EBREAK.every((byte, i) => byte === bytes[i]),
  stackPointer: (cpu) => cpu.get(SP),
  returnAddress: (cpu) => cpu.get(RA),
  setReturnAddress: (cpu, address) => cpu.set(RA, address),
}
