/**
 * Programs in C that GCC compiled: opened, loaded and run on both engines as on Linux, and as libbpf has them.
 *
 * GCC 12 for BPF comes with GNU as 2.40, which counts the place of a symbol twice. With `-fdata-sections` no variable
 * is behind another, which libbpf needs; this client reads both.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { LinkError, linkObjects } from '../../src/linker/index.ts'
import { linkedByBpftool, noBpftool } from '../linker/oracles.ts'
import { opened } from './compare.ts'
import { type Compiled, Gcc } from './compilers.ts'
import { Places } from './places.ts'

const opening = Gcc.open()
const gcc = opening as Gcc
const places = new Places()
afterAll(() => {
  if (opening instanceof Gcc) opening[Symbol.dispose]()
  places[Symbol.dispose]()
})
const reason = typeof opening === 'string' ? ` (skipped: ${opening})` : places.note

/** Programs that are taken, with the flags that they need besides the usual ones. */
const TAKEN: Readonly<Record<string, readonly string[]>> = {
  globals: [],
  calls: [],
  maps: [],
  packets: [],
  core: ['-mco-re'],
}
const names = Object.keys(TAKEN)

describe.skipIf(typeof opening === 'string')(`GCC${reason}`, () => {
  const compiled = (name: string, ...flags: string[]): Compiled =>
    gcc.compile(name, [...(TAKEN[name] ?? []), ...flags], `${name}${flags.join('')}`)

  test.each(names)('%s: the same on both engines and on Linux', (name) => {
    const outcome = places.expectSame(compiled(name))
    expect(outcome.refused).toBeUndefined()
    expect(new Set(outcome.runs).size).toBeGreaterThan(name === 'core' ? -1 : 5)
    // Of another instruction set, with DWARF, with other sections, the results are the same.
    for (const flag of ['-mcpu=v1', '-mcpu=v2', '-g', '-fdata-sections']) {
      expect(places.expectSame(compiled(name, flag)).runs, flag).toEqual(outcome.runs)
    }
  })

  test.each(names.filter((name) => name !== 'calls'))('%s: as libbpf has it', (name) => {
    const object = compiled(name, '-fdata-sections')
    places.expectSameOfLibbpf(object, places.expectSame(object))
    places.expectInstructionsOfLibbpf(object)
  })

  test('libbpf cannot call global functions, nor read variables behind others', () => {
    expect(places.refusalOfLibbpf(compiled('calls')) ?? '').toMatch(/^$|no \.text section found/)
    expect(places.refusalOfLibbpf(compiled('globals')) ?? '').toMatch(
      /^$|invalid access to map value pointer/,
    )
  })

  test.each(names)('%s: types as the kernel takes them, listed as bpftool lists them', (name) => {
    const object = compiled(name)
    places.expectTypesTaken(object)
    places.expectTypesListed(object)
    places.expectDisassembled(object)
    places.expectSkeleton(object)
  })

  test('callbacks: refused, as GCC 12 writes no types of functions', () => {
    expect(places.expectSame(gcc.compile('callbacks')).refused).toMatch(/missing btf func_info/)
  })

  test('a call of its library: refused, with the name', () => {
    const object = gcc.compile('libcall')
    expect(opened(object).externs).toMatchObject([{ kind: 'ksym', name: '__bswapsi2', isFunction: true }])
    expect(places.expectSame(object).refused).toMatch(/extern '__bswapsi2': the object does not define it/)
    expect(places.refusalOfLibbpf(object) ?? '').toMatch(/^$|failed to find BTF for extern '__bswapsi2'/)
  })

  test('its objects cannot be linked: their types say that functions are static', () => {
    const inputs = ['globals', 'maps']
      .map((name) => compiled(name))
      .map(({ path: name, bytes }) => ({ name, bytes }))
    const error = linkObjects(inputs)
    expect(error).toBeInstanceOf(LinkError)
    expect(String(error)).toMatch(
      /no type describes the global symbol '\w+'; its type is that of a static one/,
    )
    if (noBpftool() !== '') return
    expect(linkedByBpftool(gcc.directory, inputs)).toMatch(
      /failed to find BTF info for global\/extern symbol/,
    )
  })
})
