import { describe, expect, test } from 'vitest'
import { parseVerifierLog } from './verifier-report.ts'

const linux618 = `arg#0 reference type('UNKNOWN ') size cannot be determined: -22
0: R1=ctx() R10=fp0
; int careless(void *context) @ refused.bpf.c:16
0: (b4) w1 = 0                        ; R1=0
; __u32 key = 0; @ refused.bpf.c:18
1: (63) *(u32 *)(r10 -4) = r1         ; R1=0 R10=fp0 fp-8=0000????
; __u64 *value = bpf_map_lookup_elem(&some, &key); @ refused.bpf.c:19
4: (18) r1 = 0xffff888133f3c400       ; R1=map_ptr(map=some,ks=4,vs=8)
6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=some,ks=4,vs=8)
; return *value; @ refused.bpf.c:21
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`

describe('a log', () => {
  test('of Linux 6.18 gives reason, instruction, line and state', () => {
    expect(parseVerifierLog(linux618)).toEqual({
      reason: "R0 invalid mem access 'map_value_or_null'",
      instruction: 7,
      disassembly: '(79) r0 = *(u64 *)(r0 +0)',
      source: { file: 'refused.bpf.c', line: 21, column: 0, text: 'return *value;' },
      state: new Map([
        ['R1', 'map_ptr(map=some,ks=4,vs=8)'],
        ['R10', 'fp0'],
        ['fp-8', '0000????'],
        ['R0', 'map_value_or_null(id=1,map=some,ks=4,vs=8)'],
      ]),
      processedInstructions: 7,
    })
  })

  test('begins a path with a state of its own', () => {
    const log = [
      '3: (15) if r0 == 0x0 goto pc+2       ; R0=scalar(id=2) R6=ctx()',
      '4: (b7) r7 = 1                       ; R7_w=1',
      'from 3 to 6: R0_w=0 R6=ctx() R10=fp0',
      '6: (bf) r1 = r7',
      'R7 !read_ok',
    ].join('\n')
    expect(parseVerifierLog(log)).toMatchObject({
      reason: 'R7 !read_ok',
      instruction: 6,
      disassembly: '(bf) r1 = r7',
      source: undefined,
      state: new Map([
        ['R0', '0'],
        ['R6', 'ctx()'],
        ['R10', 'fp0'],
      ]),
    })
  })

  test.each([
    ['jump out of range from insn 3 to 9', 3],
    ['unreachable insn 5', 5],
    ['last insn is not an exit or jmp', undefined],
    ['', undefined],
  ])('of a check before the walk: %s', (reason, instruction) => {
    const line = { file: 'a.c', line: 1, column: 2, text: 'x' }
    const report = parseVerifierLog(`${reason}\nprocessed 0 insns (limit 1000000)\n`, () => line)
    expect(report).toMatchObject({ reason, instruction, processedInstructions: 0 })
    expect(report.source).toEqual(instruction === undefined ? undefined : line)
  })
})
