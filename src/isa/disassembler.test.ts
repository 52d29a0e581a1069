import { describe, expect, it } from 'vitest'
import { assemble } from './assembler.ts'
import { type DisassembleOptions, disassemble, disassembleLines } from './disassembler.ts'

const program = (source: string) => {
  const result = assemble(source)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

const source = `r1 = map[fd:3]
r2 = map[fd:4][0]+8
call 1
call sub
r2 = subprog[sub]
call kernel-function#77
exit
sub: r0 = 7 ll
exit`

describe('disassemble', () => {
  it('names what it is told the names of', () => {
    const names: DisassembleOptions = {
      helperName: (id) => ['bpf_unspec', 'bpf_map_lookup_elem'][id],
      kfuncName: (btfId) => (btfId === 77 ? 'bpf_rcu_read_lock' : undefined),
      functionName: (index) => (index === 10 ? 'sub' : undefined),
      mapName: (sourceKind, imm) =>
        sourceKind === 1 && imm === 3 ? 'counts' : sourceKind === 2 ? '.bss' : undefined,
    }
    expect(disassemble(program(source), names).split('\n')).toEqual([
      'r1 = map[counts]',
      'r2 = map[.bss][0]+8',
      'call bpf_map_lookup_elem#1',
      'call sub',
      'r2 = subprog[sub]',
      'call bpf_rcu_read_lock#77',
      'exit',
      'r0 = 0x7 ll',
      'exit',
    ])
  })

  it('numbers slots as bpftool does, and as llvm-objdump does', () => {
    const text = program('r0 = 1 ll\nif w0 s< -2 goto -1\nexit')
    expect(disassemble(text, { numbered: true })).toBe(
      '   0: (18) r0 = 0x1 ll\n   2: (c6) if w0 s< 0xfffffffe goto pc-1\n   3: (95) exit',
    )
    expect(disassemble(text, { numbered: true, flavour: 'llvm' })).toBe(
      '       0:\tr0 = 0x1 ll\n       2:\tif w0 s< -0x2 goto -0x1\n       3:\texit',
    )
  })

  it('shows what is no instruction as data', () => {
    const broken = program('.8byte 0x00000001000000ff\nr0 = 1 ll').slice(0, 2)
    expect(disassembleLines(broken).map(({ text, row }) => [text, row?.name])).toEqual([
      ['.8byte 0x00000001000000ff', undefined],
      ['.8byte 0x0000000100000018', undefined],
    ])
  })
})
