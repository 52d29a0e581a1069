/**
 * What the search for unsound proofs has found: each program does at run time what its proof once did not foresee, and
 * must be refused. Where Linux 6.18 accepts it too, the name says so.
 */
import { describe, expect, test } from 'vitest'
import { BPF_PROG_TYPE } from '../../src/abi/index.ts'
import { assemble } from '../../src/isa/index.ts'
import { prove } from '../../src/verifier/index.ts'
import { makeTypes, PALETTE } from './fixtures.ts'

const T = BPF_PROG_TYPE
const TEST_STATE_FREQUENCY = 0x8

/** Maps by their place in the palette; functions begin at labels that begin with `f_`. */
function verdictOf(source: string, programType: number): string {
  const first = assemble(source.replace(/subprog\[\w+\]/g, 'subprog[+0]'))
  if (!first.ok) throw new Error(JSON.stringify(first.errors))
  const functions = [...first.labels].filter(([name]) => name.startsWith('f_')).map(([, slot]) => slot)
  const instructions = first.program.map((insn, slot) => {
    // There is one callback at most.
    const isPointer = insn.opcode === 0x18 && insn.src === 4
    return isPointer ? { ...insn, imm: (functions[0] as number) - slot - 1 } : insn
  })
  const types = makeTypes(programType)
  const verdict = prove({
    instructions,
    programType,
    expectedAttachType: 0,
    flags: TEST_STATE_FREQUENCY,
    license: 'GPL',
    name: 'found',
    maps: PALETTE,
    descriptors: [],
    functions:
      functions.length === 0
        ? []
        : [0, ...functions].map((instruction, n) => ({ instruction, typeId: types.local[n] as number })),
    lines: [],
    logLevel: 0,
    ...(functions.length === 0 ? {} : { btf: types.btf }),
  })
  return verdict.accepted ? 'accepted' : verdict.message
}

describe('found at random', () => {
  test('a packet pointer that may be before the end is not one that is at it', () => {
    const source = `
      r2 = *(u32 *)(r1 +0)
      r3 = *(u32 *)(r1 +4)
      r4 = *(u32 *)(r1 +12)
      r5 = r2
      r5 += 8
      if r4 == 0 goto join
      if r5 < r3 goto out
      join:
      if r5 >= r3 goto out
      r0 = *(u8 *)(r5 +100)
      out:
      r0 = 0
      exit`
    expect(verdictOf(source, T.BPF_PROG_TYPE_XDP)).toBe('R5 offset is outside of the packet')
  })

  test('a packet pointer that moved back need not be at the end (Linux accepts)', () => {
    const source = `
      r9 = *(u32 *)(r1 +0)
      r8 = *(u32 *)(r1 +4)
      r9 += 258
      if r9 >= r8 goto back
      r0 = 0
      exit
      back:
      r9 -= 256
      if r9 >= r8 goto out
      r0 = *(u8 *)(r9 +1000)
      out:
      r0 = 0
      exit`
    expect(verdictOf(source, T.BPF_PROG_TYPE_XDP)).toBe('R9 offset is outside of the packet')
  })

  test('a number that comes back with its sign extended is another (Linux accepts)', () => {
    const source = `
      r3 = *(u32 *)(r1 +12)
      *(u64 *)(r10 -64) = r3
      r2 = *(s32 *)(r10 -64)
      if r2 != -1 goto out
      r3 += 1
      r3 *= 100
      r5 = map[fd:4][0]
      r5 += r3
      r0 = *(u8 *)(r5 +0)
      out:
      r0 = 0
      exit`
    expect(verdictOf(source, T.BPF_PROG_TYPE_XDP)).toBe('R5 min value is outside of the allowed memory range')
  })

  test('a legacy packet load that fails ends its function with 0', () => {
    const source = `
      r6 = r1
      call f_load
      r5 = map[fd:4][0]
      r5 += r0
      r0 = *(u8 *)(r5 -10)
      r0 = 0
      exit
      f_load:
      r6 = r1
      r0 = *(u8 *)skb[5]
      r0 = 10
      exit`
    expect(verdictOf(source, T.BPF_PROG_TYPE_SCHED_CLS)).toBe(
      'R5 min value is outside of the allowed memory range',
    )
  })

  test('a loop of eight rounds is not one of two (Linux accepts)', () => {
    const source = `
      *(u64 *)(r10 -8) = 0
      call 7
      r1 = 8
      if r0 == 0 goto go
      r1 = 2
      go:
      r2 = subprog[f_body]
      r3 = r10
      r3 += -8
      r4 = 0
      call 181
      r0 = 0
      exit
      f_body:
      r3 = *(u64 *)(r2 +0)
      r4 = r3
      r4 += 1
      *(u64 *)(r2 +0) = r4
      r5 = map[fd:4][0]
      r5 += r3
      r0 = *(u8 *)(r5 +38)
      r0 = 0
      exit`
    expect(verdictOf(source, T.BPF_PROG_TYPE_XDP)).toBe('R5 min value is outside of the allowed memory range')
  })

  test('what one round of a callback leaves, the next finds (Linux accepts)', () => {
    const source = `
      *(u64 *)(r10 -8) = 5
      *(u64 *)(r10 -16) = 0
      r1 = 3
      r2 = subprog[f_body]
      r3 = r10
      r4 = 0
      call 181
      r0 = 0
      exit
      f_body:
      r9 = r2
      r8 = *(u64 *)(r9 -8)
      r6 = *(u64 *)(r9 -16)
      call 7
      if r0 > r8 goto more
      last:
      r0 = 0
      exit
      more:
      r1 = map[fd:4][0]
      r1 += r6
      r0 = *(u8 *)(r1 +0)
      *(u64 *)(r9 -16) = 100
      goto last`
    expect(verdictOf(source, T.BPF_PROG_TYPE_RAW_TRACEPOINT)).toBe(
      'R1 min value is outside of the allowed memory range',
    )
  })

  test.each([
    ['bpf_get_stack', T.BPF_PROG_TYPE_RAW_TRACEPOINT, 'r2 = map[fd:5][0]\nr3 = 8\nr4 = 0\ncall 67'],
    ['bpf_fib_lookup', T.BPF_PROG_TYPE_XDP, 'r2 = map[fd:5][0]\nr3 = 8\nr4 = 0\ncall 69'],
    ['bpf_read_branch_records', T.BPF_PROG_TYPE_PERF_EVENT, 'r2 = map[fd:5][0]\nr3 = 8\nr4 = 0\ncall 119'],
  ])('%s does not write to a read-only map', (_name, programType, call) => {
    expect(verdictOf(`${call}\nr0 = 0\nexit`, programType)).toBe(
      'write into map forbidden, value_size=32 off=0 size=8',
    )
  })
})

describe('rounds of a callback', () => {
  /**
   * The first branch of the callback writes through an offset that the caller's stack holds, the second replaces it:
   * that the offset matters is known only after a round was cut where it did not seem to. (Linux 6.18 accepts all.)
   */
  const twoBranches = (replacement: number) => `
      call 7
      *(u64 *)(r10 -8) = r0
      r1 = -32
      *(u64 *)(r10 -16) = r1
      r1 = 2
      r2 = subprog[f_callback]
      r3 = r10
      r4 = 0
      call 181
      r0 = 0
      exit
      f_callback:
      r6 = r2
      call 7
      r1 = *(u64 *)(r6 -8)
      if r1 > r0 goto write
      next:
      call 7
      r1 = *(u64 *)(r6 -8)
      if r1 > r0 goto replace
      out:
      r0 = 0
      exit
      write:
      r1 = *(u64 *)(r6 -16)
      r2 = r10
      r2 += r1
      r3 = 42
      *(u64 *)(r2 +0) = r3
      goto next
      replace:
      r1 = ${replacement}
      *(u64 *)(r6 -16) = r1
      goto out`

  test.each([
    ['an offset that stays within the stack', -40, /^accepted$/],
    ['an offset that leaves it', 8, /^invalid (variable-offset )?write to stack/],
    ['an unaligned offset', -31, /^misaligned stack access/],
  ])('%s', (_name, replacement, expected) => {
    expect(verdictOf(twoBranches(replacement), T.BPF_PROG_TYPE_RAW_TRACEPOINT)).toMatch(expected)
  })
})
