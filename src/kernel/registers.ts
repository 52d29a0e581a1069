/**
 * `struct pt_regs`, the context of kprobe programs, per architecture.
 *
 * Source: arch/riscv/include/asm/ptrace.h of Linux: epc, x1 to x31, status, badaddr, cause, orig_a0.
 */
import type { Architecture, StoppedCpu } from '../probes/index.ts'

export interface RegisterLayout {
  readonly sizeBytes: number
  /** Bytes at its start that hold registers as `StoppedCpu.copyRegisters` gives them. */
  readonly copiedBytes: number
  /** Writes the registers of a stopped CPU. */
  write(cpu: StoppedCpu, into: RegisterBytes): void
}

/** Where a struct lies: all of it, and the part that is copied as it is. */
export interface RegisterBytes {
  readonly view: DataView
  readonly copied: Uint8Array
}

const RISCV_REGISTERS = 32
const RISCV_A0 = 10 * 8
/** status, badaddr, cause, orig_a0 follow. A breakpoint of ours is not a trap of the kernel's: the first three are 0. */
const RISCV_ORIG_A0 = 35 * 8

const riscv64: RegisterLayout = {
  sizeBytes: 36 * 8,
  copiedBytes: RISCV_REGISTERS * 8,
  write(cpu, { view, copied }) {
    if (cpu.copyRegisters !== undefined) cpu.copyRegisters(copied)
    else for (let x = 1; x < RISCV_REGISTERS; x++) view.setBigUint64(8 * x, cpu.get(x), true)
    // epc stands where x0 would.
    view.setBigUint64(0, cpu.pc, true)
    view.setUint32(RISCV_ORIG_A0, view.getUint32(RISCV_A0, true), true)
    view.setUint32(RISCV_ORIG_A0 + 4, view.getUint32(RISCV_A0 + 4, true), true)
  },
}

export const registerLayouts: Readonly<Partial<Record<Architecture, RegisterLayout>>> = { riscv64 }
