/**
 * `struct pt_regs`, the context of kprobe programs, per architecture.
 *
 * Source: arch/riscv/include/asm/ptrace.h of Linux: epc, x1 to x31, status, badaddr, cause, orig_a0.
 */
import type { Architecture, StoppedCpu } from '../probes/index.ts'

export interface RegisterLayout {
  readonly sizeBytes: number
  /** Writes the registers of a stopped CPU; `bytes` and `view` are the same `sizeBytes` bytes. */
  write(cpu: StoppedCpu, bytes: Uint8Array, view: DataView): void
}

const RISCV_REGISTERS = 32
const RISCV_A0 = 10
/** status, badaddr, cause, orig_a0 follow. A breakpoint of ours is not a trap of the kernel's: the first three are 0. */
const RISCV_ORIG_A0 = 35 * 8

const riscv64: RegisterLayout = {
  sizeBytes: 36 * 8,
  write(cpu, bytes, view) {
    if (cpu.copyRegisters !== undefined) {
      cpu.copyRegisters(bytes.subarray(0, RISCV_REGISTERS * 8))
    } else {
      for (let x = 1; x < RISCV_REGISTERS; x++) view.setBigUint64(8 * x, cpu.get(x), true)
    }
    // epc stands where x0 would.
    view.setBigUint64(0, cpu.pc, true)
    bytes.copyWithin(RISCV_ORIG_A0, 8 * RISCV_A0, 8 * RISCV_A0 + 8)
  },
}

export const registerLayouts: Readonly<Partial<Record<Architecture, RegisterLayout>>> = { riscv64 }
