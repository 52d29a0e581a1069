import type { KernelCore } from '../core.ts'
import type { KernelProcess } from '../process.ts'

/** One bpf(2) call on its way through a command. */
export interface BpfCall {
  readonly core: KernelCore
  readonly process: KernelProcess
  /** `union bpf_attr`, copied in once, zero past what the caller gave. */
  readonly attr: Uint8Array
  /** Where the caller has its attribute, for what a command writes back. */
  readonly pointer: bigint
  /** How much of it there is. */
  readonly sizeBytes: number
}

export type BpfCommand = (call: BpfCall) => number
