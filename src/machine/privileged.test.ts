import { describe, expect, test } from 'vitest'
import { csrs } from './cpu/csrs.ts'
import { RAM_BASE } from './cpu/layout.ts'
import { privilege } from './hart.ts'
import type { TestMachine } from './testing/bare.ts'
import { bareMachine, kernelMachine } from './testing/bare.ts'
import type { Program } from './testing/program.ts'

const number = (name: string) => csrs.find((csr) => csr.name === name)!.number

/** Registers that the programs below leave their results in. */
const x = (machine: TestMachine, register: number) => machine.machine.hart(0).x(register)

/** mtvec: puts mcause, mtval and mepc into x10 to x12 and ends the machine. */
const catchTrap = (program: Program) =>
  program
    .align(4)
    .label('trap')
    .csrr(10, number('mcause'))
    .csrr(11, number('mtval'))
    .csrr(12, number('mepc'))
    .csrr(13, number('mstatus'))
    .finish()

/** Goes to `target` in a lower privilege, with `mstatus` bits set first. */
const drop = (program: Program, to: number, target: string, status = 0n) =>
  program
    .li(5, status | (BigInt(to) << 11n))
    .csrw(number('mstatus'), 5)
    .la(5, target)
    .csrw(number('mepc'), 5)
    .op('mret')

const pte = { V: 1n, R: 2n, W: 4n, X: 8n, U: 16n, A: 64n, D: 128n }
const RWX = pte.V | pte.R | pte.W | pte.X
const ROOT = RAM_BASE + 0x10_0000
const LEVEL1 = ROOT + 0x1000
const LEVEL0 = ROOT + 0x2000
const DATA = RAM_BASE + 0x20_0000
/** A virtual address that only LEVEL0 maps: root entry 1, then 0, then 5. */
const WINDOW = 0x4000_0000n + 5n * 4096n

/**
 * A page table that maps RAM one to one as a gigapage (for S-mode), and WINDOW with the given flags to DATA
 * (three levels); then the access in a privilege.
 */
function window(
  flags: bigint,
  {
    as = privilege.supervisor as number,
    status = 0n,
    access = (p: Program): unknown => p.op('ld', { rd: 20, rs1: 6 }),
    window: leaf = undefined as bigint | undefined,
    address = WINDOW,
  } = {},
): TestMachine {
  const at = bareMachine((p) => {
    p.la(5, 'trap').csrw(number('mtvec'), 5)
    p.li(5, (8n << 60n) | BigInt(ROOT >>> 12)).csrw(number('satp'), 5)
    p.li(6, address)
    drop(p, as, 'inside', status)
    p.to(RAM_BASE + 0x1000).label('inside')
    access(p)
    p.op('ecall')
    catchTrap(p)
  })
  const put = (address: number, value: bigint) => {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, value, true)
    at.machine.writePhysical(address, bytes)
  }
  const to = (address: number) => BigInt(address >>> 12) << 10n
  const code = as === privilege.user ? pte.U : 0n
  put(ROOT + 8 * 2, to(RAM_BASE) | RWX | code | pte.A | pte.D)
  put(ROOT + 8 * 1, to(LEVEL1) | pte.V)
  put(LEVEL1, to(LEVEL0) | pte.V)
  put(LEVEL0 + 8 * 5, leaf ?? to(DATA) | flags)
  put(DATA, 0x1122_3344_5566_7788n)
  at.run()
  return at
}

const cause = { instruction: 12n, load: 13n, store: 15n, userCall: 8n, supervisorCall: 9n }
const ld = (p: Program) => p.op('ld', { rd: 20, rs1: 6 })
const sd = (p: Program) => p.op('sd', { rs1: 6, rs2: 6 })
const fetch = (p: Program) => p.op('jalr', { rd: 0, rs1: 6 })
const SUM = 1n << 18n
const MXR = 1n << 19n
const AD = pte.A | pte.D

describe('Sv39', () => {
  test.each([
    ['a readable page', pte.V | pte.R | AD, { access: ld }, cause.supervisorCall],
    ['a page that is not valid', pte.R | AD, { access: ld }, cause.load],
    ['a store to a read-only page', pte.V | pte.R | AD, { access: sd }, cause.store],
    ['a store to a writable page', pte.V | pte.R | pte.W | AD, { access: sd }, cause.supervisorCall],
    ['writable but not readable, which is reserved', pte.V | pte.W | AD, { access: ld }, cause.load],
    [
      'an amo to a read-only page',
      pte.V | pte.R | AD,
      { access: (p: Program) => p.op('amoadd.d', { rd: 20, rs1: 6 }) },
      cause.store,
    ],
    ['a fetch from a page without X', pte.V | pte.R | AD, { access: fetch }, cause.instruction],
    ['a load from an execute-only page', pte.V | pte.X | AD, { access: ld }, cause.load],
    [
      'a load from an execute-only page with MXR',
      pte.V | pte.X | AD,
      { access: ld, status: MXR },
      cause.supervisorCall,
    ],
    ['a user page, from S-mode', pte.V | pte.R | pte.U | AD, { access: ld }, cause.load],
    [
      'a user page, from S-mode with SUM',
      pte.V | pte.R | pte.U | AD,
      { access: ld, status: SUM },
      cause.supervisorCall,
    ],
    [
      'a fetch from a user page, from S-mode with SUM',
      RWX | pte.U | AD,
      { access: fetch, status: SUM },
      cause.instruction,
    ],
    [
      'a user page, from U-mode',
      pte.V | pte.R | pte.U | AD,
      { access: ld, as: privilege.user },
      cause.userCall,
    ],
    ['a supervisor page, from U-mode', pte.V | pte.R | AD, { access: ld, as: privilege.user }, cause.load],
    [
      'an address with a wrong upper part',
      RWX | AD,
      { access: ld, address: WINDOW | (1n << 40n) },
      cause.load,
    ],
    ['a reserved bit in the entry', RWX | AD | (1n << 54n), { access: ld }, cause.load],
    ['a pointer at the last level', pte.V, { access: ld }, cause.load],
    [
      'a misaligned load into the next page, which is not there',
      RWX | AD,
      { access: ld, address: WINDOW + 4092n },
      cause.load,
    ],
    [
      'a misaligned store into the next page, which is not there',
      RWX | AD,
      { access: sd, address: WINDOW + 4095n },
      cause.store,
    ],
  ] as const)('%s', (_, flags, options, expected) => {
    const at = window(flags, options)
    expect(x(at, 10)).toBe(expected)
    if (expected < 12n) return
    const { address = WINDOW } = options as { address?: bigint }
    const isCrossing = address !== WINDOW && (address & 0xfffn) !== 0n
    expect(x(at, 11)).toBe(isCrossing ? WINDOW + 4096n : address)
    expect(x(at, 12)).toBe(options.access === fetch ? WINDOW : BigInt(RAM_BASE + 0x1000))
    if (isCrossing) expect(at.word(DATA + 4088), 'nothing is written before the fault').toBe(0n)
  })

  test('the value comes from the mapped page', () => {
    expect(x(window(pte.V | pte.R | AD), 20)).toBe(0x1122_3344_5566_7788n)
  })

  test.each([
    ['a load sets A', ld, pte.A],
    ['a store sets A and D', sd, pte.A | pte.D],
    ['a refused fetch sets nothing', fetch, 0n],
  ] as const)('%s', (_, access, expected) => {
    const at = window(pte.V | pte.R | pte.W, { access })
    expect(at.word(LEVEL0 + 8 * 5) & (pte.A | pte.D)).toBe(expected)
  })

  test('a superpage that is not aligned is a fault', () => {
    const at = window(0n, { window: 0n })
    expect(x(at, 10)).toBe(cause.load)
    // The leaf one level up, at a page that is no multiple of 2 MiB.
    const misaligned = bareMachine((p) => {
      p.la(5, 'trap').csrw(number('mtvec'), 5)
      p.li(5, ROOT)
        .li(7, (BigInt(DATA + 0x1000) >> 2n) | RWX | AD)
        .op('sd', { rs1: 5, rs2: 7 })
      p.li(7, (BigInt(RAM_BASE) >> 2n) | RWX | AD).op('sd', { rs1: 5, rs2: 7, immediate: 16 })
      p.li(5, (8n << 60n) | BigInt(ROOT >>> 12)).csrw(number('satp'), 5)
      drop(p, privilege.supervisor, 'inside')
      p.align(4).label('inside').op('ld', { rd: 20, rs1: 0, immediate: 64 })
      catchTrap(p)
    })
    misaligned.run()
    expect([x(misaligned, 10), x(misaligned, 11)]).toEqual([cause.load, 64n])
  })

  test('a table outside RAM is an access fault', () => {
    const at = window(0n, { access: (p) => p.li(6, 0x8000_0000n).op('ld', { rd: 20, rs1: 6 }) })
    expect(x(at, 10)).toBe(cause.supervisorCall)
    const broken = bareMachine((p) => {
      p.la(5, 'trap')
        .csrw(number('mtvec'), 5)
        .li(5, (8n << 60n) | 1n)
        .csrw(number('satp'), 5)
      drop(p, privilege.supervisor, 'inside')
      p.align(4).label('inside').op('ecall')
      catchTrap(p)
    })
    broken.run()
    expect(x(broken, 10)).toBe(1n)
  })

  test('the present translation holds until sfence.vma, at the latest', () => {
    const at = window(pte.V | pte.R | AD, {
      access: (p) => {
        p.op('ld', { rd: 20, rs1: 6 })
        // Point the window at the next page, then look again.
        p.li(7, LEVEL0 + 40)
          .op('ld', { rd: 8, rs1: 7 })
          .op('addi', { rd: 8, rs1: 8, immediate: 1024 })
        p.op('sd', { rs1: 7, rs2: 8 }).op('sfence.vma').op('ld', { rd: 21, rs1: 6 })
      },
    })
    expect([x(at, 20), x(at, 21)]).toEqual([0x1122_3344_5566_7788n, 0n])
  })

  test('MPRV makes M-mode see what the previous privilege sees', () => {
    const at = window(pte.V | pte.R | AD)
    expect(x(at, 10)).toBe(cause.supervisorCall)
    const mprv = bareMachine((p) => {
      p.la(5, 'trap').csrw(number('mtvec'), 5)
      p.li(5, ROOT)
        .li(7, (BigInt(RAM_BASE) >> 2n) | RWX | AD)
        .op('sd', { rs1: 5, rs2: 7 })
      p.li(5, (8n << 60n) | BigInt(ROOT >>> 12)).csrw(number('satp'), 5)
      p.li(5, (1n << 17n) | (1n << 11n)).csrw(number('mstatus'), 5)
      // Virtual 0 is the start of RAM, where the program is; physical 0 is nothing.
      p.op('lw', { rd: 20, rs1: 0 }).csrw(number('mstatus'), 0).op('lw', { rd: 21, rs1: 0 })
      catchTrap(p)
    })
    mprv.run()
    expect(x(mprv, 20)).not.toBe(0n)
    expect([x(mprv, 10), x(mprv, 11)]).toEqual([5n, 0n])
  })
})

describe('traps', () => {
  test.each([
    ['an illegal word', (p: Program) => p.word(0xffff_ffff), 2n, 0xffff_ffffn],
    ['a reserved halfword', (p: Program) => p.half(0).half(1), 2n, 0n],
    ['a floating-point instruction', (p: Program) => p.word(0x0000_2007), 2n, 0x2007n],
    ['a CSR that does not exist', (p: Program) => p.csrr(5, 0x5c0), 2n, 0x5c00_22f3n],
    ['a write to a read-only CSR', (p: Program) => p.csrw(0xf14, 5), 2n, 0xf142_9073n],
    ['ebreak', (p: Program) => p.op('ebreak'), 3n, 'pc'],
    ['a load from nowhere', (p: Program) => p.op('lw', { rd: 5, rs1: 0, immediate: 8 }), 5n, 8n],
    ['a store to nowhere', (p: Program) => p.op('sw', { rs1: 0, rs2: 5, immediate: 8 }), 7n, 8n],
    ['a jump to nowhere', (p: Program) => p.op('jalr', { rd: 0, rs1: 0, immediate: 16 }), 1n, 16n],
    [
      'a misaligned amo',
      (p: Program) =>
        p.la(6, 'trap').op('addi', { rd: 6, rs1: 6, immediate: 2 }).op('amoadd.w', { rd: 5, rs1: 6 }),
      6n,
      undefined,
    ],
    [
      'a misaligned lr',
      (p: Program) =>
        p.la(6, 'trap').op('addi', { rd: 6, rs1: 6, immediate: 2 }).op('lr.d', { rd: 5, rs1: 6 }),
      4n,
      undefined,
    ],
    ['a call from M-mode', (p: Program) => p.op('ecall'), 11n, 0n],
  ] as const)('%s', (_, code, expected, tval) => {
    let at = 0
    const machine = bareMachine((p) => {
      p.la(5, 'trap').csrw(number('mtvec'), 5)
      at = p.here
      code(p)
      catchTrap(p)
    })
    machine.run()
    expect(x(machine, 10)).toBe(expected)
    if (tval === 'pc') expect(x(machine, 11)).toBe(BigInt(at))
    else if (tval !== undefined) expect(x(machine, 11)).toBe(tval)
  })

  test.each([
    ['delegated, from U-mode: to S-mode', 1n << 8n, privilege.user, 'stvec'],
    ['not delegated, from U-mode: to M-mode', 0n, privilege.user, 'mtvec'],
    ['never delegated from M-mode', 1n << 8n, privilege.machine, 'mtvec'],
  ] as const)('a call %s', (_, medeleg, from, vector) => {
    const at = bareMachine((p) => {
      p.la(5, 'm').csrw(number('mtvec'), 5).la(5, 's').csrw(number('stvec'), 5)
      p.li(5, medeleg).csrw(number('medeleg'), 5)
      drop(p, from, 'inside')
      p.align(4).label('inside').op('ecall')
      p.align(4).label('s').csrr(10, number('scause')).csrr(13, number('sstatus')).li(9, 1).finish()
      p.align(4).label('m').csrr(10, number('mcause')).csrr(13, number('mstatus')).li(9, 3).finish()
    })
    at.run()
    expect(x(at, 9)).toBe(vector === 'stvec' ? 1n : 3n)
    expect(x(at, 10)).toBe(from === privilege.user ? 8n : 11n)
    // The previous privilege is in SPP or MPP.
    expect(vector === 'stvec' ? (x(at, 13) >> 8n) & 1n : (x(at, 13) >> 11n) & 3n).toBe(BigInt(from))
  })

  test.each(['csrr', 'sret', 'mret', 'wfi', 'sfence.vma'] as const)('%s is illegal in U-mode', (name) => {
    const at = bareMachine((p) => {
      p.la(5, 'trap').csrw(number('mtvec'), 5)
      drop(p, privilege.user, 'inside')
      p.align(4).label('inside')
      if (name === 'csrr') p.csrr(5, number('sstatus'))
      else p.op(name)
      catchTrap(p)
    })
    at.run()
    expect(x(at, 10)).toBe(2n)
  })

  test.each([
    ['TVM', 1n << 20n, (p: Program) => p.csrr(5, number('satp'))],
    ['TVM', 1n << 20n, (p: Program) => p.op('sfence.vma')],
    ['TW', 1n << 21n, (p: Program) => p.op('wfi')],
    ['TSR', 1n << 22n, (p: Program) => p.op('sret')],
  ] as const)('%s makes S-mode trap', (_, bit, code) => {
    const at = bareMachine((p) => {
      p.la(5, 'trap').csrw(number('mtvec'), 5)
      drop(p, privilege.supervisor, 'inside', bit)
      p.align(4).label('inside')
      code(p)
      catchTrap(p)
    })
    at.run()
    expect(x(at, 10)).toBe(2n)
  })

  test('counters are open to lower privileges as the enable registers say', () => {
    const read = (mcounteren: number, scounteren: number) => {
      const at = bareMachine((p) => {
        p.la(5, 'trap').csrw(number('mtvec'), 5)
        p.li(5, mcounteren).csrw(number('mcounteren'), 5).li(5, scounteren).csrw(number('scounteren'), 5)
        drop(p, privilege.user, 'inside')
        p.align(4).label('inside').csrr(5, number('time')).op('ecall')
        catchTrap(p)
      })
      at.run()
      return x(at, 10)
    }
    expect([read(2, 2), read(2, 0), read(0, 2), read(5, 7)]).toEqual([8n, 2n, 2n, 2n])
  })

  test('a handler that cannot be fetched ends the machine', () => {
    const at = bareMachine((p) => p.csrw(number('mtvec'), 0).op('ecall'))
    expect(at.run()).toEqual({ kind: 'fault', hart: 0, cause: 11n, tval: 0n, pc: BigInt(RAM_BASE + 4) })
  })
})

describe('interrupts', () => {
  test('the machine timer fires at its tick, through the vector table', () => {
    const at = bareMachine((p) => {
      p.la(5, 'table').op('addi', { rd: 5, rs1: 5, immediate: 1 }).csrw(number('mtvec'), 5)
      p.li(6, 0x200_4000).li(7, 1000).op('sd', { rs1: 6, rs2: 7 })
      p.li(7, 1 << 7)
        .csrw(number('mie'), 7)
        .op('csrrsi', { rd: 0, rs1: 8, immediate: number('mstatus') })
      p.label('spin').op('addi', { rd: 8, rs1: 8, immediate: 1 }).jump('jal', 'spin')
      p.align(256).label('table')
      for (let i = 0; i < 7; i++) p.jump('jal', 'wrong')
      p.jump('jal', 'trap').label('wrong').li(9, 1)
      catchTrap(p)
      p.label('unused').csrr(14, number('time'))
    })
    at.run()
    expect(x(at, 9)).toBe(0n)
    expect(x(at, 10)).toBe((1n << 63n) | 7n)
    // 1000 ticks of 10 instruction times, and what the program needed to end.
    expect(at.machine.timeNs / 100).toBeGreaterThanOrEqual(1000)
    expect(at.machine.timeNs / 100).toBeLessThan(1003)
  })

  test('wfi lets time pass until the timer, even with interrupts off', () => {
    const at = bareMachine((p) => {
      p.li(6, 0x200_4000).li(7, 5_000_000).op('sd', { rs1: 6, rs2: 7 })
      p.li(7, 1 << 7)
        .csrw(number('mie'), 7)
        .op('wfi')
        .csrr(10, number('time'))
      p.csrr(11, number('mip')).csrr(12, number('instret')).finish()
    })
    at.run()
    expect(x(at, 10)).toBe(5_000_000n)
    expect(x(at, 11)).toBe(1n << 7n)
    expect(x(at, 12)).toBeLessThan(30n)
  })

  test('a hart without a timer is idle, and input wakes it', () => {
    const at = bareMachine((p) => {
      // UART interrupt (10) through the PLIC to M-mode of hart 0.
      p.li(6, 0xc00_0000).li(7, 1).op('sw', { rs1: 6, rs2: 7, immediate: 40 })
      p.li(6, 0xc00_2000)
        .li(7, 1 << 10)
        .op('sw', { rs1: 6, rs2: 7 })
      p.li(6, 0x1000_0000).li(7, 1).op('sb', { rs1: 6, rs2: 7, immediate: 1 })
      p.li(7, 1 << 11)
        .csrw(number('mie'), 7)
        .op('wfi')
      p.li(8, 0xc20_0004).op('lw', { rd: 10, rs1: 8 }).op('lbu', { rd: 11, rs1: 6 })
      p.op('sw', { rs1: 8, rs2: 10 }).csrr(12, number('mip')).finish()
    })
    expect(at.run()).toEqual({ kind: 'idle' })
    expect(at.run()).toEqual({ kind: 'idle' })
    at.machine.sendConsole(Uint8Array.of(0x41))
    expect(at.run().kind).toBe('shutdown')
    expect([x(at, 10), x(at, 11), x(at, 12)]).toEqual([10n, 0x41n, 0n])
  })

  test('a software interrupt wakes another hart', () => {
    const at = bareMachine(
      (p) => {
        p.csrr(5, number('mhartid')).jump('bne', 'second', { rs1: 5, rs2: 0 })
        p.li(6, 0x200_0004).li(7, 1).op('sw', { rs1: 6, rs2: 7 }).label('spin').jump('jal', 'spin')
        p.label('second').li(7, 8).csrw(number('mie'), 7).op('wfi').csrr(10, number('mip')).finish()
      },
      { harts: 2 },
    )
    expect(at.run().kind).toBe('shutdown')
    expect(at.machine.hart(1).x(10)).toBe(8n)
  })

  test('a supervisor interrupt waits for SIE, and is taken in S-mode', () => {
    const at = kernelMachine((p) => {
      p.la(5, 'trap').csrw(number('stvec'), 5).li(5, 2).csrw(number('sie'), 5).csrw(number('sip'), 5)
      p.li(9, 1)
        .op('csrrsi', { rd: 0, rs1: 2, immediate: number('sstatus') })
        .li(9, 2)
        .finish()
      p.align(4).label('trap').csrr(10, number('scause')).finish()
    })
    at.run()
    expect([x(at, 9), x(at, 10)]).toEqual([1n, (1n << 63n) | 1n])
  })
})

describe('memory', () => {
  test('misaligned accesses across a page work', () => {
    const at = bareMachine((p) => {
      p.li(6, RAM_BASE + 0x3000 - 3)
        .li(7, 0x1122_3344_5566_7788n)
        .op('sd', { rs1: 6, rs2: 7 })
      p.op('ld', { rd: 10, rs1: 6 })
        .op('lh', { rd: 11, rs1: 6, immediate: 2 })
        .op('lw', { rd: 12, rs1: 6, immediate: 1 })
        .finish()
    })
    at.run()
    expect([x(at, 10), x(at, 11), x(at, 12)]).toEqual([0x1122_3344_5566_7788n, 0x5566n, 0x4455_6677n])
  })

  test('sc fails without a reservation, after a store in between, and the second time', () => {
    const at = bareMachine((p) => {
      p.li(6, RAM_BASE + 0x3000).li(7, 7)
      p.op('sc.d', { rd: 10, rs1: 6, rs2: 7 })
      p.op('lr.d', { rd: 5, rs1: 6 })
        .op('sc.d', { rd: 11, rs1: 6, rs2: 7 })
        .op('sc.d', { rd: 12, rs1: 6, rs2: 7 })
      p.op('lr.d', { rd: 5, rs1: 6 }).op('sd', { rs1: 6, rs2: 0 }).op('sc.d', { rd: 13, rs1: 6, rs2: 7 })
      p.op('lr.d', { rd: 5, rs1: 6 })
        .op('addi', { rd: 8, rs1: 6, immediate: 8 })
        .op('sc.d', { rd: 14, rs1: 8, rs2: 7 })
      p.finish()
    })
    at.run()
    expect([10, 11, 12, 13, 14].map((register) => x(at, register))).toEqual([1n, 0n, 1n, 1n, 1n])
  })

  test('code that changes itself is seen behind fence.i, and by itself after a jump through the look-up', () => {
    const at = bareMachine((p) => {
      p.la(6, 'patched').li(7, 0x0020_0513).li(9, 0).li(11, 0) // addi x10, x0, 2
      p.label('again').label('patched').op('addi', { rd: 10, rs1: 0, immediate: 1 })
      p.op('add', { rd: 11, rs1: 11, rs2: 10 }).op('sw', { rs1: 6, rs2: 7 }).op('fence.i')
      p.op('addi', { rd: 9, rs1: 9, immediate: 1 }).li(8, 2).jump('bne', 'again', { rs1: 9, rs2: 8 }).finish()
    })
    at.run()
    expect(x(at, 11)).toBe(3n)
  })

  test('data beside code can be written without losing the code', () => {
    const at = bareMachine((p) => {
      p.la(6, 'data').li(8, 1000)
      p.label('again')
        .op('sd', { rs1: 6, rs2: 8 })
        .op('ld', { rd: 9, rs1: 6 })
        .op('add', { rd: 10, rs1: 10, rs2: 9 })
      p.op('addi', { rd: 8, rs1: 8, immediate: -1 }).jump('bne', 'again', { rs1: 8, rs2: 0 }).finish()
      p.align(8).label('data').double(0n)
    })
    at.run()
    expect(x(at, 10)).toBe(500_500n)
  })

  test('an instruction may lie across two pages, and follows a change of either half', () => {
    const at = bareMachine((p) => {
      p.li(9, 0).la(6, 'second').li(7, 0x0050) // addi x10, x10, 5 instead of 1
      p.jump('jal', 'at')
      p.to(RAM_BASE + 0xffe)
        .label('at')
        .half(0x0513)
        .label('second')
        .half(0x0015)
      p.op('sh', { rs1: 6, rs2: 7 }).op('fence.i').op('addi', { rd: 9, rs1: 9, immediate: 1 })
      p.li(8, 2).jump('bne', 'at', { rs1: 9, rs2: 8 }).finish()
    })
    at.run()
    expect(x(at, 10)).toBe(5n)
  })
})
