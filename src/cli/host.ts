/** What a command needs of the process that it runs in; tests give another one. */

import type { Syscalls } from '../abi/index.ts'
import type { CliFailure } from './failure.ts'
import type { GuestOptions, GuestSession } from './guest-session.ts'

export interface OutputStream {
  write(text: string): void
  /** Columns of the terminal; undefined where it is none. */
  readonly columns: number | undefined
  readonly rows: number | undefined
}

export interface Host {
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  /** Whether to colour what goes to either stream. */
  readonly hasColours: boolean
  /** A file's bytes, or why there are none. */
  readFile(path: string): Uint8Array | CliFailure
  /** Writes a file, or says why not. */
  writeFile(path: string, bytes: Uint8Array): CliFailure | undefined
  /** Whether there is such a file. */
  fileExists(path: string): boolean
  /** Path of a file of this package, such as `bpf/syscount.bpf.o`. */
  artefact(path: string): string
  /** Calls `handler` at each Ctrl-C until the returned function is called. */
  onInterrupt(handler: () => void): () => void
  /** Lets timers and signals have their turn. */
  pause(): Promise<void>
  now(): Date
  /** Milliseconds of a clock that never goes back. */
  monotonicMs(): number
  /** Boots a guest as far as its kernel can be probed. */
  openGuest(options: GuestOptions): Promise<GuestSession | CliFailure>
  /** The kernel that this process runs on, where that is Linux and it may be asked. */
  openLinux(): Promise<LinuxSession | CliFailure>
}

/** The Linux that this process runs on. */
export interface LinuxSession extends Disposable {
  readonly syscalls: Syscalls
  /** When it was started, in milliseconds since 1970. */
  readonly bootTimeMs: number
}
