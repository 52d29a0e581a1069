/** The guest that a command traces: all that the commands know of it. */
import type { Syscalls } from '../abi/index.ts'

export interface GuestOptions {
  readonly harts: number
  readonly memoryMb: number
  /** Path of the kernel's ELF file; undefined: the one of this package. */
  readonly kernelPath: string | undefined
  /** Path of a disk image; undefined: the one of this package. It is never written back. */
  readonly diskPath: string | undefined
  /** Commands for the guest's shell, in the place of its own start-up script. */
  readonly script: string | undefined
  /** Console output as it comes. */
  readonly onConsole: ((bytes: Uint8Array) => void) | undefined
}

export type GuestState =
  | { readonly kind: 'running' }
  /** It turned itself off, or waits for what never comes. */
  | { readonly kind: 'ended'; readonly message: string }
  /** It failed: `report` says where, with registers and backtrace. */
  | { readonly kind: 'failed'; readonly message: string; readonly report: string }

export interface GuestSession extends Disposable {
  /** The eBPF subsystem of the guest's kernel. */
  readonly syscalls: Syscalls
  /** Nanoseconds of the guest's time since it was switched on. */
  readonly timeNs: number
  /** Names of kernel functions near `name`, the nearest first. */
  suggestFunctions(name: string): readonly string[]
  /** Lets the guest run for about so many milliseconds of our time. */
  runFor(wallMs: number): GuestState
  /** Lets the guest run for so many of its instructions: the same each time. */
  runInstructions(count: number): GuestState
}
