/** Which accesses of the stack are of locals: every reason against one. */
import { describe, expect, it } from 'vitest'
import { assemble } from '../isa/index.ts'
import { decodeProgram } from './program.ts'
import { subprogramsOf } from './registers.ts'
import { stackSlots } from './stack-slots.ts'

/** The accesses that are of locals, by slot, as `offset:size`. */
function locals(source: string): Record<number, string> {
  const assembled = assemble(source)
  if (!assembled.ok) throw new Error(assembled.errors[0].message)
  const program = decodeProgram(assembled.program)
  const argumentCount = () => 2
  const subprograms = subprogramsOf(program, argumentCount)
  const main = subprograms.get(0)
  if (main === undefined) throw new Error('no program')
  const found = stackSlots(main.flow, {
    argumentCount,
    calleeReads: (entry) => subprograms.get(entry)?.parameters ?? 0,
    hasCallbacks: program.slots.some(({ row }) => row?.name === 'lddw_function'),
  })
  return Object.fromEntries([...found].map(([pc, { offset, sizeBytes }]) => [pc, `${offset}:${sizeBytes}`]))
}

/** Two slots that could be locals, at -64 and -8, around other code from slot 2 on. */
const around = (code: string) =>
  `*(u64 *)(r10 - 64) = r1\n*(u64 *)(r10 - 8) = r1\n${code}\nr0 = *(u64 *)(r10 - 64)\nexit`
const first = (code: string) => {
  const found = locals(around(code))
  return { low: found[0] !== undefined, high: found[1] !== undefined }
}

describe('a part of the stack', () => {
  it('is a local where all accesses are of the same bytes', () => {
    expect(locals('*(u64 *)(r10 - 8) = r1\n*(u16 *)(r10 - 10) = r1\nr0 = *(s16 *)(r10 - 10)\nexit')).toEqual({
      0: '-8:8',
      1: '-10:2',
      2: '-10:2',
    })
  })

  it('is not where accesses overlap, nor what overlaps with those', () => {
    expect(locals('*(u64 *)(r10 - 8) = r1\n*(u32 *)(r10 - 4) = r1\nr0 = 0\nexit')).toEqual({})
    expect(
      locals('*(u64 *)(r10 - 8) = r1\n*(u64 *)(r10 - 12) = r1\n*(u32 *)(r10 - 16) = r1\nr0 = 0\nexit'),
    ).toEqual({ 2: '-16:4' })
    expect(
      locals('*(u32 *)(r10 - 4) = r1\n*(u64 *)(r10 - 8) = r1\n*(u32 *)(r10 - 8) = r1\nr0 = 0\nexit'),
    ).toEqual({})
  })

  it.each([
    ['a helper is given a pointer to it or below', 'r2 = r10\nr2 += -8\ncall 1', { low: true, high: false }],
    ['a helper is given one further down', 'r2 = r10\nr2 += -72\ncall 1', { low: false, high: false }],
    ['it is changed at once', 'r2 = 1\nlock *(u64 *)(r10 - 8) += r2', { low: true, high: false }],
    [
      'an index goes there',
      'r2 &= 3\nr2 <<= 3\nr3 = r10\nr3 += -64\nr3 += r2\n*(u8 *)(r3 + 0) = 1',
      { low: false, high: true },
    ],
    [
      'an index of no known size does',
      'r3 = r10\nr3 += -64\nr3 += r2\n*(u8 *)(r3 + 0) = 1',
      { low: false, high: false },
    ],
    [
      'a pointer to it goes up in a loop',
      'r3 = r10\nr3 += -32\nl: *(u8 *)(r3 + 0) = 1\nr3 += 1\nif r3 != r2 goto l',
      { low: true, high: false },
    ],
    [
      'a pointer that may be another one',
      `r3 = r10\nif r1 == 0 goto m\nr3 = r1\nm: *(u64 *)(r3 - 64) = 1`,
      { low: false, high: true },
    ],
    [
      'it is reached through memory',
      'r3 = r10\nr3 += -64\n*(u64 *)(r10 - 16) = r3\nr3 = *(u64 *)(r10 - 16)\nr3 += r2\n*(u8 *)(r3 + 0) = 1',
      { low: false, high: false },
    ],
    ['a pointer goes elsewhere', 'r3 = r10\n*(u64 *)(r1 + 0) = r3', { low: false, high: false }],
    ['nothing of that', 'r3 = r10\nr3 += -8\n*(u64 *)(r3 - 8) = 4', { low: true, high: true }],
  ])('and where %s', (_, code, wanted) => {
    expect(first(code)).toEqual(wanted)
  })

  it('is none where a subprogram is given a pointer into the stack', () => {
    const call = (argument: string) =>
      `*(u64 *)(r10 - 8) = r1\nr1 = ${argument}\ncall s\nexit\ns: r0 = *(u64 *)(r1 + 0)\nexit`
    expect(locals(call('r10'))).toEqual({})
    expect(locals(call('0'))).toEqual({ 0: '-8:8' })
  })

  it('is none where a helper may call back with one', () => {
    const source = (what: string) =>
      `*(u64 *)(r10 - 64) = r1\nr2 = r10\nr2 += -8\nr1 = ${what}\ncall 1\nr0 = 0\nexit\ns: r0 = 0\nexit`
    expect(locals(source('0'))).toEqual({ 0: '-64:8' })
    expect(locals(source('subprog[s]'))).toEqual({})
  })
})
