/**
 * `struct pt_regs`, the context of kprobe programs, per architecture.
 *
 * Source: arch/riscv/include/asm/ptrace.h of Linux: epc, x1 to x31, status, badaddr, cause, orig_a0.
 */
import type { Architecture, StoppedCpu } from '../probes/index.ts'

export interface RegisterLayout {
  readonly sizeBytes: number
  /** Writes the registers of a stopped CPU; `into` has `sizeBytes` bytes. */
  write(cpu: StoppedCpu, into: DataView): void
}

const RISCV_REGISTERS = 32
const RISCV_A0 = 10
/** status, badaddr, cause, orig_a0 follow. A breakpoint of ours is not a trap of the kernel's: the first three are 0. */
const RISCV_ORIG_A0 = 35 * 8

const riscv64: RegisterLayout = {
  sizeBytes: 36 * 8,
  write(cpu, into) {
    if (cpu.copyRegisters !== undefined) {
      cpu.copyRegisters(new Uint8Array(into.buffer, into.byteOffset, RISCV_REGISTERS * 8))
    } else {
      for (let x = 1; x < RISCV_REGISTERS; x++) into.setBigUint64(8 * x, cpu.get(x), true)
    }
    // epc stands where x0 would.
    into.setBigUint64(0, cpu.pc, true)
    into.setBigUint64(RISCV_ORIG_A0, into.getBigUint64(8 * RISCV_A0, true), true)
  },
}

export const registerLayouts: Readonly<Partial<Record<Architecture, RegisterLayout>>> = { riscv64 }
