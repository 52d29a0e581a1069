import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { closestNames, editDistance, type SymbolEntry, SymbolTable } from './index.ts'

const entry = (name: string, address: number, size = 0, rest: Partial<SymbolEntry> = {}): SymbolEntry => ({
  name,
  address: BigInt(address),
  size: BigInt(size),
  kind: 'function',
  isGlobal: true,
  ...rest,
})

describe('a symbol table', () => {
  const table = new SymbolTable([
    entry('sys_read', 0x8000_0100, 0x40),
    entry('.done', 0x8000_0120, 0, { kind: 'other', isGlobal: false }),
    entry('sys_write', 0x8000_0140, 0x20),
    entry('alias_of_write', 0x8000_0140, 0x20, { isGlobal: false }),
    entry('start', 0x8000_0000, 0),
    entry('counter', 0x8000_1000, 8, { kind: 'object' }),
    entry('helper', 0x8000_0180, 4, { isGlobal: false }),
    entry('helper', 0x8000_0170, 4, { isGlobal: false }),
  ])
  const nameOf = (address: number): string | undefined => {
    const found = table.nearest(BigInt(address))
    return found && `${found.symbol.name}+${found.offset}`
  }

  test.each([
    [0x7fff_ffff, undefined],
    [0x8000_0000, 'start+0'],
    [0x8000_00fc, 'start+252'],
    [0x8000_0100, 'sys_read+0'],
    [0x8000_0124, 'sys_read+36'],
    [0x8000_0144, 'sys_write+4'],
    [0x8000_0160, undefined],
    [0x8000_1007, 'counter+7'],
  ])('nearest(%i) is %s', (address, name) => {
    expect(nameOf(address)).toBe(name)
  })

  test('a sized symbol that ended does not claim what follows', () => {
    const sized = new SymbolTable([entry('a', 0x100, 0x10), entry('b', 0x200, 0x10)])
    expect(sized.nearest(0x110n)).toBeUndefined()
    expect(sized.nearest(0x20fn)?.symbol.name).toBe('b')
  })

  test('byName prefers a global symbol, then the lowest address', () => {
    expect(table.byName('sys_read')?.address).toBe(0x8000_0100n)
    expect(table.byName('helper')?.address).toBe(0x8000_0170n)
    expect(table.byName('nothing')).toBeUndefined()
  })

  test('functions rise by address, objects and labels are left out', () => {
    expect(table.functions().map((one) => one.name)).toEqual([
      'start',
      'sys_read',
      'sys_write',
      'alias_of_write',
      'helper',
      'helper',
    ])
  })

  test('suggests what a misspelt name may have meant', () => {
    expect(table.suggest('sys_raed')).toEqual(['sys_read'])
    expect(table.suggest('SYS_WRITE')).toEqual(['sys_write'])
    expect(table.suggest('write')).toContain('sys_write')
    expect(table.suggest('zzzzz')).toEqual([])
    expect(table.suggest('countr', 3, 'function')).toEqual([])
  })

  test('law: every address is named by the symbol that holds it', () => {
    const ranges = fc.array(fc.record({ gap: fc.nat(50), size: fc.integer({ min: 1, max: 50 }) }), {
      minLength: 1,
    })
    fc.assert(
      fc.property(ranges, fc.nat(), (list, pick) => {
        let at = 0
        const entries = list.map(({ gap, size }, i) => {
          const one = entry(`f${i}`, at + gap, size)
          at += gap + size
          return one
        })
        const all = new SymbolTable([...entries].reverse())
        const chosen = entries[pick % entries.length] as SymbolEntry
        const offset = BigInt(pick) % chosen.size
        expect(all.nearest(chosen.address + offset)).toEqual({ symbol: chosen, offset })
      }),
    )
  })
})

describe('edit distance', () => {
  test.each([
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'acb', 1],
    ['abc', 'ab', 1],
    ['abc', 'xabc', 1],
    ['abc', 'ABC', 1.5],
    ['kitten', 'sitting', 3],
  ])('%s to %s is %d', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance)
  })

  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'B'), maxLength: 8 })
  test('laws: symmetric, zero only for equals, at most the longer length, the limit only cuts', () => {
    fc.assert(
      fc.property(word, word, fc.integer({ min: 0, max: 8 }), (a, b, limit) => {
        const distance = editDistance(a, b)
        expect(editDistance(b, a)).toBe(distance)
        expect(distance === 0).toBe(a === b)
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length))
        expect(editDistance(a, b, limit)).toBe(distance > limit ? Infinity : distance)
      }),
    )
  })

  test('nearest first, then alphabetical', () => {
    expect(closestNames('open', ['oper', 'opem', 'xyz', 'reopened', 'opened'], 3)).toEqual([
      'opem',
      'oper',
      'opened',
    ])
  })
})
