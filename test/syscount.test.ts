import { describe, expect, test } from 'vitest'
import { Syscount } from '../src/tools/index.ts'
import { GuestUnderTest, repositoryFile } from './support/guest.ts'

/** The sizes of the guest's tables (guest/kernel/syscall.c). */
const SYSCALL_LIMIT = 512
const PRIVATE_CALLS = 1000

/** Stands for all the numbers that the guest's tables have no room for. */
const OTHER = -1

/** What the guest kernel itself counted, by number. */
function guestCounts(guest: GuestUnderTest): Map<number, number> {
  const counts = new Map<number, number>()
  const add = (first: number, words: BigUint64Array) =>
    words.forEach((count, i) => {
      if (count > 0n) counts.set(first + i, Number(count))
    })
  add(0, guest.readWords('syscall_counts'))
  add(PRIVATE_CALLS, guest.readWords('private_syscall_counts'))
  add(OTHER, guest.readWords('other_syscall_count'))
  return counts
}

describe.each([1, 2, 4])('syscount on %i harts', (harts) => {
  test('counts every call exactly as often as the guest kernel does', () => {
    using guest = new GuestUnderTest({ harts, bootargs: 'script=/etc/rc.short' })
    using syscount = Syscount.start(repositoryFile('bpf/syscount.bpf.o'), guest.client, {
      byProcess: true,
    }) as Syscount
    expect(syscount).toBeInstanceOf(Syscount)
    guest.runToEnd()

    const { calls, processes, total, lost } = syscount.snapshot()
    expect(lost).toBe(0)
    const expected = guestCounts(guest)
    expect(expected.size).toBeGreaterThan(20)
    const counted = new Map<number, number>()
    for (const { number, count } of calls) {
      const known = number < SYSCALL_LIMIT || (number >= PRIVATE_CALLS && number < PRIVATE_CALLS + 16)
      const key = known ? number : OTHER
      if (count > 0) counted.set(key, (counted.get(key) ?? 0) + count)
    }
    const byNumber = (map: Map<number, number>) => [...map].sort(([a], [b]) => a - b)
    expect(byNumber(counted)).toEqual(byNumber(expected))

    const sum = [...expected.values()].reduce((a, b) => a + b)
    expect(total.count).toBe(sum)
    expect(processes.reduce((a, process) => a + process.count, 0)).toBe(sum)
    expect(guest.guest.kernel.stats()).toMatchObject({ faults: 0, recursionMisses: 0 })
  })
})
