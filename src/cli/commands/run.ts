/** `anybpf run OBJECT...`: loads objects into a guest's kernel, attaches them, shows what they say. */

import { Btf } from '../../btf/index.ts'
import {
  AttachError,
  type BtfValue,
  type Collection,
  LoadError,
  load,
  ObjectError,
  objectName,
  openObject,
  SyscallError,
  TracePipe,
} from '../../client/index.ts'
import { type Colours, coloursFor } from '../colours.ts'
import { ConsoleLines } from '../console-lines.ts'
import { type EventReader, openEventReaders } from '../event-readers.ts'
import { CliFailure, EXIT_OK, EXIT_USAGE, explain } from '../failure.ts'
import { formatRecord, formatValue, type Json, toJson } from '../format-value.ts'
import type { GuestOptions, GuestSession } from '../guest-session.ts'
import type { Host } from '../host.ts'
import { globalsReport, mapReports } from '../map-report.ts'
import { parseGlobals } from '../parse-global.ts'
import { traceGuest } from '../trace-loop.ts'

export interface RunArguments {
  readonly objects: readonly string[]
  readonly guest: Omit<GuestOptions, 'onConsole'>
  readonly showConsole: boolean
  readonly durationSeconds: number | undefined
  /** `NAME=VALUE`, for global variables. */
  readonly globals: readonly string[]
  /** `MAP=STRUCT`, for the records of buffers. */
  readonly records: readonly string[]
  readonly json: boolean
  readonly showMaps: boolean
}

interface Traced extends Disposable {
  readonly path: string
  readonly collection: Collection
  readonly readers: readonly EventReader[]
  /** Ends the tracing; what was gathered can still be read. */
  detach(): void
}

export async function runObjects(host: Host, options: RunArguments): Promise<number | CliFailure> {
  const colours = coloursFor(host.hasColours)
  const printer = new Printer(host, options.json, colours)
  const consoleLines = new ConsoleLines((line) => host.stderr.write(`${colours.dim(line)}\n`))
  // What can be said without a guest is said first.
  const files: [string, Uint8Array][] = []
  const maps = new Set<string>()
  for (const path of options.objects) {
    const bytes = host.readFile(path)
    if (bytes instanceof CliFailure) return bytes
    const spec = openObject(bytes, { name: objectName(path) })
    if (spec instanceof ObjectError) return explain(spec, { path })
    files.push([path, bytes])
    for (const { name, origin } of spec.maps) if (origin === 'btf' || origin === 'legacy') maps.add(name)
  }
  for (const text of options.records) {
    const [map, struct] = text.split('=', 2)
    if (!map || !struct) {
      return new CliFailure(`--record takes MAP=STRUCT, not '${text}'`, { exitCode: EXIT_USAGE })
    }
    if (!maps.has(map)) {
      const advice = maps.size > 0 ? `the maps are ${[...maps].join(', ')}` : 'there are no maps'
      return new CliFailure(`--record: there is no map '${map}'`, { advice: [advice], exitCode: EXIT_USAGE })
    }
  }
  const opened = await host.openGuest({
    ...options.guest,
    onConsole: options.showConsole ? (bytes) => consoleLines.write(bytes) : undefined,
  })
  if (opened instanceof CliFailure) return opened
  using session = opened
  const pipe = TracePipe.open(session.syscalls)
  if (pipe instanceof SyscallError) return new CliFailure(`the trace pipe cannot be read: ${pipe.message}`)
  using trace = pipe

  const traced: Traced[] = []
  try {
    for (const [path, bytes] of files) {
      const one = traceObject(session, path, bytes, options)
      if (one instanceof CliFailure) return one
      traced.push(one)
    }
    if (!options.json) {
      const what = traced.flatMap(({ collection }) => [...collection.programs.keys()])
      host.stdout.write(`Attached ${what.join(', ')}. Ctrl+C to end.\n`)
    }
    const follow = () => {
      for (const line of trace.drain()) printer.traceLine(line)
      for (const { readers } of traced) {
        for (const reader of readers) {
          for (const record of reader.drain()) printer.record(reader.map, record)
        }
      }
    }
    const end = await traceGuest(host, session, {
      durationSeconds: options.durationSeconds,
      intervalMs: 1000,
      onInterval() {},
      onSlice: follow,
    })
    for (const one of traced) one.detach()
    follow()
    consoleLines.end()
    for (const one of traced) {
      for (const reader of one.readers) {
        if (reader.lost > 0) host.stderr.write(`anybpf: ${reader.map}: ${reader.lost} records were lost\n`)
      }
      if (options.showMaps) printer.maps(one.collection)
    }
    if (end.kind === 'failed') return new CliFailure(end.message, { details: end.report })
    return EXIT_OK
  } finally {
    for (const one of traced) one[Symbol.dispose]()
  }
}

function traceObject(
  session: GuestSession,
  path: string,
  bytes: Uint8Array,
  options: RunArguments,
): Traced | CliFailure {
  const context = { path, suggestFunctions: (name: string) => session.suggestFunctions(name) }
  const spec = openObject(bytes, { name: objectName(path) })
  if (spec instanceof ObjectError) return explain(spec, context)
  const types = spec.kernelBtf === undefined ? undefined : Btf.parse(spec.kernelBtf)
  const globals = parseGlobals(options.globals, spec, types instanceof Btf ? types : undefined)
  if (globals instanceof CliFailure) return globals
  const collection = load(spec, session.syscalls, { globals, values: { enums: 'name' } })
  if (collection instanceof LoadError) return explain(collection, context)
  const records = new Map(options.records.map((text) => text.split('=', 2) as [string, string]))
  const readers = openEventReaders(collection, records)
  if (!Array.isArray(readers)) {
    collection[Symbol.dispose]()
    if (readers instanceof SyscallError) return explain(readers, context)
    return new CliFailure(`${path}: ${(readers as { message: string }).message}`, { exitCode: EXIT_USAGE })
  }
  const disposeAll = () => {
    for (const reader of readers) reader[Symbol.dispose]()
    collection[Symbol.dispose]()
  }
  const links = collection.attach()
  if (links instanceof AttachError) {
    disposeAll()
    return explain(links, context)
  }
  if (links.all.length === 0) {
    disposeAll()
    return new CliFailure(`${path}: no program says where to attach`, {
      advice: ['name its section after the place, such as SEC("kprobe/sys_openat")'],
    })
  }
  return {
    path,
    collection,
    readers,
    detach: () => links[Symbol.dispose](),
    [Symbol.dispose]() {
      links[Symbol.dispose]()
      disposeAll()
    },
  }
}

/** Lines of text, or lines of JSON. */
class Printer {
  readonly #host: Host
  readonly #json: boolean
  readonly #colours: Colours

  constructor(host: Host, json: boolean, colours: Colours) {
    this.#host = host
    this.#json = json
    this.#colours = colours
  }

  traceLine(line: string): void {
    if (this.#json) this.#line({ type: 'trace', line })
    else this.#host.stdout.write(`${line}\n`)
  }

  record(map: string, value: BtfValue): void {
    if (this.#json) this.#line({ type: 'record', map, value: toJson(value) })
    else this.#host.stdout.write(`${this.#colours.cyan(`${map}:`)} ${formatRecord(value)}\n`)
  }

  maps(collection: Collection): void {
    const globals = globalsReport(collection)
    if (this.#json) {
      for (const { name, type, entries } of mapReports(collection)) {
        const pairs = entries.map(([key, value]) => ({ key: toJson(key), value: toJson(value) }))
        this.#line({ type: 'map', name, mapType: type, entries: pairs })
      }
      if (globals.length > 0) {
        const values = Object.fromEntries(globals.map(([name, value]) => [name, toJson(value)]))
        this.#line({ type: 'globals', values })
      }
      return
    }
    const { stdout } = this.#host
    for (const { name, type, entries, zeros, isComplete } of mapReports(collection)) {
      const some = [
        `${entries.length} ${entries.length === 1 ? 'entry' : 'entries'}`,
        ...(zeros > 0 ? [`${zeros} zero`] : []),
        ...(isComplete ? [] : ['incomplete']),
      ]
      stdout.write(`\n${this.#colours.bold(name)} (${type}, ${some.join(', ')})\n`)
      for (const [key, value] of entries) stdout.write(`  ${formatValue(key)}: ${formatValue(value)}\n`)
    }
    if (globals.length > 0) stdout.write('\n')
    for (const [name, value] of globals) stdout.write(`${this.#colours.bold(name)} = ${formatValue(value)}\n`)
  }

  #line(value: Json): void {
    this.#host.stdout.write(`${JSON.stringify(value)}\n`)
  }
}
