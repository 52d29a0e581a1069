/** Helpers over map types that a test run on Linux cannot be compared for, since they need callbacks and stacks. */
import { beforeEach, describe, expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { type BpfMap, createMap, type MapDefinition, type UserRingBuffer } from '../maps/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { type HelperEnvironment, type HelperResult, helperBodies, helperByName } from './index.ts'

const T = abi.BPF_MAP_TYPE
const TASK = 0xffff_ffff_8000_1000n
let arena: Arena
let maps: Map<bigint, BpfMap>
let env: HelperEnvironment

beforeEach(() => {
  arena = new Arena()
  maps = new Map()
  env = {
    arena,
    cpu: 0,
    context: 0n,
    mapAt: (address) => maps.get(address),
    monotonicNs: () => 8_000_000n,
    bootNs: () => 0n,
    task: () => ({ pid: 12, tgid: 10, uid: 0, gid: 0, comm: 'cat', address: TASK }),
    random: () => 1,
    readKernel: () => -abi.EFAULT,
    readUser: () => -abi.EFAULT,
    tracePrint: () => {},
    callback: () => 0n,
    probedAddress: () => 0x1234n,
    attachCookie: () => 0n,
  }
})

function call(name: string, ...args: bigint[]): HelperResult {
  const body = helperBodies.get(helperByName(name)?.id ?? 0)
  if (body === undefined) throw new Error(`${name} has no body`)
  const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = args
  return body(env, r1, r2, r3, r4, r5)
}

function makeMap(definition: Partial<MapDefinition>): BpfMap {
  const host = { arena, grace: new Grace(), cpuCount: 1, random: () => 3 }
  const map = createMap(host, {
    type: 1,
    keySize: 4,
    valueSize: 8,
    maxEntries: 4,
    flags: 0,
    name: 'm',
    ...definition,
  })
  if (typeof map === 'number') throw new Error(abi.errnoName(map))
  maps.set(map.address, map)
  return map
}

function memory(...values: bigint[]): bigint {
  const offset = arena.allocate(values.length * 8) as number
  for (const [index, value] of values.entries()) arena.view.setBigUint64(offset + index * 8, value, true)
  return arena.address(offset)
}

const word = (address: bigint) => arena.view.getBigUint64(arena.offsetOf(address), true)
const fault = (argument: number, access: string) =>
  expect.objectContaining({ kind: 'fault', argument, access })

test('push, pop and peek look at their pointers', () => {
  const queue = makeMap({ type: T.BPF_MAP_TYPE_QUEUE, keySize: 0 })
  const value = memory(5n)
  expect(call('bpf_map_push_elem', queue.address, value, 0n)).toBe(0n)
  expect(call('bpf_map_push_elem', queue.address, value + 8n, 0n)).toEqual(fault(2, 'read'))
  expect(call('bpf_map_pop_elem', queue.address, value + 1n)).toEqual(fault(2, 'write'))
  expect(call('bpf_map_peek_elem', makeMap({}).address, value)).toEqual(fault(1, 'map'))
  const into = memory(0n)
  expect(call('bpf_map_peek_elem', queue.address, into)).toBe(0n)
  expect(word(into)).toBe(5n)
  expect(call('bpf_map_pop_elem', queue.address, into)).toBe(0n)
  expect(call('bpf_map_pop_elem', queue.address, into)).toBe(BigInt(-abi.ENOENT))
  expect(word(into)).toBe(0n)
})

describe('stacks', () => {
  const stacks = () => makeMap({ type: T.BPF_MAP_TYPE_STACK_TRACE, valueSize: 24, maxEntries: 64 })
  const readStack = (map: BpfMap, id: HelperResult) => {
    const value = map.read(new Uint8Array(Uint32Array.of(Number(id)).buffer), 0n)
    return typeof value === 'number' ? value : [...new BigUint64Array(value.buffer)]
  }

  test('without a way to walk, the kernel stack is the probed address', () => {
    const map = stacks()
    const id = call('bpf_get_stackid', 0n, map.address, 0n)
    expect(readStack(map, id)).toEqual([0x1234n, 0n, 0n])
    expect(call('bpf_get_stackid', 0n, map.address, 1n)).toBe(BigInt(-abi.EFAULT))
    expect(call('bpf_get_stackid', 0n, map.address, 1n << 8n)).toBe(BigInt(-abi.EFAULT))
  })

  test('frames are skipped, and those of user space kept apart', () => {
    env = { ...env, backtrace: (space) => (space === 'kernel' ? [1n, 2n, 3n, 4n, 5n] : [0x400n]) }
    const map = stacks()
    expect(readStack(map, call('bpf_get_stackid', 0n, map.address, 1n))).toEqual([2n, 3n, 4n])
    expect(readStack(map, call('bpf_get_stackid', 0n, map.address, 1n << 8n))).toEqual([0x400n, 0n, 0n])
    const buffer = memory(9n, 9n, 9n)
    expect(call('bpf_get_stack', 0n, buffer, 24n, 3n)).toBe(16n)
    expect([word(buffer), word(buffer + 8n), word(buffer + 16n)]).toEqual([4n, 5n, 0n])
    expect(call('bpf_get_stack', 0n, buffer, 24n, 5n)).toBe(0n)
    expect(call('bpf_get_stack', 0n, buffer, 24n, 6n)).toBe(BigInt(-abi.EFAULT))
  })
})

describe('task storage', () => {
  const storage = () =>
    makeMap({
      type: T.BPF_MAP_TYPE_TASK_STORAGE,
      maxEntries: 0,
      flags: abi.BPF_F_NO_PREALLOC,
      hasTypes: true,
    })

  test('a value is made on demand, and stays the task’s', () => {
    const map = storage()
    const get = (task: bigint, initial: bigint, flags: bigint) =>
      call('bpf_task_storage_get', map.address, task, initial, flags) as bigint
    expect(call('bpf_get_current_task')).toBe(TASK)
    expect(get(TASK, 0n, 0n)).toBe(0n)
    const value = get(TASK, memory(77n), 1n)
    expect(word(value)).toBe(77n)
    expect(get(TASK, memory(88n), 1n)).toBe(value)
    expect(get(TASK, 0n, 0n)).toBe(value)
    expect(word(value)).toBe(77n)
    expect(get(TASK, 0n, 2n)).toBe(0n)
    expect(get(0n, 0n, 1n)).toBe(0n)
    expect(get(TASK + 8n, 0n, 1n)).toBe(0n)
    expect(call('bpf_task_storage_delete', map.address, TASK)).toBe(0n)
    expect(call('bpf_task_storage_delete', map.address, TASK)).toBe(BigInt(-abi.ENOENT))
    expect(call('bpf_task_storage_delete', map.address, 0n)).toBe(BigInt(-abi.EINVAL))
    expect(word(get(TASK, 0n, 1n))).toBe(0n)
  })

  test('values of tasks that have ended are given back', () => {
    const map = storage()
    let pid = 0
    env = {
      ...env,
      task: () => ({ pid, tgid: 1, uid: 0, gid: 0, comm: 'x', address: TASK }),
      taskExists: (asked) => asked === pid,
    }
    for (pid = 1; pid <= 1000; pid++) call('bpf_task_storage_get', map.address, TASK, 0n, 1n)
    expect(map.count).toBeLessThan(130)
  })
})

test('user_ringbuf_drain gives its callback a dynptr of each record', () => {
  const ring = makeMap({
    type: T.BPF_MAP_TYPE_USER_RINGBUF,
    keySize: 0,
    valueSize: 0,
    maxEntries: 4096,
  }) as UserRingBuffer
  const { offset } = ring.regions.producerAndData
  for (const [index, value] of [11n, 22n].entries()) {
    arena.view.setUint32(offset + abi.PAGE_SIZE + index * 16, 8, true)
    arena.view.setBigUint64(offset + abi.PAGE_SIZE + index * 16 + 8, value, true)
  }
  arena.view.setBigUint64(offset, 32n, true)
  const into = memory(0n)
  const seen: bigint[] = []
  env = {
    ...env,
    callback: (address, dynptr, context) => {
      expect([address, context]).toEqual([0xabcn, 0xdefn])
      expect(call('bpf_dynptr_read', into, 8n, dynptr, 0n, 0n)).toBe(0n)
      expect(call('bpf_dynptr_read', into, 8n, dynptr, 1n, 0n)).toBe(BigInt(-abi.E2BIG))
      seen.push(word(into))
      return 0n
    },
  }
  const before = arena.allocatedBytes
  expect(call('bpf_user_ringbuf_drain', ring.address, 0xabcn, 0xdefn, 0n)).toBe(2n)
  expect(seen).toEqual([11n, 22n])
  expect(arena.allocatedBytes).toBe(before)
  expect(call('bpf_user_ringbuf_drain', ring.address, 0n, 0n, 4n)).toBe(BigInt(-abi.EINVAL))
})

test('a dynptr that a program made up reaches nothing', () => {
  const forged = memory(arena.address(4096), 8n)
  arena.free(arena.offsetOf(memory(1n)))
  const into = memory(0n)
  expect(call('bpf_dynptr_read', into, 8n, forged + 8n, 0n, 0n)).toEqual(fault(3, 'read'))
  const outside = memory(0xffff_ffff_8000_0000n, 8n)
  expect(call('bpf_dynptr_read', into, 8n, outside, 0n, 0n)).toEqual(fault(3, 'read'))
})

test('jiffies are 4 ms', () => {
  expect(call('bpf_jiffies64')).toBe(0x1_0000_0000n - 75_000n + 2n)
})
