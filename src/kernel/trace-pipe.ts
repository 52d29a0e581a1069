/**
 * The trace pipe: what bpf_trace_printk() writes, line by line, and readers of the file take away.
 *
 * Each line says who wrote it, as Linux's does: `            comm-pid     [cpu] d..31 secs.usecs:
 * bpf_trace_printk: text`. The pipe keeps a bounded number of bytes; lines that find no room are counted, and a
 * reader is told of them where they are missing.
 *
 * Source: kernel/trace/trace_output.c (trace_print_context), kernel/trace/bpf_trace.h of Linux.
 */
import type { TaskIdentity } from './port.ts'

const encoder = new TextEncoder()

export class TracePipe {
  readonly #capacity: number
  readonly #listeners = new Set<() => void>()
  #lines: Uint8Array[] = []
  #bytes = 0
  #lost = 0
  /** Lost since the last line that found room. */
  #lostHere = 0

  constructor(capacityBytes: number) {
    this.#capacity = capacityBytes
  }

  /** Lines that were lost since the beginning. */
  get lost(): number {
    return this.#lost
  }

  get isEmpty(): boolean {
    return this.#lines.length === 0
  }

  print(text: string, task: TaskIdentity | undefined, cpu: number, timeNs: bigint): void {
    const line = encoder.encode(formatLine(text, task, cpu, timeNs))
    const notice =
      this.#lostHere > 0 ? encoder.encode(`CPU:${cpu} [LOST ${this.#lostHere} EVENTS]\n`) : undefined
    if (this.#bytes + line.length + (notice?.length ?? 0) > this.#capacity) {
      this.#lost++
      this.#lostHere++
      return
    }
    this.#lostHere = 0
    for (const piece of notice === undefined ? [line] : [notice, line]) {
      this.#lines.push(piece)
      this.#bytes += piece.length
    }
    for (const listener of [...this.#listeners]) listener()
  }

  /** Takes up to `length` bytes: whole lines where they fit, else the start of the first. */
  take(length: number): Uint8Array {
    let total = 0
    let count = 0
    while (count < this.#lines.length && total + (this.#lines[count] as Uint8Array).length <= length) {
      total += (this.#lines[count++] as Uint8Array).length
    }
    const first = this.#lines[0]
    if (count === 0 && first !== undefined) {
      this.#lines[0] = first.subarray(length)
      this.#bytes -= length
      return first.slice(0, length)
    }
    const taken = new Uint8Array(total)
    let at = 0
    for (const line of this.#lines.splice(0, count)) {
      taken.set(line, at)
      at += line.length
    }
    this.#bytes -= total
    return taken
  }

  onLine(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

function formatLine(text: string, task: TaskIdentity | undefined, cpu: number, timeNs: bigint): string {
  const comm = (task?.comm ?? '<idle>').padStart(16)
  const pid = String(task?.pid ?? 0).padEnd(7)
  const microseconds = timeNs / 1000n
  const seconds = String(microseconds / 1_000_000n).padStart(5)
  const fraction = String(microseconds % 1_000_000n).padStart(6, '0')
  // d..31: interrupts off, a breakpoint's depth, one level of disabled preemption.
  const line = `${comm}-${pid} [${String(cpu).padStart(3, '0')}] d..31 ${seconds}.${fraction}: bpf_trace_printk: ${text}`
  return line.endsWith('\n') ? line : `${line}\n`
}
