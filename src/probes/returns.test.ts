/** Kretprobes: nesting, recursion, tasks that sleep and move, calls that never return, and calls that share a frame. */
import { describe, expect, test } from 'vitest'
import { EINVAL } from '../abi/errno.ts'
import { ProbeManager } from './manager.ts'
import type { Kretprobe, KretprobeOptions, ProbeManagerOptions } from './probe.ts'
import { DATA, type Hart, TEXT, TinyRiscv } from './testing/tiny-riscv.ts'

const F = TEXT + 0x100n
const END = TEXT + 0x2000n
const STACK = DATA + 0x1000n

const C_ADDI = 0x0505
const RET = 0x8082

/** `jal rd, offset`. */
function jal(rd: number, offset: number): number {
  const imm = offset & 0x1f_ffff
  return (
    ((((imm >> 20) & 1) << 31) |
      (((imm >> 1) & 0x3ff) << 21) |
      (((imm >> 11) & 1) << 20) |
      (((imm >> 12) & 0xff) << 12) |
      (rd << 7) |
      0x6f) >>>
    0
  )
}

/** a0 down to 0 by calling itself: returns the depth in a1. */
// c.beqz a0,+18; c.addi sp,-16; c.sdsp ra,8; c.addi a0,-1; jal ra,-8; c.ldsp ra,8; c.addi sp,16; c.addi a1,1; c.jr ra
const RECURSIVE = [0xc909, 0x1141, 0xe406, 0x157d, jal(1, -8), 0x60a2, 0x0141, 0x0585, RET]

function setUp(encodings: readonly number[], options: ConstructorParameters<typeof TinyRiscv>[0] = {}) {
  const machine = new TinyRiscv(options)
  machine.assemble(F, encodings)
  return machine
}

function register(manager: ProbeManager, options: KretprobeOptions): Kretprobe {
  const probe = manager.registerKretprobe(options)
  if (typeof probe === 'number') throw new Error(`registerKretprobe: ${probe}`)
  return probe
}

/** The CPU is about to execute the first instruction of F, called from END. */
function enter(hart: Hart, stack = STACK, returnTo = END): void {
  hart.pc = F
  hart.set(1, returnTo)
  hart.set(2, stack)
}

test('the handler sees the value returned and the place that the CPU goes on at; the caller sees no difference', () => {
  const machine = setUp([C_ADDI, RET])
  using manager = new ProbeManager(machine)
  const seen: unknown[] = []
  const probe = register(manager, {
    address: F,
    handler: (cpu) => void seen.push({ a0: cpu.get(10), pc: cpu.pc, ra: cpu.get(1) }),
  })
  enter(machine.hart)
  machine.hart.set(10, 41n)
  machine.runTo(END)
  expect(seen).toEqual([{ a0: 42n, pc: END, ra: END }])
  expect(machine.hart.get(1)).toBe(END)
  expect([probe.hits, probe.missed, probe.active]).toEqual([1, 0, 0])
})

test('only at the start of a function', () => {
  const machine = setUp([C_ADDI, RET])
  const symbol = { name: 'f', address: F, sizeBytes: 4, isFunction: true }
  using manager = new ProbeManager(machine, { symbolAt: () => symbol })
  expect(manager.registerKretprobe({ address: F + 2n, handler: () => {} })).toBe(-EINVAL)
  expect(manager.registerKretprobe({ address: F, handler: () => {}, maxactive: -1 })).toBe(-EINVAL)
  expect(register(manager, { address: F, handler: () => {} }).maxactive).toBe(10)
})

test('a recursive function: every call returns, innermost first', () => {
  const machine = setUp(RECURSIVE)
  using manager = new ProbeManager(machine)
  const depths: bigint[] = []
  const probe = register(manager, { address: F, handler: (cpu) => void depths.push(cpu.get(11)) })
  enter(machine.hart)
  machine.hart.set(10, 5n)
  machine.runTo(END)
  expect(depths).toEqual([0n, 1n, 2n, 3n, 4n, 5n])
  expect(machine.hart.get(2)).toBe(STACK)
  expect(probe.active).toBe(0)
})

test('calls beyond maxactive are counted as missed, and still return', () => {
  const machine = setUp(RECURSIVE)
  using manager = new ProbeManager(machine)
  const probe = register(manager, { address: F, handler: () => {}, maxactive: 3 })
  enter(machine.hart)
  machine.hart.set(10, 5n)
  machine.runTo(END)
  expect([probe.hits, probe.missed]).toEqual([3, 3])
  expect(machine.hart.get(11)).toBe(5n)
})

test('several kretprobes and a kprobe on one function', () => {
  const machine = setUp([C_ADDI, RET])
  using manager = new ProbeManager(machine)
  const seen: string[] = []
  manager.registerKprobe({ address: F, handler: () => void seen.push('entry') })
  register(manager, { address: F, handler: (cpu) => void seen.push(`first ${cpu.pc === END}`) })
  register(manager, { address: F, handler: (cpu) => void seen.push(`second ${cpu.pc === END}`) })
  enter(machine.hart)
  machine.runTo(END)
  expect(seen).toEqual(['entry', 'second true', 'first true'])
})

test('a function that ends in a jump to another probed one', () => {
  const G = F + 0x40n
  const machine = setUp([C_ADDI, jal(0, 0x3e)])
  machine.assemble(G, [C_ADDI, RET])
  using manager = new ProbeManager(machine)
  const seen: string[] = []
  register(manager, { address: F, handler: (cpu) => void seen.push(`f ${cpu.get(10)}`) })
  register(manager, { address: G, handler: (cpu) => void seen.push(`g ${cpu.get(10)}`) })
  enter(machine.hart)
  machine.runTo(END)
  expect(seen).toEqual(['g 2', 'f 2'])
  expect(machine.hart.get(1)).toBe(END)
})

test('tasks that sleep inside the function, wake in another order and on another CPU', () => {
  const machine = setUp([C_ADDI, RET], { cpuCount: 2 })
  using manager = new ProbeManager(machine)
  const seen: bigint[] = []
  const probe = register(manager, { address: F, handler: (cpu) => void seen.push(cpu.get(10)) })
  const [one, two] = machine.harts as [Hart, Hart]
  const tasks = [0, 1, 2].map((task) => {
    enter(one, STACK + BigInt(task) * 0x100n, END + BigInt(task) * 0x10n)
    one.set(10, BigInt(task * 10))
    // The breakpoint, the copy, the breakpoint behind it: inside the function now.
    machine.stepProgram(one)
    expect(one.pc).toBe(F + 2n)
    return [...one.x]
  })
  expect(probe.active).toBe(3)
  for (const task of [1, 0, 2]) {
    two.x.set(tasks[task] as bigint[])
    two.pc = F + 2n
    machine.runTo(END + BigInt(task) * 0x10n, two)
  }
  expect(seen).toEqual([11n, 1n, 21n])
  expect(probe.active).toBe(0)
})

describe('calls that never return', () => {
  test('give way when another call begins at their stack pointer', () => {
    const machine = setUp([C_ADDI, RET])
    using manager = new ProbeManager(machine)
    const probe = register(manager, { address: F, handler: () => {}, maxactive: 1 })
    for (let i = 0; i < 5; i++) {
      enter(machine.hart)
      machine.stepProgram()
      expect(probe.active).toBe(1)
    }
    expect(probe.missed).toBe(0)
    machine.runTo(END)
    expect([probe.hits, probe.active]).toEqual([1, 0])
  })

  test('give way when their task has ended, where that is known', () => {
    const machine = setUp([C_ADDI, RET])
    let task = 1
    const alive = new Set([1, 2, 3])
    const options: ProbeManagerOptions = { currentTask: () => task, taskExists: (pid) => alive.has(pid) }
    using manager = new ProbeManager(machine, options)
    const probe = register(manager, { address: F, handler: () => {}, maxactive: 2 })
    for (task = 1; task <= 3; task++) {
      enter(machine.hart, STACK + BigInt(task) * 0x100n)
      machine.stepProgram()
    }
    expect([probe.active, probe.missed]).toEqual([2, 1])
    alive.delete(1)
    task = 3
    enter(machine.hart, STACK + 0x800n)
    machine.stepProgram()
    expect([probe.active, probe.missed]).toEqual([2, 1])
  })
})

test('an entry handler can let a call go unwatched', () => {
  const machine = setUp([C_ADDI, RET])
  using manager = new ProbeManager(machine)
  const probe = register(manager, {
    address: F,
    handler: () => {},
    entryHandler: (cpu) => cpu.get(10) !== 0n,
  })
  for (const a0 of [0n, 1n, 0n]) {
    enter(machine.hart)
    machine.hart.set(10, a0)
    machine.runTo(END)
  }
  expect([probe.hits, probe.missed]).toEqual([1, 0])
})

test('unregistered and disposed while a call is under way: it returns, then nothing is left', () => {
  const machine = setUp([C_ADDI, RET])
  const text = machine.text.slice(0, 0x3000)
  const manager = new ProbeManager(machine)
  const probe = register(manager, { address: F, handler: () => expect.unreachable() })
  enter(machine.hart)
  machine.stepProgram()
  manager[Symbol.dispose]()
  expect(probe.active).toBe(1)
  expect(machine.hasHandlers).toBe(true)
  machine.runTo(END)
  expect(machine.hart.get(10)).toBe(1n)
  expect(machine.hasHandlers).toBe(false)
  expect(Buffer.compare(machine.text.subarray(0, 0x3000), text)).toBe(0)
})

test('a return to the trampoline that nobody knows of is not ours', () => {
  const machine = setUp([C_ADDI, RET])
  using manager = new ProbeManager(machine)
  register(manager, { address: F, handler: () => {} })
  enter(machine.hart)
  machine.stepProgram()
  const trampoline = machine.hart.get(1)
  machine.runTo(END)
  machine.hart.pc = trampoline
  expect(machine.step()).toBe('breakpoint')
})

test('a return inside a handler is missed, and goes to the right place', () => {
  const machine = setUp([C_ADDI, RET])
  const G = F + 0x40n
  machine.assemble(G, [C_ADDI, RET])
  using manager = new ProbeManager(machine)
  const inner = register(manager, { address: F, handler: () => {} })
  manager.registerKprobe({
    address: G,
    handler: (cpu) => {
      const hart = cpu as Hart
      const saved = [...hart.x]
      const { pc } = hart
      enter(hart, STACK - 64n, END + 8n)
      expect(machine.runTo(END + 8n, hart)).toBe('ran')
      hart.x.set(saved)
      hart.pc = pc
    },
  })
  enter(machine.hart)
  machine.hart.pc = G
  machine.runTo(END)
  expect([inner.hits, inner.missed]).toEqual([0, 1])
})
