import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Access, ARENA_BASE, Arena } from './arena.ts'
import { Grace } from './grace.ts'

const accesses: readonly Access[] = ['none', 'read', 'write']

describe('allocation', () => {
  test('blocks are aligned, zeroed, apart from each other and from page 0', () => {
    const step = fc.oneof(
      fc.record({ size: fc.nat(9000), align: fc.constantFrom(8, 16, 4096) }),
      fc.record({ freed: fc.nat(50) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const arena = new Arena({ initialBytes: 65_536, maximumBytes: 1 << 20 })
        const live: { offset: number; size: number }[] = []
        for (const each of steps) {
          if ('freed' in each) {
            const [gone] = live.splice(each.freed, 1)
            if (gone) arena.free(gone.offset)
            continue
          }
          const offset = arena.allocate(each.size, { align: each.align })
          if (offset === undefined) {
            expect(arena.bytes.length + each.size + each.align).toBeGreaterThan(1 << 20)
            continue
          }
          expect(offset % each.align).toBe(0)
          expect(offset).toBeGreaterThanOrEqual(4096)
          expect(arena.bytes.subarray(offset, offset + each.size).every((byte) => byte === 0)).toBe(true)
          for (const other of live) {
            expect(offset + each.size <= other.offset || other.offset + other.size <= offset).toBe(true)
          }
          arena.bytes.fill(0xff, offset, offset + each.size)
          live.push({ offset, size: each.size })
        }
        for (const { offset } of live) arena.free(offset)
        expect(arena.allocatedBytes).toBe(0)
      }),
    )
  })

  test('freed neighbours become one block again', () => {
    const arena = new Arena({ initialBytes: 65_536, maximumBytes: 65_536 })
    const blocks = Array.from({ length: 6 }, () => arena.allocate(10_000) as number)
    expect(arena.allocate(10_000)).toBeUndefined()
    for (const index of [1, 3, 2, 0, 5, 4]) arena.free(blocks[index] as number)
    expect(arena.allocate(60_000)).toBe(blocks[0])
  })

  test('the memory grows up to its maximum and keeps its contents', () => {
    const arena = new Arena({ initialBytes: 65_536, maximumBytes: 1 << 20 })
    const first = arena.allocate(8) as number
    arena.view.setUint32(first, 0x1234, true)
    expect(arena.allocate(500_000)).toBeDefined()
    expect(arena.bytes.length).toBeGreaterThan(500_000)
    expect(arena.view.getUint32(first, true)).toBe(0x1234)
    expect(arena.words[first >>> 2]).toBe(0x1234)
    expect(arena.check(arena.address(first), 8, true)).toBe(first)
    expect(arena.allocate(1 << 20)).toBeUndefined()
  })

  test('freeing what is not allocated is our own bug', () => {
    expect(() => new Arena().free(8192)).toThrow('8192')
  })
})

describe('access', () => {
  test('a check is exact to the byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ at: fc.nat(15), size: fc.nat(60), access: fc.constantFrom(...accesses) }), {
          maxLength: 6,
        }),
        fc.nat(140),
        fc.integer({ min: 1, max: 24 }),
        fc.boolean(),
        (ranges, at, size, write) => {
          const arena = new Arena()
          const block = arena.allocate(256, { access: 'none' }) as number
          const model: Access[] = new Array<Access>(256).fill('none')
          for (const range of ranges) {
            arena.setAccess(block + range.at * 8, range.size, range.access)
            const end = range.at * 8 + range.size
            model.fill(range.access, range.at * 8, end)
            model.fill('none', end, Math.ceil(end / 8) * 8)
          }
          const allowed = model
            .slice(at, at + size)
            .every((access) => access === 'write' || (access === 'read' && !write))
          expect(arena.check(arena.address(block + at), size, write)).toBe(allowed ? block + at : -1)
        },
      ),
    )
  })

  test.each([
    ['null', 0n],
    ['a small number', 64n],
    ['offset 0', ARENA_BASE],
    ['the end of page 0', ARENA_BASE + 4095n],
    ['below the arena', ARENA_BASE - 1n],
    ['beyond the memory', ARENA_BASE + (1n << 31n)],
    ['the next 4 GiB', ARENA_BASE + (1n << 32n) + 4096n],
    ['the last address', 0xffff_ffff_ffff_ffffn],
  ])('%s is out of bounds', (_name, address) => {
    const arena = new Arena()
    arena.allocate(64)
    expect(arena.check(address, 1, false)).toBe(-1)
  })

  test('a freed block is inaccessible', () => {
    const arena = new Arena()
    const block = arena.allocate(64) as number
    const address = arena.address(block)
    expect(arena.check(address, 64, true)).toBe(block)
    expect(arena.check(address, 65, false)).toBe(-1)
    arena.free(block)
    expect(arena.check(address, 1, false)).toBe(-1)
    expect(arena.offsetOf(address)).toBe(block)
  })

  test('a range that wraps or has a negative size fails', () => {
    const arena = new Arena()
    const block = arena.allocate(64) as number
    expect(arena.check(arena.address(block), 2 ** 40, false)).toBe(-1)
    expect(arena.check(arena.address(block), -8, false)).toBe(-1)
    expect(arena.check(arena.address(block), 0, false)).toBe(block)
  })
})

describe('grace periods', () => {
  test('callbacks wait for every program that runs, and for nothing else', () => {
    const grace = new Grace()
    const seen: string[] = []
    grace.defer(() => seen.push('idle'))
    expect(seen).toEqual(['idle'])
    grace.enter()
    grace.defer(() => seen.push('first'))
    grace.enter()
    grace.defer(() => seen.push('second'))
    grace.leave()
    expect(seen).toEqual(['idle'])
    grace.leave()
    expect(seen).toEqual(['idle', 'first', 'second'])
    expect(grace.isRunning).toBe(false)
    expect(() => grace.leave()).toThrow('without enter')
  })
})
