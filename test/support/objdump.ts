/** What LLVM's disassembler prints of an object, beside this project's; and both assembled again. */
import { execFileSync } from 'node:child_process'
import { expect } from 'vitest'
import { assemble, decode, disassembleAt, type Program } from '../../src/isa/index.ts'

export interface Listed {
  readonly index: number
  readonly bytes: Uint8Array
  readonly text: string
}

/** What llvm-objdump prints, by section; with the bytes, so that no object reader is needed. */
export function objdump(object: string, cpu: string): Listed[][] {
  const options = { encoding: 'utf8', maxBuffer: 2 ** 28 } as const
  const listing = execFileSync('llvm-objdump-19', ['-d', `--mcpu=${cpu}`, object], options)
  return listing
    .split(/^Disassembly of section .*:$/m)
    .slice(1)
    .map((section) =>
      [...section.matchAll(/^\s*(\d+):\s((?:[0-9a-f]{2} ?)+)\t(.*)$/gm)].map(([, index, bytes, text]) => ({
        index: Number(index),
        bytes: Uint8Array.from(bytes!.trim().split(' '), (byte) => Number.parseInt(byte, 16)),
        text: text!.replace(/\s*<[^<>]*>$/, '').trim(),
      })),
    )
}

const programOf = (lines: readonly Listed[]): Program => {
  const result = decode(Uint8Array.from(lines.flatMap(({ bytes }) => [...bytes])))
  if (!result.ok) throw new Error(result.error.message)
  return result.program
}

/** Compares every instruction of an object's code; says how many there were. */
export function compareWithObjdump(object: string, cpu: string): number {
  let count = 0
  for (const lines of objdump(object, cpu)) {
    const program = programOf(lines)
    const first = lines[0]?.index ?? 0
    const found = lines.map(({ index }) => {
      const { text } = disassembleAt(program, index - first, { flavour: 'llvm' })
      return `${index}: ${cpu >= 'v3' ? text : as64(text)}`
    })
    expect(found).toEqual(lines.map(({ index, text }) => `${index}: ${text}`))
    // What LLVM prints assembles to the same bytes, but for what it leaves to relocations.
    const reassembled = assemble(lines.map(({ text }) => text).join('\n'))
    expect(reassembled.ok ? [] : reassembled.errors).toEqual([])
    if (reassembled.ok) expect(withoutRelocations(reassembled.program)).toEqual(withoutRelocations(program))
    count += lines.length
  }
  return count
}

/** Before v3, LLVM shows 32-bit loads and stores with 64-bit registers, as the kernel does. */
const as64 = (text: string) =>
  text.replace(/^w(\d+) = \*/, 'r$1 = *').replace(/^((?:lock )?\*\(u\d+ \*\).* )w(\d+)$/, '$1r$2')

const withoutRelocations = (program: Program): Program =>
  program.map((insn) =>
    insn.opcode === 0x85 || insn.opcode === 0x18 ? { ...insn, src: 0, offset: 0 } : insn,
  )
