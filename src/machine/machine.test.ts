import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { board } from './board.ts'
import { encodeInstruction } from './cpu/encode.ts'
import { RAM_BASE } from './cpu/layout.ts'
import { hartState, privilege } from './hart.ts'
import { createMachine } from './machine.ts'
import { bareMachine, executable, kernelMachine } from './testing/bare.ts'
import { Program } from './testing/program.ts'

const EBREAK = Uint8Array.of(0x73, 0x00, 0x10, 0x00)

/** Calls an SBI function: a7 and a6, the arguments from a0 on. The error is in x10, the value in x11. */
const sbi = (p: Program, extension: number, fid: number, ...args: (number | bigint)[]): Program => {
  args.forEach((value, i) => {
    p.li(10 + i, value)
  })
  return p.li(17, extension).li(16, fid).op('ecall')
}
const SRST = 0x53525354
const shutdown = (p: Program) => sbi(p, SRST, 0, 0, 0)

describe('options and loading', () => {
  const kernel = { image: Uint8Array.of(0x13, 0, 0, 0) }

  test.each([
    { harts: 0 },
    { harts: 9 },
    { ramBytes: 100_000 },
    { ramBytes: 1024 },
    { codeCacheBytes: 1000 },
    { disks: Array.from({ length: 9 }, () => new Uint8Array(512)) },
  ])('%o is out of range', (options) => {
    expect(() => createMachine({ kernel, ...options })).toThrow(RangeError)
  })

  test.each([
    ['not an ELF file', Uint8Array.of(1, 2, 3), 0, /64 bytes/],
    ['another machine', patched(18, 62), 18, /RISC-V/],
    ['a 32-bit file', patched(4, 1), 4, /64-bit/],
    ['headers beyond the end', patched(33, 0xff), 32, /program headers inside/],
    ['a segment outside RAM', patched(64 + 24 + 3, 0x10), 64, /inside RAM/],
    ['a segment beyond the file', patched(64 + 32 + 2, 1), 64, /inside the file/],
    ['no loadable segment', patched(64, 6), 64, /loadable segment/],
  ])('%s is refused, and the error says where', (_, elf, offset, expected) => {
    const created = createMachine({ kernel: { elf } })
    expect(created).toMatchObject({ ok: false, error: { offset, expected: expect.stringMatching(expected) } })
  })

  test('a kernel, a RAM disk and a device tree that do not fit are refused', () => {
    const created = createMachine({ kernel, ramBytes: 4 << 20, initrd: new Uint8Array(2 << 20) })
    expect(created).toMatchObject({ ok: false, error: { expected: expect.stringContaining('RAM disk') } })
  })

  test('a flat image starts in S-mode at the kernel address, with hart id and device tree', () => {
    const created = createMachine({ kernel, initrd: Uint8Array.of(1, 2, 3), ramBytes: 4 << 20 })
    if (!created.ok) throw new Error()
    const hart = created.machine.hart(0)
    expect([hart.pc, hart.x(10), hart.privilege]).toEqual([BigInt(board.kernel), 0n, privilege.supervisor])
    const magic = new Uint8Array(4)
    created.machine.readPhysical(Number(hart.x(11)), magic)
    expect([...magic]).toEqual([0xd0, 0x0d, 0xfe, 0xed])
  })

  test('an entry at a virtual address is moved with its segment', () => {
    const elf = executable(new Program(board.kernel).op('addi'))
    const view = new DataView(elf.buffer)
    view.setBigUint64(24, 0xffff_ffc0_8020_0000n, true)
    view.setBigUint64(80, 0xffff_ffc0_8020_0000n, true)
    const created = createMachine({ kernel: { elf } })
    expect(created.ok && created.machine.hart(0).pc).toBe(BigInt(board.kernel))
  })

  function patched(offset: number, value: number): Uint8Array {
    const elf = executable(new Program(board.kernel).op('addi'))
    elf[offset] = value
    return elf
  }
})

describe('SBI', () => {
  test('BASE says version 3.0 and which extensions there are', () => {
    const at = kernelMachine((p) => {
      sbi(p, 0x10, 0).op('addi', { rd: 20, rs1: 11 })
      sbi(p, 0x10, 3, SRST).op('addi', { rd: 21, rs1: 11 })
      sbi(p, 0x10, 3, 0x1234).op('addi', { rd: 22, rs1: 11 })
      sbi(p, 0x1234, 0).op('addi', { rd: 23, rs1: 10 })
      sbi(p, 0x10, 99).op('addi', { rd: 24, rs1: 10 })
      shutdown(p)
    })
    expect(at.run()).toEqual({ kind: 'shutdown', type: 'poweroff', reason: 0 })
    const hart = at.machine.hart(0)
    expect([20, 21, 22].map((i) => hart.x(i))).toEqual([3n << 24n, 1n, 0n])
    expect([23, 24].map((i) => BigInt.asIntN(64, hart.x(i)))).toEqual([-2n, -2n])
  })

  test('SRST gives its type and reason', () => {
    const end = (type: number, reason: number) => kernelMachine((p) => sbi(p, SRST, 0, type, reason)).run()
    expect(end(0, 1)).toEqual({ kind: 'shutdown', type: 'poweroff', reason: 1 })
    expect(end(1, 0)).toEqual({ kind: 'shutdown', type: 'reboot', reason: 0 })
    const refused = kernelMachine((p) => sbi(p, SRST, 0, 77, 0).op('addi', { rd: 20, rs1: 10 }).finish())
    refused.run()
    expect(BigInt.asIntN(64, refused.machine.hart(0).x(20))).toBe(-3n)
  })

  test('the console writes and reads, by DBCN, by the legacy calls and through the UART', () => {
    const at = kernelMachine((p) => {
      p.la(11, 'text').li(10, 5).li(12, 0).li(17, 0x4442434e).li(16, 0).op('ecall')
      p.op('addi', { rd: 20, rs1: 11 })
      sbi(p, 0x4442434e, 2, 0x21)
      sbi(p, 0x01, 0, 0x3f)
      p.li(5, 0x1000_0000).li(6, 0x2e).op('sb', { rs1: 5, rs2: 6 })
      p.la(11, 'input').li(10, 4).li(12, 0).li(17, 0x4442434e).li(16, 1).op('ecall')
      p.op('addi', { rd: 21, rs1: 11 })
      sbi(p, 0x02, 0).op('addi', { rd: 22, rs1: 10 })
      sbi(p, 0x4442434e, 0, 4, 0x1000).op('addi', { rd: 23, rs1: 10 })
      shutdown(p)
      p.label('text').half(0x6568).half(0x6c6c).half(0x006f).align(8).label('input').double(0n)
    })
    at.machine.sendConsole(Uint8Array.of(1, 2))
    at.run()
    const hart = at.machine.hart(0)
    expect(at.console()).toBe('hello!?.')
    expect([20, 21].map((i) => hart.x(i))).toEqual([5n, 2n])
    expect([22, 23].map((i) => BigInt.asIntN(64, hart.x(i)))).toEqual([-1n, -3n])
    expect(at.word(at.program.addressOf('input'))).toBe(0x0201n)
  })

  test('TIME wakes a hart at its tick, and clears what is pending', () => {
    const at = kernelMachine((p) => {
      sbi(p, 0x54494d45, 0, 123_456)
      p.li(5, 1 << 5)
        .csrw(0x104, 5)
        .op('wfi')
        .csrr(20, 0xc01)
        .csrr(21, 0x144)
      sbi(p, 0x54494d45, 0, -1).csrr(22, 0x144)
      shutdown(p)
    })
    at.run()
    const hart = at.machine.hart(0)
    expect([20, 21, 22].map((i) => hart.x(i))).toEqual([123_456n, 1n << 5n, 0n])
  })

  test('HSM starts, stops and reports harts; IPI wakes them', () => {
    const HSM = 0x48534d
    const at = kernelMachine(
      (p) => {
        sbi(p, HSM, 2, 1).op('addi', { rd: 20, rs1: 11 })
        p.la(11, 'second')
          .li(10, 1)
          .li(12, 0x77)
          .li(17, HSM)
          .li(16, 0)
          .op('ecall')
          .op('addi', { rd: 21, rs1: 10 })
        p.la(11, 'second')
          .li(10, 1)
          .li(12, 0x77)
          .li(17, HSM)
          .li(16, 0)
          .op('ecall')
          .op('addi', { rd: 22, rs1: 10 })
        sbi(p, 0x735049, 0, 2, 0)
        p.label('spin')
        sbi(p, HSM, 2, 1).li(5, 1).jump('bne', 'spin', { rs1: 11, rs2: 5 })
        sbi(p, HSM, 2, 9).op('addi', { rd: 23, rs1: 10 })
        sbi(p, 0x735049, 0, 4, 0).op('addi', { rd: 24, rs1: 10 })
        sbi(p, 0x52464e43, 1, 3, 0).op('addi', { rd: 25, rs1: 10 })
        shutdown(p)
        p.align(4).label('second').op('addi', { rd: 20, rs1: 10 }).op('addi', { rd: 21, rs1: 11 })
        p.li(5, 2).csrw(0x104, 5).op('wfi').csrr(22, 0x144)
        sbi(p, HSM, 1)
      },
      { harts: 2 },
    )
    expect(at.run().kind).toBe('shutdown')
    const [first, second] = at.machine.harts
    const signed = (i: number) => BigInt.asIntN(64, first!.x(i))
    expect([20, 21, 22, 23, 24, 25].map(signed)).toEqual([BigInt(hartState.stopped), 0n, -6n, -3n, -3n, 0n])
    expect([20, 21, 22].map((i) => second!.x(i))).toEqual([1n, 0x77n, 2n])
  })

  test('an extension of our own is probed and answered', () => {
    const EXTENSION = 0x0a00_1234
    const at = kernelMachine((p) => {
      sbi(p, 0x10, 3, EXTENSION).op('addi', { rd: 20, rs1: 11 })
      sbi(p, EXTENSION, 7, 1, 2, 3, 4, 5, 6).op('addi', { rd: 21, rs1: 10 }).op('addi', { rd: 22, rs1: 11 })
      shutdown(p)
    })
    const calls: unknown[] = []
    at.machine.onSbiCall(EXTENSION, (hart, call) => {
      calls.push([hart.index, call.functionId, call.arguments, at.machine.timeNs > 0])
      return { error: -4n, value: 99n }
    })
    at.run()
    expect(calls).toEqual([[0, 7, [1n, 2n, 3n, 4n, 5n, 6n], true]])
    const hart = at.machine.hart(0)
    expect([hart.x(20), BigInt.asIntN(64, hart.x(21)), hart.x(22)]).toEqual([1n, -4n, 99n])
  })
})

describe('what a debugger needs', () => {
  const counting = (p: Program) =>
    p
      .li(8, 0)
      .li(9, 10)
      .label('again')
      .op('addi', { rd: 8, rs1: 8, immediate: 1 })
      .label('probed')
      .op('addi', { rd: 9, rs1: 9, immediate: -1 })
      .jump('bne', 'again', { rs1: 9, rs2: 0 })
      .finish()

  test('a patched breakpoint reaches the handler, which steps the original and goes on', () => {
    const at = bareMachine(counting)
    const { machine } = at
    const probed = BigInt(at.program.addressOf('probed'))
    const original = new Uint8Array(4)
    expect(machine.readVirtual(machine.hart(0), probed, original)).toBe(true)
    machine.patchText(machine.hart(0), probed, EBREAK)
    const seen: bigint[] = []
    machine.onBreakpoint((hart, pc) => {
      expect(pc).toBe(probed)
      seen.push(hart.x(8))
      const before = hart.retired
      machine.patchText(hart, pc, original)
      expect(machine.step(hart)).toBeUndefined()
      expect(hart.pc).toBe(pc + 4n)
      expect(hart.retired).toBe(before + 1)
      machine.patchText(hart, pc, EBREAK)
      return true
    })
    expect(at.run().kind).toBe('shutdown')
    expect(seen).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n])
  })

  test('a handler may move the pc; a breakpoint that is not its own is the guest’s', () => {
    const at = bareMachine((p) => {
      p.la(5, 'trap').csrw(0x305, 5)
      p.label('ours').op('ebreak').li(10, 1)
      p.half(0x9002).label('never').half(1).li(10, 2)
      p.align(4).label('trap').csrr(11, 0x342).csrr(12, 0x341).finish()
    })
    const { machine, program } = at
    machine.onBreakpoint((hart, pc) => {
      if (pc !== BigInt(program.addressOf('ours'))) return false
      hart.pc = pc + 4n
      return true
    })
    at.run()
    const hart = machine.hart(0)
    expect([hart.x(10), hart.x(11), hart.x(12)]).toEqual([1n, 3n, BigInt(program.addressOf('never') - 2)])
  })

  test('without a handler, ebreak is an exception', () => {
    const at = bareMachine((p) => {
      p.la(5, 'trap').csrw(0x305, 5).op('ebreak').align(4).label('trap').csrr(11, 0x342).finish()
    })
    at.machine.onBreakpoint(() => true)
    at.machine.onBreakpoint(undefined)
    at.run()
    expect(at.machine.hart(0).x(11)).toBe(3n)
  })

  test('stepping gives the same states as running', () => {
    const stepped = bareMachine(counting)
    const run = bareMachine(counting)
    const a = stepped.machine.hart(0)
    const b = run.machine.hart(0)
    for (let i = 1; stepped.machine.step(a) === undefined; i++) {
      run.machine.run({ maxInstructions: 1 })
      expect([a.pc, a.x(8), a.x(9), a.retired, stepped.machine.timeNs]).toEqual([
        b.pc,
        b.x(8),
        b.x(9),
        i,
        run.machine.timeNs,
      ])
    }
    expect(a.retired).toBeGreaterThan(30)
  })

  test('registers and CSRs can be read and written', () => {
    const { machine } = bareMachine((p) => p.op('addi'))
    const hart = machine.hart(0)
    hart.setX(5, -1n)
    hart.setX(0, 5n)
    expect([hart.x(5), hart.x(0)]).toEqual([(1n << 64n) - 1n, 0n])
    expect(hart.setCsr(0x340, 0x1234n)).toBe(true)
    expect([hart.csr(0x340), hart.csr(0xf14), hart.csr(0x3b0), hart.csr(0x7ff)]).toEqual([
      0x1234n,
      0n,
      0n,
      undefined,
    ])
    expect(hart.setCsr(0x7ff, 1n)).toBe(false)
    // Read-only bits stay.
    hart.setCsr(0x301, 0n)
    expect(hart.csr(0x301)).not.toBe(0n)
    expect(() => machine.hart(1)).toThrow(RangeError)
  })

  test('memory outside RAM is refused', () => {
    const { machine } = bareMachine((p) => p.op('addi'))
    const hart = machine.hart(0)
    const bytes = new Uint8Array(8)
    const end = RAM_BASE + machine.ram.length
    expect(machine.readPhysical(end - 4, bytes)).toBe(false)
    expect(machine.writePhysical(0x1000_0000, bytes)).toBe(false)
    expect(machine.readVirtual(hart, BigInt(end - 4), bytes)).toBe(false)
    expect(machine.writeVirtual(hart, BigInt(end - 4), bytes)).toBe(false)
    expect(machine.writeVirtual(hart, -8n, bytes)).toBe(false)
    expect(machine.translate(hart, BigInt(RAM_BASE + 5))).toBe(RAM_BASE + 5)
  })

  test('virtual memory is read as the page table has it, by privilege, without a trace', () => {
    const { machine } = bareMachine((p) => p.op('addi'))
    const hart = machine.hart(0)
    const root = RAM_BASE + 0x10_0000
    const put = (address: number, value: bigint) => {
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setBigUint64(0, value, true)
      machine.writePhysical(address, bytes)
    }
    const pointer = (address: number, flags: bigint) => (BigInt(address >>> 12) << 10n) | flags
    // 0x1000: a page for users, 0x2000: one for the supervisor, which is not next to it; 0x3000: none.
    put(root, pointer(root + 0x1000, 1n))
    put(root + 0x1000, pointer(root + 0x2000, 1n))
    put(root + 0x2000 + 8, pointer(RAM_BASE + 0x5000, 0x13n))
    put(root + 0x2000 + 16, pointer(RAM_BASE + 0x7000, 0x3n))
    hart.setCsr(0x180, (8n << 60n) | BigInt(root >>> 12))
    put(RAM_BASE + 0x5ff8, 0x11n)
    put(RAM_BASE + 0x7000, 0x22n)
    const bytes = new Uint8Array(8)
    expect(machine.readVirtual(hart, 0x1ff8n, bytes, privilege.user)).toBe(true)
    expect(bytes[0]).toBe(0x11)
    expect(machine.readVirtual(hart, 0x1ff8n, bytes, privilege.supervisor)).toBe(false)
    expect(machine.readVirtual(hart, 0x2000n, bytes, privilege.supervisor)).toBe(true)
    expect(bytes[0]).toBe(0x22)
    expect(machine.readVirtual(hart, 0x2000n, bytes, privilege.user)).toBe(false)
    const both = new Uint8Array(16)
    expect(machine.readVirtual(hart, 0x1ff8n, both, privilege.machine)).toBe(true)
    expect([both[0], both[8]]).toEqual([0x11, 0x22])
    // A write that would reach a hole writes nothing, and one to a read-only page is the debugger's right.
    expect(machine.writeVirtual(hart, 0x2ffcn, bytes, privilege.machine)).toBe(false)
    expect(machine.writeVirtual(hart, 0x2008n, Uint8Array.of(9), privilege.machine)).toBe(true)
    const leaf = new Uint8Array(8)
    machine.readPhysical(root + 0x2008, leaf)
    expect(leaf[0], 'no accessed bit').toBe(0x13)
  })

  test('a requested stop comes back, and the run goes on where it was', () => {
    const at = kernelMachine((p) => {
      sbi(p, 0x0a00_0001, 0).li(20, 5)
      shutdown(p)
    })
    at.machine.onSbiCall(0x0a00_0001, () => {
      at.machine.requestStop()
      return { error: 0n }
    })
    expect(at.run()).toEqual({ kind: 'requested' })
    expect(at.machine.hart(0).x(20)).toBe(0n)
    expect(at.run().kind).toBe('shutdown')
    expect(at.machine.hart(0).x(20)).toBe(5n)
  })
})

describe('determinism', () => {
  /** Two harts race for a counter with lr/sc and amoadd, with timer interrupts in between, and print it. */
  const race = () =>
    bareMachine(
      (p) => {
        p.la(5, 'trap').csrw(0x305, 5).la(20, 'shared').csrr(21, 0xf14)
        p.li(6, 0x200_4000).op('slli', { rd: 7, rs1: 21, immediate: 3 }).op('add', { rd: 6, rs1: 6, rs2: 7 })
        p.li(7, 500)
          .op('sd', { rs1: 6, rs2: 7 })
          .li(7, 1 << 7)
          .csrw(0x304, 7)
        p.op('csrrsi', { rd: 0, rs1: 8, immediate: 0x300 }).li(9, 20_000)
        p.label('again').op('lr.d', { rd: 10, rs1: 20 }).op('addi', { rd: 10, rs1: 10, immediate: 1 })
        p.op('sc.d', { rd: 11, rs1: 20, rs2: 10 }).jump('bne', 'again', { rs1: 11, rs2: 0 })
        p.op('andi', { rd: 12, rs1: 10, immediate: 1023 }).jump('bne', 'silent', { rs1: 12, rs2: 0 })
        p.li(13, 0x1000_0000).op('addi', { rd: 14, rs1: 21, immediate: 0x41 }).op('sb', { rs1: 13, rs2: 14 })
        p.label('silent')
          .op('addi', { rd: 9, rs1: 9, immediate: -1 })
          .jump('bne', 'again', { rs1: 9, rs2: 0 })
        p.op('addi', { rd: 20, rs1: 20, immediate: 8 }).li(10, 1).op('amoadd.d', { rd: 11, rs1: 20, rs2: 10 })
        p.jump('beq', 'wait', { rs1: 11, rs2: 0 }).finish()
        p.label('wait').op('wfi').jump('jal', 'wait')
        p.align(4).label('trap').csrr(30, 0xc01).op('addi', { rd: 30, rs1: 30, immediate: 700 })
        p.op('sd', { rs1: 6, rs2: 30 }).op('addi', { rd: 29, rs1: 29, immediate: 1 }).op('mret')
        p.align(8).label('shared').double(0n).double(0n)
      },
      { harts: 2 },
    )
  const summary = (at: ReturnType<typeof race>) => [
    at.console(),
    at.machine.timeNs,
    at.word(at.program.addressOf('shared')),
    ...at.machine.harts.map((hart) => [hart.retired, hart.x(29), hart.pc]),
  ]

  test('the same guest gives the same trace, however the run is divided', () => {
    const whole = race()
    expect(whole.run().kind).toBe('shutdown')
    expect(whole.word(whole.program.addressOf('shared'))).toBe(40_000n)
    expect(whole.console()).toMatch(/^[AB]{39}$/)
    expect(new Set(whole.console()).size).toBe(2)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1 }), (pieces) => {
        const divided = race()
        for (let i = 0; ; i++) {
          const stop = divided.machine.run({ maxInstructions: pieces[i % pieces.length]! })
          if (stop.kind === 'shutdown') break
        }
        expect(summary(divided)).toEqual(summary(whole))
      }),
      { numRuns: 10 },
    )
  })

  test('a small code cache changes nothing', () => {
    const program = (p: Program) => {
      // A walk over more pages of code than the cache holds, twice.
      for (let i = 0; i < 60; i++)
        p.to(RAM_BASE + i * 4096)
          .label(`page${i}`)
          .op('addi', { rd: 8, rs1: 8, immediate: i })
          .jump('jal', `page${i + 1}`)
      p.to(RAM_BASE + 60 * 4096)
        .label('page60')
        .op('addi', { rd: 9, rs1: 9, immediate: 1 })
        .li(10, 2)
      p.jump('beq', 'done', { rs1: 9, rs2: 10 }).jump('jal', 'page0').label('done').finish()
    }
    const small = bareMachine(program, { codeCacheBytes: 300_000 })
    expect(small.run().kind).toBe('shutdown')
    expect(small.machine.hart(0).x(8)).toBe(BigInt(2 * ((59 * 60) / 2)))
  })

  test('an instruction that faults counts once', () => {
    const at = bareMachine((p) => {
      p.la(5, 'trap').csrw(0x305, 5).op('lw', { rd: 5, rs1: 0 }).align(4).label('trap').finish()
    })
    at.run()
    const { program, machine } = at
    const instructions = (program.here - RAM_BASE) / 4 - 1
    expect(machine.hart(0).retired).toBe(instructions)
  })
})

test('words of a program are what the encoder gives', () => {
  const program = new Program(0).op('addi', { rd: 1, rs1: 2, immediate: -1 })
  expect(new DataView(program.bytes().buffer).getUint32(0, true)).toBe(
    encodeInstruction('addi', { rd: 1, rs1: 2, immediate: -1 }),
  )
})
