/** Small programs with the verdict and the words that Linux has for them. */
import { describe, expect, test } from 'vitest'
import { BPF_MAP_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
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
