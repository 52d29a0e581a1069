/** A Host for tests: streams into strings, files from a table, a guest that does what it is told. */
import { FakeKernel } from '../../client/testing/fake-kernel.ts'
import { CliFailure } from '../failure.ts'
import type { GuestOptions, GuestSession, GuestState } from '../guest-session.ts'
import type { Host, OutputStream } from '../host.ts'

export interface FakeHostOptions {
  /** Columns and rows of the terminal that standard output is; undefined: a pipe. */
  readonly terminal?: { readonly columns: number; readonly rows: number }
  readonly hasColours?: boolean
  readonly files?: Readonly<Record<string, Uint8Array | string>>
  /** Called for each slice of the guest, with its number from 0. Default: ends at once. */
  readonly onSlice?: (slice: number, host: FakeHost) => GuestState
  /** Functions of the guest's kernel. */
  readonly symbols?: readonly string[]
  readonly near?: readonly string[]
  readonly openFailure?: CliFailure
}

/** Milliseconds that a slice of the guest takes here, and nanoseconds that it takes there. */
const SLICE_MS = 20
const SLICE_GUEST_NS = 10_000_000

export class FakeHost implements Host {
  readonly kernel: FakeKernel
  readonly hasColours: boolean
  readonly stdout: OutputStream & { text: string }
  readonly stderr: OutputStream & { text: string }
  guestOptions: GuestOptions | undefined
  isGuestOpen = false
  #interrupt: (() => void) | undefined
  #ms = 0
  #slices = 0
  readonly #options: FakeHostOptions

  constructor(options: FakeHostOptions = {}) {
    this.#options = options
    this.hasColours = options.hasColours ?? false
    this.kernel = new FakeKernel({ symbols: options.symbols ?? ['syscall_enter', 'syscall_dispatch'] })
    this.stdout = stream(options.terminal)
    this.stderr = stream(options.terminal)
  }

  readFile(path: string): Uint8Array | CliFailure {
    const content = this.#options.files?.[path]
    if (content === undefined) return new CliFailure(`${path}: there is no such file`)
    return typeof content === 'string' ? new TextEncoder().encode(content) : content
  }

  /** Files that were written. */
  readonly written = new Map<string, Uint8Array>()

  writeFile(path: string, bytes: Uint8Array): CliFailure | undefined {
    this.written.set(path, bytes)
    return undefined
  }

  async openLinux(): Promise<CliFailure> {
    return new CliFailure('--on linux: this is no Linux')
  }

  fileExists(path: string): boolean {
    return this.#options.files?.[path] !== undefined
  }

  artefact(path: string): string {
    return `package/${path}`
  }

  onInterrupt(handler: () => void): () => void {
    this.#interrupt = handler
    return () => {
      this.#interrupt = undefined
    }
  }

  /** Presses Ctrl-C. */
  interrupt(): void {
    this.#interrupt?.()
  }

  pause(): Promise<void> {
    return Promise.resolve()
  }

  now(): Date {
    return new Date(2026, 0, 2, 3, 4, 5)
  }

  monotonicMs(): number {
    return this.#ms
  }

  async openGuest(options: GuestOptions): Promise<GuestSession | CliFailure> {
    this.guestOptions = options
    if (this.#options.openFailure !== undefined) return this.#options.openFailure
    this.isGuestOpen = true
    const host = this
    return {
      syscalls: this.kernel,
      get timeNs() {
        return host.#slices * SLICE_GUEST_NS
      },
      suggestFunctions: () => this.#options.near ?? [],
      runInstructions: () => ({ kind: 'running' }),
      runFor: () => {
        host.#ms += SLICE_MS
        const state = host.#options.onSlice?.(host.#slices, host)
        host.#slices++
        return state ?? { kind: 'ended', message: 'the guest did a poweroff' }
      },
      [Symbol.dispose]() {
        host.isGuestOpen = false
      },
    }
  }
}

function stream(terminal: FakeHostOptions['terminal']): OutputStream & { text: string } {
  return {
    text: '',
    columns: terminal?.columns,
    rows: terminal?.rows,
    write(text) {
      this.text += text
    },
  }
}
