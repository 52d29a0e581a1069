/**
 * Programs in Rust with the real `core`: opened, linked, loaded and run on both engines as on Linux, and as libbpf has
 * them. A crate by itself has a section for each function and variable; linked with `core`, as bpf-linker links, it has
 * the sections of an object in C.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { LinkError, linkObjects } from '../../src/linker/index.ts'
import { linkedByBpftool, noBpftool } from '../linker/oracles.ts'
import { type Compiled, Rust, type RustOptions } from './compilers.ts'
import { Places } from './places.ts'

const opening = Rust.open()
const rust = opening as Rust
const places = new Places()
afterAll(() => {
  if (opening instanceof Rust) opening[Symbol.dispose]()
  places[Symbol.dispose]()
})
const reason = typeof opening === 'string' ? ` (skipped: ${opening})` : places.note

const checks = ['-Coverflow-checks=on']
/** Programs that are taken, with what they need. */
const TAKEN: Readonly<Record<string, RustOptions>> = {
  judge: {},
  typed: {},
  packets: {},
  callbacks: {},
  checked: { flags: checks },
  wide: { cpu: 'v4' },
}
const names = Object.keys(TAKEN)

/** libbpf wants maps with types, parameters with names, and no functions that are local to a section of their own. */
const OF_LIBBPF = ['typed', 'packets', 'wide']

describe.skipIf(typeof opening === 'string')(`Rust${reason}`, () => {
  const linked = (name: string): Compiled => rust.linked(name, TAKEN[name])

  test.each(names)('%s: the same on both engines and on Linux', (name) => {
    const outcome = places.expectSame(linked(name))
    expect(outcome.refused).toBeUndefined()
    expect(new Set(outcome.runs).size).toBeGreaterThan(5)
    // A section for each function and variable changes nothing.
    const crate = places.expectSame(rust.crate(name, { ...TAKEN[name], name: `${name}-crate` }))
    expect(crate.runs).toEqual(outcome.runs)
  })

  test.each(OF_LIBBPF)('%s: as libbpf has it', (name) => {
    const object = linked(name)
    places.expectSameOfLibbpf(object, places.expectSame(object))
    places.expectInstructionsOfLibbpf(object)
  })

  test('libbpf knows no maps without types, no callbacks without names, and no second section of functions', () => {
    expect(places.refusalOfLibbpf(linked('judge')) ?? '').toMatch(/^$|legacy map definitions/)
    expect(places.refusalOfLibbpf(linked('callbacks')) ?? '').toMatch(/^$|missing btf func_info/)
    expect(places.refusalOfLibbpf(linked('checked')) ?? '').toMatch(/^$|is static and not supported/)
  })

  test.each(names)('%s: types as the kernel takes them, listed as bpftool lists them', (name) => {
    const object = linked(name)
    places.expectTypesTaken(object)
    places.expectTypesListed(object)
    places.expectDisassembled(object, TAKEN[name]?.cpu)
    places.expectSkeleton(object)
  })

  test('what can panic is refused in the words of Linux', () => {
    const object = rust.linked('panics', { flags: checks })
    expect(places.expectSame(object, ['index']).refused).toMatch(/last insn is not an exit or jmp/)
    expect(places.expectSame(object, ['remainder']).refused).toMatch(/unbounded memory access/)
  })

  const link = (names: readonly string[]) => {
    const inputs = names.map((name) => linked(name)).map(({ path: name, bytes }) => ({ name, bytes }))
    const ours = linkObjects(inputs)
    if (ours instanceof LinkError) throw new Error(ours.message)
    return { ours, theirs: noBpftool() === '' ? linkedByBpftool(rust.directory, inputs) : undefined }
  }

  test.each(['typed', 'typed packets', 'callbacks packets'])('%s: linked as bpftool links', (list) => {
    const { ours, theirs } = link(list.split(' '))
    if (theirs !== undefined) expect(Buffer.compare(ours, theirs as Uint8Array)).toBe(0)
    expect(places.expectSame(rust.written('all', ours)).refused).toBeUndefined()
  })

  test('functions that became local stay described when they are linked, of which bpftool loses the types', () => {
    const { ours, theirs } = link(['packets', 'checked'])
    expect(places.expectSame(rust.written('all', ours)).refused).toBeUndefined()
    if (theirs === undefined) return
    expect(places.refusalOfLibbpf(rust.written('all', theirs as Uint8Array)) ?? '').toMatch(/^$|is static/)
  })
})
