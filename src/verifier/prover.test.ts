/** Small programs with the verdict and the words that Linux has for them. */
import { describe, expect, test } from 'vitest'
import { BPF_F_INNER_MAP, BPF_F_SLEEPABLE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
import { assemble } from '../isa/index.ts'
import type { MapSpec, ProgramInput } from './program.ts'
import { prove } from './prover.ts'
import { explainRejection } from './report/explain.ts'

const counts: MapSpec = {
  type: BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
  name: 'counts',
  keySize: 4,
  valueSize: 16,
  maxEntries: 8,
  flags: 0,
  extra: 0n,
  keyTypeId: 0,
  valueTypeId: 0,
  frozen: false,
}

function input(source: string, more: Partial<ProgramInput> = {}): ProgramInput {
  const assembled = assemble(source)
  if (!assembled.ok) throw new Error(JSON.stringify(assembled.errors))
  return {
    instructions: assembled.program,
    programType: BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    name: 'test',
    maps: [counts],
    descriptors: [],
    functions: [],
    lines: [],
    logLevel: 1,
    ...more,
  }
}

function verdictOf(source: string, more?: Partial<ProgramInput>): string {
  const verdict = prove(input(source, more))
  return verdict.accepted ? 'accepted' : verdict.message
}

describe('proof', () => {
  test.each([
    ['a constant', 'r0 = 0\nexit', 'accepted'],
    ['no result', 'exit', 'R0 !read_ok'],
    ['an unwritten register', 'r0 = r3\nexit', 'R3 !read_ok'],
    ['a load through a number', 'r1 = 8\nr0 = *(u64 *)(r1 +0)\nexit', "R1 invalid mem access 'scalar'"],
    ['the frame pointer', 'r10 = 0\nr0 = 0\nexit', 'frame pointer is read only'],
    ['stack within the frame', '*(u64 *)(r10 -8) = r1\nr0 = 0\nexit', 'accepted'],
    [
      'stack beyond the frame',
      '*(u64 *)(r10 -520) = r1\nr0 = 0\nexit',
      'invalid write to stack R10 off=-520 size=8',
    ],
    ['a loop that ends', 'r0 = 10\nnext:\nr0 += -1\nif r0 != 0 goto next\nexit', 'accepted'],
  ])('%s', (_name, source, expected) => {
    expect(verdictOf(source)).toBe(expected)
  })

  test('a loop without an end is found', () => {
    expect(verdictOf('r0 = 0\nnext:\ngoto next')).toMatch(/^(old state:|infinite loop|unreachable insn)/)
  })
})

describe('maps', () => {
  const LOOKUP = `
    r2 = r10
    r2 += -4
    *(u32 *)(r10 -4) = 0
    r1 = map[fd:0]
    call 1
    if r0 == 0 goto out
    *(u32 *)(r10 -8) = 3
    r2 = r10
    r2 += -8
    r1 = r0
    call 1
    r0 = *(u64 *)(r0 +0)
  out:
    exit`
  const inner: MapSpec = { ...counts, name: 'inner', type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY }
  const outer = (flags: number): MapSpec => ({
    ...counts,
    name: 'outer',
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS,
    valueSize: 4,
    inner: { ...inner, flags },
  })

  test('an element of an inner array is there, unless arrays of another length may take its place', () => {
    expect(verdictOf(LOOKUP, { maps: [outer(0)] })).toBe('accepted')
    const replaceable = { maps: [outer(BPF_F_INNER_MAP)] }
    expect(verdictOf(LOOKUP, replaceable)).toBe("R0 invalid mem access 'map_value_or_null'")
  })

  const arena: MapSpec = {
    ...counts,
    name: 'arena',
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA,
    keySize: 0,
    valueSize: 0,
    maxEntries: 4,
  }

  test('what is done to a pointer into an arena, from either side, gives one', () => {
    const source = `
      r1 = map[fd:0]
      r2 = addr_space_cast(r1, 0, 1)
      r3 = 12
      r3 += r2
      r10 = 0
      exit`
    const verdict = prove(
      input(source, {
        maps: [arena],
        programType: BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL,
        flags: BPF_F_SLEEPABLE,
        logLevel: 2,
      }),
    )
    expect(verdict.log).toMatch(/\(0f\) r3 \+= r2 +; R2=arena R3=arena/)
  })
})

describe('rejection report', () => {
  test('names the register, where it came from, what was required and what to do', () => {
    const report = explainRejection(input('r1 = 8\nr2 = 5\nr0 = *(u64 *)(r1 +0)\nexit'))
    expect(report).toMatchObject({
      message: "R1 invalid mem access 'scalar'",
      instruction: 2,
      text: 'r0 = *(u64 *)(r1 +0)',
      registers: [{ name: 'R1', holds: '8', since: 0, sinceText: 'r1 = 8' }],
    })
    expect(report?.suggestion).toContain('bpf_probe_read_kernel')
  })

  test('there is none for a safe program', () => {
    expect(explainRejection(input('r0 = 0\nexit'))).toBeUndefined()
  })
})

describe('log', () => {
  test('has the state beside each instruction, the reason and the statistics', () => {
    const { log } = prove(input('r1 = 8\nr0 = *(u64 *)(r1 +0)\nexit'))
    expect(log.split('\n')).toEqual([
      '0: R1=ctx() R10=fp0',
      '0: (b7) r1 = 8                        ; R1=8',
      '1: (79) r0 = *(u64 *)(r1 +0)',
      "R1 invalid mem access 'scalar'",
      'processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
      '',
    ])
  })

  test('is empty at level 0', () => {
    expect(prove(input('exit', { logLevel: 0 })).log).toBe('')
  })
})
