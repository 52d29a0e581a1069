/** `anybpf syscount`: boots a guest, counts its system calls, prints tables. */
import { Syscount, type SyscountSnapshot, snapshotDifference, syscallNames } from '../../tools/index.ts'
import { coloursFor } from '../colours.ts'
import { ConsoleLines } from '../console-lines.ts'
import { CliFailure, EXIT_OK, explain } from '../failure.ts'
import type { GuestOptions } from '../guest-session.ts'
import type { Host } from '../host.ts'
import { LiveRegion } from '../live-region.ts'
import { syscountJson, syscountTable } from '../syscount-table.ts'
import { type TraceEnd, traceGuest } from '../trace-loop.ts'

export interface SyscountArguments {
  readonly guest: Omit<GuestOptions, 'onConsole'>
  readonly showConsole: boolean
  readonly byProcess: boolean
  readonly withLatency: boolean
  /** Our seconds between two tables; undefined: a live table on a terminal, else one table a second. */
  readonly intervalSeconds: number | undefined
  readonly durationSeconds: number | undefined
  readonly top: number
  readonly json: boolean
  readonly pid: number | undefined
  readonly failedOnly: boolean
}

/** The demo guest's own calls (guest/include/sysno.h), past the end of Linux's table. */
const demoGuestCalls = { 1000: 'syscall_count', 1001: 'probe_forms', 1002: 'panic' }

/** A live table is drawn often; one that is printed once a second begins early, so that there is something to see. */
function intervalsOf(seconds: number | undefined, isLive: boolean) {
  if (seconds !== undefined) return { intervalMs: seconds * 1000 }
  return isLive ? { intervalMs: 200 } : { intervalMs: 1000, firstIntervalMs: 160 }
}

export async function runSyscount(host: Host, options: SyscountArguments): Promise<number | CliFailure> {
  const path = host.artefact('bpf/syscount.bpf.o')
  const object = host.readFile(path)
  if (object instanceof CliFailure) return object

  const colours = coloursFor(host.hasColours)
  const isLive = host.stdout.columns !== undefined && !options.json && options.intervalSeconds === undefined
  const live = isLive ? new LiveRegion(host.stdout) : undefined
  const consoleLines = new ConsoleLines((line) => {
    const text = `${colours.dim(line)}\n`
    if (live !== undefined && host.stderr.columns !== undefined) live.above(text)
    else host.stderr.write(text)
  })
  const opened = await host.openGuest({
    ...options.guest,
    onConsole: options.showConsole ? (bytes) => consoleLines.write(bytes) : undefined,
  })
  if (opened instanceof CliFailure) return opened
  using session = opened
  const started = Syscount.start(object, session.syscalls, {
    pid: options.pid,
    failedOnly: options.failedOnly,
    byProcess: options.byProcess,
    names: syscallNames(demoGuestCalls),
  })
  if (!(started instanceof Syscount)) {
    return explain(started, { path, suggestFunctions: (name) => session.suggestFunctions(name) })
  }
  using syscount = started

  const begin = host.monotonicMs()
  const stamp = (note: string) => {
    const time = host.now().toTimeString().slice(0, 8)
    return `[${time}] ${colours.dim(`guest ${(session.timeNs / 1e9).toFixed(3)} s${note}`)}`
  }
  const json = (type: 'interval' | 'total', snapshot: SyscountSnapshot) => {
    const times = { time: host.now(), wallMs: host.monotonicMs() - begin, guestNs: session.timeNs }
    host.stdout.write(`${syscountJson(type, snapshot, times, options.byProcess)}\n`)
  }
  const table = (snapshot: SyscountSnapshot, note = '') => [
    stamp(note),
    ...syscountTable(snapshot, options, colours),
  ]
  const print = (lines: readonly string[]) => host.stdout.write(`${lines.join('\n')}\n\n`)

  if (!options.json) {
    const what = options.failedOnly ? 'failed syscalls' : 'syscalls'
    host.stdout.write(`Tracing ${what}, printing top ${options.top}... Ctrl+C to quit.\n`)
  }
  let before = syscount.snapshot()
  const sinceLast = () => {
    const now = syscount.snapshot()
    const since = snapshotDifference(now, before)
    before = now
    return since
  }
  const end = await traceGuest(host, session, {
    durationSeconds: options.durationSeconds,
    ...intervalsOf(options.intervalSeconds, isLive),
    onInterval() {
      if (live !== undefined) live.draw(table(syscount.snapshot()))
      else if (options.json) json('interval', sinceLast())
      else print(table(sinceLast()))
    },
  })
  syscount.detach()
  consoleLines.end()
  // A terminal throws away what was on its way when Ctrl-C came, so what is drawn there is no longer known.
  if (end.kind !== 'interrupted') live?.clear()
  const total = syscount.snapshot()
  if (options.json) json('total', total)
  else {
    if (end.kind === 'interrupted') host.stdout.write(`${live === undefined ? '' : '\n'}Detaching...\n`)
    print(table(total, `, total${noteOn(end)}`))
    if (total.lost > 0)
      host.stderr.write(`anybpf: ${total.lost} calls belong to no process: there were too many\n`)
  }
  if (end.kind === 'failed') return new CliFailure(end.message, { details: end.report })
  return EXIT_OK
}

const noteOn = (end: TraceEnd): string => (end.kind === 'ended' ? `: ${end.message}` : '')
