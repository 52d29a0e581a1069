/**
 * Probes every instruction of a guest function that contains each instruction form of RV64IMAC: one at a time, then
 * all at once, then its return. The guest's results must stay what they are without probes.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { EILSEQ, EINVAL } from '../src/abi/index.ts'
import { type Kprobe, ProbeManager } from '../src/probes/index.ts'
import { GuestUnderTest } from './support/guest.ts'

const FUNCTION = 'probe_target_all_forms'
const SEEDS = ['1', '12345678901234567']

/** The demo guest with a shell on its console, and a probe manager in the place of its eBPF subsystem. */
class ShellGuest implements Disposable {
  readonly manager: ProbeManager
  readonly symbol: { readonly address: bigint; readonly sizeBytes: number }
  readonly #guest: GuestUnderTest
  #console = ''

  constructor() {
    const onConsole = (bytes: Uint8Array) => {
      this.#console += new TextDecoder().decode(bytes)
    }
    this.#guest = new GuestUnderTest({ bootargs: 'script=-', onConsole })
    const { port, kernel } = this.#guest.guest
    kernel[Symbol.dispose]()
    this.manager = new ProbeManager(port, { symbolAt: (address) => port.symbolAt(address) })
    const symbol = port.symbolByName(FUNCTION)
    if (symbol === undefined) throw new Error(`the guest has no ${FUNCTION}`)
    this.symbol = symbol
    this.#runUntilIdle()
  }

  /** What `forms` prints for a seed. */
  hash(seed: string): string {
    this.#console = ''
    this.#guest.guest.machine.sendConsole(new TextEncoder().encode(`forms ${seed}\n`))
    this.#runUntilIdle()
    return /forms: ([0-9a-f]{16})/.exec(this.#console)?.[1] ?? `no hash: ${this.#console}`
  }

  text(): Uint8Array {
    const bytes = new Uint8Array(this.symbol.sizeBytes)
    expect(this.#guest.guest.port.readText(this.symbol.address, bytes)).toBe(0)
    return bytes
  }

  #runUntilIdle(): void {
    const stopped = this.#guest.guest.run({ maxInstructions: 200_000_000 })
    if (stopped.kind !== 'idle') throw new Error(`the guest stopped: ${stopped.kind}\n${this.#console}`)
  }

  [Symbol.dispose](): void {
    this.manager[Symbol.dispose]()
    this.#guest[Symbol.dispose]()
  }
}

describe('every instruction form, probed', () => {
  const expected = new Map<string, string>()
  /** Offsets of the instructions that may be probed. */
  const offsets: number[] = []

  beforeAll(() => {
    using guest = new ShellGuest()
    for (const seed of SEEDS) expected.set(seed, guest.hash(seed))
    const refused = new Map<number, number>()
    for (let offset = 0; offset < guest.symbol.sizeBytes; offset += 2) {
      const address = guest.symbol.address + BigInt(offset)
      const probe = guest.manager.registerKprobe({ address, handler: () => {} })
      if (typeof probe === 'number') refused.set(offset, probe)
      else {
        offsets.push(offset)
        probe.unregister()
      }
    }
    // Middles of instructions; and lr to sc, fences of traps and control registers.
    expect(new Set(refused.values())).toEqual(new Set([-EILSEQ, -EINVAL]))
    expect([...refused.values()].filter((errno) => errno === -EINVAL).length).toBeLessThan(40)
    expect(new Set(expected.values()).size).toBe(SEEDS.length)
    expect(offsets.length).toBeGreaterThan(400)
  })

  test('one at a time', () => {
    using guest = new ShellGuest()
    const original = guest.text()
    const [seed] = SEEDS as [string]
    for (const offset of offsets) {
      const address = guest.symbol.address + BigInt(offset)
      const probe = guest.manager.registerKprobe({ address, handler: () => {} }) as Kprobe
      expect([offset, guest.hash(seed)]).toEqual([offset, expected.get(seed)])
      expect([offset, probe.missed]).toEqual([offset, 0])
      probe.unregister()
    }
    expect(Buffer.compare(guest.text(), original)).toBe(0)
  })

  test('all at once, twice each, and the return', () => {
    using guest = new ShellGuest()
    const original = guest.text()
    const probes: Kprobe[] = []
    for (const offset of [...offsets, ...offsets]) {
      const address = guest.symbol.address + BigInt(offset)
      probes.push(
        guest.manager.registerKprobe({ address, handler: () => {}, postHandler: () => {} }) as Kprobe,
      )
    }
    const returned: string[] = []
    const atReturn = guest.manager.registerKretprobe({
      address: guest.symbol.address,
      handler: (cpu) => void returned.push(cpu.get(10).toString(16).padStart(16, '0')),
    })
    expect(typeof atReturn).toBe('object')
    for (const seed of SEEDS) expect(guest.hash(seed)).toBe(expected.get(seed))
    expect(returned).toEqual(SEEDS.map((seed) => expected.get(seed)))
    const reached = probes.filter((probe) => probe.hits > 0)
    expect(reached.length).toBeGreaterThan(probes.length * 0.95)
    guest.manager[Symbol.dispose]()
    expect(Buffer.compare(guest.text(), original)).toBe(0)
  })
})
