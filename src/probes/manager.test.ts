/** Registration, ordering, reentrancy, several CPUs, and the traps that earlier systems fell into. */
import { describe, expect, test } from 'vitest'
import { EILSEQ, EINVAL, ENOENT, ENOMEM } from '../abi/errno.ts'
import { ProbeManager } from './manager.ts'
import type { Kprobe, KprobeOptions, ProbeManagerOptions } from './probe.ts'
import { DATA, type Hart, STEP_AREA, TEXT, TinyRiscv } from './testing/tiny-riscv.ts'

const AT = TEXT + 0x100n
const END = TEXT + 0x2000n

// c.addi a0,1   addi a1,a1,2   c.bnez a0,+4   c.li a2,7   ld a3,0(a4)   c.jr ra
const C_ADDI = 0x0505
const ADDI = 0x0025_8593
const C_BNEZ_4 = 0xe111
const C_LI = 0x461d
const LD = 0x0007_3683
const RET = 0x8082
const LR_D = 0x1005_b6af
const SC_D = 0x18c5_b62f

function setUp(encodings: readonly number[], options: ConstructorParameters<typeof TinyRiscv>[0] = {}) {
  const machine = new TinyRiscv(options)
  machine.assemble(AT, encodings)
  const text = machine.text.slice()
  return { machine, text, isRestored: () => Buffer.compare(body(machine.text), body(text)) === 0 }
}

/** The text without the step area, where slots keep what was last in them. */
const body = (text: Uint8Array) => text.subarray(0, Number(STEP_AREA - TEXT))

function register(manager: ProbeManager, options: KprobeOptions): Kprobe {
  const probe = manager.registerKprobe(options)
  if (typeof probe === 'number') throw new Error(`registerKprobe: ${probe}`)
  return probe
}

function call(machine: TinyRiscv, hart: Hart = machine.hart): void {
  hart.pc = AT
  hart.set(1, END)
  expect(machine.runTo(END, hart)).toBe('ran')
}

describe('order and registers', () => {
  test('handlers run before the instruction, post handlers after it, in the order of registration', () => {
    const { machine } = setUp([C_ADDI, RET])
    using manager = new ProbeManager(machine)
    const seen: string[] = []
    for (const name of ['first', 'second']) {
      register(manager, {
        address: AT,
        handler: (cpu) => void seen.push(`${name} before ${cpu.get(10)} at +${cpu.pc - AT}`),
        postHandler: (cpu) => void seen.push(`${name} after ${cpu.get(10)} at +${cpu.pc - AT}`),
      })
    }
    call(machine)
    expect(seen).toEqual([
      'first before 0 at +0',
      'second before 0 at +0',
      'first after 1 at +2',
      'second after 1 at +2',
    ])
  })

  test('the post handler of a taken branch sees where it goes, not probe + length', () => {
    const { machine } = setUp([C_BNEZ_4, C_LI, C_ADDI, RET])
    using manager = new ProbeManager(machine)
    const after: bigint[] = []
    register(manager, { address: AT, handler: () => {}, postHandler: (cpu) => void after.push(cpu.pc - AT) })
    machine.hart.set(10, 1n)
    call(machine)
    machine.hart.set(10, 0n)
    call(machine)
    expect(after).toEqual([4n, 2n])
    expect(machine.hart.get(12)).toBe(7n)
  })

  test('a handler that sets the pc diverts the CPU', () => {
    const { machine } = setUp([C_ADDI, RET])
    using manager = new ProbeManager(machine)
    let later = 0
    register(manager, {
      address: AT,
      handler: (cpu) => {
        cpu.set(10, 99n)
        cpu.pc = cpu.get(1)
      },
    })
    register(manager, { address: AT, handler: () => void later++ })
    call(machine)
    expect(machine.hart.get(10)).toBe(99n)
    expect(later).toBe(0)
  })

  test('registers that a handler writes are the ones that the instruction reads', () => {
    const { machine } = setUp([C_ADDI, RET])
    using manager = new ProbeManager(machine)
    register(manager, { address: AT, handler: (cpu) => cpu.set(10, 40n) })
    call(machine)
    expect(machine.hart.get(10)).toBe(41n)
  })
})

describe('what is refused', () => {
  const symbol = { name: 'f', address: AT, sizeBytes: 64, isFunction: true }
  const attempt = (encodings: readonly number[], offset: bigint, options: ProbeManagerOptions = {}) => {
    const { machine, text } = setUp(encodings)
    using manager = new ProbeManager(machine, { symbolAt: () => symbol, ...options })
    const result = manager.registerKprobe({ address: AT + offset, handler: () => {} })
    if (typeof result === 'number') expect(Buffer.compare(machine.text, text)).toBe(0)
    return typeof result === 'number' ? result : 0
  }

  test.each([
    ['an instruction', [ADDI, C_ADDI, RET], 4n, 0],
    ['the middle of an instruction', [ADDI, C_ADDI, RET], 2n, -EILSEQ],
    ['an odd address', [ADDI, C_ADDI, RET], 1n, -EILSEQ],
    ['lr', [LR_D, ADDI, SC_D, RET], 0n, -EINVAL],
    ['between lr and sc', [LR_D, ADDI, SC_D, RET], 4n, -EINVAL],
    ['sc', [LR_D, ADDI, SC_D, RET], 8n, -EINVAL],
    ['after sc', [LR_D, ADDI, SC_D, RET], 12n, 0],
    ['long after an lr without sc', [LR_D, ...new Array<number>(16).fill(C_ADDI), RET], 36n, 0],
    ['ecall', [0x73, RET], 0n, -EINVAL],
    ['ebreak', [0x0010_0073, RET], 0n, -EINVAL],
    ['c.ebreak', [0x9002, RET], 0n, -EINVAL],
    ['sret', [0x1020_0073, RET], 0n, -EINVAL],
    ['wfi', [0x1050_0073, RET], 0n, -EINVAL],
    ['csrr sstatus', [0x1000_2573, RET], 0n, -EINVAL],
    ['csrr time', [0xc010_2573, RET], 0n, 0],
    ['an instruction that nobody knows', [0x0000_000b, RET], 0n, -EINVAL],
  ] as const)('%s', (_what, encodings, offset, result) => {
    expect(attempt(encodings, offset)).toBe(result)
  })

  test('an address outside of every symbol, data, refused names', () => {
    expect(attempt([RET], 0n, { symbolAt: () => undefined })).toBe(-ENOENT)
    expect(attempt([RET], 0n, { symbolAt: () => ({ ...symbol, isFunction: false }) })).toBe(-EINVAL)
    expect(attempt([RET], 0n, { refused: [/^trap_/, /^f$/] })).toBe(-EINVAL)
    expect(attempt([RET], 0n, { refused: [/^trap_/] })).toBe(0)
  })

  test('what the target says would break it, the step area, memory that is not there', () => {
    const { machine } = setUp([RET])
    const target = Object.assign(machine, { isUnsafeToProbe: (address: bigint) => address === AT })
    using manager = new ProbeManager(target)
    const at = (address: bigint) => manager.registerKprobe({ address, handler: () => {} })
    expect(at(AT)).toBe(-EINVAL)
    expect(at(STEP_AREA + 16n)).toBe(-EINVAL)
    expect(at(DATA)).toBe(-EINVAL)
  })

  test('instruction boundaries are those of the text without probes', () => {
    const { machine } = setUp([ADDI, ADDI, RET])
    using manager = new ProbeManager(machine, { symbolAt: () => symbol })
    register(manager, { address: AT, handler: () => {} })
    const behind = (offset: bigint) => manager.registerKprobe({ address: AT + offset, handler: () => {} })
    expect(behind(2n)).toBe(-EILSEQ)
    expect(typeof behind(4n)).toBe('object')
    // An lr behind a breakpoint is still an lr.
    const other = setUp([C_ADDI, LR_D, ADDI, SC_D, RET])
    using second = new ProbeManager(other.machine, { symbolAt: () => symbol })
    register(second, { address: AT, handler: () => {} })
    expect(second.registerKprobe({ address: AT + 6n, handler: () => {} })).toBe(-EINVAL)
  })

  test('a full step area is -ENOMEM for copies, no matter for simulated instructions, and slots are used again', () => {
    const { machine } = setUp([C_ADDI, ADDI, RET], { slots: 1 })
    using manager = new ProbeManager(machine)
    const first = register(manager, { address: AT, handler: () => {} })
    expect(manager.registerKprobe({ address: AT + 2n, handler: () => {} })).toBe(-ENOMEM)
    register(manager, { address: AT + 6n, handler: () => {} })
    first.unregister()
    expect(manager.slotsInUse).toBe(0)
    const again = register(manager, { address: AT + 2n, handler: () => {} })
    call(machine)
    expect(again.hits).toBe(1)
  })
})

describe('enable, disable, unregister', () => {
  test('the text holds a breakpoint exactly while a probe of the address is enabled', () => {
    const { machine, isRestored } = setUp([C_ADDI, RET])
    using manager = new ProbeManager(machine)
    const first = register(manager, { address: AT, handler: () => {}, enabled: false })
    expect(isRestored()).toBe(true)
    const second = register(manager, { address: AT, handler: () => {} })
    expect(isRestored()).toBe(false)
    expect(second.disable()).toBe(0)
    expect(isRestored()).toBe(true)
    call(machine)
    first.enable()
    call(machine)
    expect([first.hits, second.hits]).toEqual([1, 0])
    second.enable()
    call(machine)
    expect([first.hits, second.hits]).toEqual([2, 1])
    first.unregister()
    expect(isRestored()).toBe(false)
    second.unregister()
    expect(isRestored()).toBe(true)
    expect(first.enable()).toBe(-EINVAL)
    expect(manager.size).toBe(0)
  })

  test('a handler may unregister its own probe, register others, and toggle', () => {
    const { machine, isRestored } = setUp([C_ADDI, ADDI, RET])
    using manager = new ProbeManager(machine)
    const seen: string[] = []
    const own: Kprobe = register(manager, {
      address: AT,
      handler: () => {
        seen.push('own')
        own.unregister()
        register(manager, {
          address: AT + 2n,
          handler: (_cpu, probe) => {
            seen.push('other')
            probe.disable()
          },
        })
      },
    })
    call(machine)
    expect(seen).toEqual(['own', 'other'])
    expect(machine.hart.get(10)).toBe(1n)
    expect(machine.hart.get(11)).toBe(2n)
    expect(isRestored()).toBe(true)
  })

  test('disposing the manager restores the text and the trap handlers', () => {
    const { machine, isRestored } = setUp([C_ADDI, ADDI, RET])
    {
      using manager = new ProbeManager(machine)
      register(manager, { address: AT, handler: () => {} })
      register(manager, { address: AT + 2n, handler: () => {} })
    }
    expect(isRestored()).toBe(true)
    expect(machine.hasHandlers).toBe(false)
    call(machine)
  })

  test('a breakpoint that was taken away after it trapped is executed again', () => {
    const { machine } = setUp([C_ADDI, RET], { cpuCount: 2 })
    using manager = new ProbeManager(machine)
    const [one, two] = machine.harts as [Hart, Hart]
    // The other CPU removes the probe while this one is in its handler's way.
    const probe: Kprobe = register(manager, { address: AT, handler: () => probe.unregister() })
    one.pc = AT
    two.pc = AT
    machine.step(one)
    expect(one.pc).toBe(AT)
    machine.step(one)
    machine.step(two)
    expect([one.pc, two.pc]).toEqual([AT + 2n, AT + 2n])
    expect([one.get(10), two.get(10)]).toEqual([1n, 1n])
  })

  test("a breakpoint of the operating system's own is passed on", () => {
    const { machine } = setUp([0x9002, RET])
    using manager = new ProbeManager(machine)
    machine.hart.pc = AT
    expect(machine.step()).toBe('breakpoint')
    expect(manager.size).toBe(0)
  })
})

describe('out-of-line steps', () => {
  test('run with interrupts masked, and only they', () => {
    const { machine } = setUp([C_ADDI, RET])
    using manager = new ProbeManager(machine)
    register(manager, { address: AT, handler: () => expect(machine.hart.interruptsMasked).toBe(false) })
    machine.hart.pc = AT
    machine.step()
    expect(machine.isInStepArea(machine.hart.pc)).toBe(true)
    expect(machine.hart.interruptsMasked).toBe(true)
    machine.step()
    machine.step()
    expect(machine.hart.pc).toBe(AT + 2n)
    expect(machine.hart.interruptsMasked).toBe(false)
  })

  test('a fault is seen at the probed instruction, with interrupts as they were', () => {
    const { machine } = setUp([LD, RET])
    using manager = new ProbeManager(machine)
    const probe = register(manager, { address: AT, handler: () => {} })
    machine.hart.pc = AT
    machine.hart.set(14, 8n)
    expect(machine.stepProgram()).toBe('fault')
    expect(machine.hart.pc).toBe(AT)
    expect(machine.hart.interruptsMasked).toBe(false)
    // The operating system mends it and goes on: the instruction is met again.
    machine.hart.set(14, DATA)
    machine.data[0] = 5
    expect(machine.stepProgram()).toBe('ran')
    expect(machine.hart.get(13)).toBe(5n)
    expect(machine.hart.pc).toBe(AT + 4n)
    expect(probe.hits).toBe(2)
  })

  test('two CPUs in one slot at once', () => {
    const { machine } = setUp([C_ADDI, ADDI, RET], { cpuCount: 2 })
    using manager = new ProbeManager(machine)
    const probe = register(manager, { address: AT, handler: () => {} })
    const [one, two] = machine.harts as [Hart, Hart]
    one.pc = AT
    two.pc = AT
    two.set(10, 10n)
    machine.step(one)
    machine.step(two)
    expect(one.pc).toBe(two.pc)
    probe.unregister()
    // The slot is not given away while they are in it.
    register(manager, { address: AT + 2n, handler: () => {} })
    machine.step(one)
    machine.step(one)
    machine.step(two)
    machine.step(two)
    expect([one.pc, two.pc]).toEqual([AT + 2n, AT + 2n])
    expect([one.get(10), two.get(10)]).toEqual([1n, 11n])
    expect(manager.slotsInUse).toBe(1)
  })
})

describe('reentrancy', () => {
  test('a probe met inside a handler is stepped over and counted as missed', () => {
    const { machine } = setUp([C_ADDI, RET])
    // What the handler makes the CPU execute: a function with probes of its own, copied and simulated.
    const inner = TEXT + 0x800n
    machine.assemble(inner, [ADDI, C_BNEZ_4, C_LI, C_ADDI, RET])
    using manager = new ProbeManager(machine)
    let innerRuns = 0
    const probes = [0n, 4n].map((offset) =>
      register(manager, {
        address: inner + offset,
        handler: () => void innerRuns++,
        postHandler: () => void innerRuns++,
      }),
    )
    register(manager, {
      address: AT,
      handler: (cpu) => {
        const hart = cpu as Hart
        const saved = { pc: hart.pc, ra: hart.get(1) }
        hart.pc = inner
        hart.set(1, END)
        expect(machine.runTo(END, hart)).toBe('ran')
        hart.pc = saved.pc
        hart.set(1, saved.ra)
      },
    })
    call(machine)
    expect(innerRuns).toBe(0)
    expect(probes.map((probe) => [probe.hits, probe.missed])).toEqual([
      [0, 1],
      [0, 1],
    ])
    expect(machine.hart.get(11)).toBe(2n)
    // The inner function's c.li and c.addi ran, then the probed c.addi.
    expect(machine.hart.get(10)).toBe(2n)
    expect(machine.hart.interruptsMasked).toBe(false)
  })
})
