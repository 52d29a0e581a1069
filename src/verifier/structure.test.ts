import { describe, expect, it } from 'vitest'
import { BPF_MAP_TYPE } from '../abi/index.ts'
import { assemble, instruction, type Program } from '../isa/index.ts'
import { checkFields } from './instruction-fields.ts'
import { checkStructure, type MapProperties, type StructureInput } from './structure.ts'

// test/linux/structure.test.ts holds the same check to a running Linux; these need none.

const assembled = (source: string): Program => {
  const result = assemble(source)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}
const KPROBE = 2
const check = (program: Program | string, given: Partial<StructureInput> = {}) =>
  checkStructure({
    program: typeof program === 'string' ? assembled(program) : program,
    programType: KPROBE,
    gplCompatible: true,
    hasFunctionInfo: false,
    mapAt: () => 9,
    ...given,
  })
const message = (program: Program | string, given: Partial<StructureInput> = {}) => {
  const found = check(program, given)
  return 'accepted' in found ? `${found.errno} ${found.index}: ${found.message}` : 'accepted'
}
const array: MapProperties = {
  type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
  valueSize: 16,
  maxEntries: 1,
}

describe('checkStructure', () => {
  it.each([
    ['', '7 undefined: '],
    ['r0 = 0\nexit', 'accepted'],
    ['r0 = 0', '22 0: last insn is not an exit or jmp'],
    ['r0 = 0\nif r0 == 0 goto +5\nexit', '22 1: jump out of range from insn 1 to 7'],
    ['r0 = 0\ngoto -5', '22 1: jump out of range from insn 1 to -3'],
    ['r0 = 0\ngotol +70000', '22 1: jump out of range from insn 1 to 70002'],
    ['if r1 == 0 goto +1\nr0 = 5 ll\nexit', '22 1: jump into the middle of ldimm64 insn 1'],
    ['r0 = 0\nexit\nr0 = 1\nexit', '22 2: unreachable insn 2'],
    ['call pc+9\nexit', '22 0: call to invalid destination'],
    ['call f\nr0 = 0\nf: r0 = 1\nexit', '22 1: last insn is not an exit or jmp'],
    ['call f\nif r0 == 0 goto f\nexit\nf: r0 = 1\nexit', '22 1: jump out of range from insn 1 to 3'],
    ['r0 = r11\nexit', '22 0: R11 is invalid'],
    ['r12 = 5\nexit', '22 0: R12 is invalid'],
    ['r10 = 5\nexit', '13 0: frame pointer is read only'],
    ['r1 <<= 64\nexit', '22 0: invalid shift 64'],
    ['w1 >>= 32\nexit', '22 0: invalid shift 32'],
    ['r1 /= 0\nexit', '22 0: div by zero'],
    ['callx r1\nexit', '22 0: unknown opcode 8d'],
    ['.8byte 0xff\nexit', '22 0: unknown opcode ff'],
    ['.8byte 0x18\nexit', '22 0: invalid bpf_ld_imm64 insn'],
    ['.8byte 0x0000000100000061\nexit', '22 0: BPF_LDX uses reserved fields'],
    ['.8byte 0x0000000100000095', '22 0: BPF_EXIT uses reserved fields'],
    ['r1 = map[fd:5]\nr0 = 0\nexit', '9 0: fd 5 is not pointing to valid bpf_map'],
    ['call 9999\nexit', '22 0: invalid func unknown#9999'],
    ['call 26\nexit', '22 0: program of this type cannot use helper bpf_skb_load_bytes#26'],
    ['call f\nexit\nf: call 12\nr0 = 0\nexit', '22 2: tail_call is not allowed in subprogs without BTF'],
  ])('%j: %s', (source, expected) => {
    expect(message(source)).toBe(expected)
  })

  it('keeps GPL-only helpers from other programs', () => {
    expect(message('call 6\nexit', { gplCompatible: false })).toBe(
      '22 0: cannot call GPL-restricted function from non-GPL compatible program',
    )
    expect(message('call 6\nexit')).toBe('accepted')
  })

  it('lets a pointer into a map go only where the map has memory', () => {
    const at = (source: string, map: MapProperties) =>
      message(`${source}\nr0 = 0\nexit`, { mapAt: () => map })
    expect(at('r1 = map[fd:3][0]+15', array)).toBe('accepted')
    expect(at('r1 = map[fd:3][0]+16', array)).toBe(
      '22 0: invalid access to map value pointer, value_size=16 off=16',
    )
    expect(at('r1 = map[fd:3][0]+4', { ...array, maxEntries: 2 })).toMatch(/^524 0: invalid access/)
    expect(at('r1 = map[fd:3][0]+0', { ...array, type: 1 })).toBe(
      '22 0: no direct value access support for this map type',
    )
    expect(at('r1 = map[idx:0]', array)).toBe('accepted')
  })

  it('follows no branch that a constant rules out, as a loader leaves it', () => {
    expect(message('r1 = 0\nif r1 == 0 goto end\ncall 9999\nend: r0 = 0\nexit')).toBe('accepted')
    expect(message('r1 = 7\nr1 &= 8\nif w1 != 0 goto bad\nr0 = 0\nexit\nbad: r10 = 0\nexit')).toBe('accepted')
    expect(message('r1 = 1\nif r1 == 0 goto end\ncall 9999\nend: r0 = 0\nexit')).toMatch(/invalid func/)
    // Two values meet: either branch is possible.
    expect(
      message('r1 = 0\nif r2 == 0 goto +1\nr1 = 1\nif r1 == 0 goto end\ncall 9999\nend: r0 = 0\nexit'),
    ).toMatch(/invalid func/)
  })

  it('leaves the calls that a loader has marked to the run', () => {
    expect(message(`call ${0xbad2310}\nr0 = 0\nexit`)).toBe('accepted')
  })

  it('says where subprograms are, and writes the log of Linux', () => {
    expect(check('call f\nr0 = 0\nexit\nf: r1 = subprog[g]\nr0 = 0\nexit\ng: r0 = 0\nexit')).toEqual([
      { start: 0, end: 3 },
      { start: 3, end: 7 },
      { start: 7, end: 9 },
    ])
    expect(check('r0 = 0')).toMatchObject({
      log: 'last insn is not an exit or jmp\nprocessed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n',
    })
    expect(check([])).toMatchObject({ log: '' })
  })

  it('takes the exception callback for reachable', () => {
    const source = 'r0 = 0\nexit\nr0 = 1\nexit'
    expect(message(source)).toMatch(/unreachable insn 2/)
    expect(message(source, { exceptionCallback: 2 })).toBe('accepted')
  })
})

describe('checkFields', () => {
  it.each([
    [{ opcode: 0x87, imm: 1 }, 'BPF_NEG uses reserved fields'],
    [{ opcode: 0xd4, imm: 17 }, 'BPF_END uses reserved fields'],
    [{ opcode: 0xbf, offset: 9 }, 'BPF_MOV uses reserved fields'],
    [{ opcode: 0xbc, offset: 32 }, 'BPF_MOV uses reserved fields'],
    [
      { opcode: 0xbf, offset: 1, imm: 5 },
      'addr_space_cast insn can only convert between address space 1 and 0',
    ],
    [{ opcode: 0x0f, imm: 1 }, 'BPF_ALU uses reserved fields'],
    [{ opcode: 0x07, offset: 1 }, 'BPF_ALU uses reserved fields'],
    [{ opcode: 0x7b, imm: 1 }, 'BPF_STX uses reserved fields'],
    [{ opcode: 0x7a, src: 1 }, 'BPF_ST uses reserved fields'],
    [{ opcode: 0xdb, imm: 0x10 }, 'BPF_ATOMIC uses invalid atomic opcode 10'],
    [{ opcode: 0xd3, imm: 0 }, 'invalid atomic operand size'],
    [{ opcode: 0x05, imm: 1 }, 'BPF_JA uses reserved fields'],
    [{ opcode: 0x06, offset: 1 }, 'BPF_JA uses reserved fields'],
    [{ opcode: 0x1d, imm: 1 }, 'BPF_JMP/JMP32 uses reserved fields'],
    [{ opcode: 0x85, src: 3 }, 'BPF_CALL uses reserved fields'],
    [{ opcode: 0xe5, imm: 4 }, 'invalid may_goto imm 4'],
    [{ opcode: 0x18, offset: 4 }, 'BPF_LD_IMM64 uses reserved fields'],
    [{ opcode: 0x30, dst: 4 }, 'BPF_LD_[ABS|IND] uses reserved fields'],
  ])('%j: %s', (fields, expected) => {
    expect(checkFields(instruction(fields))?.message).toBe(expected)
  })
})
