import { describe, expect, test } from 'vitest'
import { Arena } from './arena.ts'
import { PagedMemory } from './paged-memory.ts'

const PAGE = 4096

function paged(pageCount: number, arena = new Arena()) {
  const memory = PagedMemory.create(arena, pageCount)
  if (memory === undefined) throw new Error('no room')
  return { arena, memory }
}

describe.each([
  ['one group', 100],
  ['many groups', 5000],
])('%s', (_name, pageCount) => {
  test('what is not there is neither read nor written', () => {
    const { memory } = paged(pageCount)
    memory.add(1)
    const into = Uint8Array.of(9, 9)
    expect(memory.read(0, into)).toBe(false)
    expect(memory.read(2 * PAGE - 1, into)).toBe(false)
    expect(memory.write(PAGE - 1, Uint8Array.of(1, 2))).toBe(false)
    expect([...into]).toEqual([9, 9])
    expect(memory.read(PAGE, into)).toBe(true)
    expect([...into]).toEqual([0, 0])
    expect(memory.read(pageCount * PAGE - 1, into)).toBe(false)
    expect(memory.read(-1, into)).toBe(false)
  })

  test('a range across pages is copied, and is one piece inside a group', () => {
    const { arena, memory } = paged(pageCount)
    const edge = pageCount === 100 ? 50 : 64
    memory.add(edge - 1)
    memory.add(edge)
    memory.add(edge + 1)
    expect(memory.write(edge * PAGE - 1, Uint8Array.of(1, 2))).toBe(true)
    const into = new Uint8Array(4)
    expect(memory.read(edge * PAGE - 2, into)).toBe(true)
    expect([...into]).toEqual([0, 1, 2, 0])
    const offset = memory.offsetOf(edge * PAGE, PAGE + 1)
    expect(arena.bytes[offset]).toBe(2)
    expect(memory.offsetOf(edge * PAGE - 1, 2) >= 0).toBe(edge % (memory.pieceBytes / PAGE) !== 0)
  })

  test('a page that comes again is zero, and the last one of a group gives its memory back', () => {
    const { arena, memory } = paged(pageCount)
    const before = arena.allocatedBytes
    memory.add(3)
    memory.add(5)
    memory.write(3 * PAGE, Uint8Array.of(7))
    memory.remove(3)
    expect([memory.has(3), memory.has(5), memory.presentPages]).toEqual([false, true, 1])
    memory.add(3)
    expect(arena.bytes[memory.offsetOf(3 * PAGE, 1)]).toBe(0)
    memory.remove(3)
    memory.remove(5)
    memory.remove(5)
    expect(arena.allocatedBytes).toBe(before)
    memory.add(0)
    memory[Symbol.dispose]()
    expect(arena.allocatedBytes).toBeLessThan(before)
  })
})

test('without room there is no page', () => {
  const arena = new Arena({ maximumBytes: 2 ** 20 })
  const { memory } = paged(5000, arena)
  let added = 0
  while (memory.add(added * 64)) added++
  expect(added).toBeLessThan(4)
  expect(memory.has(added * 64)).toBe(false)
})
