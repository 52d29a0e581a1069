/**
 * What the probe machinery needs of an operating system and its CPUs. The Port (`kernel/port.ts`) extends
 * it; a porter implements both in one object.
 *
 * Addresses are virtual addresses of the operating system's kernel. Calls that can fail return 0 or a
 * negative error number.
 */

/** Architectures that probes know how to decode and step. */
export type Architecture = 'riscv64' | 'x86_64'

/**
 * A CPU that a breakpoint has stopped. Good only until the trap handler returns.
 *
 * `get` and `set` number registers as the architecture's DWARF does: riscv64 x0..x31 as 0..31; x86_64 rax 0,
 * rdx 1, rcx 2, rbx 3, rsi 4, rdi 5, rbp 6, rsp 7, r8..r15 8..15. Writes of a hard-wired register are ignored.
 */
export interface StoppedCpu {
  readonly index: number
  pc: bigint
  get(register: number): bigint
  set(register: number, value: bigint): void
  /**
   * Fills `into` with registers 0, 1, ... as little-endian u64: what as many `get`s give, without a bigint each.
   * Optional: it only makes hits cheaper.
   */
  copyRegisters?(into: Uint8Array): void
  /**
   * Masks interrupts on this CPU until `restoreInterrupts`, so that nothing runs between the out-of-line copy
   * of an instruction and the breakpoint behind it. Returns what `restoreInterrupts` takes.
   */
  maskInterrupts(): bigint
  restoreInterrupts(saved: bigint): void
}

/**
 * Called when a CPU executes a breakpoint instruction, with `pc` at that instruction. True: it was ours, go on
 * at `cpu.pc` with the registers as they now stand. False: not ours, let the operating system have it.
 */
export type BreakpointHandler = (cpu: StoppedCpu) => boolean

/**
 * Called when an instruction inside the step area raises an exception of its own, before the operating system
 * sees it, with `pc` at the faulting copy. The handler moves `cpu.pc` back to the probed instruction, so that
 * the operating system handles the fault as if nothing were attached.
 */
export type StepFaultHandler = (cpu: StoppedCpu) => void

export interface ProbeTarget {
  readonly architecture: Architecture
  readonly cpuCount: number
  /** Executable kernel memory that the operating system lends for out-of-line copies; 0 bytes: none. */
  readonly stepArea: { readonly address: bigint; readonly sizeBytes: number }
  /** Copies kernel text at `address`; -EFAULT where it is not mapped. */
  readText(address: bigint, into: Uint8Array): number
  /** Replaces kernel text and makes every CPU see it before it next executes there. */
  patchText(address: bigint, bytes: Uint8Array): number
  /** Installs the one handler of each kind; undefined removes it. */
  setTrapHandlers(breakpoint: BreakpointHandler | undefined, stepFault: StepFaultHandler | undefined): void
  /** Whether a breakpoint at `address` would break the operating system's own way to handle it. Default: no. */
  isUnsafeToProbe?(address: bigint): boolean
}
