/** A struct of functions that the embedder's kernel calls: from programs to its registration and back. */
import { describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_F_LINK,
  BPF_LINK_INFO_SIZE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  bpfLinkInfoStructOps,
  btfLoadAttr,
  EBUSY,
  EINPROGRESS,
  EINVAL,
  ENOENT,
  ENOLINK,
  EOPNOTSUPP,
  EPERM,
  linkCreatePerfEventAttr,
  linkDetachAttr,
  linkUpdateAttr,
  mapElemAttr,
  objGetInfoAttr,
} from '../../abi/index.ts'
import { BTF_KIND, Btf, type BtfId, BtfWriter } from '../../btf/index.ts'
import { createKernel } from '../kernel.ts'
import { Caller } from '../testing/caller.ts'
import { TinyPort } from '../testing/tiny-port.ts'
import type { StructOps, StructOpsType } from './types.ts'

const DATA = 64
const VALUE_BYTES = 128
const ADD = 0
const SUM = 1

/** struct counter_ops { int (*add)(int, struct total *); int (*sum)(void); int limit; }, and the value of its maps. */
function counterTypes(): Uint8Array {
  const writer = new BtfWriter()
  const int = writer.add({
    kind: BTF_KIND.INT,
    name: 'int',
    size: 4,
    isSigned: true,
    isChar: false,
    isBool: false,
    bits: 32,
    bitOffset: 0,
  })
  const struct = (name: string, size: number, members: readonly [string, BtfId, number][]) =>
    writer.add({
      kind: BTF_KIND.STRUCT,
      name,
      size,
      members: members.map(([member, type, offset]) => ({
        name: member,
        type,
        bitOffset: offset * 8,
        bitSize: 0,
      })),
    })
  const pointer = (type: BtfId) => writer.add({ kind: BTF_KIND.PTR, name: '', type })
  const prototype = (parameters: readonly BtfId[]) =>
    pointer(
      writer.add({
        kind: BTF_KIND.FUNC_PROTO,
        name: '',
        returns: int,
        parameters: parameters.map((type) => ({ name: '', type })),
        isVariadic: false,
      }),
    )
  const total = struct('total', 4, [['value', int, 0]])
  const ops = struct('counter_ops', 24, [
    ['add', prototype([int, pointer(total)]), 0],
    ['sum', prototype([]), 8],
    ['limit', int, 16],
  ])
  const common = struct('bpf_struct_ops_common_value', 8, [
    ['refcnt', int, 0],
    ['state', int, 4],
  ])
  struct('bpf_struct_ops_counter_ops', VALUE_BYTES, [
    ['common', common, 0],
    ['data', ops, DATA],
  ])
  const bytes = writer.finish()
  if (!(bytes instanceof Uint8Array)) throw bytes
  return bytes
}

function setUp(engine: 'jit' | 'interpreter' = 'jit') {
  const events: string[] = []
  const registered: StructOps[] = []
  const type: StructOpsType = {
    name: 'counter_ops',
    writable: { total: ['value'] },
    initMember: ({ name }) => (name === 'limit' ? 1 : 0),
    validate: (ops) => (ops.has('add') ? 0 : -EINVAL),
    register(ops) {
      events.push(`register ${ops.name}`)
      registered.push(ops)
      return 0
    },
    unregister(ops) {
      events.push(`unregister ${ops.name}`)
      registered.splice(registered.indexOf(ops), 1)
    },
    update(ops, old) {
      events.push(`${old.name} becomes ${ops.name}`)
      registered.splice(registered.indexOf(old), 1, ops)
      return 0
    },
  }
  const port = new TinyPort()
  port.types = counterTypes()
  const kernel = createKernel({ port, engine, structOps: [type] })
  const caller = new Caller(kernel.openClient())
  const types = Btf.parse(port.types) as Btf
  const id = (name: string) => types.find(name, BTF_KIND.STRUCT) as number
  const btf = caller.put(port.types)
  const btfFd = caller.bpf('BPF_BTF_LOAD', btfLoadAttr.encode({ btf, btf_size: port.types.length }))
  const createMap = (name: string, flags = 0) =>
    caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS,
      key_size: 4,
      value_size: VALUE_BYTES,
      max_entries: 1,
      map_flags: flags,
      map_name: name,
      btf_fd: btfFd,
      btf_vmlinux_value_type_id: id('bpf_struct_ops_counter_ops'),
    })
  const load = (member: number, text: string) =>
    caller.load(text, {
      prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS,
      attach_btf_id: id('counter_ops'),
      expected_attach_type: member,
    })
  const value = (programs: readonly number[], limit = 0) => {
    const bytes = new Uint8Array(VALUE_BYTES)
    const view = new DataView(bytes.buffer)
    for (const [index, fd] of programs.entries()) view.setBigUint64(DATA + 8 * index, BigInt(fd), true)
    view.setInt32(DATA + 16, limit, true)
    return bytes
  }
  const key = new Uint8Array(4)
  const update = (map: number, programs: readonly number[], limit = 0) =>
    caller.update(map, key, value(programs, limit))
  const remove = (map: number) =>
    caller.bpf('BPF_MAP_DELETE_ELEM', mapElemAttr.encode({ map_fd: map, key: caller.put(key) }))
  /** Count of references and state. */
  const stateOf = (map: number) => {
    const place = caller.put(new Uint8Array(VALUE_BYTES))
    const attr = mapElemAttr.encode({ map_fd: map, key: caller.put(key), value: place })
    expect(caller.bpf('BPF_MAP_LOOKUP_ELEM', attr)).toBe(0)
    const view = new DataView(caller.syscalls.memory.view(place, VALUE_BYTES).slice().buffer)
    return [view.getUint32(0, true), view.getUint32(4, true)]
  }
  return { kernel, caller, events, registered, createMap, load, update, remove, stateOf }
}

/** r0 = the first argument, which is added to the total that the second one points to. */
const ADDS = `
  r2 = *(u64 *)(r1 +8)
  r0 = *(u64 *)(r1 +0)
  r3 = *(u32 *)(r2 +0)
  r3 += r0
  *(u32 *)(r2 +0) = r3
  exit`

describe.each(['interpreter', 'jit'] as const)('by the %s', (engine) => {
  test('what a map registers is called, keeps its programs, and ends when it is deleted', () => {
    const { kernel, caller, events, registered, createMap, load, update, remove, stateOf } = setUp(engine)
    const map = createMap('first')
    const [add, sum] = [load(ADD, ADDS), load(SUM, 'r0 = 42\nexit')]
    expect(stateOf(map)).toEqual([0, 0])
    expect(update(map, [add, sum], 7)).toBe(0)
    expect(stateOf(map)).toEqual([1, 1])
    expect(update(map, [add, sum])).toBe(-EBUSY)
    caller.syscalls.close(add)
    caller.syscalls.close(sum)
    const [ops] = registered as [StructOps]
    const total = new Uint8Array(new Int32Array([30]).buffer)
    expect(ops.call('add', [12n, total])).toBe(12n)
    expect(new Int32Array(total.buffer)[0]).toBe(42)
    expect(ops.call('sum', [])).toBe(42n)
    expect(ops.has('limit')).toBe(false)
    expect(ops.call('limit', [])).toBeUndefined()
    expect(new DataView(ops.data.buffer, ops.data.byteOffset).getInt32(16, true)).toBe(7)
    expect(remove(map)).toBe(0)
    expect(remove(map)).toBe(-EINPROGRESS)
    expect(stateOf(map)).toEqual([0, 2])
    expect(events).toEqual(['register first', 'unregister first'])
    caller.syscalls.close(map)
    expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0, faults: 0 })
  })
})

test('what is registered stays when its map is closed', () => {
  const { kernel, caller, registered, createMap, load, update } = setUp()
  const map = createMap('first')
  const add = load(ADD, ADDS)
  expect(update(map, [add])).toBe(0)
  caller.syscalls.close(map)
  caller.syscalls.close(add)
  expect(registered[0]?.call('add', [1n, new Uint8Array(4)])).toBe(1n)
  expect(kernel.stats()).toMatchObject({ maps: 1, programs: 1 })
})

test('a value that is refused leaves the map as it was, and its programs alone', () => {
  const { kernel, caller, events, createMap, load, update, remove, stateOf } = setUp()
  const map = createMap('first')
  const [add, sum] = [load(ADD, ADDS), load(SUM, 'r0 = 42\nexit')]
  expect(update(map, [sum, add])).toBe(-EINVAL)
  expect(update(map, [0, sum])).toBe(-EINVAL)
  expect(update(map, [add, 9999])).toBe(-9)
  expect(stateOf(map)).toEqual([0, 0])
  expect(remove(map)).toBe(-ENOENT)
  expect(events).toEqual([])
  caller.syscalls.close(add)
  caller.syscalls.close(sum)
  expect(kernel.stats().programs).toBe(0)
})

test('a link registers, replaces, and ends it', () => {
  const { kernel, caller, events, registered, createMap, load, update, remove, stateOf } = setUp()
  const { syscalls } = caller
  const [first, second] = [createMap('first', BPF_F_LINK), createMap('second', BPF_F_LINK)]
  const plain = createMap('plain')
  const [one, two] = [load(ADD, 'r0 = 1\nexit'), load(ADD, 'r0 = 2\nexit')]
  const create = (map: number) =>
    caller.bpf(
      'BPF_LINK_CREATE',
      linkCreatePerfEventAttr.encode({ prog_fd: map, attach_type: BPF_ATTACH_TYPE.BPF_STRUCT_OPS }),
    )
  expect(create(first)).toBe(-EINVAL)
  expect([update(first, [one]), update(second, [two]), update(plain, [one])]).toEqual([0, 0, 0])
  expect(stateOf(first)).toEqual([0, 3])
  expect(create(plain)).toBe(-EINVAL)
  expect(remove(first)).toBe(-EOPNOTSUPP)
  const link = create(first)
  expect(link).toBeGreaterThan(0)
  expect(stateOf(first)).toEqual([1, 3])
  expect(registered[1]?.call('add', [0n, 0n])).toBe(1n)
  const replace = (map: number, old?: number) =>
    caller.bpf(
      'BPF_LINK_UPDATE',
      linkUpdateAttr.encode({
        link_fd: link,
        new_prog_fd: map,
        ...(old === undefined ? {} : { flags: 4, old_prog_fd: old }),
      }),
    )
  expect(replace(second, second)).toBe(-EPERM)
  expect(replace(plain)).toBe(-EINVAL)
  expect(replace(second, first)).toBe(0)
  expect(registered[1]?.call('add', [0n, 0n])).toBe(2n)
  const info = syscalls.memory.allocate(BPF_LINK_INFO_SIZE)
  const query = objGetInfoAttr.encode({ bpf_fd: link, info_len: BPF_LINK_INFO_SIZE, info })
  expect(caller.bpf('BPF_OBJ_GET_INFO_BY_FD', query)).toBe(0)
  const described = bpfLinkInfoStructOps.read(syscalls.memory.view(info, BPF_LINK_INFO_SIZE))
  expect(described).toMatchObject({ type: 9, prog_id: 0, map_id: 2 })
  expect(caller.bpf('BPF_LINK_DETACH', linkDetachAttr.encode({ link_fd: link }))).toBe(0)
  expect(replace(first)).toBe(-ENOLINK)
  expect(events).toEqual(['register plain', 'register first', 'first becomes second', 'unregister second'])
  for (const fd of [link, first, second, one, two]) syscalls.close(fd)
  expect(kernel.stats()).toMatchObject({ links: 0, maps: 1, programs: 1 })
})
