/** The structural check against the verifier of the Linux that runs the tests: same errno, same last line. */
import { afterAll, describe, expect, it } from 'vitest'
import { assemble, instruction, type Program, rowOf } from '../../src/isa/index.ts'
import { StructureVerifier } from '../../src/verifier/index.ts'
import { LinuxOracle } from '../support/linux-oracle.ts'

const oracle = LinuxOracle.open()
afterAll(() => {
  if (typeof oracle !== 'string') oracle[Symbol.dispose]()
})

const SOCKET_FILTER = 1

const ours = (program: Program, gplCompatible = true) => {
  const verdict = new StructureVerifier().verify({
    instructions: program,
    programType: SOCKET_FILTER,
    expectedAttachType: 0,
    flags: 0,
    license: gplCompatible ? 'GPL' : 'Proprietary',
    name: '',
    maps: {},
    descriptors: [],
    functions: [],
    lines: [],
    logLevel: 1,
  })
  return verdict.accepted
    ? { errno: 0, message: '', log: verdict.log }
    : { errno: verdict.errno, message: verdict.message, log: verdict.log }
}

const assembled = (source: string): Program => {
  const result = assemble(source)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

const insn = (opcode: number, fields = {}) => instruction({ opcode, ...fields })
const setup = 'r0 = 0\nr1 = 0\nr2 = 0\nr3 = 0\n*(u64 *)(r10 -8) = r0\n'
const around = (...middle: Program): Program => [...assembled(setup), ...middle, ...assembled('r0 = 0\nexit')]

/** Programs that are wrong in one way each. */
const malformed: readonly (readonly [string, Program])[] = [
  ['nothing', []],
  ['jumps past the end', assembled('r0 = 0\nif r0 == 0 goto +1\nexit')],
  ['jumps before the start', assembled('r0 = 0\ngoto -3')],
  ['gotol past the end', assembled('r0 = 0\ngotol +100000')],
  ['may_goto past the end', assembled('r0 = 0\nmay_goto +7\nexit')],
  ['jumps into a wide instruction', assembled('r0 = 0\nif r0 == 1 goto +1\nr1 = 5 ll\nexit')],
  ['has unreachable code', assembled('r0 = 0\nexit\nr0 = 1\nexit')],
  ['has unreachable code behind a jump', assembled('r0 = 0\ngoto +1\nr0 = 1\nexit')],
  ['does not end', assembled('r0 = 0')],
  ['ends in a call', assembled('call 5')],
  ['ends in a conditional jump', assembled('r0 = 0\nif r0 == 0 goto -2')],
  ['half a wide instruction at the end', [...assembled('r0 = 0\nexit'), insn(0x18)]],
  ['half a wide instruction', [insn(0x18), ...assembled('r0 = 0\nexit')]],
  ['a wide instruction of kind 7', [insn(0x18, { src: 7 }), insn(0), ...assembled('r0 = 0\nexit')]],
  [
    'a map descriptor with a high half',
    [insn(0x18, { src: 1, imm: 3 }), insn(0, { imm: 1 }), ...assembled('exit')],
  ],
  ['a map descriptor that is none', [...assembled('r1 = map[fd:999]\nr0 = 0\nexit')]],
  ['a map value of no map', [...assembled('r1 = map[fd:999][0]+4\nr0 = 0\nexit')]],
  ['a wide instruction with an offset', [insn(0x18, { offset: 1 }), insn(0), ...assembled('r0 = 0\nexit')]],
  ['calls outside', assembled('call pc+5\nexit')],
  ['calls before the start', assembled('call pc-5\nexit')],
  ['a function pointer to outside', assembled('r1 = subprog[+9]\nr0 = 0\nexit')],
  ['falls into a subprogram', assembled('call sub\nr0 = 0\nsub: r0 = 0\nexit')],
  ['jumps into a subprogram', assembled('call sub\nif r0 == 0 goto sub\nexit\nsub: r0 = 0\nexit')],
  ['packet access in a subprogram', assembled('r6 = r1\ncall sub\nexit\nsub: r0 = *(u8 *)skb[0]\nexit')],
  ['a tail call in a subprogram', assembled('call sub\nexit\nsub: r2 = 0\nr3 = 0\ncall 12\nr0 = 0\nexit')],
  ['calls helper 9999', assembled('call 9999\nexit')],
  ['calls helper -1', assembled('call -1\nexit')],
  ['calls helper 0', assembled('call 0\nexit')],
  ['calls a helper of other types', assembled('call 2000\nr0 = 0\nexit')],
  ['calls a helper of tracing programs', assembled('call 131\nr0 = 0\nexit')],
  ['an endless loop', assembled('l: goto l')],
  ['backward jumps', assembled('r0 = 0\nl: r0 += 1\nif r0 != 3 goto l\nexit')],
  ['two subprograms', assembled('call a\nexit\na: call b\nexit\nb: r0 = 1\nexit')],
]

/** One instruction with one field changed at a time, for opcodes and fields of every kind. */
function* mutations(): Generator<readonly [string, Program]> {
  for (let opcode = 0; opcode < 256; opcode++) {
    if (opcode === 0x18 || opcode === 0x95) continue
    const isJump = (opcode & 7) === 5 || (opcode & 7) === 6
    const isMemory = (opcode & 7) < 4
    const base = {
      opcode,
      dst: (opcode & 7) === 1 ? 2 : isMemory ? 10 : 1,
      src: (opcode & 7) === 1 ? 10 : 0,
      offset: isMemory ? -8 : 0,
      imm: 0,
    }
    const changes = [
      {},
      { dst: 11 },
      { src: 11 },
      { src: 3 },
      { src: 2 },
      { dst: 10 },
      { dst: 0, src: 0, offset: 0 },
    ]
      .concat([{ offset: 1 }, { offset: 8 }, { offset: 2 }].filter(() => !isJump && !isMemory) as never[])
      .concat([{ imm: 16 }, { imm: 1 }, { imm: 64 }, { imm: -1 }, { imm: 0x100 }, { imm: 0x12 }] as never[])
    for (const change of changes) {
      const mutated = { ...base, ...change }
      // What a call, a packet access or a jump into nowhere is refused for depends on more than its fields.
      if (isJump && (opcode & 0xf0) === 0x80) continue
      if (opcode === 0x06 && mutated.imm !== 0) continue
      if ([0x20, 0x28, 0x30, 0x40, 0x48, 0x50].includes(opcode) && rowOf(mutated) !== undefined) continue
      yield [JSON.stringify(mutated), around(mutated)]
    }
  }
}

/** Messages that are about what a register holds, which a structural check does not ask. */
const aboutValues =
  /old state|!read_ok|invalid mem access|pointer arithmetic|misaligned|invalid (read|write|access|size|variable)|leaks addr|atomic (stores|loads)|prohibited|partial copy|attempt to|unbounded|arena|infinite loop|math between|comparison|R\d+ (type|has|min|max|unb|off|is not|pointer)|may_goto|invalid insn idx|smaller than|bitwise operator|Leaving|verifier bug|At program exit|addr_space|ptr_to|The sequence of|corrupt|tail_calls|cannot be loaded|without RCU|sock|too large|stack/

describe('the structural check and Linux', () => {
  const skip = typeof oracle === 'string'
  const title = skip ? `(skipped: ${oracle})` : ''

  it.skipIf(skip)(`agree on malformed programs ${title}`, () => {
    const answers = (oracle as LinuxOracle).ask(malformed.map(([, program]) => ({ program })))
    const expected = malformed.map(([name], i) => ({
      name,
      errno: answers[i]!.errno,
      message: answers[i]!.message,
    }))
    const found = malformed.map(([name, program]) => {
      const { errno, message } = ours(program)
      return { name, errno, message }
    })
    const values = expected.map(({ message }) => aboutValues.test(message))
    expect(found.filter((_, i) => !values[i])).toEqual(expected.filter((_, i) => !values[i]))
    expect(values.filter(Boolean).length).toBeLessThan(4)
  })

  it.skipIf(skip)(`write the same log for what is refused before any value is known ${title}`, () => {
    const early = malformed.filter(([, program]) => ours(program).errno !== 0)
    const answers = (oracle as LinuxOracle).ask(early.map(([, program]) => ({ program })))
    const compared = early.flatMap(([name, program], i) =>
      /processed 0 insns/.test(answers[i]!.log) || answers[i]!.log === ''
        ? [[name, ours(program).log, answers[i]!.log] as const]
        : [],
    )
    expect(compared.length).toBeGreaterThan(15)
    for (const [name, found, expected] of compared) expect(found, name).toBe(expected)
  })

  it.skipIf(skip)(`agree on every opcode with each field changed ${title}`, () => {
    const cases = [...mutations()]
    const answers = (oracle as LinuxOracle).ask(cases.map(([, program]) => ({ program })))
    const disagreements: unknown[] = []
    let compared = 0
    for (const [i, [name, program]] of cases.entries()) {
      const { errno, message } = answers[i]!
      if (aboutValues.test(message)) continue
      compared++
      const found = ours(program)
      if (found.errno !== errno || found.message !== message) {
        disagreements.push({ name, linux: [errno, message], ours: [found.errno, found.message] })
      }
    }
    expect(disagreements).toEqual([])
    expect(compared).toBeGreaterThan(2000)
  })

  it.skipIf(skip)(`agree on licences ${title}`, () => {
    const program = assembled('r0 = 0\nr1 = r10\nr2 = 0\nr3 = 0\ncall 6\nexit')
    const [answer] = (oracle as LinuxOracle).ask([{ program, license: 'Proprietary' }])
    expect(ours(program, false)).toMatchObject({ errno: answer!.errno, message: answer!.message })
  })

  it.skipIf(skip)(`agree on the most instructions and subprograms ${title}`, () => {
    const long = (n: number): Program => [...new Array(n - 1).fill(insn(0xb7)), insn(0x95)]
    const many = (n: number) =>
      assembled(
        `${Array.from({ length: n }, (_, i) => `call l${i}`).join('\n')}\nexit\n${Array.from({ length: n }, (_, i) => `l${i}: r0 = 0\nexit`).join('\n')}`,
      )
    const programs = [long(1_000_001), many(256)]
    const answers = (oracle as LinuxOracle).ask(programs.map((program) => ({ program })))
    expect(programs.map((program) => ours(program).errno)).toEqual(answers.map(({ errno }) => errno))
    expect(programs.map((program) => ours(program).message)).toEqual(answers.map(({ message }) => message))
  })
})
