/**
 * Probes where it hurts: instructions that fault on purpose (copies from and to bad user pointers), the entry and
 * the return of every trap, the switch between tasks. What the guest's own test of its system calls finds must
 * stay what it is without probes.
 */
import { describe, expect, test } from 'vitest'
import { ProbeManager } from '../src/probes/index.ts'
import { GuestUnderTest } from './support/guest.ts'

const FUNCTIONS = [
  'user_copy',
  'user_copy_string',
  'trap_entry',
  'trap_return',
  'context_switch',
  'spin_lock',
]

function runSystest(harts: number, functions: readonly string[]) {
  using guest = new GuestUnderTest({ harts, bootargs: 'script=-' })
  const { port, kernel, machine } = guest.guest
  kernel[Symbol.dispose]()
  using manager = new ProbeManager(port, { symbolAt: (address) => port.symbolAt(address) })
  const run = () => {
    const stopped = guest.guest.run({ maxInstructions: 400_000_000 })
    if (stopped.kind !== 'idle') throw new Error(`the guest stopped: ${stopped.kind}`)
  }
  run()
  const probes = functions.flatMap((name) => {
    const symbol = port.symbolByName(name)
    if (symbol === undefined) throw new Error(`the guest has no ${name}`)
    const found = []
    for (let offset = 0; offset < symbol.sizeBytes; offset += 2) {
      const probe = manager.registerKprobe({ address: symbol.address + BigInt(offset), handler: () => {} })
      if (typeof probe !== 'number') found.push({ name, offset, probe })
    }
    return found
  })
  machine.sendConsole(new TextEncoder().encode('systest\nfail\n'))
  run()
  return {
    probed: new Set(probes.map(({ name }) => name)),
    hits: probes.reduce((sum, { probe }) => sum + probe.hits, 0),
    missed: probes.reduce((sum, { probe }) => sum + probe.missed, 0),
    console: guest.console
      .split('\n')
      .filter((line) => line.startsWith('systest:') || line.startsWith('fail')),
  }
}

describe.each([1, 3])('faults, traps and switches under probes, %i harts', (harts) => {
  test('the guest tests itself with the same result', () => {
    const plain = runSystest(harts, [])
    expect(plain.console.join('\n')).toMatch(/systest: \d+ passed$/m)
    const probed = runSystest(harts, FUNCTIONS)
    expect(probed.console).toEqual(plain.console)
    expect(probed.probed).toEqual(new Set(FUNCTIONS))
    expect(probed.hits).toBeGreaterThan(10_000)
    expect(probed.missed).toBe(0)
  })
})
