/**
 * A guest operating system in the embedded machine, with this project's eBPF subsystem attached to it.
 *
 * Rules: a Guest owns the machine, the port and the kernel, and disposing it ends them in the reverse order. The
 * guest only runs inside `run`; between two calls clients may load, attach and read as they like.
 */
import { ElfError } from '../../elf/index.ts'
import { createKernel, type Kernel, type KernelOptions } from '../../kernel/index.ts'
import {
  createMachine,
  INSTRUCTION_NS,
  type LoadError,
  type Machine,
  type StopReason,
} from '../../machine/index.ts'
import { EmbeddedPort, type GuestImage, readGuestImage } from './embedded-port.ts'
import { type GuestPanic, PanicCollector } from './panic-report.ts'
import { TRACER_EXTENSION, TracerCalls } from './tracer-calls.ts'

export interface GuestOptions {
  /** The kernel as an ELF executable. */
  readonly kernelElf: Uint8Array
  /** 1 to 8. Default 1. */
  readonly harts?: number
  /** A multiple of 64 KiB. Default 64 MiB. */
  readonly ramBytes?: number
  /** Contents of virtio block devices, whole sectors of 512 bytes; the guest writes into these arrays. */
  readonly disks?: readonly Uint8Array[]
  /** The kernel's command line. */
  readonly bootargs?: string
  /** Console output as it comes. */
  readonly onConsole?: (bytes: Uint8Array) => void
  readonly kernel?: Omit<KernelOptions, 'port'>
}

export type CreateGuestResult =
  | { readonly ok: true; readonly guest: Guest }
  | { readonly ok: false; readonly error: ElfError | LoadError }

/** Instructions between two looks at how far the boot has come: far fewer than it takes to the first process. */
const BOOT_SLICE = 10_000
const BOOT_INSTRUCTIONS = 200_000_000

/** Puts the kernel into a new machine, ready to run its first instruction. */
export function createGuest(options: GuestOptions): CreateGuestResult {
  const image = readGuestImage(options.kernelElf)
  if (image instanceof ElfError) return { ok: false, error: image }
  const panics = new PanicCollector()
  const { onConsole } = options
  const made = createMachine({
    harts: options.harts ?? 1,
    ...(options.ramBytes === undefined ? {} : { ramBytes: options.ramBytes }),
    kernel: { elf: options.kernelElf },
    bootargs: options.bootargs ?? '',
    disks: options.disks ?? [],
    onConsole(bytes) {
      panics.write(bytes)
      onConsole?.(bytes)
    },
  })
  if (!made.ok) return { ok: false, error: made.error }
  return { ok: true, guest: new Guest(made.machine, image, panics, options.kernel ?? {}) }
}

/** The computer, the operating system in it and the kernel that serves bpf(2) for it. */
export class Guest implements Disposable {
  readonly machine: Machine
  readonly port: EmbeddedPort
  /** The eBPF subsystem; `kernel.openClient()` gives system calls to load, attach and read with. */
  readonly kernel: Kernel
  readonly #image: GuestImage
  readonly #panics: PanicCollector
  readonly #tracer: TracerCalls
  /** A program has started a timer since the machine began to run: the run must be cut at its time. */
  #timerStarted = false

  constructor(
    machine: Machine,
    image: GuestImage,
    panics: PanicCollector,
    options: Omit<KernelOptions, 'port'>,
  ) {
    this.machine = machine
    this.#image = image
    this.#panics = panics
    this.port = new EmbeddedPort(machine, image)
    this.kernel = createKernel({
      ...options,
      port: this.port,
      onTimer: () => {
        this.#timerStarted = true
        machine.requestStop()
      },
    })
    this.#tracer = new TracerCalls(this.kernel, this.port)
    machine.onSbiCall(TRACER_EXTENSION, (hart, call) => ({
      error: 0n,
      value: this.#tracer.handle(hart.index, call.functionId, call.arguments),
    }))
  }

  /** Runs the guest; see `Machine.run`. Callbacks of timers run when the machine's clock says so. */
  run({
    maxInstructions = Number.POSITIVE_INFINITY,
  }: {
    readonly maxInstructions?: number
  } = {}): StopReason {
    const end = this.#retired + maxInstructions
    for (;;) {
      const left = end - this.#retired
      const part = Math.min(this.#untilTimer() ?? left, left)
      const stopped = this.machine.run({ maxInstructions: part })
      const isForTimer = this.#timerStarted && stopped.kind === 'requested'
      this.#timerStarted = false
      this.kernel.runTimers()
      const isPart = stopped.kind === 'budget' && this.#retired < end && part < left
      if (!isForTimer && !isPart) return stopped
    }
  }

  /** Instructions that all harts have executed. */
  get #retired(): number {
    return this.machine.harts.reduce((sum, { retired }) => sum + Number(retired), 0)
  }

  /** Instructions until the next timer is due, one at least; undefined: there is none. */
  #untilTimer(): number | undefined {
    const due = this.kernel.nextTimerNs()
    if (due === undefined) return undefined
    return Math.max(1, Math.ceil((Number(due) - this.machine.timeNs) / INSTRUCTION_NS))
  }

  /**
   * Runs until the kernel's text is mapped, from when on it can be probed; its first process has made no system
   * call by then. Undefined on success, else why the guest stopped before (`budget`: after 200 million
   * instructions).
   */
  boot(): StopReason | undefined {
    const text = this.port.symbols().find(({ isFunction }) => isFunction)
    const word = new Uint8Array(2)
    let stopped: StopReason = { kind: 'budget' }
    for (let done = 0; done < BOOT_INSTRUCTIONS && stopped.kind === 'budget'; done += BOOT_SLICE) {
      if (text !== undefined && this.port.readText(text.address, word) === 0) return undefined
      stopped = this.run({ maxInstructions: BOOT_SLICE })
    }
    return stopped
  }

  /** Virtual nanoseconds since the machine was made. */
  get timeNs(): number {
    return this.machine.timeNs
  }

  /** What the guest's kernel said when it panicked; undefined while it has not. */
  get panic(): GuestPanic | undefined {
    return this.#panics.report((address) => this.port.symbolAt(address))
  }

  /** Names of kernel functions that `name` may have meant, the likeliest first. */
  suggestFunctions(name: string, limit = 3): readonly string[] {
    return this.#image.symbols.suggest(name, limit, 'function')
  }

  [Symbol.dispose](): void {
    this.#tracer[Symbol.dispose]()
    this.kernel[Symbol.dispose]()
  }
}
