/**
 * The platform-level interrupt controller: sources 1 to 95, and per hart a context for M-mode and one for
 * S-mode.
 *
 * Source: RISC-V Platform-Level Interrupt Controller Specification 1.0.0.
 */
import type { Device } from '../bus.ts'

export const PLIC_SOURCES = 95
const WORDS = 3
const region = { pending: 0x1000, enable: 0x2000, context: 0x20_0000 } as const
const ENABLE_STRIDE = 0x80
const CONTEXT_STRIDE = 0x1000
const MAX_PRIORITY = 7

interface Context {
  readonly enabled: Uint32Array
  threshold: number
}

export class Plic implements Device {
  readonly name = 'plic'
  /** Called with context number (2 x hart for M-mode, plus 1 for S-mode) and whether its line is up. */
  readonly #setLine: (context: number, raised: boolean) => void
  readonly #contexts: readonly Context[]
  readonly #priority = new Uint32Array(PLIC_SOURCES + 1)
  readonly #level = new Uint8Array(PLIC_SOURCES + 1)
  readonly #pending = new Uint8Array(PLIC_SOURCES + 1)
  readonly #claimed = new Uint8Array(PLIC_SOURCES + 1)

  constructor(harts: number, setLine: (context: number, raised: boolean) => void) {
    this.#setLine = setLine
    this.#contexts = Array.from({ length: 2 * harts }, () => ({
      enabled: new Uint32Array(WORDS),
      threshold: 0,
    }))
  }

  /** The interrupt wire of a device. */
  setSource(source: number, raised: boolean): void {
    if (this.#level[source] === Number(raised)) return
    this.#level[source] = Number(raised)
    this.#gateway(source)
    this.#update()
  }

  read(offset: number): number {
    if (offset < region.pending) return this.#priority[offset >>> 2] ?? 0
    if (offset < region.enable) {
      const word = (offset - region.pending) >>> 2
      let bits = 0
      for (let i = 0; i < 32; i++) if (this.#pending[word * 32 + i]) bits |= 1 << i
      return bits >>> 0
    }
    if (offset < region.context) {
      const context = this.#contexts[Math.floor((offset - region.enable) / ENABLE_STRIDE)]
      return context?.enabled[((offset - region.enable) % ENABLE_STRIDE) >>> 2] ?? 0
    }
    const context = this.#contexts[Math.floor((offset - region.context) / CONTEXT_STRIDE)]
    if (context === undefined) return 0
    switch ((offset - region.context) % CONTEXT_STRIDE) {
      case 0:
        return context.threshold
      case 4:
        return this.#claim(context)
      default:
        return 0
    }
  }

  write(offset: number, _bytes: number, value: number): void {
    if (offset < region.pending) {
      const source = offset >>> 2
      if (source > 0 && source <= PLIC_SOURCES) this.#priority[source] = value & MAX_PRIORITY
    } else if (offset >= region.enable && offset < region.context) {
      const context = this.#contexts[Math.floor((offset - region.enable) / ENABLE_STRIDE)]
      const word = ((offset - region.enable) % ENABLE_STRIDE) >>> 2
      // Source 0 does not exist.
      if (context !== undefined && word < WORDS) context.enabled[word] = word === 0 ? value & ~1 : value
    } else if (offset >= region.context) {
      const context = this.#contexts[Math.floor((offset - region.context) / CONTEXT_STRIDE)]
      const at = (offset - region.context) % CONTEXT_STRIDE
      if (context !== undefined && at === 0) context.threshold = value & MAX_PRIORITY
      if (context !== undefined && at === 4) this.#complete(context, value)
    }
    this.#update()
  }

  /** Passes a raised wire on, once until its interrupt is completed. */
  #gateway(source: number): void {
    if (this.#level[source] && !this.#claimed[source]) this.#pending[source] = 1
    else if (!this.#level[source]) this.#pending[source] = 0
  }

  #best(context: Context): number {
    let best = 0
    let bestPriority = 0
    for (let source = 1; source <= PLIC_SOURCES; source++) {
      if (!this.#pending[source]) continue
      if ((((context.enabled[source >>> 5] as number) >>> (source & 31)) & 1) === 0) continue
      const priority = this.#priority[source] as number
      if (priority > bestPriority) {
        best = source
        bestPriority = priority
      }
    }
    return best
  }

  #claim(context: Context): number {
    const source = this.#best(context)
    if (source !== 0) {
      this.#pending[source] = 0
      this.#claimed[source] = 1
      this.#update()
    }
    return source
  }

  #complete(context: Context, source: number): void {
    if (source === 0 || source > PLIC_SOURCES) return
    if ((((context.enabled[source >>> 5] as number) >>> (source & 31)) & 1) === 0) return
    this.#claimed[source] = 0
    this.#gateway(source)
  }

  #update(): void {
    this.#contexts.forEach((context, i) => {
      const source = this.#best(context)
      this.#setLine(i, source !== 0 && (this.#priority[source] as number) > context.threshold)
    })
  }
}
