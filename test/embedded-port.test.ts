import { describe, expect, test } from 'vitest'
import { EFAULT } from '../src/abi/index.ts'
import { GuestUnderTest } from './support/guest.ts'

describe('the Port over the embedded machine', () => {
  test('knows who runs and who exists, by the types of the kernel itself', () => {
    using guest = new GuestUnderTest({ harts: 2, bootargs: 'script=-' })
    const { port } = guest.guest
    expect(port.taskExists(1)).toBe(false)
    while (guest.guest.run().kind !== 'idle');
    // init, and the shell that waits for input.
    expect([1, 2, 3].map((pid) => port.taskExists(pid))).toEqual([true, true, false])
    const all = port.allTasks()
    expect(all.map(({ pid, tgid, uid, comm }) => [pid, tgid, uid, comm])).toEqual([
      [1, 1, 0, 'init'],
      [2, 2, 0, 'sh'],
    ])
    const tasks = port.symbolByName('tasks')
    const within = (address: bigint) =>
      address >= (tasks?.address ?? 0n) && address < (tasks?.address ?? 0n) + BigInt(tasks?.sizeBytes ?? 0)
    expect(all.every(({ address }) => within(address ?? 0n))).toBe(true)
    expect(new Set(all.map(({ address }) => address)).size).toBe(2)
    // Both harts idle.
    expect([0, 1].map((cpu) => port.currentTask(cpu)?.comm)).toEqual(['idle/0', 'idle/1'])
  })

  test('reads kernel and user memory apart, and nothing where nothing is mapped', () => {
    using guest = new GuestUnderTest({ bootargs: 'script=-' })
    const { port } = guest.guest
    const text = port.symbolByName('sys_write')?.address as bigint
    const bytes = new Uint8Array(4)
    expect(port.readKernel(0, text, bytes)).toBe(0)
    expect(bytes.some((byte) => byte !== 0)).toBe(true)
    expect(port.readUser(0, text, bytes)).toBe(-EFAULT)
    expect(port.readKernel(0, 0n, bytes)).toBe(-EFAULT)
    expect(port.readKernel(0, 0xffff_ffff_ffff_fffen, bytes)).toBe(-EFAULT)
    expect(port.symbolAt(text + 2n)?.name).toBe('sys_write')
    expect(port.symbolAt(0n)).toBeUndefined()
  })
})
