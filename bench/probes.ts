/**
 * What a probe costs: guest system calls a second, in a loop of getppid, with nothing attached, with a probe whose
 * handler does nothing (the trap alone: breakpoint, step, breakpoint), with an empty kprobe program, with an empty
 * kretprobe program, with syscount. Ratios are against nothing attached in the same run. Each is measured in a process of
 * its own, as what was attached before would decide how the engine compiles the path of a hit.
 *
 * Measures the built package, not its sources: what a loader makes of TypeScript on the fly is slower.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load, openObject } from 'anybpf'
import { createGuest } from 'anybpf/ports/embedded'
import { ProbeManager } from 'anybpf/probes'
import { Syscount } from 'anybpf/tools'
import Table from 'cli-table3'

const CALLS = 50_000
const WARM_UP_CALLS = 200_000
const ROUNDS = 9
/** In each process, the fewest nanoseconds of so many measurements count. */
const REPEATS = 12

const root = join(import.meta.dirname, '..')
const file = (path: string) => new Uint8Array(readFileSync(join(root, path)))

type Attach = (guest: ReturnType<typeof boot>) => Disposable | undefined

function boot() {
  const made = createGuest({
    kernelElf: file('guest/build/kernel.elf'),
    disks: [file('guest/build/disk.img')],
    bootargs: 'script=-',
  })
  if (!made.ok) throw new Error(JSON.stringify(made.error))
  const { guest } = made
  while (guest.run().kind !== 'idle');
  return { guest, client: guest.kernel.openClient() }
}

function loadedObject(path: string): Attach {
  return ({ client }) => {
    const spec = openObject(file(path), { name: 'bench' })
    if (!('programs' in spec)) throw new Error(spec.message)
    const collection = load(spec, client)
    if (!('attach' in collection)) throw new Error(collection.message)
    const links = collection.attach()
    if (links instanceof Error) throw links
    return collection
  }
}

/** The probed function of `empty-kprobe.bpf.c`, with no eBPF behind it. */
function trapAlone({ guest: { port } }: ReturnType<typeof boot>): Disposable {
  const symbol = port.symbolByName('syscall_enter')
  if (symbol === undefined) throw new Error('the guest has no syscall_enter')
  const manager = new ProbeManager(port, { symbolAt: (address) => port.symbolAt(address) })
  const probe = manager.registerKprobe({ address: symbol.address, handler: () => undefined })
  if (typeof probe === 'number') throw new Error(`the probe cannot be registered: ${probe}`)
  return manager
}

const modes: readonly { readonly name: string; readonly attach: Attach }[] = [
  { name: 'nothing', attach: () => undefined },
  { name: 'trap alone', attach: trapAlone },
  { name: 'empty kprobe', attach: loadedObject('bench/programs/empty-kprobe.bpf.o') },
  { name: 'empty kretprobe', attach: loadedObject('bench/programs/empty-kretprobe.bpf.o') },
  {
    name: 'syscount',
    attach: ({ client }) => {
      const started = Syscount.start(file('bpf/syscount.bpf.o'), client)
      if (!(started instanceof Syscount)) throw new Error(started.message)
      return started
    },
  },
]

/** Nanoseconds of time and guest instructions per call. */
interface Measurement {
  readonly ns: number
  readonly instructions: number
}

function measure(attach: Attach): Measurement {
  const session = boot()
  const attached = attach(session)
  const { guest } = session
  const calls = (count: number) => {
    guest.machine.uart.receive(new TextEncoder().encode(`calls ${count}\n`))
    while (guest.run().kind !== 'idle');
  }
  calls(WARM_UP_CALLS)
  let ns = Number.POSITIVE_INFINITY
  const before = guest.machine.hart(0).retired
  for (let i = 0; i < REPEATS; i++) {
    const begin = performance.now()
    const used = process.cpuUsage()
    calls(CALLS)
    const { user, system } = process.cpuUsage(used)
    // The processor's time where other processes want it, too.
    const ms = Math.min(performance.now() - begin, (user + system) / 1000)
    ns = Math.min(ns, (ms * 1e6) / CALLS)
  }
  const instructions = (guest.machine.hart(0).retired - before) / (CALLS * REPEATS)
  attached?.[Symbol.dispose]()
  guest[Symbol.dispose]()
  return { ns, instructions }
}

const asked = process.argv[2]
if (asked !== undefined) {
  const mode = modes.find(({ name }) => name === asked)
  if (mode === undefined) throw new Error(`nothing to measure is called '${asked}'`)
  console.log(JSON.stringify(measure(mode.attach)))
  process.exit(0)
}

function measureApart(name: string): Measurement {
  const file = process.argv[1] as string
  const child = spawnSync(process.execPath, [...process.execArgv, file, name], { encoding: 'utf8' })
  if (child.status !== 0) throw new Error(`${name}: ${child.stderr}`)
  return JSON.parse(child.stdout) as Measurement
}

const best = new Map<string, Measurement>()
for (let round = 0; round < ROUNDS; round++) {
  for (const { name } of modes) {
    const now = measureApart(name)
    const known = best.get(name)
    if (known === undefined || now.ns < known.ns) best.set(name, now)
  }
}
const base = best.get('nothing') as Measurement
const trap = best.get('trap alone') as Measurement
const table = new Table({
  head: [
    'attached',
    'calls/s',
    'ns/call',
    'slow-down',
    'ns more',
    'beyond the trap',
    'guest instructions/call',
  ],
  style: { head: [], border: [] },
  colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
})
for (const [name, { ns, instructions }] of best) {
  table.push([
    name,
    Math.round(1e9 / ns).toLocaleString('en'),
    ns.toFixed(0),
    (ns / base.ns).toFixed(2),
    (ns - base.ns).toFixed(0),
    name.includes('kprobe') ? (ns - trap.ns).toFixed(0) : '',
    instructions.toFixed(0),
  ])
}
console.log(`calls of getppid on one hart, best of ${ROUNDS} processes`)
console.log(table.toString())
