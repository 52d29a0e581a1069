/** What `anybpf syscount` prints: tables in the form of bcc's tool, and JSON lines. */
import type { CallTotals, ProcessTotals, SyscountSnapshot, Totals } from '../tools/index.ts'
import type { Colours } from './colours.ts'

export interface TableOptions {
  readonly byProcess: boolean
  readonly withLatency: boolean
  readonly top: number
}

/** Header and rows. With latency, the calls that took the longest come first, as in bcc. */
export function syscountTable(snapshot: SyscountSnapshot, options: TableOptions, colours: Colours): string[] {
  const byTime = (a: Totals, b: Totals) => b.timeNs - a.timeNs
  const columns = (totals: Totals): string => {
    const errors = String(totals.errors).padStart(8)
    const time = options.withLatency ? (totals.timeNs / 1000).toFixed(3).padStart(17) : ''
    return `${String(totals.count).padStart(9)} ${totals.errors > 0 ? colours.red(errors) : errors}${time}`
  }
  const heads = `${'COUNT'.padStart(9)} ${'ERRORS'.padStart(8)}${options.withLatency ? 'TIME (us)'.padStart(17) : ''}`
  if (options.byProcess) {
    const rows: readonly ProcessTotals[] = options.withLatency
      ? snapshot.processes.toSorted(byTime)
      : snapshot.processes
    return [
      colours.bold(`${'PID'.padEnd(6)} ${'COMM'.padEnd(15)} ${heads}`),
      ...rows
        .slice(0, options.top)
        .map((row) => `${String(row.pid).padEnd(6)} ${row.comm.padEnd(15)} ${columns(row)}`),
    ]
  }
  const rows: readonly CallTotals[] = options.withLatency ? snapshot.calls.toSorted(byTime) : snapshot.calls
  return [
    colours.bold(`${'SYSCALL'.padEnd(22)} ${heads}`),
    ...rows.slice(0, options.top).map((row) => `${row.name.padEnd(22)} ${columns(row)}`),
  ]
}

/** One line of JSON: an interval's counts, or the totals. Rows are all there, whatever `top` says. */
export function syscountJson(
  type: 'interval' | 'total',
  snapshot: SyscountSnapshot,
  times: { readonly time: Date; readonly wallMs: number; readonly guestNs: number },
  byProcess: boolean,
): string {
  return JSON.stringify({
    type,
    time: times.time.toISOString(),
    wallMs: Math.round(times.wallMs),
    guestNs: times.guestNs,
    calls: snapshot.calls,
    ...(byProcess ? { processes: snapshot.processes } : {}),
    total: snapshot.total,
    lost: snapshot.lost,
  })
}
