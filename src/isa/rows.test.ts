import { describe, expect, it } from 'vitest'
import { buildGrammar, type GrammarNode } from './grammar.ts'
import { rowFits } from './lookup.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'

const all: readonly Row[] = rows

/** An instruction that has 0 in every field which the row leaves to the program. */
const sample = (row: Row, free: number) => {
  const field = (spec: string | number | undefined) => (typeof spec === 'string' ? free : (spec ?? 0))
  return {
    opcode: row.opcode,
    dst: field(row.dst),
    src: field(row.src),
    offset: field(row.offset),
    imm: field(row.imm),
  }
}

describe('the instruction table', () => {
  it('names each instruction once', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  })

  it.each([0, 3, 10])('lets every instruction be of one row only, with %i in its free fields', (free) => {
    for (const row of all) {
      const insn = sample(row, free)
      expect(all.filter((other) => rowFits(other, insn)).map(({ name }) => name)).toEqual([row.name])
    }
  })

  it('covers the opcodes of RFC 9669 and of Linux 6.18, and no other', () => {
    const alu = [0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x9, 0xa, 0xb, 0xc].map((code) => code << 4)
    const jumps = [0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0xa, 0xb, 0xc, 0xd].map((code) => code << 4)
    const expected = [
      ...alu.flatMap((code) => [code | 4, code | 12, code | 7, code | 15]),
      ...[0x84, 0x87, 0xd4, 0xdc, 0xd7],
      ...jumps.flatMap((code) => [code | 5, code | 13, code | 6, code | 14]),
      ...[0x05, 0x06, 0x85, 0x8d, 0x95, 0xe5],
      ...[0x18, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50],
      ...[0x61, 0x69, 0x71, 0x79, 0x62, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b, 0x81, 0x89, 0x91],
      ...[0xc3, 0xcb, 0xd3, 0xdb],
    ]
    const opcodes = new Set(all.map(({ opcode }) => opcode))
    expect([...opcodes].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b))
  })

  it('gives each width its own class of registers in the kernel syntax', () => {
    for (const row of all) {
      if (row.kind !== 'alu' && row.kind !== 'jump') continue
      const wanted = row.bits === 32 ? /w\{d\}/ : /r\{d\}/
      expect(row.text, row.name).toMatch(wanted)
      expect(row.opcode & 7, row.name).toBe(
        { alu: { 32: 4, 64: 7 }, jump: { 32: 6, 64: 5 } }[row.kind][row.bits as 32 | 64],
      )
    }
  })

  it('has a syntax that says which row is meant, but for what clang leaves to relocations', () => {
    const ambiguous = new Set<string>()
    const walk = (node: GrammarNode) => {
      const names = new Set(node.productions.map(({ row }) => row.name))
      if (names.size > 1) ambiguous.add([...names].sort().join(' '))
      for (const next of node.edges.values()) walk(next)
    }
    walk(buildGrammar())
    expect([...ambiguous].sort()).toEqual([
      'call_helper call_kfunc call_local',
      'lddw lddw_btf_id lddw_function lddw_map_fd lddw_map_index lddw_map_index_value lddw_map_value',
    ])
  })
})
