import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AttachError } from '../client/index.ts'
import { FakeKernel, type FakeMap } from '../client/testing/fake-kernel.ts'
import { syscallNames } from './syscall-names.ts'
import { Syscount, type SyscountOptions, snapshotDifference } from './syscount.ts'

const object = readFileSync(new URL('../../bpf/syscount.bpf.o', import.meta.url))
const symbols = ['syscall_enter', 'syscall_dispatch']

function start(kernel: FakeKernel, options?: SyscountOptions): Syscount {
  const syscount = Syscount.start(object, kernel, options)
  if (!(syscount instanceof Syscount)) throw new Error(syscount.message)
  return syscount
}

const mapOf = (kernel: FakeKernel, name: string) =>
  kernel.objects('map').find(({ attr }) => attr.map_name === name) as FakeMap

/** Adds to a call's counters on one CPU, as the programs do. */
function count(
  kernel: FakeKernel,
  number: number,
  cpu: number,
  [calls, errors, ns]: [number, number, number],
): void {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(number)
  const view = new DataView(mapOf(kernel, 'calls').elements.get(key.toString('hex'))!.buffer)
  for (const [index, value] of [calls, errors, ns].entries()) {
    const at = cpu * 24 + index * 8
    view.setBigUint64(at, view.getBigUint64(at, true) + BigInt(value), true)
  }
}

function countProcess(kernel: FakeKernel, pid: number, cpus: readonly (readonly [string, number])[]): void {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(pid)
  const value = Buffer.alloc(80)
  for (const [cpu, [comm, calls]] of cpus.entries()) {
    value.writeBigUInt64LE(BigInt(calls), cpu * 40)
    value.write(comm, cpu * 40 + 24)
  }
  mapOf(kernel, 'processes').elements.set(key.toString('hex'), new Uint8Array(value))
}

test('sums the CPUs, names the calls, and puts the most frequent first', () => {
  const kernel = new FakeKernel({ symbols })
  using syscount = start(kernel)
  count(kernel, 63, 0, [5, 1, 100])
  count(kernel, 63, 1, [2, 0, 50])
  count(kernel, 64, 1, [9, 0, 10])
  count(kernel, 500, 0, [1, 0, 0])
  count(kernel, 1023, 0, [1, 1, 0])
  expect(syscount.snapshot()).toEqual({
    calls: [
      { number: 64, name: 'write', count: 9, errors: 0, timeNs: 10 },
      { number: 63, name: 'read', count: 7, errors: 1, timeNs: 150 },
      { number: 500, name: '[500]', count: 1, errors: 0, timeNs: 0 },
      { number: 1023, name: '[other]', count: 1, errors: 1, timeNs: 0 },
    ],
    processes: [],
    total: { count: 18, errors: 2, timeNs: 160 },
    lost: 0,
  })
})

test('counts on past 2^32', () => {
  const kernel = new FakeKernel({ symbols })
  using syscount = start(kernel)
  count(kernel, 63, 0, [2 ** 32 - 1, 0, 2 ** 40])
  count(kernel, 63, 1, [2, 0, 1])
  expect(syscount.snapshot().total).toEqual({ count: 2 ** 32 + 1, errors: 0, timeNs: 2 ** 40 + 1 })
})

test('names a process after the CPU where it was busiest', () => {
  const kernel = new FakeKernel({ symbols })
  using syscount = start(kernel, { byProcess: true })
  countProcess(kernel, 7, [
    ['init', 2],
    ['sh', 5],
  ])
  countProcess(kernel, 9, [
    ['cat', 20],
    ['', 0],
  ])
  expect(syscount.snapshot().processes).toEqual([
    { pid: 9, comm: 'cat', count: 20, errors: 0, timeNs: 0 },
    { pid: 7, comm: 'sh', count: 7, errors: 0, timeNs: 0 },
  ])
})

test('starts anew after a reset without touching the counters', () => {
  const kernel = new FakeKernel({ symbols })
  using syscount = start(kernel)
  count(kernel, 63, 0, [5, 1, 100])
  const first = syscount.snapshot()
  syscount.reset()
  expect(syscount.snapshot().calls).toEqual([])
  count(kernel, 63, 1, [3, 1, 7])
  const row = { number: 63, name: 'read', count: 3, errors: 1, timeNs: 7 }
  expect(syscount.snapshot().calls).toEqual([row])
  expect(
    snapshotDifference({ ...first, calls: [{ ...row, count: 8, errors: 2, timeNs: 107 }] }, first).calls,
  ).toEqual([row])
})

test('tells the programs what to count', () => {
  const kernel = new FakeKernel({ symbols })
  using _ = start(kernel, { pid: 42, failedOnly: true, byProcess: true })
  expect(mapOf(kernel, 'syscount.rodata').elements.get('00000000')).toEqual(Uint8Array.of(42, 0, 0, 0, 1, 1))
})

describe('lifetime', () => {
  test('detaching ends the counting but not the reading; disposing ends all', () => {
    const kernel = new FakeKernel({ symbols })
    {
      using syscount = start(kernel)
      count(kernel, 63, 0, [1, 0, 0])
      syscount.detach()
      expect(kernel.objects('event')).toEqual([])
      expect(syscount.snapshot().total.count).toBe(1)
    }
    expect(kernel.fds.size).toBe(0)
    expect(kernel.memory.allocations).toBe(0)
  })

  test('what cannot be attached leaves nothing behind', () => {
    const kernel = new FakeKernel({ symbols: ['syscall_enter'] })
    const error = Syscount.start(object, kernel)
    expect(error).toBeInstanceOf(AttachError)
    expect(error).toMatchObject({ code: 'unknown-symbol', target: 'syscall_dispatch' })
    expect(kernel.fds.size).toBe(0)
  })
})

test('names are those of the generic table', () => {
  const names = syscallNames({ 1000: 'syscall_count' })
  const some = {
    0: 'io_setup',
    17: 'getcwd',
    56: 'openat',
    93: 'exit',
    220: 'clone',
    280: 'bpf',
    435: 'clone3',
  }
  for (const [number, name] of Object.entries(some)) expect(names.get(Number(number))).toBe(name)
  expect(names.get(258)).toBe('riscv_hwprobe')
  expect(names.get(38)).toBeUndefined()
  expect(names.get(1000)).toBe('syscall_count')
  expect(new Set(names.values()).size).toBe(names.size)
})
