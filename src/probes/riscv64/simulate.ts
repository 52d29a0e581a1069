/**
 * The RV64IC instructions that read or write the pc, carried out on a stopped CPU.
 *
 * Every one leaves `cpu.pc` where the CPU goes on, so no caller ever adds a length to a simulated instruction.
 *
 * Source: The RISC-V Instruction Set Manual, Volume I (20240411), sections 2.5 and 27.4.
 */
import type { StoppedCpu } from '../target.ts'

const RA = 1

const wrap = (address: bigint): bigint => BigInt.asUintN(64, address)
const signed = (value: bigint): bigint => BigInt.asIntN(64, value)

/** Bits `high`..`low` of `encoding`, moved to position `to`. */
const field = (encoding: number, high: number, low: number, to: number): number =>
  ((encoding >>> low) & ((1 << (high - low + 1)) - 1)) << to

/** `value`'s low `bits` bits as a signed number. */
const extend = (value: number, bits: number): number => (value << (32 - bits)) >> (32 - bits)

const rd = (encoding: number) => field(encoding, 11, 7, 0)
const rs1 = (encoding: number) => field(encoding, 19, 15, 0)
const rs2 = (encoding: number) => field(encoding, 24, 20, 0)
/** A three-bit register field: x8 to x15. */
const rs1Prime = (encoding: number) => 8 + field(encoding, 9, 7, 0)

const immB = (e: number) =>
  extend(field(e, 31, 31, 12) | field(e, 7, 7, 11) | field(e, 30, 25, 5) | field(e, 11, 8, 1), 13)
const immJ = (e: number) =>
  extend(field(e, 31, 31, 20) | field(e, 19, 12, 12) | field(e, 20, 20, 11) | field(e, 30, 21, 1), 21)
const immCj = (e: number) =>
  extend(
    field(e, 12, 12, 11) |
      field(e, 11, 11, 4) |
      field(e, 10, 9, 8) |
      field(e, 8, 8, 10) |
      field(e, 7, 7, 6) |
      field(e, 6, 6, 7) |
      field(e, 5, 3, 1) |
      field(e, 2, 2, 5),
    12,
  )
const immCb = (e: number) =>
  extend(
    field(e, 12, 12, 8) | field(e, 11, 10, 3) | field(e, 6, 5, 6) | field(e, 4, 3, 1) | field(e, 2, 2, 5),
    9,
  )

function jump(cpu: StoppedCpu, target: bigint, link: number, returnTo: bigint): void {
  if (link !== 0) cpu.set(link, wrap(returnTo))
  cpu.pc = wrap(target)
}

export function auipc(cpu: StoppedCpu, encoding: number, address: bigint): void {
  const result = wrap(address + BigInt((encoding & 0xffff_f000) | 0))
  if (rd(encoding) !== 0) cpu.set(rd(encoding), result)
  cpu.pc = wrap(address + 4n)
}

export function jal(cpu: StoppedCpu, encoding: number, address: bigint): void {
  jump(cpu, address + BigInt(immJ(encoding)), rd(encoding), address + 4n)
}

export function jalr(cpu: StoppedCpu, encoding: number, address: bigint): void {
  // The target first: rd may be rs1.
  const target = (cpu.get(rs1(encoding)) + BigInt(encoding >> 20)) & ~1n
  jump(cpu, target, rd(encoding), address + 4n)
}

const conditions: Readonly<Record<number, (a: bigint, b: bigint) => boolean>> = {
  0: (a, b) => a === b,
  1: (a, b) => a !== b,
  4: (a, b) => signed(a) < signed(b),
  5: (a, b) => signed(a) >= signed(b),
  6: (a, b) => a < b,
  7: (a, b) => a >= b,
}

export function branch(cpu: StoppedCpu, encoding: number, address: bigint): void {
  const holds = conditions[field(encoding, 14, 12, 0)] as (a: bigint, b: bigint) => boolean
  const taken = holds(wrap(cpu.get(rs1(encoding))), wrap(cpu.get(rs2(encoding))))
  cpu.pc = wrap(address + (taken ? BigInt(immB(encoding)) : 4n))
}

export function cJ(cpu: StoppedCpu, encoding: number, address: bigint): void {
  cpu.pc = wrap(address + BigInt(immCj(encoding)))
}

/** c.jr and c.jalr have their register where the wide instructions have rd. */
export function cJr(cpu: StoppedCpu, encoding: number): void {
  cpu.pc = wrap(cpu.get(rd(encoding)) & ~1n)
}

export function cJalr(cpu: StoppedCpu, encoding: number, address: bigint): void {
  jump(cpu, cpu.get(rd(encoding)) & ~1n, RA, address + 2n)
}

/** c.beqz and c.bnez; bit 13 tells them apart. */
export function cBranch(cpu: StoppedCpu, encoding: number, address: bigint): void {
  const isZero = wrap(cpu.get(rs1Prime(encoding))) === 0n
  const taken = isZero === (field(encoding, 13, 13, 0) === 0)
  cpu.pc = wrap(address + (taken ? BigInt(immCb(encoding)) : 2n))
}
