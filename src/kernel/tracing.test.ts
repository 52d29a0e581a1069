/** fentry and fexit: a function's arguments and its result, on both engines. */
import { describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_LINK_INFO_SIZE,
  BPF_LINK_TYPE,
  BPF_PROG_TYPE,
  bpfLinkInfoTracing,
  bpfProgInfo,
  EBUSY,
  EINVAL,
  EOPNOTSUPP,
  linkCreateTracingAttr,
  objGetInfoAttr,
  rawTracepointAttr,
} from '../abi/index.ts'
import { BTF_KIND, Btf, BtfError } from '../btf/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { functionTypes } from './testing/function-types.ts'
import { TinyPort } from './testing/tiny-port.ts'

const { BPF_TRACE_FENTRY, BPF_TRACE_FEXIT } = BPF_ATTACH_TYPE

function setUp(engine: 'interpreter' | 'jit' = 'jit') {
  const port = new TinyPort()
  port.types = functionTypes({ add_one: 1, add_two: 10, absent: 1 })
  const types = Btf.parse(port.types)
  if (types instanceof BtfError) throw new Error(types.message)
  const text = port.text.slice()
  const kernel = createKernel({ port, engine })
  const client = kernel.openClient()
  const caller = new Caller(client)
  const values = caller.createArray(8 * 16)
  const load = (name: string, expected_attach_type: number, source: string, log = { text: '' }) =>
    caller.load(
      source,
      {
        prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING,
        expected_attach_type,
        attach_btf_id: types.find(name, BTF_KIND.FUNC) as number,
      },
      log,
    )
  const attach = (prog_fd: number, attach_type: number, cookie = 0n) =>
    caller.bpf('BPF_LINK_CREATE', linkCreateTracingAttr.encode({ prog_fd, attach_type, cookie }))
  const seen = () => {
    const bytes = caller.lookup(values, u32(0), 128) as Uint8Array
    return [...new BigInt64Array(bytes.slice().buffer)]
  }
  return { port, text, types, kernel, client, caller, values, load, attach, seen }
}

/** Stores words of the context into the map's value, in a row, and counts behind them. */
const store = (map: number, ...words: number[]) => `
  r6 = r1
  r7 = map[fd:${map}][0]
  ${words.map((word, n) => `r1 = *(u64 *)(r6 +${8 * word})\n*(u64 *)(r7 +${8 * n}) = r1`).join('\n')}
  r1 = 1
  lock *(u64 *)(r7 +${8 * words.length}) += r1
  r0 = 0
  exit`

describe.each(['interpreter', 'jit'] as const)('by the %s', (engine) => {
  test('fentry sees the arguments before the function runs', () => {
    const { port, text, client, values, load, attach, seen } = setUp(engine)
    const program = load('add_one', BPF_TRACE_FENTRY, store(values, 0))
    const link = attach(program, BPF_TRACE_FENTRY)
    expect(link).toBeGreaterThan(0)
    expect(port.call('add_one', 41n)).toBe(42n)
    expect(seen().slice(0, 2)).toEqual([41n, 1n])
    client.close(link)
    port.call('add_one', 1n)
    expect(seen().slice(0, 2)).toEqual([41n, 1n])
    expect(Buffer.compare(port.text.subarray(0, 0x3000), text.subarray(0, 0x3000))).toBe(0)
  })

  test('fexit sees the arguments of the entry and the result', () => {
    const { port, values, load, attach, seen } = setUp(engine)
    expect(attach(load('add_one', BPF_TRACE_FEXIT, store(values, 0, 1)), BPF_TRACE_FEXIT)).toBeGreaterThan(0)
    // add_two calls add_one twice: the second call's argument is the first one's result.
    expect(port.call('add_two', 7n)).toBe(9n)
    expect(seen().slice(0, 3)).toEqual([8n, 9n, 2n])
  })

  test('arguments that no register holds are on the stack', () => {
    const { port, values, load, attach, seen } = setUp(engine)
    expect(attach(load('add_two', BPF_TRACE_FENTRY, store(values, 8, 9)), BPF_TRACE_FENTRY)).toBeGreaterThan(
      0,
    )
    const stack = new DataView(port.data.buffer, port.data.byteOffset + 0x2000)
    stack.setBigInt64(0, -8n, true)
    stack.setBigInt64(8, 99n, true)
    port.call('add_two', 1n)
    expect(seen().slice(0, 3)).toEqual([-8n, 99n, 1n])
  })

  test('helpers tell of the call', () => {
    const { port, caller, values, load, attach, seen } = setUp(engine)
    const ask = (attachType: number) => `
      r6 = r1
      r7 = map[fd:${values}][0]
      call bpf_get_func_arg_cnt
      *(u64 *)(r7 +0) = r0
      r1 = r6
      r2 = 0
      r3 = r10
      r3 += -8
      call bpf_get_func_arg
      *(u64 *)(r7 +8) = r0
      r1 = *(u64 *)(r10 -8)
      *(u64 *)(r7 +16) = r1
      r1 = r6
      r2 = 1
      r3 = r10
      r3 += -8
      call bpf_get_func_arg
      *(u64 *)(r7 +24) = r0
      r1 = r6
      r2 = r10
      r2 += -16
      call bpf_get_func_ret
      *(u64 *)(r7 +32) = r0
      r1 = r6
      call bpf_get_attach_cookie
      *(u64 *)(r7 +40) = r0
      ${attachType === BPF_TRACE_FEXIT ? 'r1 = *(u64 *)(r10 -16)\n*(u64 *)(r7 +48) = r1' : ''}
      r0 = 0
      exit`
    const entry = attach(load('add_one', BPF_TRACE_FENTRY, ask(BPF_TRACE_FENTRY)), BPF_TRACE_FENTRY, 77n)
    expect(port.call('add_one', 5n)).toBe(6n)
    expect(seen().slice(0, 6)).toEqual([1n, 0n, 5n, -22n, BigInt(-EOPNOTSUPP), 77n])
    caller.syscalls.close(entry)
    attach(load('add_one', BPF_TRACE_FEXIT, ask(BPF_TRACE_FEXIT)), BPF_TRACE_FEXIT)
    port.call('add_one', 6n)
    expect(seen().slice(0, 7)).toEqual([1n, 0n, 6n, -22n, 0n, 0n, 7n])
  })
})

test('an argument that the function does not have is not to be read', () => {
  const { values, load } = setUp()
  const log = { text: '' }
  expect(load('add_one', BPF_TRACE_FENTRY, store(values, 1), log)).toBe(-13)
  expect(log.text).toContain("func 'add_one' doesn't have 2-th argument")
})

test('a function without an address cannot be traced', () => {
  const { load } = setUp()
  const log = { text: '' }
  expect(load('absent', BPF_TRACE_FENTRY, 'r0 = 0\nexit', log)).toBe(-2)
  expect(log.text).toContain('The address of function absent cannot be found')
})

test('a program is linked once at a time, as what it was loaded for', () => {
  const { client, load, attach } = setUp()
  const program = load('add_one', BPF_TRACE_FENTRY, 'r0 = 0\nexit')
  const link = attach(program, BPF_TRACE_FENTRY)
  expect(attach(program, BPF_TRACE_FENTRY)).toBe(-EBUSY)
  expect(attach(program, BPF_TRACE_FEXIT)).toBe(-EINVAL)
  client.close(link)
  expect(attach(program, BPF_TRACE_FENTRY)).toBeGreaterThan(0)
})

test('BPF_RAW_TRACEPOINT_OPEN without a name attaches it, too', () => {
  const { port, caller, values, load, seen } = setUp()
  const prog_fd = load('add_one', BPF_TRACE_FENTRY, store(values, 0))
  const open = (name: bigint) =>
    caller.bpf('BPF_RAW_TRACEPOINT_OPEN', rawTracepointAttr.encode({ prog_fd, name }))
  expect(open(caller.put('add_one'))).toBe(-EINVAL)
  expect(open(0n)).toBeGreaterThan(0)
  port.call('add_one', 3n)
  expect(seen()[0]).toBe(3n)
})

test('the kernel says what is attached where', () => {
  const { caller, client, load, types, attach } = setUp()
  const program = load('add_one', BPF_TRACE_FEXIT, 'r0 = 0\nexit')
  const bpf_fd = attach(program, BPF_TRACE_FEXIT, 5n)
  const target_btf_id = types.find('add_one', BTF_KIND.FUNC) as number
  const info = client.memory.allocate(BPF_LINK_INFO_SIZE)
  caller.bpf('BPF_OBJ_GET_INFO_BY_FD', objGetInfoAttr.encode({ bpf_fd, info, info_len: BPF_LINK_INFO_SIZE }))
  expect(bpfLinkInfoTracing.read(client.memory.view(info, BPF_LINK_INFO_SIZE))).toMatchObject({
    type: BPF_LINK_TYPE.BPF_LINK_TYPE_TRACING,
    attach_type: BPF_TRACE_FEXIT,
    target_btf_id,
    cookie: 5n,
  })
  const about = client.memory.allocate(bpfProgInfo.size)
  caller.bpf(
    'BPF_OBJ_GET_INFO_BY_FD',
    objGetInfoAttr.encode({ bpf_fd: program, info: about, info_len: bpfProgInfo.size }),
  )
  expect(bpfProgInfo.read(client.memory.view(about, bpfProgInfo.size))).toMatchObject({
    attach_btf_id: target_btf_id,
  })
})
