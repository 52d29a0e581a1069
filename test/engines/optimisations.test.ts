/** What the compiler rewrites, held to the interpreter: counted loops, rotations, registers of which half is kept. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Interpreter, prepare } from '../../src/interpreter/index.ts'
import { assemble, type Program } from '../../src/isa/index.ts'
import { Jit } from '../../src/jit/index.ts'
import { Arena } from '../../src/memory/index.ts'

const BUFFER_BYTES = 4096
const BUDGET = 200_000

function setUp() {
  const arena = new Arena({})
  const buffer = arena.allocate(BUFFER_BYTES, { access: 'write' }) as number
  const fill = () => {
    for (let at = 0; at < BUFFER_BYTES; at++) arena.bytes[buffer + at] = (at * 151 + 7) & 0xff
  }
  const environment = { helper: () => undefined }
  const jit = new Jit(arena, environment)
  const interpreter = new Interpreter(arena, environment)
  /** r0 by either engine; undefined where the interpreter's budget does not do. */
  const both = (
    source: string,
  ): { readonly wanted: bigint | undefined; readonly found: bigint | undefined } => {
    const program = assembled(source)
    fill()
    const slow = interpreter.run(prepare(program), 0n, { budget: BUDGET })
    if (!slow.ok) return { wanted: undefined, found: undefined }
    fill()
    const fast = jit.run(jit.compile(program, { isProved: true }), 0n)
    return { wanted: slow.value, found: fast.ok ? fast.value : undefined }
  }
  return { address: arena.address(buffer), both }
}

function assembled(source: string): Program {
  const result = assemble(source)
  if (!result.ok) throw new Error(`${result.errors[0].message}\n${source}`)
  return result.program
}

const agree = (both: ReturnType<typeof setUp>['both'], source: string) => {
  const { wanted, found } = both(source)
  fc.pre(wanted !== undefined)
  expect(found, source).toBe(wanted)
}

describe('a counted loop', () => {
  const { address, both } = setUp()
  const bodies = [
    'r0 *= 31\nr0 += r2',
    'w0 *= 31\nw0 += w2',
    `r3 = ${address} ll\nr3 += r2\nr4 = *(u8 *)(r3 +64)\nr0 ^= r4\nr0 *= 33`,
    `r3 = ${address + 512n} ll\nr3 += r2\nr3 += 8\nw4 = *(u16 *)(r3 -16)\nr0 += r4\nr0 <<= 1`,
    `r3 = r2\nr4 = ${address} ll\nr4 += r3\n*(u32 *)(r4 +0) = r0\nr0 += 3`,
    'r5 = r2\nr5 <<= 3\nr0 += r5\nr6 = r0\nr6 >>= 61\nr0 <<= 3\nr0 |= r6',
  ]
  test('does what it says, whatever it counts', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -40, max: 700 }),
        fc.constantFrom(1, 2, 3, 4, 8, 16, -1, -2, -5),
        fc.integer({ min: -60, max: 800 }),
        fc.constantFrom('!=', '<', '<=', '>', '>=', 's<', 's<=', 's>', 's>=', '=='),
        fc.subarray(bodies, { minLength: 1 }),
        fc.boolean(),
        (start, step, end, op, body, isFirst) => {
          // What is loaded lies in the buffer.
          fc.pre(start >= 0 || !body.some((line) => line.includes(' ll')))
          fc.pre(!(body.some((line) => line.includes(' ll')) && step < 0 && (op === '!=' || end < 0)))
          const add = `r2 += ${step}`
          const inside = isFirst ? [add, ...body] : [...body, add]
          agree(
            both,
            `r0 = 5\nr2 = ${start}\nl:\n${inside.join('\n')}\nif r2 ${op} ${end} goto l\nr0 += r2\nexit`,
          )
        },
      ),
      { numRuns: 150 },
    )
  })

  test('that leaves by the jump, and one in another', () => {
    for (let count = 1; count < 20; count++) {
      agree(
        both,
        `r0 = 0\nr2 = 0\nl:\nr0 += r2\nr2 += 1\nif r2 == ${count} goto out\ngoto l\nout:\nr0 *= 7\nexit`,
      )
      agree(
        both,
        `r0 = 0\nr1 = 0\no:\nr2 = 0\nl:\nr0 += r2\nr0 *= 3\nr2 += 2\nif r2 s< ${count} goto l\nr1 += 1\nif r1 != ${count} goto o\nexit`,
      )
    }
  })
})

describe('a rotation', () => {
  const { both } = setUp()
  test('is one wherever its halves meet, and else is not', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.constantFrom(64, 32),
        fc.integer({ min: 0, max: 63 }),
        fc.integer({ min: -1, max: 1 }),
        fc.constantFrom('|=', '^=', '+='),
        fc.constantFrom('copy', 'in place', 'half', 'between'),
        fc.boolean(),
        (value, bits, count, slip, join, how, isLeftFirst) => {
          const left = count % bits
          const right = Math.min(bits - 1, Math.max(0, bits - left + slip))
          const r = bits === 64 ? 'r' : 'w'
          const shifts = [`${r}3 <<= ${left}`, `${r}4 >>= ${right}`]
          if (!isLeftFirst) shifts.reverse()
          const lines = [
            `r2 = ${value} ll`,
            `${how === 'half' ? 'w' : 'r'}3 = ${how === 'half' ? 'w' : 'r'}2`,
            'r4 = r2',
          ]
          if (how === 'in place') lines.push('r2 = 0')
          lines.push(shifts[0] as string)
          if (how === 'between') lines.push('r2 += 9')
          lines.push(shifts[1] as string, `${r}3 ${join} ${r}4`)
          agree(both, `${lines.join('\n')}\nr0 = r3\nr0 += r2\nexit`)
          agree(both, `${lines.join('\n')}\nw0 = w3\nexit`)
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('a register of which half is asked for', () => {
  const { both } = setUp()
  const line = fc.tuple(
    fc.constantFrom('+=', '-=', '*=', '&=', '|=', '^=', '<<=', '>>=', 's>>=', '=', '/=', '%='),
    fc.constantFrom('r', 'w'),
    fc.integer({ min: 0, max: 4 }),
    fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: -70000, max: 70000 }).map(String)),
  )
  const other = fc.constantFrom(
    'r1 = bswap32 r1',
    'r2 = be16 r2',
    'r3 = le32 r3',
    'r4 = -r4',
    'w1 = -w1',
    'r2 = (s8)r1',
    'w3 = (s16)w2',
    'r4 = (s32)r3',
  )
  const text = fc.oneof(
    {
      weight: 8,
      arbitrary: line.map(([op, width, dst, operand]) => {
        const bits = width === 'r' ? 63 : 31
        const isShift = op.includes('<<') || op.includes('>>')
        const value =
          typeof operand === 'number'
            ? `${width}${operand}`
            : isShift
              ? `${Math.abs(Number(operand)) & bits}`
              : operand
        return op.startsWith('/') || op.startsWith('%')
          ? `${width}${dst} ${op} ${value === '0' ? 3 : value}`
          : `${width}${dst} ${op} ${value}`
      }),
    },
    { weight: 1, arbitrary: other },
  )
  test('is the same in the end, around branches and loops', () => {
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 8 }),
        fc.array(text, { maxLength: 8 }),
        fc.array(text, { maxLength: 8 }),
        fc.constantFrom('r1 s> r2', 'w1 s> w2', 'w3 == 7', 'r3 & 4', 'r0 != r4'),
        fc.constantFrom('r0', 'w0'),
        (first, second, third, condition, result) => {
          const start = [0, 1, 2, 3, 4].map(
            (n) => `r${n} = ${(0x1234_5678_9abc_def0n * BigInt(n + 3)) & 0xffff_ffff_ffff_ffffn} ll`,
          )
          const rest = `r0 += r1\nr0 ^= r2\n${result} += ${result === 'r0' ? 'r3' : 'w3'}\nexit`
          agree(
            both,
            [
              ...start,
              'r6 = 0',
              'l:',
              ...first,
              `if ${condition} goto b`,
              ...second,
              'b:',
              ...third,
              'r6 += 1',
              'if r6 != 5 goto l',
              rest,
            ].join('\n'),
          )
        },
      ),
      { numRuns: 150 },
    )
  })
})
