/** One contract for every engine: what instructions, calls, callbacks, tail calls and limits do. */
import { describe, expect, it } from 'vitest'
import { MAX_TAIL_CALLS } from '../../src/interpreter/index.ts'
import { assemble, instruction, type Program, type Row, rows, wideInstruction } from '../../src/isa/index.ts'
import { Arena } from '../../src/memory/index.ts'
import {
  type EngineEnvironment,
  type EngineUnderTest,
  engine,
  type HelperContext,
  type Ready,
  type RunOptions,
} from './engines.ts'

function assembled(source: string): Program {
  const result = assemble(source)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

const noHelpers: EngineEnvironment = { helper: () => undefined }

describe.each(['interpreter', 'jit'] as const)('%s', (name) => {
  function run(
    source: string | Program,
    environment: Partial<EngineEnvironment> = {},
    options: RunOptions = {},
  ) {
    const under = engine(name, new Arena(), { ...noHelpers, ...environment })
    const program = typeof source === 'string' ? assembled(source) : source
    return under.run(under.prepare(program), 0n, options)
  }

  /** r0, or the fault in words. */
  function outcome(
    source: string | Program,
    environment: Partial<EngineEnvironment> = {},
    options: RunOptions = {},
  ) {
    const result = run(source, environment, options)
    return result.ok ? result.value : result.message
  }

  describe('every row of the table', () => {
    it.each(rows.map((row: Row) => [row.name, row] as const))('%s is executed', (_, row) => {
      const fixed = (spec: string | number | undefined) => (typeof spec === 'number' ? spec : 0)
      const insn = instruction({
        opcode: row.opcode,
        dst: row.dst === 'reg' ? 6 : 0,
        src: row.src === 'reg' ? 6 : fixed(row.src),
        offset: row.offset === 'offset' ? -8 : fixed(row.offset),
        imm: fixed(row.imm),
      })
      const wide = row.kind === 'wide' ? wideInstruction(6, insn.src, 0n) : [insn]
      const program = [...assembled('r6 = r10'), ...wide, ...assembled('exit')]
      const environment = { helper: () => () => 0n, kfunc: () => () => 0n, packet: () => 0 }
      // A call with distance 0 goes to the exit and comes back to it.
      expect(run(program, environment)).toMatchObject({ ok: true })
    })
  })

  describe('memory', () => {
    it('gives each frame a zeroed stack of 512 bytes, and nothing beyond', () => {
      expect(outcome('*(u64 *)(r10 -512) = 5\nr0 = *(u64 *)(r10 -504)\nexit')).toBe(0n)
      expect(outcome('r0 = *(u8 *)(r10 +0)\nexit')).toMatch(
        /^instruction 0: invalid read of 1 bytes at 0xffffc9/,
      )
      expect(outcome('*(u64 *)(r10 -513) = 1\nexit')).toMatch(/invalid write of 8 bytes/)
      expect(outcome('*(u64 *)(r10 -7) = 1\nexit')).toMatch(/invalid write of 8 bytes/)
    })

    it.each([
      ['null', 'r1 = 0'],
      ['a small number', 'r1 = 4096'],
      ['a kernel address outside', 'r1 = 0xffff888000000000 ll'],
      ['the address below the arena', 'r1 = 0xffffc8ffffffffff ll'],
      ['the end of the address space', 'r1 = 0xffffffffffffffff ll'],
      ['the end of the arena', 'r1 = 0xffffc900ffffffff ll'],
    ])('faults on %s', (_, setup) => {
      expect(outcome(`${setup}\nr0 = *(u64 *)(r1 +0)\nexit`)).toMatch(/invalid read of 8 bytes/)
      expect(outcome(`${setup}\n*(u8 *)(r1 +0) = 1\nexit`)).toMatch(/invalid write of 1 bytes/)
      expect(outcome(`${setup}\nlock *(u64 *)(r1 +0) += r1\nexit`)).toMatch(/invalid write of 8 bytes/)
    })

    it('does not wrap a displacement around the end of the low word', () => {
      const source = 'r1 = 0xffffc900ffffffff ll\nr0 = *(u8 *)(r1 +4097)\nexit'
      expect(outcome(source)).toBe('instruction 2: invalid read of 1 bytes at 0xffffc90100001000')
    })

    it('writes nothing where a fault is', () => {
      const arena = new Arena()
      const offset = arena.allocate(16)!
      arena.setAccess(offset, 16, 'read')
      const under = engine(name, arena, noHelpers)
      const program = under.prepare(assembled('*(u32 *)(r1 +4) = 7\nexit'))
      const result = under.run(program, arena.address(offset))
      expect(result).toMatchObject({
        ok: false,
        fault: { kind: 'memory', pc: 0, sizeBytes: 4, access: 'write' },
      })
      expect([...arena.bytes.subarray(offset, offset + 16)]).toEqual(new Array(16).fill(0))
    })

    it('needs no more behind an address than the access is wide', () => {
      const arena = new Arena()
      const offset = arena.allocate(13)!
      arena.bytes[offset + 12] = 0x5a
      const under = engine(name, arena, noHelpers)
      const at = (source: string) =>
        under.run(under.prepare(assembled(`${source}\nexit`)), arena.address(offset))
      expect(at('r0 = *(u8 *)(r1 +12)')).toMatchObject({ ok: true, value: 0x5an })
      expect(at('r0 = *(s8 *)(r1 +12)')).toMatchObject({ ok: true, value: 0x5an })
      expect(at('r0 = 0\n*(u8 *)(r1 +12) = 7')).toMatchObject({ ok: true })
      expect(at('r0 = *(u16 *)(r1 +12)')).toMatchObject({ ok: false, fault: { sizeBytes: 2 } })
      expect(at('r0 = *(u8 *)(r1 +13)')).toMatchObject({ ok: false, fault: { sizeBytes: 1 } })
    })

    it('sees memory that grew while a helper ran', () => {
      const arena = new Arena({ initialBytes: 65536 })
      const helper = () => {
        const offset = arena.allocate(1 << 20)!
        arena.bytes[offset + 5] = 42
        return arena.address(offset)
      }
      const under = engine(name, arena, { helper: () => helper })
      const program = under.prepare(assembled('call 1\nr0 = *(u8 *)(r0 +5)\nexit'))
      expect(under.run(program, 0n)).toMatchObject({ ok: true, value: 42n })
    })
  })

  describe('calls', () => {
    it('saves r6 to r10 and passes r1 to r5', () => {
      const source = `
      r6 = 6
      r7 = 7
      r8 = 8
      r9 = 9
      r1 = 1
      r5 = 5
      *(u64 *)(r10 -8) = 77
      call sub
      r0 += r6
      r0 += r7
      r0 += r8
      r0 += r9
      r1 = *(u64 *)(r10 -8)
      r0 += r1
      exit
    sub:
      r0 = r1
      r0 += r5
      r6 = 0
      r7 = 0
      r8 = 0
      r9 = 0
      r1 = *(u64 *)(r10 -8)
      r0 += r1
      *(u64 *)(r10 -8) = 1000
      exit`
      expect(outcome(source)).toBe(BigInt(1 + 5 + 6 + 7 + 8 + 9 + 77))
    })

    it('lets a callee use the stack of its caller, but not one that has returned', () => {
      expect(outcome('r1 = r10\ncall sub\nr0 = *(u64 *)(r10 -8)\nexit\nsub: *(u64 *)(r1 -8) = 5\nexit')).toBe(
        5n,
      )
      expect(outcome('call sub\nr0 = *(u64 *)(r0 -8)\nexit\nsub: r0 = r10\nexit')).toMatch(/invalid read/)
    })

    it('nests 8 deep', () => {
      const nested = (depth: number) =>
        Array.from({ length: depth - 1 }, (_, i) => `f${i}: call f${i + 1}\nr0 += 1\nexit`).join('\n') +
        `\nf${depth - 1}: r0 = 1\nexit`
      expect(outcome(nested(8))).toBe(8n)
      expect(outcome(nested(9))).toBe('instruction 21: calls are nested 8 deep')
      expect(outcome('f: call f\nexit')).toBe('instruction 0: calls are nested 8 deep')
    })

    it('passes five arguments to a helper and wraps what it returns', () => {
      const seen: bigint[][] = []
      const helper = (...[r1, r2, r3, r4, r5]: [bigint, bigint, bigint, bigint, bigint, HelperContext]) => {
        seen.push([r1, r2, r3, r4, r5])
        return -22n
      }
      const source = 'r1 = -1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\ncall 7\nexit'
      expect(outcome(source, { helper: (id) => (id === 7 ? helper : undefined) })).toBe(2n ** 64n - 22n)
      expect(seen).toEqual([[2n ** 64n - 1n, 2n, 3n, 4n, 5n]])
    })

    it('faults on what is not there', () => {
      expect(outcome('call 99\nexit')).toBe('instruction 0: unknown helper 99')
      expect(outcome('call kernel-function#5@2\nexit')).toBe(
        'instruction 0: unknown kernel function 5 of BTF descriptor 2',
      )
      expect(outcome('r0 = 0\nexit\nr0 = *(u8 *)skb[0]').toString()).toBe('0')
      expect(outcome('r0 = *(u8 *)skb[0]\nexit')).toMatch(/no packet/)
      expect(outcome([])).toBe('instruction 0: execution ran past the last instruction')
      expect(outcome('goto +7')).toBe('instruction 1: execution ran past the last instruction')
      expect(outcome([instruction({ opcode: 0xff })])).toBe('instruction 0: unknown instruction, opcode 0x00')
      expect(outcome([instruction({ opcode: 0xbf, dst: 12 })])).toMatch(/unknown instruction/)
    })

    it('ends the run where a helper was passed a bad pointer', () => {
      const cause = {
        kind: 'fault',
        argument: 1,
        address: 5n,
        sizeBytes: 4,
        access: 'read',
        reason: 'no map',
      } as const
      expect(outcome('call 1\nr0 = 0\nexit', { helper: () => () => cause })).toBe(
        'instruction 0: helper 1, argument 1: no map',
      )
    })
  })

  describe('callbacks', () => {
    /** Like bpf_loop: calls the function at r2, r1 times, with the index and r3. */
    const loop = (r1: bigint, r2: bigint, r3: bigint, _r4: bigint, _r5: bigint, context: HelperContext) => {
      for (let i = 0n; i < r1; i++) {
        const result = context.callback(r2, i, r3)
        if (result === undefined) return 0n
        if (result !== 0n) return i + 1n
      }
      return r1
    }
    const environment = { helper: () => loop }

    it('run a subprogram of the same program, with their own frame', () => {
      const source = `
      r6 = 66
      r1 = 10
      r2 = subprog[body]
      r3 = r10
      r3 += -8
      call 181
      r1 = *(u64 *)(r10 -8)
      r0 += r1
      r0 += r6
      exit
    body:
      r3 = *(u64 *)(r2 +0)
      r3 += r1
      *(u64 *)(r2 +0) = r3
      r6 = 1
      r0 = 0
      exit`
      expect(outcome(source, environment)).toBe(BigInt(10 + 45 + 66))
    })

    it('may nest, and share the budget', () => {
      const source = `
      r1 = 3
      r2 = subprog[outer]
      call 181
      exit
    outer:
      r1 = 4
      r2 = subprog[inner]
      call 181
      r0 = 0
      exit
    inner:
      r0 = 0
      exit`
      const result = run(source, environment)
      expect(result).toMatchObject({ ok: true, value: 3n })
      if (name === 'interpreter') expect(result.instructions).toBe(4 + 3 * (5 + 4 * 2))
      // The compiler counts calls and rounds of loops only.
      const budget = name === 'interpreter' ? 20 : 10
      expect(outcome(source, environment, { budget })).toMatch(
        new RegExp(`the budget of ${budget} instructions is used up`),
      )
    })

    it('end the run with their fault', () => {
      const source = 'r1 = 3\nr2 = subprog[f]\ncall 181\nr0 = 7\nexit\nf: r0 = *(u8 *)(r1 +0)\nexit'
      expect(outcome(source, environment)).toMatch(/^instruction 6: invalid read of 1 bytes at 0x0/)
      expect(outcome('r1 = 1\nr2 = 5\ncall 181\nexit', environment)).toBe(
        'instruction 2: 0x5 is no subprogram of the running program',
      )
    })
  })

  describe('tail calls', () => {
    const chain = (environment: (programs: Ready[]) => EngineEnvironment, sources: readonly string[]) => {
      const programs: Ready[] = []
      const under = engine(name, new Arena(), environment(programs))
      for (const source of sources) programs.push(under.prepare(assembled(source)))
      return under.run(programs[0]!, 5n)
    }
    const toSecond = (programs: Ready[]): EngineEnvironment => ({
      helper: () => () => ({ tailCall: programs[1]! }),
    })

    it('go on in the other program with the context, and do not come back', () => {
      const result = chain(toSecond, ['r6 = 9\ncall 12\nr0 = 1\nexit', 'r0 = r1\nr0 += r6\nexit'])
      expect(result).toMatchObject({ ok: true, value: 5n })
    })

    it('from a subprogram return to its caller', () => {
      const sources = [
        'r6 = 100\ncall sub\nr0 += r6\nexit\nsub: call 12\nr0 = 1\nexit',
        'r6 = 3\nr0 = 7\nexit',
      ]
      expect(chain(toSecond, sources)).toMatchObject({ ok: true, value: 107n })
    })

    it(`from subprograms are ${MAX_TAIL_CALLS} at most, whose frames all return`, () => {
      const toItself = (programs: Ready[]): EngineEnvironment => ({
        helper: () => () => ({ tailCall: programs[0]! }),
      })
      const source = 'call sub\nr0 += 1\nexit\nsub: r0 = 0\ncall 12\nr0 = 100\nexit'
      // The last one falls through, and each of the programs adds one.
      expect(chain(toItself, [source])).toMatchObject({ ok: true, value: 100n + BigInt(MAX_TAIL_CALLS) + 1n })
    })

    const deep = (last: string) =>
      `call s1\nexit\n${[1, 2, 3, 4, 5, 6].map((n) => `s${n}: call s${n + 1}\nexit`).join('\n')}\ns7: ${last}`

    it('give each program its eight frames', () => {
      const last = 'r0 = 40\n*(u64 *)(r10 - 512) = r0\nexit'
      expect(chain(toSecond, [deep('call 12\nr0 = 1\nexit'), deep(last)])).toMatchObject({
        ok: true,
        value: 40n,
      })
      const toItself = (programs: Ready[]): EngineEnvironment => ({
        helper: () => () => ({ tailCall: programs[0]! }),
      })
      expect(chain(toItself, [deep('r0 = 7\ncall 12\n*(u64 *)(r10 - 512) = r0\nexit')])).toMatchObject({
        ok: true,
        value: 7n,
      })
    })

    it('let no program have more', () => {
      const sources = [deep('call 12\nr0 = 1\nexit'), deep('call s8\nexit\ns8: r0 = 1\nexit')]
      expect(chain(toSecond, sources)).toMatchObject({ ok: false, fault: { kind: 'call-depth' } })
    })

    it(`are ${MAX_TAIL_CALLS} at most; one more falls through`, () => {
      let calls = 0
      const toSelf = (programs: Ready[]): EngineEnvironment => ({
        helper: () => () => {
          calls++
          return { tailCall: programs[0]! }
        },
      })
      expect(chain(toSelf, ['r0 = 0\ncall 12\nr0 += 3\nexit'])).toMatchObject({ ok: true, value: 3n })
      expect(calls).toBe(MAX_TAIL_CALLS + 1)
    })
  })

  describe('a program of many instructions', () => {
    const far = 70_000
    const filling = assembled(`${'r0 += 1\n'.repeat(far)}exit`)

    it('jumps, branches and calls further than 16 bits count', () => {
      // Each way over the filling, then back to its start by a jump of a negative distance.
      const program = [
        ...assembled('r0 = 0\nif r1 == 1 goto +1'),
        instruction({ opcode: 0x06, imm: far + 1 }),
        ...filling,
        ...assembled('r0 += 5\nif r1 == 0 goto +1'),
        instruction({ opcode: 0x95 }),
        instruction({ opcode: 0x85, src: 1, imm: 2 }),
        instruction({ opcode: 0xb7, dst: 1, imm: 1 }),
        instruction({ opcode: 0x06, imm: -(far + 7) }),
        ...assembled('r0 = 7\nexit'),
      ]
      // 5, then the call's 7, then all of the filling.
      expect(outcome(program)).toBe(BigInt(far + 7))
    })
  })

  describe('limits', () => {
    it('ends an endless loop, and says how many instructions ran', () => {
      expect(run('l: goto l', {}, { budget: 1000 })).toMatchObject({
        ok: false,
        fault: { kind: 'budget', pc: 0, budget: 1000 },
      })
      expect(run('r0 = 1\nexit', {}, { budget: 2 })).toMatchObject({ ok: true })
      if (name !== 'interpreter') return
      expect(run('r0 = 1\nexit')).toEqual({ ok: true, value: 1n, instructions: 2 })
      expect(run('r0 = 1\nexit', {}, { budget: 1 })).toMatchObject({ ok: false })
    })

    it('leaves a may_goto loop in the end', () => {
      const result = run('r0 = 0\nl: may_goto done\nr0 += 1\ngoto l\ndone: exit', {}, { budget: 2 ** 31 - 1 })
      expect(result).toMatchObject({ ok: true, value: 8388608n })
    })

    it('runs programs from within helpers, and starts each with clean registers', () => {
      const arena = new Arena()
      const under: EngineUnderTest = engine(name, arena, {
        helper: () => (r1) => {
          const result = under.run(inner, r1)
          return result.ok ? result.value : 0n
        },
      })
      const inner = under.prepare(assembled('r0 = r1\nr0 += r6\nr6 = 5\n*(u64 *)(r10 -8) = 3\nexit'))
      const outer = under.prepare(
        assembled(
          'r6 = 1\n*(u64 *)(r10 -8) = 8\nr1 = 4\ncall 1\nr1 = *(u64 *)(r10 -8)\nr0 += r1\nr0 += r6\nexit',
        ),
      )
      for (let i = 0; i < 3; i++) expect(under.run(outer, 0n)).toMatchObject({ ok: true, value: 13n })
    })
  })

  describe('packet access', () => {
    const bytes = [0x11, 0x22, 0x33, 0x44, 0x55]
    const environment = {
      packet: (_context: bigint, offset: number, sizeBytes: number) =>
        offset < 0 || offset + sizeBytes > bytes.length
          ? undefined
          : bytes.slice(offset, offset + sizeBytes).reduce((value, byte) => value * 256 + byte, 0),
    }
    it('reads big-endian, at an offset and at a register plus an offset', () => {
      expect(outcome('r0 = *(u32 *)skb[1]\nexit', environment)).toBe(0x22334455n)
      expect(outcome('r2 = 1\nr0 = *(u16 *)skb[r2 + 2]\nexit', environment)).toBe(0x4455n)
    })
    it('ends the function with 0 outside the packet', () => {
      expect(outcome('r0 = 7\nr0 = *(u32 *)skb[2]\nr0 = 9\nexit', environment)).toBe(0n)
      expect(outcome('call f\nr0 += 4\nexit\nf: r0 = *(u8 *)skb[9]\nexit', environment)).toBe(4n)
    })
  })
})
