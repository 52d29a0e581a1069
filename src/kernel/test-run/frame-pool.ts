/**
 * The pages of live frames. A page is filled when it is new; afterwards it comes back as the last programs left it.
 *
 * Which page is next is as in Linux, so that programs find what they find there: new pages come 64 at a time and are
 * used from the last to the first; what is given back waits in a ring as long as a batch, beyond which it is let go.
 *
 * Source: the behaviour of net/core/page_pool.c, xdp_test_run_init_page() and reset_ctx() of net/bpf/test_run.c of Linux.
 */
import type { Arena } from '../../memory/index.ts'
import { PointerRing } from './pointer-ring.ts'
import { type FrameOptions, XdpFrame } from './xdp-frame.ts'

const PAGES_AT_ONCE = 64

export class FramePool implements Disposable {
  readonly #arena: Arena
  readonly #options: FrameOptions
  readonly #ring: PointerRing<XdpFrame>
  /** Undefined: a page that was never used. */
  readonly #next: (XdpFrame | undefined)[] = []
  readonly #all = new Set<XdpFrame>()
  /** Those that are no pages of the pool. */
  readonly #copies = new Set<XdpFrame>()

  constructor(arena: Arena, options: FrameOptions, batchSize: number) {
    this.#arena = arena
    this.#options = options
    this.#ring = new PointerRing(batchSize)
  }

  /** Undefined where the arena is full. */
  take(): XdpFrame | undefined {
    if (this.#next.length === 0) this.#refill()
    const frame = this.#next.pop() ?? this.#create(this.#options)
    frame?.restore()
    return frame
  }

  /** A frame of its own, with the same metadata and data; undefined where the arena is full. */
  copyOf({ packet }: XdpFrame): XdpFrame | undefined {
    const { headroomBytes, metaBytes, tailroomBytes } = packet
    const bytes = packet.bytesWithMeta().slice()
    const { frameBytes } = packet
    const copy = this.#create({ bytes, headroomBytes, metaBytes, tailroomBytes, frameBytes })
    if (copy !== undefined) this.#copies.add(copy)
    return copy
  }

  /** Nobody looks at it any more. */
  give(frame: XdpFrame): void {
    if (!this.#copies.delete(frame) && this.#ring.produce(frame)) return
    this.#all.delete(frame)
    frame.free()
  }

  [Symbol.dispose](): void {
    for (const frame of this.#all) frame.free()
    this.#all.clear()
  }

  #create(options: FrameOptions): XdpFrame | undefined {
    const frame = XdpFrame.create(this.#arena, options)
    if (frame !== undefined) this.#all.add(frame)
    return frame
  }

  #refill(): void {
    while (this.#next.length < PAGES_AT_ONCE) {
      const frame = this.#ring.consume()
      if (frame === undefined) break
      this.#next.push(frame)
    }
    if (this.#next.length === 0) for (let i = 0; i < PAGES_AT_ONCE; i++) this.#next.push(undefined)
  }
}
