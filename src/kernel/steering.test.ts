/** Programs that act on what they interrupt: signals to the running task, functions that return at once. */
import { describe, expect, test } from 'vitest'
import { BPF_MAP_TYPE, EBUSY, EINVAL, EPERM } from '../abi/index.ts'
import { TEXT } from '../probes/testing/tiny-riscv.ts'
import { functionLeavers } from './calling-convention.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { FUNCTIONS, TinyPort } from './testing/tiny-port.ts'

class SteerablePort extends TinyPort {
  readonly sent: (readonly [number, number, string])[] = []
  answer = 0

  mayOverride(address: bigint): boolean {
    return address === TEXT + BigInt(FUNCTIONS.add_one.offset)
  }

  sendSignal(cpu: number, signal: number, scope: 'process' | 'thread'): number {
    if (this.answer === 0 && signal !== 0) this.sent.push([cpu, signal, scope])
    return this.answer
  }
}

describe.each(['jit', 'interpreter'] as const)('with the %s', (engine) => {
  function setUp<P extends TinyPort>(port: P) {
    const kernel = createKernel({ port, engine })
    const client = kernel.openClient()
    return { port, kernel, client, caller: new Caller(client) }
  }
  const returns = (value: number) => `r2 = ${value}\ncall bpf_override_return\nr0 = 0\nexit`

  test('a function returns at once what the program says', () => {
    const { port, client, caller } = setUp(new SteerablePort())
    const program = caller.load(returns(-5))
    const link = caller.link(program, caller.openProbe('add_one'))
    expect(link).toBeGreaterThan(0)
    expect(BigInt.asIntN(64, port.call('add_one', 41n))).toBe(-5n)
    // Both calls in it return it, and it goes on.
    expect(BigInt.asIntN(64, port.call('add_two', 7n))).toBe(-5n)
    client.close(link)
    expect(port.call('add_one', 41n)).toBe(42n)
  })

  test('who waits for its return sees the value, and other probes of it are not run', () => {
    const { port, caller } = setUp(new SteerablePort())
    const seen = caller.createArray(8)
    const count = caller.createArray(8)
    const leaves = (map: number, what: string) =>
      `r6 = r1\nr1 = map[fd:${map}][0]\n${what}\nlock *(u64 *)(r1 +0) += r2\nr0 = 0\nexit`
    const atReturn = caller.load(leaves(seen, 'r2 = *(u64 *)(r6 +80)'))
    caller.link(atReturn, caller.openProbe('add_one', { isReturn: true }))
    caller.link(caller.load(returns(77)), caller.openProbe('add_one'))
    caller.link(caller.load(leaves(count, 'r2 = 1')), caller.openProbe('add_one'))
    expect(port.call('add_one', 1n)).toBe(77n)
    expect(caller.lookupU64(seen, u32(0))).toBe(77n)
    expect(caller.lookupU64(count, u32(0))).toBe(0n)
  })

  test('only at the entry of a function that the port allows', () => {
    const { client, caller } = setUp(new SteerablePort())
    const program = caller.load(returns(0))
    expect(program).toBeGreaterThan(0)
    const attempt = (...of: Parameters<Caller['openProbe']>) => {
      const event = caller.openProbe(...of)
      const link = caller.link(program, event)
      if (link > 0) client.close(link)
      client.close(event)
      return link
    }
    expect(attempt('add_two')).toBe(-EINVAL)
    expect(attempt('add_one', { offset: 2n })).toBe(-EINVAL)
    expect(attempt('add_one', { isReturn: true })).toBe(-EINVAL)
    expect(attempt('add_one')).toBeGreaterThan(0)
    const programs = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
    })
    expect(caller.update(programs, u32(0), u32(program))).toBe(-EINVAL)
  })

  test('a port that names no function has no such helper', () => {
    const { caller } = setUp(new TinyPort())
    const log = { text: '' }
    expect(caller.load(returns(0), {}, log)).toBe(-EINVAL)
    expect(log.text).toContain('program of this type cannot use helper bpf_override_return#58')
  })

  test('a signal goes to the task that runs, as the port lets it', () => {
    const { port, caller } = setUp(new SteerablePort())
    const results = caller.createArray(8)
    const sends = (helper: string, signal: number) => {
      const source = `r1 = ${signal}\ncall ${helper}\nr1 = map[fd:${results}][0]\n*(u64 *)(r1 +0) = r0\nr0 = 0\nexit`
      using _link = { [Symbol.dispose]: () => caller.syscalls.close(link) }
      const link = caller.link(caller.load(source), caller.openProbe('add_one'))
      port.call('add_one', 1n)
      return Number(BigInt.asIntN(64, caller.lookupU64(results, u32(0))))
    }
    expect(sends('bpf_send_signal', 10)).toBe(0)
    expect(sends('bpf_send_signal_thread', 64)).toBe(0)
    expect(sends('bpf_send_signal', 0)).toBe(0)
    expect(sends('bpf_send_signal', 65)).toBe(-EINVAL)
    expect(port.sent).toEqual([
      [0, 10, 'process'],
      [0, 64, 'thread'],
    ])
    port.answer = -EBUSY
    expect(sends('bpf_send_signal', 9)).toBe(-EBUSY)
    port.answer = -EPERM
    expect(sends('bpf_send_signal', 65)).toBe(-EPERM)
    port.answer = 0
    port.tasks[0] = undefined
    expect(sends('bpf_send_signal', 9)).toBe(-EPERM)
  })

  test('where tasks have no signals, none can be sent one', () => {
    const { port, caller } = setUp(new TinyPort())
    const results = caller.createArray(8)
    const source = `r1 = 9\ncall bpf_send_signal\nr1 = map[fd:${results}][0]\n*(u64 *)(r1 +0) = r0\nr0 = 0\nexit`
    caller.link(caller.load(source), caller.openProbe('add_one'))
    port.call('add_one', 1n)
    expect(BigInt.asIntN(64, caller.lookupU64(results, u32(0)))).toBe(BigInt(-EPERM))
  })
})

test('on x86-64 a function returns to what lies on its stack', () => {
  const registers = new Map([[7, 0x1000n]])
  const cpu = {
    index: 0,
    pc: 0x10n,
    get: (register: number) => registers.get(register) ?? 0n,
    set: (register: number, value: bigint) => void registers.set(register, value),
    maskInterrupts: () => 0n,
    restoreInterrupts: () => {},
  }
  const read = (address: bigint, into: Uint8Array) => {
    if (address !== 0x1000n) return -14
    new DataView(into.buffer).setBigUint64(0, 0xffff_ffff_8100_0000n, true)
    return 0
  }
  expect(functionLeavers.x86_64(cpu, 3n, read)).toBe(0)
  expect([cpu.pc, registers.get(0), registers.get(7)]).toEqual([0xffff_ffff_8100_0000n, 3n, 0x1008n])
  expect(functionLeavers.x86_64(cpu, 3n, read)).toBe(-14)
  expect(cpu.pc).toBe(0xffff_ffff_8100_0000n)
})
