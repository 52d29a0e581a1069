/**
 * The Port over the embedded RISC-V machine: an operating system that runs in this process, stopped and looked at
 * from outside.
 *
 * Rules: what belongs to one guest kernel (symbols, types, who is running) comes from its ELF file; what belongs to
 * RISC-V (page tables, registers, interrupts) from the machine. A guest without BTF has no current task. Kernel
 * addresses are those of the upper half (Sv39's sign-extended ones), user addresses those of the lower.
 */
import { EFAULT, EPERM } from '../../abi/index.ts'
import { Btf, BtfError } from '../../btf/index.ts'
import { ElfError, parseElf, type SymbolEntry, SymbolTable } from '../../elf/index.ts'
import type { KernelSymbol, Port, TaskIdentity } from '../../kernel/index.ts'
import { type Hart, type Machine, privilege } from '../../machine/index.ts'
import type { BreakpointHandler, StepFaultHandler, StoppedCpu } from '../../probes/index.ts'
import { STEP_AREA } from './panic-report.ts'
import { TaskObserver } from './task-observer.ts'

/** First address that is no user's: Sv39's lower half ends here. */
const USER_END = 1n << 38n

class StoppedHart implements StoppedCpu {
  readonly #hart: Hart
  /** The hart's pc, kept apart: a hit asks for it up to five times, and a bigint made anew costs 15 ns. */
  #pc = 0n

  constructor(hart: Hart) {
    this.#hart = hart
  }

  /** The hart has stopped at `pc`. */
  stoppedAt(pc: bigint): this {
    this.#pc = pc
    return this
  }

  get index(): number {
    return this.#hart.index
  }

  get pc(): bigint {
    return this.#pc
  }

  set pc(value: bigint) {
    this.#pc = value
    this.#hart.pc = value
  }

  get(register: number): bigint {
    return this.#hart.x(register)
  }

  set(register: number, value: bigint): void {
    this.#hart.setX(register, value)
  }

  copyRegisters(into: Uint8Array): void {
    this.#hart.copyRegisters(into)
  }

  maskInterrupts(): bigint {
    const saved = this.#hart.supervisorInterrupts ? 1n : 0n
    this.#hart.supervisorInterrupts = false
    return saved
  }

  restoreInterrupts(saved: bigint): void {
    this.#hart.supervisorInterrupts = saved === 1n
  }
}

/** What a guest kernel's ELF file says of it. */
export interface GuestImage {
  readonly symbols: SymbolTable
  /** The `.BTF` section; undefined where there is none. */
  readonly btf: Uint8Array | undefined
}

/** Reads a kernel's symbols and types; an error says what is wrong with the file. */
export function readGuestImage(elf: Uint8Array): GuestImage | ElfError {
  const file = parseElf(elf)
  if (file instanceof ElfError) return file
  const symbols = SymbolTable.fromElf(file)
  if (symbols instanceof ElfError) return symbols
  return { symbols, btf: file.section('.BTF')?.data }
}

const kernelSymbol = ({ name, address, size, kind }: SymbolEntry): KernelSymbol => ({
  name,
  address,
  sizeBytes: Number(size),
  isFunction: kind === 'function',
})

/** What the embedded machine lends: memory, registers, text, symbols, types and tasks of its guest. */
export class EmbeddedPort implements Port {
  readonly name = 'embedded riscv64'
  readonly architecture = 'riscv64'
  readonly cpuCount: number
  readonly stepArea: { readonly address: bigint; readonly sizeBytes: number }
  readonly #machine: Machine
  readonly #image: GuestImage
  readonly #observer: TaskObserver | undefined
  #symbols: readonly KernelSymbol[] | undefined
  readonly #cpus: readonly StoppedHart[]

  constructor(machine: Machine, image: GuestImage) {
    this.#machine = machine
    this.#image = image
    this.cpuCount = machine.harts.length
    this.#cpus = machine.harts.map((hart) => new StoppedHart(hart))
    const start = this.symbolByName(STEP_AREA)?.address
    const end = this.symbolByName(`${STEP_AREA}_end`)?.address
    this.stepArea =
      start === undefined || end === undefined
        ? { address: 0n, sizeBytes: 0 }
        : { address: start, sizeBytes: Number(end - start) }
    this.#observer = this.#observe()
  }

  #observe(): TaskObserver | undefined {
    const { btf } = this.#image
    const cpus = this.symbolByName('cpus')
    const tasks = this.symbolByName('tasks')
    if (btf === undefined || cpus === undefined || tasks === undefined) return undefined
    const types = Btf.parse(btf)
    if (types instanceof BtfError) return undefined
    const read = (cpu: number, address: bigint, into: Uint8Array) => this.readKernel(cpu, address, into) === 0
    const observer = TaskObserver.create(
      types,
      { cpus: cpus.address, tasks: tasks.address, tasksBytes: tasks.sizeBytes },
      this.cpuCount,
      read,
    )
    return observer instanceof TaskObserver ? observer : undefined
  }

  readText(address: bigint, into: Uint8Array): number {
    return this.readKernel(0, address, into)
  }

  patchText(address: bigint, bytes: Uint8Array): number {
    return this.#machine.patchText(this.#hart(0), address, bytes) ? 0 : -EFAULT
  }

  setTrapHandlers(breakpoint: BreakpointHandler | undefined, stepFault: StepFaultHandler | undefined): void {
    const stopped = (hart: Hart, pc: bigint) => (this.#cpus[hart.index] as StoppedHart).stoppedAt(pc)
    this.#machine.onBreakpoint(breakpoint && ((hart, pc) => breakpoint(stopped(hart, pc))))
    this.#machine.onExceptionWithin(
      this.stepArea.address,
      this.stepArea.sizeBytes,
      stepFault && ((hart) => stepFault(stopped(hart, hart.pc))),
    )
  }

  readKernel(cpu: number, address: bigint, into: Uint8Array): number {
    if (address < USER_END) return -EFAULT
    return this.#machine.readVirtual(this.#hart(cpu), address, into, privilege.supervisor) ? 0 : -EFAULT
  }

  writeKernel(cpu: number, address: bigint, bytes: Uint8Array): number {
    if (address < USER_END) return -EFAULT
    return this.#machine.writeVirtual(this.#hart(cpu), address, bytes, privilege.supervisor) ? 0 : -EFAULT
  }

  readUser(cpu: number, address: bigint, into: Uint8Array): number {
    if (address + BigInt(into.length) > USER_END) return -EFAULT
    return this.#machine.readVirtual(this.#hart(cpu), address, into, privilege.user) ? 0 : -EFAULT
  }

  writeUser(cpu: number, address: bigint, bytes: Uint8Array): number {
    if (address + BigInt(bytes.length) > USER_END) return -EFAULT
    return this.#machine.writeVirtual(this.#hart(cpu), address, bytes, privilege.user) ? 0 : -EFAULT
  }

  symbols(): readonly KernelSymbol[] {
    this.#symbols ??= this.#image.symbols.entries.map(kernelSymbol)
    return this.#symbols
  }

  symbolByName(name: string): KernelSymbol | undefined {
    const entry = this.#image.symbols.byName(name)
    return entry && kernelSymbol(entry)
  }

  symbolAt(address: bigint): KernelSymbol | undefined {
    const found = this.#image.symbols.nearest(address)
    return found && kernelSymbol(found.symbol)
  }

  typeInformation(): Uint8Array | undefined {
    return this.#image.btf
  }

  currentTask(cpu: number): TaskIdentity | undefined {
    return this.#observer?.current(cpu)
  }

  taskExists(pid: number): boolean {
    return this.#observer?.exists(pid) ?? false
  }

  allTasks(): readonly TaskIdentity[] {
    return this.#observer?.all() ?? []
  }

  sendSignal(cpu: number, signal: number): number {
    return (
      this.#observer?.sendSignal(cpu, signal, (address, bytes) => this.writeKernel(cpu, address, bytes)) ??
      -EPERM
    )
  }

  /** System calls: their results are read by programs that must be ready for any error. */
  mayOverride(address: bigint): boolean {
    const symbol = this.symbolAt(address)
    return symbol?.address === address && symbol.isFunction && symbol.name.startsWith('sys_')
  }

  clockNs(): bigint {
    // The machine is never suspended, so both clocks agree.
    return BigInt(this.#machine.timeNs)
  }

  #hart(cpu: number): Hart {
    return this.#machine.harts[cpu] as Hart
  }
}
