/**
 * How a kretprobe hears of a return: at the function's entry the return address is replaced by that of a
 * trampoline, a breakpoint in the step area, and kept until the CPU arrives there.
 *
 * Which call has returned is told by the stack pointer. Calling conventions restore it, every task has its own
 * stack, and so it stays right when the task sleeps inside the function, moves to another CPU, recurses, or when
 * calls end in another order than they began. Calls that share a stack pointer are a chain: several kretprobes of
 * one function, or a function that ended in a jump to another probed one. The later one's return address is the
 * trampoline itself, so the chain is walked back to the first real address.
 *
 * A call may never return (the task ended, or left by another way). Such a remainder is dropped when another call
 * begins at its stack pointer with a real return address, which a call under way rules out; and, where tasks can
 * be asked about, when its task is found ended at a time that room is needed.
 */
import { ENOMEM } from '../abi/errno.ts'
import type { ProbeArchitecture } from './architecture.ts'
import type { ProbeManagerOptions } from './probe.ts'
import type { SlotPool } from './slots.ts'
import type { ProbeTarget, StoppedCpu } from './target.ts'

/** A kretprobe as its calls see it. */
export interface ReturnProbe {
  readonly enabled: boolean
  readonly maxactive: number
  active: number
  miss(): void
  accepts(cpu: StoppedCpu): boolean
  capture(cpu: StoppedCpu): unknown
  returned(cpu: StoppedCpu, captured: unknown): void
}

interface Call {
  readonly probe: ReturnProbe
  readonly stackPointer: bigint
  readonly returnAddress: bigint
  readonly task: number | undefined
  /** What the probe took down at the entry. */
  readonly captured: unknown
}

export class ReturnTrampoline {
  readonly #target: ProbeTarget
  readonly #architecture: ProbeArchitecture | undefined
  readonly #slots: SlotPool
  readonly #options: ProbeManagerOptions
  /** Calls under way by stack pointer; those that share one in the order of their entry. */
  readonly #calls = new Map<bigint, Call[]>()
  #active = 0
  #address: bigint | undefined

  constructor(
    target: ProbeTarget,
    architecture: ProbeArchitecture | undefined,
    slots: SlotPool,
    options: ProbeManagerOptions,
  ) {
    this.#target = target
    this.#architecture = architecture
    this.#slots = slots
    this.#options = options
  }

  /** Where taken-over calls return to; undefined before the first kretprobe. */
  get address(): bigint | undefined {
    return this.#address
  }

  /** Calls under way. */
  get active(): number {
    return this.#active
  }

  /** Lays the trampoline; 0 or -errno. It stays, since a call can be under way for any time. */
  prepare(): number {
    const architecture = this.#architecture
    if (this.#address !== undefined || architecture === undefined) return 0
    const slot = this.#slots.allocate()
    if (slot === undefined) return -ENOMEM
    const error = this.#target.patchText(slot, architecture.breakpoint(architecture.longestInstructionBytes))
    if (error !== 0) {
      this.#slots.free(slot)
      return error
    }
    this.#address = slot
    return 0
  }

  onEntry(cpu: StoppedCpu, probe: ReturnProbe): void {
    const architecture = this.#architecture as ProbeArchitecture
    const trampoline = this.#address as bigint
    const stackPointer = architecture.stackPointer(cpu)
    const returnAddress = architecture.returnAddress(cpu)
    if (returnAddress !== trampoline) {
      for (const call of this.#calls.get(stackPointer)?.slice() ?? []) this.#end(call)
    }
    if (probe.active >= probe.maxactive && !this.#dropEndedTasks(probe)) {
      probe.miss()
      return
    }
    if (!probe.accepts(cpu)) return
    const task = this.#options.currentTask?.(cpu.index)
    const call: Call = { probe, stackPointer, returnAddress, task, captured: probe.capture(cpu) }
    const chain = this.#calls.get(stackPointer)
    if (chain === undefined) this.#calls.set(stackPointer, [call])
    else chain.push(call)
    this.#active++
    probe.active++
    architecture.setReturnAddress(cpu, trampoline)
  }

  /** The CPU is at the trampoline. False: no call is known that returns here. */
  onReturn(cpu: StoppedCpu, mayRun: boolean): boolean {
    const architecture = this.#architecture as ProbeArchitecture
    const ended = this.#takeChain(architecture.stackPointer(cpu), cpu.index)
    const last = ended.at(-1)
    if (last === undefined) return false
    const goOn = last.returnAddress
    cpu.pc = goOn
    architecture.setReturnAddress(cpu, goOn)
    for (const { probe, captured } of ended) {
      if (!probe.enabled) continue
      if (mayRun) probe.returned(cpu, captured)
      else probe.miss()
      if (cpu.pc !== goOn) break
    }
    return true
  }

  /** Takes out the calls that end together, innermost first: the last one has the real return address. */
  #takeChain(stackPointer: bigint, cpu: number): Call[] {
    const ended: Call[] = []
    for (;;) {
      const call = this.#calls.get(stackPointer)?.at(-1) ?? this.#latestOn(cpu)
      if (call === undefined) return []
      this.#end(call)
      ended.push(call)
      if (call.returnAddress !== this.#address) return ended
    }
  }

  /** For a function that returns with another stack pointer than it was entered with. */
  #latestOn(cpu: number): Call | undefined {
    const task = this.#options.currentTask?.(cpu)
    if (task === undefined) return undefined
    let latest: Call | undefined
    for (const chain of this.#calls.values()) for (const call of chain) if (call.task === task) latest = call
    return latest
  }

  #dropEndedTasks(probe: ReturnProbe): boolean {
    const { taskExists } = this.#options
    if (taskExists === undefined) return false
    for (const chain of [...this.#calls.values()]) {
      for (const call of chain.slice()) {
        if (call.probe === probe && call.task !== undefined && !taskExists(call.task)) this.#end(call)
      }
    }
    return probe.active < probe.maxactive
  }

  #end(call: Call): void {
    const chain = this.#calls.get(call.stackPointer) as Call[]
    chain.splice(chain.indexOf(call), 1)
    if (chain.length === 0) this.#calls.delete(call.stackPointer)
    this.#active--
    call.probe.active--
  }
}
