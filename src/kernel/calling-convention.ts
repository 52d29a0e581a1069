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

/**
 * Leaves the function that `cpu` has just entered, with a result: 0, or -EFAULT where its return address cannot be read.
 */
export type LeaveFunction = (cpu: StoppedCpu, result: bigint, read: ReadMemory) => number

const RISCV64_RA = 1
const X86_64 = { rax: 0, rsp: 7 } as const

export const functionLeavers: Readonly<Record<Architecture, LeaveFunction>> = {
  riscv64(cpu, result) {
    cpu.set(riscv64.result, result)
    cpu.pc = cpu.get(RISCV64_RA)
    return 0
  },
  x86_64(cpu, result, read) {
    const stackPointer = cpu.get(X86_64.rsp)
    const bytes = new Uint8Array(8)
    const error = read(stackPointer, bytes)
    if (error < 0) return error
    cpu.set(X86_64.rax, result)
    cpu.set(X86_64.rsp, BigInt.asUintN(64, stackPointer + 8n))
    cpu.pc = new DataView(bytes.buffer).getBigUint64(0, true)
    return 0
  },
}

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
