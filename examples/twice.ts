/**
 * Two guests in one process, traced at once, a slice of each in turn. Nothing is shared and time is virtual, so
 * both print the same lines at the same nanosecond, today and on every machine.
 */
import { readFileSync } from 'node:fs'
import {
  type AttachError,
  type LoadError,
  load,
  ObjectError,
  open,
  type SyscallError,
  TracePipe,
} from 'anybpf'
import { createGuest } from 'anybpf/ports/embedded'

const file = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url))

const spec = open(file('bpf/hello.bpf.o'), { name: 'hello' })
if (spec instanceof ObjectError) throw new Error(spec.message)

/** An error of the client's is a value; a program that cannot go on without it may as well throw. */
function sure<T extends object>(value: T): Exclude<T, AttachError | LoadError | SyscallError> {
  if (value instanceof Error) throw value
  if ('code' in value && 'message' in value) throw new Error(String(value.message))
  return value as Exclude<T, AttachError | LoadError | SyscallError>
}

function boot() {
  const made = createGuest({
    kernelElf: file('guest/build/kernel.elf'),
    harts: 2,
    bootargs: 'script=/etc/rc.short',
  })
  if (!made.ok) throw new Error('the guest does not load')
  const { guest } = made
  guest.boot()
  const syscalls = guest.kernel.openClient()
  sure(sure(load(spec as Exclude<typeof spec, ObjectError>, syscalls)).attach())
  return { guest, pipe: sure(TracePipe.open(syscalls)), lines: [] as string[], isRunning: true }
}

const guests = [boot(), boot()]
while (guests.some(({ isRunning }) => isRunning)) {
  for (const one of guests) {
    if (one.isRunning) one.isRunning = one.guest.run({ maxInstructions: 1_000_000 }).kind === 'budget'
    one.lines.push(...one.pipe.drain())
  }
}

const [first, second] = guests.map(({ lines }) => lines.join('\n'))
console.log(first)
console.log(first === second ? 'The other guest printed the same.' : `The other guest printed:\n${second}`)
for (const { guest } of guests) guest[Symbol.dispose]()
