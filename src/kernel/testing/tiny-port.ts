/** A Port over the tiny machine of the probes' tests: three functions, two tasks, a clock that counts. */
import { EFAULT } from '../../abi/index.ts'
import { DATA, DATA_BYTES, TEXT, TEXT_BYTES, TinyRiscv } from '../../probes/testing/tiny-riscv.ts'
import type { KernelSymbol, Port, TaskIdentity } from '../port.ts'

/** `add_one`: a0 + 1. `add_two`: calls add_one twice. `dup`: a name that two functions share. */
export const FUNCTIONS = {
  add_one: { offset: 0x100, code: [0x0505, 0x8082] },
  // c.addi sp,-16; c.sdsp ra,8; jal add_one; jal add_one; c.ldsp ra,8; c.addi sp,16; c.jr ra
  add_two: { offset: 0x200, code: [0x1141, 0xe406, 0xefdff0ef, 0xef9ff0ef, 0x60a2, 0x0141, 0x8082] },
  // lui a5,1; c.addi a0,1; c.jr ra
  wide_first: { offset: 0x300, code: [0x000017b7, 0x0505, 0x8082] },
} as const

export class TinyPort extends TinyRiscv implements Port {
  readonly name = 'tiny riscv64'
  readonly kernelSymbols: readonly KernelSymbol[]
  readonly tasks: (TaskIdentity | undefined)[]
  timeNs = 0n
  types: Uint8Array | undefined

  constructor(options: { cpuCount?: number } = {}) {
    super(options)
    for (const { offset, code } of Object.values(FUNCTIONS)) this.assemble(TEXT + BigInt(offset), code)
    this.kernelSymbols = [
      ...Object.entries(FUNCTIONS).map(([name, { offset, code }]) => ({
        name,
        address: TEXT + BigInt(offset),
        sizeBytes: code.reduce((sum: number, encoding) => sum + ((encoding & 3) === 3 ? 4 : 2), 0),
        isFunction: true,
      })),
      { name: 'dup', address: TEXT + 0x400n, sizeBytes: 2, isFunction: true },
      { name: 'dup', address: TEXT + 0x402n, sizeBytes: 2, isFunction: true },
      { name: 'jiffies', address: DATA, sizeBytes: 8, isFunction: false },
    ]
    this.assemble(TEXT + 0x400n, [0x8082, 0x8082])
    const task = { pid: 7, tgid: 7, uid: 1000, gid: 1000, comm: 'worker' }
    this.tasks = Array.from({ length: this.cpuCount }, () => task)
  }

  /** Runs `name` on a CPU until it returns: a0 in, a0 out. */
  call(name: keyof typeof FUNCTIONS, a0: bigint, cpu = 0): bigint {
    const hart = this.harts[cpu] as (typeof this.harts)[number]
    const end = TEXT + 0x2000n
    hart.pc = TEXT + BigInt(FUNCTIONS[name].offset)
    hart.set(1, end)
    hart.set(2, DATA + 0x2000n + BigInt(cpu) * 0x400n)
    hart.set(10, a0)
    const outcome = this.runTo(end, hart)
    if (outcome !== 'ran') throw new Error(`${name} ended with ${outcome} at 0x${hart.pc.toString(16)}`)
    return hart.get(10)
  }

  readKernel(_cpu: number, address: bigint, into: Uint8Array): number {
    const at = Number(address - DATA)
    if (at >= 0 && at + into.length <= DATA_BYTES) {
      into.set(this.data.subarray(at, at + into.length))
      return 0
    }
    return this.readText(address, into)
  }

  writeKernel(): number {
    return -EFAULT
  }

  readUser(): number {
    return -EFAULT
  }

  writeUser(): number {
    return -EFAULT
  }

  symbols(): readonly KernelSymbol[] {
    return this.kernelSymbols
  }

  symbolByName(name: string): KernelSymbol | undefined {
    return this.kernelSymbols.find((symbol) => symbol.name === name)
  }

  symbolAt(address: bigint): KernelSymbol | undefined {
    if (address < TEXT || (address >= TEXT + BigInt(TEXT_BYTES) && address < DATA)) return undefined
    return this.kernelSymbols.find(
      (symbol) => address >= symbol.address && address < symbol.address + BigInt(symbol.sizeBytes),
    )
  }

  typeInformation(): Uint8Array | undefined {
    return this.types
  }

  currentTask(cpu: number): TaskIdentity | undefined {
    return this.tasks[cpu]
  }

  clockNs(): bigint {
    this.timeNs += 1000n
    return this.timeNs
  }
}
