/** What the users of the probe machinery hold and give; `manager.ts` makes them. */
import type { StoppedCpu } from './target.ts'

/**
 * Called with the CPU stopped at the probed instruction, before it runs (a kprobe), after it ran (`postHandler`)
 * or where the function's caller goes on (a kretprobe). It may read and write registers; one that sets `cpu.pc`
 * has diverted the CPU: the probed instruction is not executed and no further handler of the address runs.
 * It may register, enable, disable and unregister probes, this one included. It must not throw.
 */
export type ProbeHandler<P = Kprobe> = (cpu: StoppedCpu, probe: P) => void

export interface KprobeOptions {
  /** The instruction to stop at. */
  readonly address: bigint
  /** Runs before the instruction, with the registers as they stand. */
  readonly handler: ProbeHandler
  /** Runs after the instruction, with `pc` where the CPU goes on. */
  readonly postHandler?: ProbeHandler
  /** Default true. */
  readonly enabled?: boolean
}

export interface KretprobeOptions {
  /** The first instruction of the function. */
  readonly address: bigint
  /** Runs where the function has returned: registers as it left them, `pc` at the return address. */
  readonly handler: (cpu: StoppedCpu, probe: Kretprobe, captured: unknown) => void
  /** Runs at the function's entry, too; what it gives, the handler is given when this call returns. */
  readonly capture?: (cpu: StoppedCpu) => unknown
  /** Runs at the function's entry, before the return address is taken over; false lets this call go unwatched. */
  readonly entryHandler?: (cpu: StoppedCpu, probe: Kretprobe) => boolean
  /** How many calls may be under way at once. Default: max(10, 2 * CPUs), as Linux. */
  readonly maxactive?: number
  /** Default true. */
  readonly enabled?: boolean
}

interface Registered extends Disposable {
  readonly address: bigint
  readonly enabled: boolean
  /** How often the handler ran. */
  readonly hits: number
  /**
   * Hits without a run of the handler: a kprobe met while this CPU was inside a probe handler; a kretprobe whose
   * `maxactive` calls were all under way.
   */
  readonly missed: number
  /** 0, or -EINVAL after `unregister`; the text holds a breakpoint while any probe of the address is enabled. */
  enable(): number
  disable(): number
  /** Ends the probe; the last one of an address restores its bytes. Further calls do nothing. */
  unregister(): void
}

/** A registered probe of an instruction. */
export interface Kprobe extends Registered {
  readonly kind: 'kprobe'
}

/** A registered probe of a function's return. */
export interface Kretprobe extends Registered {
  readonly kind: 'kretprobe'
  readonly maxactive: number
  /** Calls under way, of which some may never return. */
  readonly active: number
}

/** A function of the probed kernel, as far as probes care. */
export interface FunctionSymbol {
  readonly name: string
  readonly address: bigint
  /** 0 where not known. */
  readonly sizeBytes: number
  readonly isFunction: boolean
}

export interface ProbeManagerOptions {
  /**
   * The symbol that covers an address. With it, an address outside of every symbol is -ENOENT, one in data or on
   * the refused list -EINVAL, one in the middle of an instruction -EILSEQ. Without it, only the text itself is
   * looked at.
   */
  readonly symbolAt?: (address: bigint) => FunctionSymbol | undefined
  /** Names of functions that must not be probed: those that a breakpoint or a probe's own handling runs through. */
  readonly refused?: readonly RegExp[]
  /** Names the task that a CPU runs, if it runs one. */
  readonly currentTask?: (cpu: number) => number | undefined
  /** Whether a task named by `currentTask` still exists; calls of ended tasks never return. */
  readonly taskExists?: (task: number) => boolean
}
