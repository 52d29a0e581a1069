import { beforeEach, describe, expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import {
  type BpfMap,
  createMap,
  type MapDefinition,
  PerfRing,
  type ReferenceArray,
  type RingBuffer,
} from '../maps/index.ts'
import { Arena, Grace } from '../memory/index.ts'
import { type HelperEnvironment, type HelperResult, helperBodies, helperByName } from './index.ts'

const KERNEL = 0xffff_ffff_8000_0000n
const USER = 0x7fff_0000n

let arena: Arena
let maps: Map<bigint, BpfMap>
let printed: string[]
let env: HelperEnvironment
/** Bytes of the guest: kernel at KERNEL, user at USER, 100 bytes each, mapped up to there. */
const guest = new TextEncoder().encode(`kernel string\0${'k'.repeat(86)}`)

beforeEach(() => {
  arena = new Arena()
  maps = new Map()
  printed = []
  const from = (base: bigint) => (address: bigint, into: Uint8Array) => {
    const start = Number(address - base)
    if (start < 0 || start + into.length > guest.length) return -abi.EFAULT
    into.set(guest.subarray(start, start + into.length))
    return 0
  }
  env = {
    arena,
    cpu: 1,
    context: 0n,
    mapAt: (address) => maps.get(address),
    monotonicNs: () => 1_000n,
    bootNs: () => 3_000n,
    task: () => ({ pid: 12, tgid: 10, uid: 1000, gid: 100, comm: 'cat' }),
    random: () => 0xffff_fffe,
    readKernel: from(KERNEL),
    readUser: from(USER),
    tracePrint: (text) => printed.push(text),
    callback: () => 0n,
    probedAddress: () => 0xffff_0000n,
    attachCookie: () => 42n,
    symbolAt: (address) =>
      address >= KERNEL ? { name: 'do_work', address: KERNEL, sizeBytes: 0x40 } : undefined,
  }
})

function call(name: string, ...args: bigint[]): HelperResult {
  const body = helperBodies.get(helperByName(name)?.id ?? 0)
  if (body === undefined) throw new Error(`${name} has no body`)
  const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = args
  return body(env, r1, r2, r3, r4, r5)
}

/** Memory that the program owns. */
function memory(contents: string | number): bigint {
  const bytes = typeof contents === 'string' ? new TextEncoder().encode(contents) : new Uint8Array(contents)
  const offset = arena.allocate(bytes.length) as number
  arena.bytes.set(bytes, offset)
  return arena.address(offset)
}

const show = (address: bigint, length: number) => {
  const offset = arena.offsetOf(address)
  return new TextDecoder().decode(arena.bytes.slice(offset, offset + length))
}

function makeMap(definition: Partial<MapDefinition>): BpfMap {
  const host = { arena, grace: new Grace(), cpuCount: 2, random: () => 3 }
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

const T = abi.BPF_MAP_TYPE
const fault = (argument: number, access: string) =>
  expect.objectContaining({ kind: 'fault', argument, access })

describe('maps', () => {
  test('update, look up, delete', () => {
    const map = makeMap({})
    const [key, value] = [memory('key1'), memory('value123')]
    expect(call('bpf_map_lookup_elem', map.address, key)).toBe(0n)
    expect(call('bpf_map_update_elem', map.address, key, value, 2n)).toBe(BigInt(-abi.ENOENT))
    expect(call('bpf_map_update_elem', map.address, key, value, 1n << 32n)).toBe(BigInt(-abi.EINVAL))
    expect(call('bpf_map_update_elem', map.address, key, value, 0n)).toBe(0n)
    expect(show(call('bpf_map_lookup_elem', map.address, key) as bigint, 8)).toBe('value123')
    expect(call('bpf_map_delete_elem', map.address, key)).toBe(0n)
    expect(call('bpf_map_delete_elem', map.address, key)).toBe(BigInt(-abi.ENOENT))
  })

  test('what is no map, no key or no value is a fault', () => {
    const map = makeMap({})
    const [key, value] = [memory('key1'), memory('value12')]
    expect(call('bpf_map_lookup_elem', map.address + 8n, key)).toEqual(fault(1, 'map'))
    expect(call('bpf_map_lookup_elem', map.address, 0n)).toEqual(fault(2, 'read'))
    expect(call('bpf_map_lookup_elem', map.address, key + 1n)).toEqual(fault(2, 'read'))
    expect(call('bpf_map_update_elem', map.address, key, value, 0n)).toEqual(fault(3, 'read'))
    expect(call('bpf_map_delete_elem', map.address, map.address)).toEqual(fault(2, 'read'))
  })

  test('a map that programs may only read', () => {
    const map = makeMap({ flags: abi.BPF_F_RDONLY_PROG })
    const [key, value] = [memory('key1'), memory('value123')]
    expect(call('bpf_map_update_elem', map.address, key, value, 0n)).toEqual(fault(1, 'map'))
    expect(call('bpf_map_delete_elem', map.address, key)).toEqual(fault(1, 'map'))
  })

  test('values of other CPUs', () => {
    const map = makeMap({ type: T.BPF_MAP_TYPE_PERCPU_ARRAY })
    const key = memory(4)
    const own = call('bpf_map_lookup_elem', map.address, key) as bigint
    expect(call('bpf_map_lookup_percpu_elem', map.address, key, 1n)).toBe(own)
    expect(call('bpf_map_lookup_percpu_elem', map.address, key, 0n)).toBe(own - 8n)
    expect(call('bpf_map_lookup_percpu_elem', map.address, key, 2n)).toBe(0n)
  })

  test('for each element', () => {
    const map = makeMap({ type: T.BPF_MAP_TYPE_ARRAY })
    const seen: bigint[][] = []
    const visiting = (answer: (visits: number) => bigint | undefined): HelperResult => {
      seen.length = 0
      env = { ...env, callback: (...args) => answer(seen.push(args)) }
      return call('bpf_for_each_map_elem', map.address, 0xabcn, 0xdefn, 0n)
    }
    expect(visiting(() => 0n)).toBe(4n)
    expect(seen[0]?.[0]).toBe(0xabcn)
    expect(seen[0]?.[1]).toBe(map.address)
    expect(seen.map((args) => (args[3] as bigint) - (seen[0]?.[3] as bigint))).toEqual([0n, 8n, 16n, 24n])
    expect(visiting((visits) => (visits === 2 ? 1n : 0n))).toBe(2n)
    expect(visiting(() => undefined)).toEqual(fault(2, 'call'))
    expect(call('bpf_for_each_map_elem', map.address, 0n, 0n, 1n)).toBe(BigInt(-abi.EINVAL))
  })
})

describe('context', () => {
  test.each([
    ['bpf_ktime_get_ns', 1_000n],
    ['bpf_ktime_get_boot_ns', 3_000n],
    ['bpf_ktime_get_coarse_ns', 1_000n],
    ['bpf_get_smp_processor_id', 1n],
    ['bpf_get_numa_node_id', 0n],
    ['bpf_get_prandom_u32', 0xffff_fffen],
    ['bpf_get_current_pid_tgid', (10n << 32n) | 12n],
    ['bpf_get_current_uid_gid', (100n << 32n) | 1000n],
    ['bpf_get_func_ip', 0xffff_0000n],
    ['bpf_get_attach_cookie', 42n],
  ])('%s', (name, expected) => {
    expect(call(name)).toBe(expected)
  })

  test('the name of the task is cut and padded with zeros', () => {
    const buffer = memory('xxxxxxxx')
    expect(call('bpf_get_current_comm', buffer, 8n)).toBe(0n)
    expect(show(buffer, 8)).toBe('cat\0\0\0\0\0')
    expect(call('bpf_get_current_comm', buffer, 3n)).toBe(0n)
    expect(show(buffer, 3)).toBe('ca\0')
    expect(call('bpf_get_current_comm', buffer, 9n)).toEqual(fault(1, 'write'))
  })

  test('a CPU without a task runs its idle task', () => {
    env = { ...env, task: () => undefined }
    const buffer = memory(16)
    expect(call('bpf_get_current_pid_tgid')).toBe(0n)
    expect(call('bpf_get_current_uid_gid')).toBe(0n)
    call('bpf_get_current_comm', buffer, 16n)
    expect(show(buffer, 9)).toBe('swapper/1')
  })
})

describe("reads of memory that is not the program's", () => {
  test.each([
    ['bpf_probe_read', KERNEL],
    ['bpf_probe_read', USER],
    ['bpf_probe_read_kernel', KERNEL],
    ['bpf_probe_read_user', USER],
    ['bpf_copy_from_user', USER],
  ])('%s', (name, base) => {
    const buffer = memory('????????')
    expect(call(name, buffer, 8n, base)).toBe(0n)
    expect(show(buffer, 8)).toBe('kernel s')
    expect(call(name, buffer, 8n, base + 96n)).toBe(BigInt(-abi.EFAULT))
    expect(show(buffer, 8)).toBe('\0'.repeat(8))
    expect(call(name, buffer, 9n, base)).toEqual(fault(1, 'write'))
    expect(call(name, buffer, 0n, 0n)).toBe(0n)
  })

  test.each([
    ['bpf_probe_read_str', KERNEL],
    ['bpf_probe_read_str', USER],
    ['bpf_probe_read_kernel_str', KERNEL],
    ['bpf_probe_read_user_str', USER],
  ])('%s', (name, base) => {
    const buffer = memory('?'.repeat(40))
    expect(call(name, buffer, 40n, base)).toBe(14n)
    expect(show(buffer, 14)).toBe('kernel string\0')
    expect(call(name, buffer, 7n, base)).toBe(7n)
    expect(show(buffer, 7)).toBe('kernel\0')
    // a string that runs into unmapped memory
    expect(call(name, buffer, 40n, base + 90n)).toBe(BigInt(-abi.EFAULT))
    expect(show(buffer, 40)).toBe('\0'.repeat(40))
    expect(call(name, buffer, 0n, base)).toBe(0n)
  })

  test("the program's own memory is kernel memory", () => {
    const [source, buffer] = [memory('own text\0'), memory(16)]
    expect(call('bpf_probe_read_kernel', buffer, 8n, source)).toBe(0n)
    expect(show(buffer, 8)).toBe('own text')
    expect(call('bpf_probe_read_kernel_str', buffer, 16n, source)).toBe(9n)
    expect(call('bpf_probe_read_user', buffer, 8n, source)).toBe(BigInt(-abi.EFAULT))
    for (const wrong of [arena.address(0), arena.address(4095), arena.address(arena.bytes.length - 4)]) {
      expect(call('bpf_probe_read_kernel', buffer, 8n, wrong)).toBe(BigInt(-abi.EFAULT))
    }
  })
})

describe('text', () => {
  test('trace_printk', () => {
    const format = memory('pid %d said %s\n\0')
    expect(call('bpf_trace_printk', format, 16n, 7n, memory('hi\0'))).toBe(14n)
    expect(printed).toEqual(['pid 7 said hi\n'])
    expect(call('bpf_trace_printk', format, 14n)).toBe(BigInt(-abi.EINVAL))
    const four = memory('%d %d %d %d\0')
    expect(call('bpf_trace_printk', four, 12n)).toBe(BigInt(-abi.EINVAL))
    expect(call('bpf_trace_printk', format, 17n)).toEqual(fault(1, 'read'))
    expect(printed).toHaveLength(1)
  })

  test('a line is cut at 1,023 characters, and its whole length given', () => {
    expect(call('bpf_trace_printk', memory('%1500d\0'), 7n, 7n)).toBe(1500n)
    expect(printed[0]).toHaveLength(1023)
  })

  test('trace_vprintk', () => {
    const args = memory(24)
    arena.view.setBigUint64(arena.offsetOf(args) + 16, 5n, true)
    expect(call('bpf_trace_vprintk', memory('%d%d%d\0'), 7n, args, 24n)).toBe(3n)
    expect(printed).toEqual(['005'])
    expect(call('bpf_trace_vprintk', memory('x\0'), 2n, 0n, 0n)).toBe(1n)
    expect(call('bpf_trace_vprintk', memory('%d\0'), 3n, args, 7n)).toBe(BigInt(-abi.EINVAL))
    expect(call('bpf_trace_vprintk', memory('%d\0'), 3n, 0n, 8n)).toBe(BigInt(-abi.EINVAL))
    expect(call('bpf_trace_vprintk', memory('%d\0'), 3n, args, 104n)).toBe(BigInt(-abi.EINVAL))
    expect(call('bpf_trace_vprintk', memory('%d\0'), 3n, args + 8n, 24n)).toEqual(fault(3, 'read'))
  })

  test.each([
    ['%px', KERNEL + 5n, 'ffffffff80000005'],
    ['%ps', KERNEL + 5n, 'do_work'],
    ['%pS', KERNEL + 5n, 'do_work+0x5/0x40'],
    ['%pB', KERNEL + 5n, 'do_work+0x5/0x40'],
    ['%pS', 0x1234n, '0x1234'],
    ['%p', 0n, '0000000000000000'],
    ['%p', 0xffff_ffff_ffff_fffen, 'fffffffffffffffe'],
    ['%pks', KERNEL, 'kernel string'],
    ['%pus', USER, 'kernel string'],
    ['%s', KERNEL, 'kernel string'],
    ['%pus', KERNEL, ''],
    ['%pI4', KERNEL, '107.101.114.110'],
  ])('snprintf("%s", 0x%x)', (format, value, expected) => {
    const [buffer, args] = [memory(64), memory(8)]
    arena.view.setBigUint64(arena.offsetOf(args), value, true)
    const length = call('bpf_snprintf', buffer, 64n, memory(`${format}\0`), args, 8n)
    expect(length).toBe(BigInt(expected.length + 1))
    expect(show(buffer, expected.length + 1)).toBe(`${expected}\0`)
  })

  test('%p hides the address, and is the same for the same one', () => {
    const [buffer, args] = [memory(64), memory(16)]
    arena.view.setBigUint64(arena.offsetOf(args), KERNEL, true)
    arena.view.setBigUint64(arena.offsetOf(args) + 8, KERNEL, true)
    call('bpf_snprintf', buffer, 64n, memory('%p %pK\0'), args, 16n)
    const [first, second] = show(buffer, 33).split(' ')
    expect(first).toMatch(/^00000000[0-9a-f]{8}$/)
    expect(second).toBe(first)
  })

  test('snprintf looks at its pointers', () => {
    const [buffer, format] = [memory(8), memory('abc')]
    expect(call('bpf_snprintf', buffer, 9n, memory('x\0'))).toEqual(fault(1, 'write'))
    expect(call('bpf_snprintf', buffer, 8n, format)).toEqual(fault(3, 'read'))
    expect(call('bpf_snprintf', 0n, 0n, memory('four\0'))).toBe(5n)
    expect(call('bpf_snprintf', buffer, 8n, memory('%d\0'), 0n, 8n)).toBe(BigInt(-abi.EINVAL))
  })

  test.each([
    ['abc', 'abc\0', 0n],
    ['abc', 'abd\0', -1n],
    ['abd', 'abc\0', 1n],
    ['abc', 'abcdef\0', 0n],
    ['ab\0x', 'ab\0y\0', 0n],
    ['abc', 'ab\0', 1n],
    ['\xff', 'a\0', 1n],
  ])('strncmp("%s", "%s")', (first, second, expected) => {
    expect(
      call('bpf_strncmp', memory(first), BigInt(new TextEncoder().encode(first).length), memory(second)),
    ).toBe(expected)
  })

  test('strtol stores the number and gives the characters', () => {
    const result = memory(8)
    expect(call('bpf_strtol', memory(' -42x'), 5n, 0n, result)).toBe(4n)
    expect(arena.view.getBigInt64(arena.offsetOf(result), true)).toBe(-42n)
    expect(call('bpf_strtoul', memory('-1'), 2n, 10n, result)).toBe(BigInt(-abi.EINVAL))
    expect(arena.view.getBigInt64(arena.offsetOf(result), true)).toBe(0n)
    expect(call('bpf_strtol', memory('1'), 1n, 0n, result + 1n)).toEqual(fault(4, 'write'))
  })
})

describe('output', () => {
  test('ring buffer', () => {
    const ring = makeMap({
      type: T.BPF_MAP_TYPE_RINGBUF,
      keySize: 0,
      valueSize: 0,
      maxEntries: 4096,
    }) as RingBuffer
    const hash = makeMap({})
    expect(call('bpf_ringbuf_output', ring.address, memory('hello'), 5n, 0n)).toBe(0n)
    expect(call('bpf_ringbuf_output', ring.address, memory('hello'), 6n, 0n)).toEqual(fault(2, 'read'))
    expect(call('bpf_ringbuf_output', ring.address, memory('hello'), 1n << 40n, 0n)).toEqual(fault(2, 'read'))
    expect(call('bpf_ringbuf_output', hash.address, memory('hello'), 5n, 0n)).toEqual(fault(1, 'map'))
    const record = call('bpf_ringbuf_reserve', ring.address, 16n, 0n) as bigint
    expect(call('bpf_ringbuf_submit', record + 8n, 0n)).toEqual(fault(1, 'record'))
    expect(call('bpf_ringbuf_submit', record, 0n)).toBe(0n)
    expect(call('bpf_ringbuf_submit', record, 0n)).toEqual(fault(1, 'record'))
    expect(call('bpf_ringbuf_discard', hash.address, 0n)).toEqual(fault(1, 'record'))
    expect(call('bpf_ringbuf_discard', 0n, 0n)).toEqual(fault(1, 'record'))
    const second = call('bpf_ringbuf_reserve', ring.address, 16n, 0n) as bigint
    expect(call('bpf_ringbuf_discard', second, 0n)).toBe(0n)
    expect(call('bpf_ringbuf_reserve', ring.address, 8000n, 0n)).toBe(0n)
    expect(call('bpf_ringbuf_reserve', ring.address, 8n, 1n)).toBe(0n)
    expect(call('bpf_ringbuf_query', ring.address, abi.BPF_RB_AVAIL_DATA)).toBe(64n)
  })

  test("perf events: the entry is the array's, whoever fires", () => {
    const map = makeMap({
      type: T.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
      valueSize: 4,
      maxEntries: 4,
    }) as ReferenceArray
    const ring = PerfRing.create(arena, { dataPages: 1, wakeupEvents: 1, id: 1n }) as PerfRing
    map.setEntry(1, { takesBpfOutput: true, activeCpu: 1, ring }, 0n)
    map.setEntry(2, { takesBpfOutput: false, activeCpu: 1, ring }, 0n)
    map.setEntry(3, { takesBpfOutput: true, activeCpu: 0, ring }, 0n)
    const data = memory('sample')
    const output = (flags: bigint, size = 6n) =>
      call('bpf_perf_event_output', 0n, map.address, flags, data, size)
    expect(output(abi.BPF_F_CURRENT_CPU)).toBe(0n)
    expect(output(1n)).toBe(0n)
    expect(output(0n)).toBe(BigInt(-abi.ENOENT))
    expect(output(2n)).toBe(BigInt(-abi.EINVAL))
    expect(output(3n)).toBe(BigInt(-abi.EOPNOTSUPP))
    expect(output(4n)).toBe(BigInt(-abi.E2BIG))
    expect(output(1n << 32n)).toBe(BigInt(-abi.EINVAL))
    expect(output(1n, 7n)).toEqual(fault(4, 'read'))
    expect(call('bpf_perf_event_output', 0n, makeMap({}).address, 0n, data, 6n)).toEqual(fault(2, 'map'))
    map.setEntry(0, { takesBpfOutput: true, activeCpu: 1, ring: undefined }, 0n)
    expect(output(0n)).toBe(BigInt(-abi.ENOSPC))
  })
})

describe('control', () => {
  test('tail calls', () => {
    const map = makeMap({ type: T.BPF_MAP_TYPE_PROG_ARRAY, valueSize: 4 }) as ReferenceArray
    const program = { name: 'next' }
    map.setEntry(2, program, 0n)
    expect(call('bpf_tail_call', 0n, map.address, 2n)).toEqual({ kind: 'tailCall', program })
    expect(call('bpf_tail_call', 0n, map.address, (1n << 32n) | 2n)).toEqual({ kind: 'tailCall', program })
    expect(call('bpf_tail_call', 0n, map.address, 1n)).toBe(BigInt(-abi.ENOENT))
    expect(call('bpf_tail_call', 0n, map.address, 0xffff_ffffn)).toBe(BigInt(-abi.ENOENT))
    expect(call('bpf_tail_call', 0n, makeMap({}).address, 0n)).toEqual(fault(2, 'map'))
  })

  test('loops', () => {
    const indexes: bigint[] = []
    env = { ...env, callback: (_address, index) => (indexes.push(index) && index === 3n ? 1n : 0n) }
    expect(call('bpf_loop', 3n, 0x10n, 0n, 0n)).toBe(3n)
    expect(call('bpf_loop', 10n, 0x10n, 0n, 0n)).toBe(4n)
    expect(indexes).toEqual([0n, 1n, 2n, 0n, 1n, 2n, 3n])
    expect(call('bpf_loop', 10n, 0x10n, 0n, 1n)).toBe(BigInt(-abi.EINVAL))
    expect(call('bpf_loop', (1n << 23n) + 1n, 0x10n, 0n, 0n)).toBe(BigInt(-abi.E2BIG))
    env = { ...env, callback: () => undefined }
    expect(call('bpf_loop', 10n, 0x10n, 0n, 0n)).toEqual(fault(2, 'call'))
  })
})

test('bpf_probe_write_user copies to the current task, where there is one and it may', () => {
  const written: [bigint, string][] = []
  const source = arena.allocate(8) as number
  arena.bytes.set([1, 2, 3, 4], source)
  const write = (size: bigint) => call('bpf_probe_write_user', USER, arena.address(source), size)
  expect(write(4n)).toBe(BigInt(-abi.EPERM))
  const { task } = env
  env = {
    ...env,
    writeUser: (address, bytes) => {
      written.push([address, bytes.join()])
      return address === USER ? 0 : -abi.EFAULT
    },
  }
  expect(write(4n)).toBe(0n)
  expect(written).toEqual([[USER, '1,2,3,4']])
  expect(call('bpf_probe_write_user', 8n, arena.address(source), 1n)).toBe(BigInt(-abi.EFAULT))
  expect(write(9n)).toMatchObject({ kind: 'fault', argument: 2, access: 'read' })
  env = { ...env, task: () => undefined }
  expect(write(4n)).toBe(BigInt(-abi.EPERM))
  env = { ...env, task }
})
