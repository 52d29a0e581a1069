/**
 * The system calls that take the guest longest: bpf/syscount.bpf.o through the skeleton that
 * `anybpf gen skeleton` wrote for it, so that maps, variables and their elements have types.
 */
import { readFileSync } from 'node:fs'
import { AttachError } from 'anybpf'
import { createGuest } from 'anybpf/ports/embedded'
import { Syscount, type Totals } from './syscount.gen.ts'

const file = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url))

const made = createGuest({ kernelElf: file('guest/build/kernel.elf'), bootargs: 'script=/etc/rc.short' })
if (!made.ok) throw new Error('the guest does not load')
using guest = made.guest
guest.boot()
using syscalls = guest.kernel.openClient()

// The object is in the module; constants are set before it is loaded.
const loaded = Syscount.load(syscalls, { globals: { by_process: true } })
if (!(loaded instanceof Syscount)) throw new Error(loaded.message)
using syscount = loaded
const links = syscount.attach()
if (links instanceof AttachError) throw new Error(links.message)
guest.run({ maxInstructions: 2_000_000_000 })

/** One total of those of all CPUs. */
const sum = (rows: readonly Totals[], member: keyof Totals): bigint =>
  rows.reduce((total, row) => total + row[member], 0n)

const processes = syscount.maps.processes.readAll().map(([pid, rows]) => {
  const totals = rows.map((row) => row.totals)
  return { pid, comm: rows[0]?.comm ?? '', count: sum(totals, 'count'), time: sum(totals, 'time_ns') }
})
for (const { pid, comm, count, time } of processes.sort((a, b) => Number(b.time - a.time)).slice(0, 5)) {
  console.log(
    `${String(pid).padStart(4)} ${comm.padEnd(12)} ${count} calls ${(Number(time) / 1e6).toFixed(3)} ms`,
  )
}
console.log(`${syscount.globals.lost} calls were of processes that found no room`)
