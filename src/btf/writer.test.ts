import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { ElfError, parseElf } from '../elf/index.ts'
import { BTF_KIND, Btf, BtfError, type BtfId, BtfWriter, dumpRaw, type NewBtfType } from './index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-writer-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const hasBpftool = spawnSync('bpftool', ['--version']).status === 0
const vmlinux = '/sys/kernel/btf/vmlinux'

function parsed(bytes: Uint8Array | BtfError, base?: Btf): Btf {
  const btf = bytes instanceof BtfError ? bytes : Btf.parse(bytes, base)
  if (btf instanceof BtfError) throw new Error(btf.message)
  return btf
}

/** Reads all types and writes them again. */
function rewritten(btf: Btf, byteOrder: 'little' | 'big' = 'little'): Uint8Array {
  const writer = new BtfWriter({ byteOrder })
  for (const id of btf.ids()) {
    const type = btf.typeById(id)
    if (type.kind !== BTF_KIND.UNKN) expect(writer.add(type)).toBe(id)
  }
  const bytes = writer.finish()
  if (bytes instanceof BtfError) throw new Error(bytes.message)
  return bytes
}

function typesOf(path: string): Btf {
  const elf = parseElf(new Uint8Array(readFileSync(path)))
  if (elf instanceof ElfError) throw new Error(elf.message)
  return parsed(elf.section('.BTF')?.data ?? new Uint8Array(0))
}

const bpf = fileURLToPath(new URL('../../bpf/', import.meta.url))
const objects = readdirSync(bpf)
  .filter((name) => name.endsWith('.bpf.o'))
  .map((name) => join(bpf, name))

describe('what is read and written again is the same', () => {
  test.each([...objects, fileURLToPath(new URL('../../guest/build/kernel.elf', import.meta.url))])(
    '%s',
    (path) => {
      const btf = typesOf(path)
      for (const order of ['little', 'big'] as const) {
        const again = parsed(rewritten(btf, order))
        expect(again.byteOrder).toBe(order)
        expect(dumpRaw(again)).toEqual(dumpRaw(btf))
      }
    },
  )

  test.skipIf(!existsSync(vmlinux) || !hasBpftool)("this machine's kernel, as bpftool reads it", () => {
    const path = join(scratch, 'vmlinux.btf')
    const bytes = rewritten(parsed(new Uint8Array(readFileSync(vmlinux))))
    writeFileSync(path, bytes)
    const options = { encoding: 'utf8', maxBuffer: 1 << 28 } as const
    const [a, b] = [path, vmlinux].map((file) =>
      execFileSync('bpftool', ['btf', 'dump', 'file', file], options),
    )
    expect(a === b).toBe(true)
    expect(bytes.length).toBeLessThanOrEqual(readFileSync(vmlinux).length)
  })
})

const name = fc.stringMatching(/^[a-z_]{0,6}$/)
const bytesOf = fc.constantFrom(1, 2, 4, 8, 16)
const reference = fc.nat({ max: 20 }).map((n) => n as BtfId)
const value = (min: bigint, max: bigint) =>
  fc.array(fc.record({ name, value: fc.bigInt({ min, max }) }), { maxLength: 4 })

const anyType: fc.Arbitrary<NewBtfType> = fc.oneof(
  fc.record({
    kind: fc.constant(BTF_KIND.INT),
    name,
    size: bytesOf,
    bits: fc.nat({ max: 128 }),
    bitOffset: fc.nat({ max: 64 }),
    isSigned: fc.boolean(),
    isChar: fc.boolean(),
    isBool: fc.boolean(),
  }),
  fc.record({
    kind: fc.constantFrom(
      BTF_KIND.PTR,
      BTF_KIND.TYPEDEF,
      BTF_KIND.VOLATILE,
      BTF_KIND.CONST,
      BTF_KIND.RESTRICT,
    ),
    name,
    type: reference,
  }),
  fc.record(
    { kind: fc.constant(BTF_KIND.TYPE_TAG), name, type: reference, isAttribute: fc.constant(true as const) },
    { requiredKeys: ['kind', 'name', 'type'] },
  ),
  fc.record(
    {
      kind: fc.constant(BTF_KIND.DECL_TAG),
      name,
      type: reference,
      component: fc.integer({ min: -1, max: 9 }),
      isAttribute: fc.constant(true as const),
    },
    { requiredKeys: ['kind', 'name', 'type', 'component'] },
  ),
  fc.record({
    kind: fc.constant(BTF_KIND.ARRAY),
    name: fc.constant(''),
    element: reference,
    index: reference,
    count: fc.nat(),
  }),
  fc.record({
    kind: fc.constantFrom(BTF_KIND.STRUCT, BTF_KIND.UNION),
    name,
    size: fc.nat(),
    members: fc.array(
      fc.record({
        name,
        type: reference,
        bitOffset: fc.nat({ max: 0xff_ffff }),
        bitSize: fc.nat({ max: 255 }),
      }),
      { maxLength: 5 },
    ),
  }),
  fc.record({
    kind: fc.constant(BTF_KIND.ENUM),
    name,
    size: bytesOf,
    isSigned: fc.constant(false),
    values: value(0n, 0xffff_ffffn),
  }),
  fc.record({
    kind: fc.constant(BTF_KIND.ENUM),
    name,
    size: bytesOf,
    isSigned: fc.constant(true),
    values: value(-(2n ** 31n), 2n ** 31n - 1n),
  }),
  fc.record({
    kind: fc.constant(BTF_KIND.ENUM64),
    name,
    size: bytesOf,
    isSigned: fc.constant(false),
    values: value(0n, 2n ** 64n - 1n),
  }),
  fc.record({
    kind: fc.constant(BTF_KIND.ENUM64),
    name,
    size: bytesOf,
    isSigned: fc.constant(true),
    values: value(-(2n ** 63n), 2n ** 63n - 1n),
  }),
  fc.record({ kind: fc.constant(BTF_KIND.FWD), name, isUnion: fc.boolean() }),
  fc.record({ kind: fc.constant(BTF_KIND.FUNC), name, type: reference, linkage: fc.nat({ max: 2 }) }),
  fc.record({
    kind: fc.constant(BTF_KIND.FUNC_PROTO),
    name: fc.constant(''),
    returns: reference,
    parameters: fc.array(fc.record({ name: fc.constantFrom('x', 'y'), type: reference }), { maxLength: 4 }),
    isVariadic: fc.boolean(),
  }),
  fc.record({ kind: fc.constant(BTF_KIND.VAR), name, type: reference, linkage: fc.nat({ max: 2 }) }),
  fc.record({
    kind: fc.constant(BTF_KIND.DATASEC),
    name,
    size: fc.nat(),
    variables: fc.array(fc.record({ type: reference, offset: fc.nat(), size: fc.nat() }), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant(BTF_KIND.FLOAT), name, size: bytesOf }),
)

test('every kind survives, in either byte order, whole and split', () => {
  fc.assert(
    fc.property(
      fc.array(anyType, { minLength: 21, maxLength: 30 }),
      fc.constantFrom('little', 'big'),
      fc.nat({ max: 9 }),
      (types, byteOrder, before) => {
        // Bit fields are flagged for the struct as a whole, so a member's size of 0 is kept in either case.
        const whole = new BtfWriter({ byteOrder })
        for (const type of types) whole.add(type)
        const btf = parsed(whole.finish())
        for (const [i, type] of types.entries()) {
          const { id, ...rest } = btf.typeById((i + 1) as BtfId)
          expect(id).toBe(i + 1)
          expect(rest).toEqual(type)
        }
        const texts = [...btf.strings()].map(({ text }) => text)
        expect(new Set(texts).size, 'strings are stored once').toBe(texts.length)

        const baseWriter = new BtfWriter({ byteOrder })
        for (let i = 0; i < before + 21; i++) baseWriter.add(types[i % types.length] as NewBtfType)
        const base = parsed(baseWriter.finish())
        const split = new BtfWriter({ base })
        const ids = types.map((type) => split.add(type))
        const continued = parsed(split.finish(), base)
        for (const [i, type] of types.entries()) {
          const { id: _, ...rest } = continued.typeById(ids[i] as BtfId)
          expect(rest).toEqual(type)
        }
        const all = [...continued.strings()].map(({ text }) => text)
        expect(new Set(all).size, 'nor again behind a base').toBe(all.length)
      },
    ),
    { numRuns: 200 },
  )
})

describe('what does not fit', () => {
  const errorOf = (type: NewBtfType): string => {
    const writer = new BtfWriter()
    writer.add(type)
    const result = writer.finish()
    return result instanceof BtfError ? result.message : 'no error'
  }

  test.each([
    [
      'a type that is not there',
      { kind: BTF_KIND.PTR, name: '', type: 7 as BtfId },
      'expected a type id under 2, found 7',
    ],
    [
      'a constant beyond 32 bits',
      { kind: BTF_KIND.ENUM, name: 'e', size: 4, isSigned: false, values: [{ name: 'X', value: 2n ** 32n }] },
      'expected constants of 32 bits, found X = 4294967296',
    ],
    [
      'a bit field beyond 24 bits',
      {
        kind: BTF_KIND.STRUCT,
        name: 's',
        size: 4,
        members: [{ name: 'm', type: 0 as BtfId, bitOffset: 2 ** 24, bitSize: 1 }],
      },
      'expected members up to bit 16777215, found m at 16777216',
    ],
  ] as const)('%s', (_name, type, message) => {
    expect(errorOf(type)).toContain(message)
  })
})
