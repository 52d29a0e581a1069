/**
 * Where a function's arguments and its result are, per architecture: what tracing programs get as their context.
 *
 * Source: the RISC-V calling convention (riscv-elf-psabi-doc); arch/riscv/net/bpf_jit_comp64.c of Linux.
 */
import type { Architecture, StoppedCpu } from '../probes/index.ts'

export interface CallingConvention {
  /** Numbers of the registers of the first arguments, as `StoppedCpu.get` takes them. */
  readonly argumentRegisters: readonly number[]
  readonly stackPointer: number
  /** From the stack pointer at a function's entry to the first argument that no register holds. */
  readonly stackArgumentsOffset: number
  readonly result: number
}

const riscv64: CallingConvention = {
  argumentRegisters: [10, 11, 12, 13, 14, 15, 16, 17],
  stackPointer: 2,
  stackArgumentsOffset: 0,
  result: 10,
}

export const callingConventions: Readonly<Partial<Record<Architecture, CallingConvention>>> = { riscv64 }

/** Copies memory of the operating system's kernel: 0, or -errno. */
export type ReadMemory = (address: bigint, into: Uint8Array) => number

/** The first `count` arguments of a function that `cpu` has just entered; what cannot be read is 0. */
export function argumentsOf(
  convention: CallingConvention,
  cpu: StoppedCpu,
  count: number,
  read: ReadMemory,
): BigUint64Array {
  const values = new BigUint64Array(count)
  const { argumentRegisters, stackPointer, stackArgumentsOffset } = convention
  for (let n = 0; n < count; n++) {
    const register = argumentRegisters[n]
    if (register !== undefined) values[n] = cpu.get(register)
    else {
      const inStack = 8 * (n - argumentRegisters.length) + stackArgumentsOffset
      const bytes = new Uint8Array(values.buffer, 8 * n, 8)
      if (read(cpu.get(stackPointer) + BigInt(inStack), bytes) < 0) bytes.fill(0)
    }
  }
  return values
}
