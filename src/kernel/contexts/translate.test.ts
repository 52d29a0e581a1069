/** Which accesses of a program are rewritten, and which are left alone. */
import { describe, expect, test } from 'vitest'
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import { disassemble } from '../../isa/index.ts'
import { program } from '../testing/caller.ts'
import { type ContextLayout, contextLayout } from './layout.ts'
import { translateContext } from './translate.ts'

const xdp = contextLayout(BPF_PROG_TYPE.BPF_PROG_TYPE_XDP) as ContextLayout
const skb = contextLayout(BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS) as ContextLayout

/** Slots that differ after the rewrite, with their new offset and opcode. */
function changes(source: string, layout: ContextLayout, accesses?: ReadonlySet<number>): [number, number][] {
  const before = program(source)
  const after = translateContext(before, layout, accesses)
  expect(after.length).toBe(before.length)
  return after.flatMap((insn, slot) =>
    insn === before[slot] ? [] : [[slot, insn.offset] as [number, number]],
  )
}

describe('loads of packet pointers', () => {
  test.each([
    ['from r1', 'r0 = *(u32 *)(r1 +4)\nexit', [[0, 32]]],
    ['from a copy', 'r6 = r1\nr0 = *(u32 *)(r6 +0)\nexit', [[1, 24]]],
    ['not of another field', 'r0 = *(u32 *)(r1 +12)\nexit', []],
    ['not of a part of it', 'r0 = *(u16 *)(r1 +0)\nexit', []],
    ['not from a packet', 'r2 = *(u32 *)(r1 +0)\nr0 = *(u32 *)(r2 +4)\nexit', [[0, 24]]],
    ['not from what it was before', 'r1 = 0\nr0 = *(u32 *)(r1 +4)\nexit', []],
    ['not after arithmetic', 'r1 += 4\nr0 = *(u32 *)(r1 +0)\nexit', []],
    ['from the frame', '*(u64 *)(r10 -8) = r1\nr2 = *(u64 *)(r10 -8)\nr0 = *(u32 *)(r2 +8)\nexit', [[2, 40]]],
    [
      'not from a slot that was written over',
      '*(u64 *)(r10 -8) = r1\n*(u64 *)(r10 -8) = 0\nr2 = *(u64 *)(r10 -8)\nr0 = *(u32 *)(r2 +8)\nexit',
      [],
    ],
    ['not after a call', 'call bpf_ktime_get_ns\nr0 = *(u32 *)(r1 +0)\nexit', []],
    ['after a call, if saved', 'r6 = r1\ncall bpf_ktime_get_ns\nr0 = *(u32 *)(r6 +0)\nexit', [[2, 24]]],
    ['in a subprogram', 'r2 = r1\nr1 = 0\ncall pc+1\nexit\nr0 = *(u32 *)(r2 +4)\nexit', [[4, 32]]],
    ['around a branch', 'r6 = r1\nif r1 == 0 goto +1\nr7 = 1\nr0 = *(u32 *)(r6 +0)\nexit', [[3, 24]]],
  ] as readonly [string, string, [number, number][]][])('%s', (_name, source, expected) => {
    expect(changes(source, xdp)).toEqual(expected)
  })

  test('are those that a verifier names, where it does', () => {
    const source = 'r2 = *(u32 *)(r1 +0)\nr0 = *(u32 *)(r3 +4)\nexit'
    expect(changes(source, xdp, new Set([1]))).toEqual([[1, 32]])
  })

  test('become loads of 64 bits behind the struct', () => {
    const text = disassemble(translateContext(program('r0 = *(u32 *)(r1 +80)\nexit'), skb)).split('\n')
    expect(text[0]).toContain('*(u64 *)(r1 +200)')
  })
})

test('stores to fields of 16 bits are cut', () => {
  const source = '*(u32 *)(r1 +44) = r0\n*(u32 *)(r1 +8) = r0\nexit'
  const text = disassemble(translateContext(program(source), skb)).split('\n')
  expect(text[0]).toContain('*(u16 *)(r1 +44)')
  expect(text[1]).toContain('*(u32 *)(r1 +8)')
})
