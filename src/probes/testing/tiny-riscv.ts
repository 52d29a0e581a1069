/**
 * A tiny RV64IMAC machine for the tests of probes: text, data, harts that step one instruction at a time, and
 * breakpoints that reach a debugger before anyone else. Written for clarity and apart from the code under test, so
 * that the two can be held against each other. It has no privilege levels, CSRs or floating point.
 */
import { EFAULT } from '../../abi/errno.ts'
import type { BreakpointHandler, ProbeTarget, StepFaultHandler, StoppedCpu } from '../target.ts'

export const TEXT = 0xffff_ffff_8000_0000n
export const TEXT_BYTES = 0x4000
export const DATA = 0xffff_ffff_8010_0000n
export const DATA_BYTES = 0x4000
export const STEP_AREA = TEXT + 0x3000n

/** What became of one instruction: it ran, it raised an exception that the kernel sees, or it was a breakpoint. */
export type Outcome = 'ran' | 'fault' | 'breakpoint'

class Fault extends Error {}

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value)
const least = (a: bigint, b: bigint): bigint => [a, b].sort((p, q) => (p < q ? -1 : 1))[0] as bigint
const most = (a: bigint, b: bigint): bigint => [a, b].sort((p, q) => (p < q ? -1 : 1))[1] as bigint
const s32 = (value: bigint): bigint => BigInt.asIntN(32, value)

export class Hart implements StoppedCpu {
  readonly index: number
  readonly x = new BigUint64Array(32)
  pc = TEXT
  interruptsMasked = false
  reservation: bigint | undefined

  constructor(index: number) {
    this.index = index
  }

  get(register: number): bigint {
    return this.x[register] as bigint
  }

  set(register: number, value: bigint): void {
    if (register !== 0) this.x[register] = u64(value)
  }

  maskInterrupts(): bigint {
    const before = this.interruptsMasked
    this.interruptsMasked = true
    return before ? 1n : 0n
  }

  restoreInterrupts(saved: bigint): void {
    this.interruptsMasked = saved === 1n
  }
}

export class TinyRiscv implements ProbeTarget {
  readonly architecture = 'riscv64'
  readonly cpuCount: number
  readonly stepArea: ProbeTarget['stepArea']
  readonly text = new Uint8Array(TEXT_BYTES)
  readonly data = new Uint8Array(DATA_BYTES)
  readonly harts: readonly Hart[]
  /** Calls of patchText, for tests that count them. */
  patches = 0
  #breakpoint: BreakpointHandler | undefined
  #stepFault: StepFaultHandler | undefined

  constructor(options: { cpuCount?: number; slots?: number } = {}) {
    this.cpuCount = options.cpuCount ?? 1
    this.stepArea = { address: STEP_AREA, sizeBytes: (options.slots ?? 64) * 8 }
    this.harts = Array.from({ length: this.cpuCount }, (_, index) => new Hart(index))
  }

  get hart(): Hart {
    return this.harts[0] as Hart
  }

  get hasHandlers(): boolean {
    return this.#breakpoint !== undefined
  }

  readText(address: bigint, into: Uint8Array): number {
    const at = this.#place(address, into.length, TEXT, TEXT_BYTES)
    if (at === undefined) return -EFAULT
    into.set(this.text.subarray(at, at + into.length))
    return 0
  }

  patchText(address: bigint, bytes: Uint8Array): number {
    const at = this.#place(address, bytes.length, TEXT, TEXT_BYTES)
    if (at === undefined) return -EFAULT
    this.patches++
    this.text.set(bytes, at)
    return 0
  }

  setTrapHandlers(breakpoint: BreakpointHandler | undefined, stepFault: StepFaultHandler | undefined): void {
    this.#breakpoint = breakpoint
    this.#stepFault = stepFault
  }

  /** Puts instructions (16 or 32 bits by their low two bits) at `address`; returns where they end. */
  assemble(address: bigint, encodings: readonly number[]): bigint {
    let at = Number(address - TEXT)
    const view = new DataView(this.text.buffer)
    for (const encoding of encodings) {
      if ((encoding & 3) === 3) view.setUint32(at, encoding, true)
      else view.setUint16(at, encoding, true)
      at += (encoding & 3) === 3 ? 4 : 2
    }
    return TEXT + BigInt(at)
  }

  isInStepArea(address: bigint): boolean {
    return address >= STEP_AREA && address < STEP_AREA + BigInt(this.stepArea.sizeBytes)
  }

  /** Executes what is at the hart's pc. */
  step(hart: Hart = this.hart): Outcome {
    let encoding: number
    try {
      encoding = this.#fetch(hart.pc)
    } catch (error) {
      if (error instanceof Fault) return 'fault'
      throw error
    }
    if (encoding === 0x9002 || encoding === 0x0010_0073) {
      return this.#breakpoint?.(hart) === true ? 'ran' : 'breakpoint'
    }
    const before = hart.pc
    try {
      if ((encoding & 3) === 3) this.#executeWide(hart, encoding)
      else this.#executeCompressed(hart, encoding)
      return 'ran'
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      hart.pc = before
      if (this.isInStepArea(before)) this.#stepFault?.(hart)
      return 'fault'
    }
  }

  /** Executes one instruction of the program: as many steps as the probes on it take. */
  stepProgram(hart: Hart = this.hart): Outcome {
    for (;;) {
      const outcome = this.step(hart)
      if (outcome !== 'ran' || !this.isInStepArea(hart.pc)) return outcome
    }
  }

  /** Runs until `pc` or something else than an instruction that ran. */
  runTo(pc: bigint, hart: Hart = this.hart, limit = 10_000): Outcome {
    for (let count = 0; count < limit; count++) {
      if (hart.pc === pc) return 'ran'
      const outcome = this.step(hart)
      if (outcome !== 'ran') return outcome
    }
    throw new Error(`still running at 0x${hart.pc.toString(16)} after ${limit} steps`)
  }

  #place(address: bigint, size: number, base: bigint, limit: number): number | undefined {
    const at = Number(address - base)
    return at >= 0 && at + size <= limit ? at : undefined
  }

  #fetch(pc: bigint): number {
    const at = this.#place(pc, 2, TEXT, TEXT_BYTES)
    if (at === undefined) throw new Fault('fetch')
    const view = new DataView(this.text.buffer)
    const low = view.getUint16(at, true)
    if ((low & 3) !== 3) return low
    if (at + 4 > TEXT_BYTES) throw new Fault('fetch')
    return view.getUint32(at, true)
  }

  #load(address: bigint, size: number, isSigned: boolean): bigint {
    const at = this.#place(u64(address), size, DATA, DATA_BYTES)
    if (at === undefined) throw new Fault('load')
    let value = 0n
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.data[at + i] as number)
    return isSigned ? u64(BigInt.asIntN(size * 8, value)) : value
  }

  #store(address: bigint, size: number, value: bigint): void {
    const at = this.#place(u64(address), size, DATA, DATA_BYTES)
    if (at === undefined) throw new Fault('store')
    for (let i = 0; i < size; i++) this.data[at + i] = Number((value >> BigInt(8 * i)) & 0xffn)
  }

  #executeWide(hart: Hart, e: number): void {
    const { pc } = hart
    const rd = (e >> 7) & 31
    const rs1 = (e >> 15) & 31
    const rs2 = (e >> 20) & 31
    const f3 = (e >> 12) & 7
    const f7 = e >>> 25
    const a = hart.get(rs1)
    const b = hart.get(rs2)
    const immI = BigInt(e >> 20)
    const immS = BigInt(((e >> 25) << 5) | rd)
    let next = pc + 4n
    switch (e & 0x7f) {
      case 0x03:
        if (f3 === 7) throw new Fault('illegal')
        hart.set(rd, this.#load(a + immI, 1 << (f3 & 3), f3 < 4))
        break
      case 0x23:
        if (f3 > 3) throw new Fault('illegal')
        this.#store(a + immS, 1 << f3, b)
        break
      case 0x0f:
        if (f3 > 1) throw new Fault('illegal')
        break
      case 0x13:
        hart.set(rd, alu(f3, a, u64(immI), f3 === 5 && ((e >> 30) & 1) === 1, 63n))
        break
      case 0x1b:
        if (f3 !== 0 && f3 !== 1 && f3 !== 5) throw new Fault('illegal')
        hart.set(rd, aluW(f3, a, u64(immI), f3 === 5 && ((e >> 30) & 1) === 1))
        break
      case 0x33:
        hart.set(rd, f7 === 1 ? multiply(f3, a, b) : alu(f3, a, b, f7 === 0x20, 63n))
        break
      case 0x3b:
        hart.set(rd, f7 === 1 ? multiplyW(f3, a, b) : aluW(f3, a, b, f7 === 0x20))
        break
      case 0x37:
        hart.set(rd, BigInt((e & 0xffff_f000) | 0))
        break
      case 0x17:
        hart.set(rd, pc + BigInt((e & 0xffff_f000) | 0))
        break
      case 0x6f: {
        const high = (e >> 31) << 20
        const imm = high | (e & 0xff000) | (((e >> 20) & 1) << 11) | (((e >> 21) & 0x3ff) << 1)
        hart.set(rd, next)
        next = pc + BigInt(imm)
        break
      }
      case 0x67:
        if (f3 !== 0) throw new Fault('illegal')
        hart.set(rd, next)
        next = (a + immI) & ~1n
        break
      case 0x63: {
        if (f3 === 2 || f3 === 3) throw new Fault('illegal')
        const order = [a === b, s64(a) < s64(b), a < b][f3 >> 1 === 0 ? 0 : (f3 >> 1) - 1]
        const imm = ((e >> 31) << 12) | ((rd & 1) << 11) | (((e >> 25) & 0x3f) << 5) | (rd & 0x1e)
        if (order !== ((f3 & 1) === 1)) next = pc + BigInt(imm)
        break
      }
      case 0x2f:
        this.#atomic(hart, e >>> 27, f3, rd, a, b)
        break
      default:
        throw new Fault('illegal')
    }
    hart.pc = u64(next)
  }

  #atomic(hart: Hart, f5: number, f3: number, rd: number, address: bigint, value: bigint): void {
    if (f3 !== 2 && f3 !== 3) throw new Fault('illegal')
    const size = 1 << f3
    if (address % BigInt(size) !== 0n) throw new Fault('misaligned')
    const old = this.#load(address, size, true)
    if (f5 === 2) {
      hart.reservation = address
      hart.set(rd, old)
      return
    }
    if (f5 === 3) {
      const succeeds = hart.reservation === address
      if (succeeds) this.#store(address, size, value)
      hart.reservation = undefined
      hart.set(rd, succeeds ? 0n : 1n)
      return
    }
    const b = size === 4 ? u64(s32(value)) : value
    const operate: Record<number, () => bigint> = {
      0: () => old + b,
      1: () => b,
      4: () => old ^ b,
      8: () => old | b,
      12: () => old & b,
      16: () => least(s64(old), s64(b)),
      20: () => most(s64(old), s64(b)),
      24: () => least(old, b),
      28: () => most(old, b),
    }
    const result = operate[f5]
    if (result === undefined) throw new Fault('illegal')
    this.#store(address, size, u64(result()))
    hart.set(rd, old)
  }

  #executeCompressed(hart: Hart, e: number): void {
    const { pc } = hart
    const bit = (from: number, to: number) => ((e >> from) & 1) << to
    const bits = (high: number, low: number, to: number) => ((e >> low) & ((1 << (high - low + 1)) - 1)) << to
    const rd = bits(11, 7, 0)
    const rs2 = bits(6, 2, 0)
    const low = 8 + bits(4, 2, 0)
    const high = 8 + bits(9, 7, 0)
    const imm6 = BigInt(((bit(12, 5) | rs2) << 26) >> 26)
    let next = pc + 2n
    switch (((e & 3) << 3) | (e >> 13)) {
      case 0: {
        const imm = bits(12, 11, 4) | bits(10, 7, 6) | bit(6, 2) | bit(5, 3)
        if (imm === 0) throw new Fault('illegal')
        hart.set(low, hart.get(2) + BigInt(imm))
        break
      }
      case 2:
        hart.set(low, this.#load(hart.get(high) + BigInt(bits(12, 10, 3) | bit(6, 2) | bit(5, 6)), 4, true))
        break
      case 3:
        hart.set(low, this.#load(hart.get(high) + BigInt(bits(12, 10, 3) | bits(6, 5, 6)), 8, true))
        break
      case 6:
        this.#store(hart.get(high) + BigInt(bits(12, 10, 3) | bit(6, 2) | bit(5, 6)), 4, hart.get(low))
        break
      case 7:
        this.#store(hart.get(high) + BigInt(bits(12, 10, 3) | bits(6, 5, 6)), 8, hart.get(low))
        break
      case 8:
        hart.set(rd, hart.get(rd) + imm6)
        break
      case 9:
        if (rd === 0) throw new Fault('illegal')
        hart.set(rd, s32(hart.get(rd) + imm6))
        break
      case 10:
        hart.set(rd, imm6)
        break
      case 11:
        if (imm6 === 0n) throw new Fault('illegal')
        if (rd === 2) {
          const imm = ((bit(12, 9) | bit(6, 4) | bit(5, 6) | bits(4, 3, 7) | bit(2, 5)) << 22) >> 22
          hart.set(2, hart.get(2) + BigInt(imm))
        } else hart.set(rd, imm6 << 12n)
        break
      case 12:
        this.#compressedAlu(hart, e, high, low, imm6)
        break
      case 13: {
        const first = bit(12, 11) | bit(11, 4) | bits(10, 9, 8) | bit(8, 10) | bit(7, 6)
        const imm = ((first | bit(6, 7) | bits(5, 3, 1) | bit(2, 5)) << 20) >> 20
        next = pc + BigInt(imm)
        break
      }
      case 14:
      case 15: {
        const imm = ((bit(12, 8) | bits(11, 10, 3) | bits(6, 5, 6) | bits(4, 3, 1) | bit(2, 5)) << 23) >> 23
        if ((hart.get(high) === 0n) === (e >> 13 === 6)) next = pc + BigInt(imm)
        break
      }
      case 16:
        hart.set(rd, hart.get(rd) << (imm6 & 63n))
        break
      case 18: {
        if (rd === 0) throw new Fault('illegal')
        hart.set(rd, this.#load(hart.get(2) + BigInt(bit(12, 5) | bits(6, 4, 2) | bits(3, 2, 6)), 4, true))
        break
      }
      case 19: {
        if (rd === 0) throw new Fault('illegal')
        hart.set(rd, this.#load(hart.get(2) + BigInt(bit(12, 5) | bits(6, 5, 3) | bits(4, 2, 6)), 8, true))
        break
      }
      case 20: {
        const isSecond = ((e >> 12) & 1) === 1
        if (rs2 !== 0) hart.set(rd, isSecond ? hart.get(rd) + hart.get(rs2) : hart.get(rs2))
        else if (rd === 0) throw new Fault('illegal')
        else {
          next = hart.get(rd) & ~1n
          if (isSecond) hart.set(1, pc + 2n)
        }
        break
      }
      case 22:
        this.#store(hart.get(2) + BigInt(bits(12, 9, 2) | bits(8, 7, 6)), 4, hart.get(rs2))
        break
      case 23:
        this.#store(hart.get(2) + BigInt(bits(12, 10, 3) | bits(9, 7, 6)), 8, hart.get(rs2))
        break
      default:
        throw new Fault('illegal')
    }
    hart.pc = u64(next)
  }

  #compressedAlu(hart: Hart, e: number, rd: number, rs2: number, imm6: bigint): void {
    const a = hart.get(rd)
    const b = hart.get(rs2)
    const which = (e >> 10) & 3
    if (which === 0) hart.set(rd, a >> (imm6 & 63n))
    else if (which === 1) hart.set(rd, s64(a) >> (imm6 & 63n))
    else if (which === 2) hart.set(rd, a & u64(imm6))
    else {
      const results = [a - b, a ^ b, a | b, a & b, s32(a - b), s32(a + b)]
      const result = results[((e >> 5) & 3) | (((e >> 12) & 1) << 2)]
      if (result === undefined) throw new Fault('illegal')
      hart.set(rd, result)
    }
  }
}

function alu(f3: number, a: bigint, b: bigint, isAlternative: boolean, shiftMask: bigint): bigint {
  const n = b & shiftMask
  switch (f3) {
    case 0:
      return isAlternative ? a - b : a + b
    case 1:
      return a << n
    case 2:
      return s64(a) < s64(b) ? 1n : 0n
    case 3:
      return a < b ? 1n : 0n
    case 4:
      return a ^ b
    case 5:
      return isAlternative ? s64(a) >> n : a >> n
    case 6:
      return a | b
    default:
      return a & b
  }
}

function aluW(f3: number, a: bigint, b: bigint, isAlternative: boolean): bigint {
  const n = b & 31n
  if (f3 === 0) return s32(isAlternative ? a - b : a + b)
  if (f3 === 1) return s32(a << n)
  if (f3 === 5) return isAlternative ? s32(a) >> n : s32(BigInt.asUintN(32, a) >> n)
  throw new Fault('illegal')
}

function multiply(f3: number, a: bigint, b: bigint): bigint {
  switch (f3) {
    case 0:
      return a * b
    case 1:
      return (s64(a) * s64(b)) >> 64n
    case 2:
      return (s64(a) * b) >> 64n
    case 3:
      return (a * b) >> 64n
    default:
      return divide(f3, a, b, s64(a), s64(b))
  }
}

function multiplyW(f3: number, a: bigint, b: bigint): bigint {
  if (f3 === 0) return s32(a * b)
  if (f3 < 4) throw new Fault('illegal')
  return s32(divide(f3, BigInt.asUintN(32, a), BigInt.asUintN(32, b), s32(a), s32(b)))
}

function divide(f3: number, a: bigint, b: bigint, signedA: bigint, signedB: bigint): bigint {
  if (f3 === 4) return b === 0n ? -1n : signedA / signedB
  if (f3 === 5) return b === 0n ? -1n : a / b
  if (f3 === 6) return b === 0n ? signedA : signedA % signedB
  return b === 0n ? a : a % b
}
