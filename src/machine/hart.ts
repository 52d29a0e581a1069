/** One hart as the world outside sees it: registers, CSRs, counters. */
import type { Cpu } from './cpu/cpu.ts'
import { csrs, resetCsrs } from './cpu/csrs.ts'
import type { Slot } from './cpu/layout.ts'
import { hartTlb, REGISTERS, SAVED_BYTES, savedHart, slot } from './cpu/layout.ts'

export const privilege = { user: 0, supervisor: 1, machine: 3 } as const
export type Privilege = (typeof privilege)[keyof typeof privilege]

/** The states of SBI's hart state management extension; numbers are SBI's. */
export const hartState = { started: 0, stopped: 1, suspended: 4 } as const
export type HartState = (typeof hartState)[keyof typeof hartState]

const SIE = 1 << 1
const REGISTERS_BYTES = 32 * 8

const csrByNumber = new Map(csrs.map((csr) => [csr.number, csr]))

/** Which hart's state lies in the place where the CPU works. Shared by the harts of one machine. */
export interface RunningHart {
  index: number
}

/** A hart of a machine, to read and to write while the machine stands still. */
export class Hart {
  readonly index: number
  readonly #cpu: Cpu
  readonly #running: RunningHart
  /** What `retired` is when the slot `budget` reaches 0. */
  #retiredEnd = 0
  /** The registers that were copied last. */
  #registers: Uint8Array | undefined

  /** The machine's bookkeeping; not for others. @internal */
  readonly scheduling = {
    state: hartState.stopped as HartState,
    /** In wfi. */
    waiting: false,
    /** Instruction times of the present round that have passed. */
    elapsed: 0,
    /** When the timers fire, in instruction times; Infinity is never. */
    supervisorTimer: Number.POSITIVE_INFINITY,
    machineTimer: Number.POSITIVE_INFINITY,
  }

  constructor(index: number, cpu: Cpu, running: RunningHart) {
    this.index = index
    this.#cpu = cpu
    this.#running = running
    for (const [name, value] of Object.entries(resetCsrs(index))) this.setSlot(name as Slot, value)
    this.setSlot('tlb', BigInt(hartTlb(index)))
    this.updateModes()
  }

  /** Register x0 to x31 as an unsigned 64-bit number. */
  x(number: number): bigint {
    return BigInt.asUintN(64, this.#cpu.doubles[(this.#base + REGISTERS + 8 * (number & 31)) >>> 3] as bigint)
  }

  /** Sets a register to the low 64 bits of `value`; x0 stays 0. */
  setX(number: number, value: bigint): void {
    if ((number & 31) !== 0) this.#cpu.doubles[(this.#base + REGISTERS + 8 * (number & 31)) >>> 3] = value
  }

  /** Fills `into` with x0, x1, ... as little-endian 64-bit words: as many as it has room for, at most 32. */
  copyRegisters(into: Uint8Array): void {
    const start = this.#base + REGISTERS
    // A view costs more than the copy: the last one is kept.
    let view = this.#registers
    if (view === undefined || view.byteOffset !== start || view.length !== into.length) {
      view = this.#cpu.bytes.subarray(start, start + Math.min(into.length, REGISTERS_BYTES))
      this.#registers = view
    }
    into.set(view)
  }

  /** `sstatus.SIE`: whether S-mode takes interrupts. */
  get supervisorInterrupts(): boolean {
    return ((this.#cpu.words[(this.#base + slot.mstatus) >>> 2] as number) & SIE) !== 0
  }

  set supervisorInterrupts(enabled: boolean) {
    const at = (this.#base + slot.mstatus) >>> 2
    const status = this.#cpu.words[at] as number
    this.#cpu.words[at] = enabled ? status | SIE : status & ~SIE
  }

  // What each trap asks for is written out: a slot by a name that varies costs 10 ns.
  get pc(): bigint {
    return BigInt.asUintN(64, this.#cpu.doubles[(this.#base + slot.pc) >>> 3] as bigint)
  }

  set pc(value: bigint) {
    this.#cpu.doubles[(this.#base + slot.pc) >>> 3] = value
  }

  /** What is left of the budget. @internal */
  get budget(): number {
    return this.#cpu.words[(this.#base + slot.budget) >>> 2] as number
  }

  get privilege(): Privilege {
    return this.word('privilege') as Privilege
  }

  set privilege(value: Privilege) {
    this.setSlot('privilege', BigInt(value))
    this.updateModes()
  }

  /** Instructions retired since reset; one that traps counts. */
  get retired(): number {
    return this.#retiredEnd - this.word('budget')
  }

  /**
   * The bits that a CSR's number shows, without side effects and without a look at the privilege; undefined for
   * a register that this machine does not have. The counters are not among them: see `retired` and the
   * machine's `timeNs`.
   */
  csr(number: number): bigint | undefined {
    const csr = csrByNumber.get(number)
    if (csr === undefined) return undefined
    if (csr.slot === undefined) return 0n
    const shown = this.slot(csr.slot) & csr.readMask
    return csr.kind === 'delegated' ? shown & this.slot('mideleg') : shown
  }

  /** Changes the bits that an instruction could change. False for a register that does not exist. */
  setCsr(number: number, value: bigint): boolean {
    const csr = csrByNumber.get(number)
    if (csr === undefined) return false
    if (csr.slot === undefined) return true
    const mask = csr.kind === 'delegated' ? csr.writeMask & this.slot('mideleg') : csr.writeMask
    this.setSlot(csr.slot, (this.slot(csr.slot) & ~mask) | (value & mask))
    if (csr.kind === 'satp' || csr.kind === 'status') this.flushTlb()
    this.updateModes()
    return true
  }

  /** @internal */
  slot(name: Slot): bigint {
    return BigInt.asUintN(64, this.#cpu.doubles[(this.#base + slot[name]) >>> 3] as bigint)
  }

  /** @internal */
  setSlot(name: Slot, value: bigint): void {
    this.#cpu.doubles[(this.#base + slot[name]) >>> 3] = value
  }

  /** The low half of a slot, signed. @internal */
  word(name: Slot): number {
    return this.#cpu.words[(this.#base + slot[name]) >>> 2] as number
  }

  /** Sets the low half of a slot. @internal */
  setWord(name: Slot, value: number): void {
    this.#cpu.words[(this.#base + slot[name]) >>> 2] = value
  }

  /** Raises or lowers interrupts in `mip`. @internal */
  setPending(code: number, raised: boolean): void {
    const old = this.word('mip')
    const now = raised ? old | (1 << code) : old & ~(1 << code)
    if (now === old) return
    this.setWord('mip', now)
    this.#cpu.words[slot.attention >>> 2] = 1
  }

  /** @internal */
  get hasPendingInterrupt(): boolean {
    return (this.word('mip') & this.word('mie')) !== 0
  }

  /** Brings this hart's state to the place where the CPU works. @internal */
  activate(): void {
    const { bytes } = this.#cpu
    if (this.#running.index === this.index) return
    bytes.copyWithin(savedHart(this.#running.index), 0, SAVED_BYTES)
    this.#running.index = this.index
    bytes.copyWithin(0, savedHart(this.index), savedHart(this.index) + SAVED_BYTES)
    // Another hart may have stored there.
    this.setSlot('reservation', -1n)
  }

  /** Gives the hart a budget of instructions; `now` in instruction times. @internal */
  setBudget(instructions: number, now: number): void {
    this.#retiredEnd = this.retired + instructions
    this.setWord('budget', instructions)
    this.#setNumber('timeEnd', now + instructions)
    this.#setNumber('retiredEnd', this.#retiredEnd)
  }

  /** Adds to a budget, with no change to the counters and the time as of now. @internal */
  extendBudget(instructions: number, timeEnd: number): void {
    this.#retiredEnd += instructions
    this.setWord('budget', this.word('budget') + instructions)
    this.#setNumber('timeEnd', timeEnd)
    this.#setNumber('retiredEnd', this.#retiredEnd)
  }

  /** @internal */
  flushTlb(): void {
    this.activate()
    this.#cpu.exports.flushTlb()
  }

  /** @internal */
  updateModes(): void {
    this.activate()
    this.#cpu.exports.updateModes()
  }

  #setNumber(name: Slot, value: number): void {
    const at = (this.#base + slot[name]) >>> 2
    this.#cpu.words[at] = value % 2 ** 32
    this.#cpu.words[at + 1] = Math.floor(value / 2 ** 32)
  }

  get #base(): number {
    return this.#running.index === this.index ? 0 : savedHart(this.index)
  }
}
