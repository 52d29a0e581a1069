/** Lets a guest run until it ends, its time is up, or somebody presses Ctrl-C. */
import type { GuestSession, GuestState } from './guest-session.ts'
import type { Host } from './host.ts'

/** How long the guest runs before timers and signals have their turn. */
const SLICE_MS = 20

export interface TraceLoop {
  /** Our seconds until it ends; undefined: no limit. */
  readonly durationSeconds: number | undefined
  /** Our milliseconds between two calls of `onInterval`. */
  readonly intervalMs: number
  /** The same for the first call. Default: `intervalMs`. */
  readonly firstIntervalMs?: number
  readonly onInterval: () => void
  /** Called after each slice of the guest. */
  readonly onSlice?: () => void
}

/** Why it ended. */
export type TraceEnd =
  | Exclude<GuestState, { kind: 'running' }>
  | { readonly kind: 'interrupted' | 'time is up' }

export async function traceGuest(host: Host, session: GuestSession, loop: TraceLoop): Promise<TraceEnd> {
  let isInterrupted = false
  const ignore = host.onInterrupt(() => {
    isInterrupted = true
  })
  try {
    const start = host.monotonicMs()
    const end = loop.durationSeconds === undefined ? Infinity : start + loop.durationSeconds * 1000
    let nextInterval = start + (loop.firstIntervalMs ?? loop.intervalMs)
    for (;;) {
      const now = host.monotonicMs()
      if (isInterrupted) return { kind: 'interrupted' }
      if (now >= end) return { kind: 'time is up' }
      if (now >= nextInterval) {
        loop.onInterval()
        // A slow terminal must not be given more than it can take.
        nextInterval = Math.max(nextInterval, host.monotonicMs() - loop.intervalMs) + loop.intervalMs
      }
      const state = session.runFor(Math.min(SLICE_MS, Math.max(1, end - now)))
      loop.onSlice?.()
      if (state.kind !== 'running') return state
      await host.pause()
    }
  } finally {
    ignore()
  }
}
