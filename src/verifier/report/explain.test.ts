/** Reports of small assembled programs: what is said of the registers, what led there, what to do. */
import { describe, expect, test } from 'vitest'
import { BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { assemble } from '../../isa/index.ts'
import type { MapSpec, ProgramInput, SourceLine } from '../program.ts'
import { prove } from '../prover.ts'
import { explainRejection, type RejectionReport } from './explain.ts'
import { pathOf } from './path.ts'
import { inWords } from './words.ts'

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
const events: MapSpec = {
  ...counts,
  type: BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF,
  name: 'events',
  keySize: 0,
  valueSize: 0,
  maxEntries: 4096,
}

/** A line of C for each instruction: line 100 is instruction 0's. */
const linesFor = (count: number): SourceLine[] =>
  Array.from({ length: count }, (_, instruction) => ({
    instruction,
    file: 'a.c',
    text: `\tline ${100 + instruction};`,
    line: 100 + instruction,
    column: 2,
  }))

function inputOf(source: string, more: Partial<ProgramInput> = {}): ProgramInput {
  const assembled = assemble(source)
  if (!assembled.ok) throw new Error(JSON.stringify(assembled.errors))
  return {
    instructions: assembled.program,
    programType: BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    name: 'test',
    maps: [counts, events],
    descriptors: [],
    functions: [],
    lines: linesFor(assembled.program.length),
    logLevel: 0,
    ...more,
  }
}

function reportOf(source: string, more?: Partial<ProgramInput>): RejectionReport {
  const report = explainRejection(inputOf(source, more))
  if (report === undefined) throw new Error('accepted')
  return report
}

const LOOK_UP = `
*(u32 *)(r10 -4) = 0
r2 = r10
r2 += -4
r1 = map[fd:0]
call 1
`

describe('a rejection', () => {
  test('of a pointer that may be null names the call that gave it, through copies', () => {
    const report = reportOf(`${LOOK_UP}r7 = r0\nr6 = r7\nr0 = *(u64 *)(r6 +0)\nexit`)
    expect(report.message).toBe("R6 invalid mem access 'map_value_or_null'")
    expect(report.suggestion).toContain('bpf_map_lookup_elem() may give NULL')
    const [r6] = report.registers
    expect(r6).toMatchObject({
      name: 'R6',
      meaning: 'a value of 16 bytes of map counts, or NULL',
      sinceText: 'r6 = r7',
    })
    // The wide load of the map takes two slots.
    expect(r6?.since).toBe(7)
    expect(report.source?.line).toBe(100 + report.instruction)
  })

  test('of an offset without bounds shows where the number came from', () => {
    const report = reportOf(
      `r6 = *(u32 *)(r1 +0)\n${LOOK_UP}if r0 == 0 goto out\nr6 <<= 2\nr7 = r6\nr0 += r7\n*(u8 *)(r0 +0) = 1\nout:\nr0 = 0\nexit`,
    )
    expect(report.message).toMatch(/^R0 unbounded memory access/)
    expect(report.related).toEqual([
      { instruction: 0, source: expect.objectContaining({ line: 100 }), what: 'the offset comes from here' },
    ])
  })

  test('of an access outside says how far', () => {
    const report = reportOf(`${LOOK_UP}if r0 == 0 goto out\nr1 = *(u64 *)(r0 +12)\nout:\nr0 = 0\nexit`)
    expect(report.notes).toEqual(['invalid access to map value, value_size=16 off=12 size=8'])
    expect(report.requirement).toContain('it reaches byte 19, and there are bytes 0 to 15')
  })

  test('of a record that is not given back shows where it was acquired', () => {
    const report = reportOf(
      'r1 = map[fd:1]\nr2 = 8\nr3 = 0\ncall 131\nif r0 == 0 goto out\n*(u64 *)(r0 +0) = 1\nout:\nr0 = 0\nexit',
    )
    expect(report.message).toMatch(/reference leak$/)
    expect(report.related[0]).toMatchObject({
      instruction: 4,
      what: 'reference 2 is acquired here by bpf_ringbuf_reserve()',
    })
    expect(report.suggestion).toContain('bpf_ringbuf_discard()')
  })

  test('of an endless loop is headed by what it is, not by a state', () => {
    const report = reportOf('r0 = 0\nagain:\nif r0 == 0 goto again\nexit')
    expect(report.message).toBe('infinite loop detected at insn 1')
    expect(report.notes).toEqual([])
  })

  test('of a program that was walked for long comes without its path', () => {
    const input = inputOf('r0 = r3\nexit')
    const verdict = prove(input)
    const statistics = { ...verdict.statistics, processed: 1_000_001 }
    const report = explainRejection(input, {
      ...verdict,
      statistics,
      message: 'BPF program is too large. Processed 1000001 insn',
    })
    expect(report?.suggestion).toContain('bpf_loop()')
    expect(report?.log).toBe('')
  })

  test('of a helper that is for other types says for which', () => {
    const report = reportOf('r1 = 0\ncall 14\nr0 = 0\nr1 = 1\nr2 = 0\ncall 23\nexit', {
      programType: BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE,
    })
    expect(report.message).toBe('program of this type cannot use helper bpf_redirect#23')
    expect(report.suggestion).toContain('sched_cls, sched_act, xdp, lwt_xmit')
  })
})

describe('what a register holds, in words', () => {
  test.each([
    ['scalar()', 'any number'],
    ['Pscalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))', 'a number from 0 to 255'],
    ['scalar(smin=-5,smax=7)', 'a number from -5 to 7'],
    ['7', ''],
    ['-1', ''],
    ['0xffff0000', ''],
    ['ctx()', 'the context'],
    ['fp0', 'the end of the stack'],
    ['fp-16', 'the stack at -16'],
    ['fp[1]-8', 'the stack at -8'],
    ['map_ptr(map=counts,ks=4,vs=24)', 'the map counts'],
    ['map_value(map=counts,ks=4,vs=24,off=8)', 'a value of 24 bytes of map counts, at 8 bytes into it'],
    ['pkt(off=14,r=14)', 'packet data, of which 14 bytes were checked to be there'],
    ['trusted_ptr_task_struct()', 'a pointer to struct task_struct'],
    ['ptr_or_null_sock(id=2,ref_obj_id=2)', 'a pointer to struct sock, or NULL'],
    ['untrusted_ptr_file()', 'a pointer to struct file, which may be gone'],
    ['ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=8)', 'memory of 8 bytes, or NULL'],
    ['sock(ref_obj_id=2)', 'a socket'],
  ])('%s', (holds, words) => {
    expect(inWords(holds)).toBe(words)
  })
})

test('the path is read from a log with states beside and between the instructions', () => {
  const { steps, notes } = pathOf(
    [
      'func#0 @0',
      '0: R1=ctx() R10=fp0',
      '; int a; @ a.c:7',
      '0: (b7) r2 = 1                        ; R2=1',
      '1: (0f) r1 += r2',
      '2: R1=scalar() R2=1',
      '2: (95) exit',
      'a note',
      'the reason',
      'processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
      '',
    ].join('\n'),
  )
  expect(steps).toEqual([
    { instruction: 0, text: 'r2 = 1', changes: 'R2=1' },
    { instruction: 1, text: 'r1 += r2', changes: '' },
    { instruction: 2, text: 'exit', changes: '' },
  ])
  expect(notes).toEqual(['a note'])
})
