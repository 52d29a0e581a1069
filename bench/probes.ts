/**
 * What a probe costs: guest system calls a second, in a loop of getppid, with nothing attached, with an empty
 * kprobe, with an empty kretprobe, with syscount. Ratios are against nothing attached in the same run.
 *
 * Measures the built package, not its sources: what a loader makes of TypeScript on the fly is slower.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load, openObject } from 'anybpf'
import { createGuest } from 'anybpf/ports/embedded'
import { Syscount } from 'anybpf/tools'
import Table from 'cli-table3'

const CALLS = 100_000
const WARM_UP_CALLS = 100_000
const ROUNDS = 3

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

const modes: readonly { readonly name: string; readonly attach: Attach }[] = [
  { name: 'nothing', attach: () => undefined },
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
  calls(CALLS)
  const ms = performance.now() - begin
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
const table = new Table({
  head: ['attached', 'calls/s', 'ns/call', 'slow-down', 'ns more', 'guest instructions/call'],
  style: { head: [], border: [] },
  colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
})
for (const [name, { ns, instructions }] of best) {
  table.push([
    name,
    Math.round(1e9 / ns).toLocaleString('en'),
    ns.toFixed(0),
    (ns / base.ns).toFixed(2),
    (ns - base.ns).toFixed(0),
    instructions.toFixed(0),
  ])
}
console.log(`${CALLS} calls of getppid on one hart, best of ${ROUNDS}`)
console.log(table.toString())
