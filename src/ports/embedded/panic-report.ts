/**
 * A guest kernel's last words, made readable: collects what it prints when it panics and names the addresses.
 *
 * The guest prints one fact a line (guest/kernel/panic.c):
 * ```
 * kernel panic: MESSAGE
 * panic: cpu C hart H task PID COMM
 * panic: reg NAME HEX
 * panic: backtrace HEX          innermost first; the first is the pc where there are registers
 * panic: end
 * ```
 */
import type { KernelSymbol } from '../../kernel/index.ts'

export interface BacktraceFrame {
  readonly address: bigint
  readonly symbol: KernelSymbol | undefined
  /** Bytes from the symbol's start. */
  readonly offset: bigint
}

export interface GuestPanic {
  readonly message: string
  readonly hart: number | undefined
  readonly pid: number | undefined
  readonly comm: string | undefined
  /** In the order printed; empty where the kernel panicked without a trap. */
  readonly registers: readonly { readonly name: string; readonly value: bigint }[]
  readonly backtrace: readonly BacktraceFrame[]
}

/** Longest line that is kept of the console; a panic's own lines are far shorter. */
const MAX_LINE = 400

export class PanicCollector {
  #line = ''
  #message: string | undefined
  #place: RegExpExecArray | undefined
  readonly #registers: { name: string; value: bigint }[] = []
  readonly #addresses: bigint[] = []
  readonly #decoder = new TextDecoder()

  /** Takes console output as it comes. */
  write(bytes: Uint8Array): void {
    const text = this.#line + this.#decoder.decode(bytes, { stream: true })
    const lines = text.split(/\r?\n/)
    this.#line = (lines.pop() as string).slice(-MAX_LINE)
    for (const line of lines) this.#take(line)
  }

  /** What the kernel said of its end; undefined while it has not panicked. */
  report(symbolAt: (address: bigint) => KernelSymbol | undefined): GuestPanic | undefined {
    if (this.#message === undefined) return undefined
    const place = this.#place
    return {
      message: this.#message,
      hart: place === undefined ? undefined : Number(place[1]),
      pid: place === undefined ? undefined : Number(place[2]),
      comm: place?.[3],
      registers: this.#registers,
      backtrace: this.#addresses.map((address, depth) => {
        // A return address may lie past the end of a function that ends in a call: look up the call itself.
        const isReturn = depth > 0 || this.#registers.length === 0
        const symbol = symbolAt(isReturn ? address - 1n : address)
        return { address, symbol, offset: symbol === undefined ? 0n : address - symbol.address }
      }),
    }
  }

  #take(line: string): void {
    const message = /kernel panic: (.*)$/.exec(line)
    if (message !== null) this.#message ??= message[1] as string
    if (this.#message === undefined) return
    this.#place ??= /^panic: cpu \d+ hart (\d+) task (\d+) (.*)$/.exec(line) ?? undefined
    const register = /^panic: reg (\w+) (?:0x)?([0-9a-f]+)$/.exec(line)
    if (register !== null) {
      this.#registers.push({ name: register[1] as string, value: BigInt(`0x${register[2]}`) })
    }
    const address = /^panic: backtrace (?:0x)?([0-9a-f]+)$/.exec(line)
    if (address !== null) this.#addresses.push(BigInt(`0x${address[1]}`))
  }
}

/** A report as a person reads it: message, place, registers four to a line, then the calls. */
export function formatPanic(panic: GuestPanic): string {
  const lines = [`guest kernel panic: ${panic.message}`]
  if (panic.hart !== undefined) lines.push(`hart ${panic.hart}, task ${panic.pid} (${panic.comm})`)
  for (let i = 0; i < panic.registers.length; i += 4) {
    const row = panic.registers.slice(i, i + 4)
    lines.push(
      row.map(({ name, value }) => `${name.padStart(7)} ${value.toString(16).padStart(16, '0')}`).join(''),
    )
  }
  if (panic.backtrace.length > 0) lines.push('Call trace:')
  for (const frame of panic.backtrace) lines.push(formatFrame(frame))
  return lines.join('\n')
}

/** Where the port puts out-of-line copies and return trampolines; see EmbeddedPort. */
export const STEP_AREA = 'tracer_step_area'

/** One line a frame, as kernels print them: ` [<ffffffc080201234>] sys_read+0x1c/0x80`. */
function formatFrame(frame: BacktraceFrame): string {
  const address = frame.address.toString(16).padStart(16, '0')
  if (frame.symbol === undefined) return ` [<${address}>] ?`
  // A call that a kretprobe watches returns to the tracer first.
  if (frame.symbol.name === STEP_AREA) return ` [<${address}>] (a return that a kretprobe watches)`
  const size = frame.symbol.sizeBytes === 0 ? '' : `/0x${frame.symbol.sizeBytes.toString(16)}`
  return ` [<${address}>] ${frame.symbol.name}+0x${frame.offset.toString(16)}${size}`
}
