/**
 * What a probe costs: guest system calls a second, in a loop of getppid, with nothing attached, with a probe whose
 * handler does nothing (the trap alone: breakpoint, step, breakpoint), with an empty kprobe program, with an empty
 * kretprobe program, with syscount. Ratios are against nothing attached in the same run.
 *
 * Measures the built package, not its sources: what a loader makes of TypeScript on the fly is slower.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load, openObject } from 'anybpf'
import { createGuest } from 'anybpf/ports/embedded'
import { ProbeManager } from 'anybpf/probes'
import { Syscount } from 'anybpf/tools'
import Table from 'cli-table3'

const CALLS = 100_000
const WARM_UP_CALLS = 100_000
const ROUNDS = 7

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

/** Nanoseconds of wall time and guest instructions per call. */
function measure(attach: Attach): { readonly ns: number; readonly instructions: number } {
  const session = boot()
  const attached = attach(session)
  const { guest } = session
  const calls = (count: number) => {
    guest.machine.uart.receive(new TextEncoder().encode(`calls ${count}\n`))
    while (guest.run().kind !== 'idle');
  }
  calls(WARM_UP_CALLS)
  const before = guest.machine.hart(0).retired
  const begin = performance.now()
  const used = process.cpuUsage()
  calls(CALLS)
  const { user, system } = process.cpuUsage(used)
  // The processor's time where other processes want it, too.
  const ms = Math.min(performance.now() - begin, (user + system) / 1000)
  const instructions = guest.machine.hart(0).retired - before
  attached?.[Symbol.dispose]()
  guest[Symbol.dispose]()
  return { ns: (ms * 1e6) / CALLS, instructions: instructions / CALLS }
}

const best = new Map<string, ReturnType<typeof measure>>()
for (let round = 0; round < ROUNDS; round++) {
  for (const { name, attach } of modes) {
    const now = measure(attach)
    const known = best.get(name)
    if (known === undefined || now.ns < known.ns) best.set(name, now)
  }
}
const base = best.get('nothing') as ReturnType<typeof measure>
const trap = best.get('trap alone') as ReturnType<typeof measure>
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
console.log(`${CALLS} calls of getppid on one hart, best of ${ROUNDS}`)
console.log(table.toString())
