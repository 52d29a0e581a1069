/** A program in the guest that calls bpf(2) itself: from user space into the kernel and back. */
import { expect, test } from 'vitest'
import { GuestUnderTest } from './support/guest.ts'

test.each([1, 4])('bpfdemo counts what it calls while its probe is enabled, on %i harts', (harts) => {
  using guest = new GuestUnderTest({ harts, bootargs: 'script=-' })
  const before = guest.guest.kernel.stats()
  expect(guest.guest.run({ maxInstructions: 100_000_000 })).toEqual({ kind: 'idle' })
  guest.guest.machine.uart.receive(new TextEncoder().encode('bpfdemo\nbpfdemo\nexit\n'))
  const console = guest.runToEnd()
  expect(console.match(/bpfdemo: .*$/gm)).toEqual([
    'bpfdemo: counted 100 of 100',
    'bpfdemo: counted 100 of 100',
  ])
  // What the processes opened went with them, the probe's breakpoint too. What programs run on stays.
  expect(guest.guest.kernel.stats()).toEqual({ ...before, arenaBytesInUse: expect.any(Number) })
})
