import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Heap } from './heap.ts'
import { RegionIndex } from './region-index.ts'

/** Addresses for buffers, far apart; the order is not that of their making. */
function fakeAddresses() {
  let next = 0x7f00_0000_0000
  return (buffer: ArrayBuffer): number => {
    next += 2 ** 30 * (next % 3 === 0 ? 2 : -1) + buffer.byteLength * 16 + 16
    return next - (next % 16)
  }
}

test('allocations are zeroed, aligned, apart from each other and checked to the byte', () => {
  const sizes = fc.oneof(fc.nat(64), fc.nat(5000), fc.constantFrom(16384, 16385, 70_000))
  const step = fc.oneof(
    fc.record({ kind: fc.constant('allocate' as const), size: sizes }),
    fc.record({ kind: fc.constant('free' as const), which: fc.nat(30) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const heap = new Heap(fakeAddresses())
      const live = new Map<number, { size: number; fill: number }>()
      let fill = 0
      for (const one of steps) {
        if (one.kind === 'allocate') {
          const address = heap.allocate(one.size)
          expect(address % 8).toBe(0)
          const bytes = heap.view(address, one.size)
          expect(bytes?.every((byte) => byte === 0)).toBe(true)
          fill = (fill % 255) + 1
          bytes?.fill(fill)
          live.set(address, { size: one.size, fill })
        } else if (live.size > 0) {
          const address = [...live.keys()][one.which % live.size] as number
          expect(heap.free(address)).toBe(true)
          expect(heap.free(address)).toBe(false)
          expect(heap.view(address, 1)).toBeUndefined()
          live.delete(address)
        }
        expect(heap.allocations).toBe(live.size)
      }
      for (const [address, { size, fill }] of live) {
        expect(heap.view(address, size)?.every((byte) => byte === fill)).toBe(true)
        expect(heap.view(address, size + 1)).toBeUndefined()
        if (size > 2) expect(heap.view(address + 2, size - 2)?.length).toBe(size - 2)
        if (size > 0) expect(heap.free(address + 1)).toBe(false)
      }
    }),
    { numRuns: 60 },
  )
})

test('small blocks are used again', () => {
  let slabs = 0
  const addresses = fakeAddresses()
  const heap = new Heap((buffer) => {
    slabs++
    return addresses(buffer)
  })
  for (let round = 0; round < 10_000; round++) {
    const pair = [heap.allocate(100), heap.allocate(120)]
    for (const address of pair) heap.free(address)
  }
  expect(slabs).toBe(1)
  const many = Array.from({ length: 3000 }, () => heap.allocate(128))
  expect(new Set(many).size).toBe(3000)
  expect(slabs).toBe(3)
  for (const address of many) heap.free(address)
  for (let index = 0; index < 3000; index++) heap.allocate(65)
  expect(slabs).toBe(3)
})

test.each([-1, 1.5, Number.NaN, 2 ** 60])('a size of %d is a mistake', (size) => {
  expect(() => new Heap(fakeAddresses()).allocate(size)).toThrow(RangeError)
})

test('regions are found by any address inside them, and by no other', () => {
  const starts = fc.uniqueArray(fc.nat(200), { maxLength: 40 })
  fc.assert(
    fc.property(starts, fc.array(fc.nat(200)), (bases, dropped) => {
      const index = new RegionIndex<{ base: number; lengthBytes: number }>()
      const regions = bases.map((base) => ({ base: base * 10, lengthBytes: 1 + (base % 10) }))
      for (const region of regions) index.add(region)
      const live = regions.filter(({ base }) => !dropped.includes(base / 10))
      for (const region of regions) if (!live.includes(region)) index.delete(region)
      expect([...index]).toEqual([...live].sort((a, b) => a.base - b.base))
      const wrong = Array.from({ length: 2010 }, (_, address) => address).filter(
        (address) =>
          index.find(address) !==
          live.find(({ base, lengthBytes }) => address >= base && address < base + lengthBytes),
      )
      expect(wrong).toEqual([])
    }),
    { numRuns: 30 },
  )
})
