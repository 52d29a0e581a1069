/** Deduplication by itself; beside libbpf's it is in test/linker.test.ts. */
import { describe, expect, test } from 'vitest'
import { Btf } from '../btf.ts'
import { dumpRaw } from '../dump-raw.ts'
import { BtfError } from '../error.ts'
import { BTF_KIND } from '../kinds.ts'
import { TypeTable } from '../type-table.ts'
import { BtfWriter, type NewBtfType } from '../writer.ts'
import { deduplicate } from './index.ts'

/** Types in the words that the tests need; `add` returns the id. */
class Types {
  readonly writer = new BtfWriter()

  add(type: NewBtfType): number {
    return this.writer.add(type)
  }

  int(name = 'int', size = 4): number {
    const how = { isSigned: true, isChar: false, isBool: false, bits: size * 8, bitOffset: 0 }
    return this.add({ kind: BTF_KIND.INT, name, size, ...how })
  }

  to(target: number, kind: typeof BTF_KIND.PTR | typeof BTF_KIND.CONST = BTF_KIND.PTR): number {
    return this.add({ kind, name: '', type: target as never })
  }

  struct(name: string, ...members: readonly (readonly [string, number])[]): number {
    const listed = members.map(([name, type], i) => ({
      name,
      type: type as never,
      bitOffset: i * 64,
      bitSize: 0,
    }))
    return this.add({ kind: BTF_KIND.STRUCT, name, size: members.length * 8, members: listed })
  }

  forward(name: string, isUnion = false): number {
    return this.add({ kind: BTF_KIND.FWD, name, isUnion })
  }

  enum(name: string, ...names: readonly string[]): number {
    const values = names.map((name, i) => ({ name, value: BigInt(i) }))
    return this.add({ kind: BTF_KIND.ENUM, name, size: 4, isSigned: false, values })
  }

  table(): TypeTable {
    const bytes = this.writer.finish()
    const table = bytes instanceof BtfError ? bytes : TypeTable.parse(bytes)
    if (table instanceof BtfError) throw new Error(table.message)
    return table
  }

  /** The listing of what stays, and the new ids. */
  deduplicated(): { lines: string[]; ids: number[] } {
    const table = this.table()
    const ids = deduplicate(table)
    if (ids instanceof BtfError) throw new Error(ids.message)
    const btf = Btf.parse(table.bytes())
    if (btf instanceof BtfError) throw new Error(btf.message)
    return { lines: dumpRaw(btf), ids: [...ids] }
  }
}

describe('the same', () => {
  test('are types of equal words', () => {
    const types = new Types()
    const one = types.to(types.int())
    const other = types.to(types.int())
    types.struct('of', ['a', one], ['b', other])
    const { ids, lines } = types.deduplicated()
    expect(ids).toEqual([0, 1, 2, 1, 2, 3])
    expect(lines.slice(2)).toEqual([
      "[3] STRUCT 'of' size=16 vlen=2",
      "\t'a' type_id=2 bits_offset=0",
      "\t'b' type_id=2 bits_offset=64",
    ])
  })

  test('are structs that refer to themselves', () => {
    const types = new Types()
    for (const base of [0, 3])
      types.struct('node', ['value', base + 2], ['next', base + 3]) && types.int() && types.to(base + 1)
    expect(types.deduplicated().ids).toEqual([0, 1, 2, 3, 1, 2, 3])
  })

  test('are a declaration and what it declares, in either order', () => {
    for (const isFirst of [true, false]) {
      const types = new Types()
      const int = types.int()
      const declare = () => types.struct('user', ['of', types.to(types.forward('used'))])
      const define = () => types.struct('user', ['of', types.to(types.struct('used', ['x', int]))])
      const made = isFirst ? [declare(), define()] : [define(), declare()]
      const { ids, lines } = types.deduplicated()
      expect(ids[made[0] as number]).toBe(ids[made[1] as number])
      expect(lines.filter((line) => line.includes('FWD'))).toEqual([])
      expect(lines.filter((line) => line.startsWith('['))).toHaveLength(4)
    }
  })

  test('is a declaration beside the only struct of its name, but not beside two, or a union', () => {
    const types = new Types()
    const int = types.int()
    const pointers = ['only', 'twice', 'other'].map((name) => types.to(types.forward(name)))
    const only = types.struct('only', ['a', int])
    types.struct('twice', ['a', int])
    types.struct('twice', ['b', int])
    types.add({ kind: BTF_KIND.UNION, name: 'other', size: 4, members: [] })
    const table = types.table()
    const ids = deduplicate(table)
    if (ids instanceof BtfError) throw new Error(ids.message)
    const targets = pointers.map((id) => table.word(ids[id] as number, 2))
    expect(targets[0]).toBe(ids[only])
    expect(targets.slice(1).map((id) => table.kind(id))).toEqual([BTF_KIND.FWD, BTF_KIND.FWD])
  })

  test('are enums, of which one is only declared', () => {
    const types = new Types()
    types.enum('mood')
    types.enum('mood', 'CALM', 'HASTY')
    types.enum('mood')
    types.enum('temper', 'CALM')
    expect(types.deduplicated().ids).toEqual([0, 1, 1, 1, 2])
  })
})

describe('not the same', () => {
  test('are structs of which something differs far away', () => {
    const types = new Types()
    for (const size of [4, 8]) {
      const far = types.struct('far', ['x', types.int('number', size)])
      types.struct('near', ['to', types.to(types.to(far, BTF_KIND.CONST))])
    }
    expect(types.deduplicated().lines.filter((line) => line.startsWith('['))).toHaveLength(10)
  })

  test('are variables', () => {
    const types = new Types()
    const int = types.int()
    for (let i = 0; i < 2; i++) types.add({ kind: BTF_KIND.VAR, name: 'v', type: int as never, linkage: 0 })
    expect(types.deduplicated().ids).toEqual([0, 1, 2, 3])
  })
})

test('a circle of pointers is refused', () => {
  const types = new Types()
  types.to(2)
  types.to(1)
  expect(deduplicate(types.table())).toMatchObject({ code: 'bad-type', typeId: 2 })
})

test('a second time changes nothing', () => {
  const types = new Types()
  for (let i = 0; i < 3; i++)
    types.struct('s', ['a', types.to(types.int())], ['b', types.enum('e', 'A', 'B')])
  const table = types.table()
  deduplicate(table)
  const once = table.bytes()
  deduplicate(table)
  expect(table.bytes()).toEqual(once)
})

test('chains and crowds that are made to take long run out of steps, and keep duplicates from there on', () => {
  const types = new Types()
  let last = types.int()
  for (let i = 0; i < 20_000; i++) last = types.to(last)
  for (let i = 0; i < 2_000; i++)
    types.struct('crowd', ['a', types.to(last)], ['b', types.to(types.int(`i${i}`))])
  const twins = [0, 1].map(() => types.struct('twin', ['a', types.to(last)]))
  const ids = deduplicate(types.table()) as Uint32Array
  expect(ids).toBeInstanceOf(Uint32Array)
  expect(new Set(twins.map((id) => ids[id])).size).toBe(2)
})
