import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compressedInstructions } from './compressed.ts'
import { decode, isCompressed } from './decoder.ts'
import { encodeInstruction, immediateRange } from './encode.ts'
import { instructions } from './instructions.ts'

const register = fc.integer({ min: 0, max: 31 })
const hasLlvm = spawnSync('llvm-mc-19', ['--version']).status === 0

const arbitraryOperands = (name: string) => {
  const row = instructions.find((candidate) => candidate.name === name)!
  const [least, greatest, step] = immediateRange[row.format]
  return fc.record({
    rd: register,
    rs1: register,
    rs2: register,
    immediate: fc
      .integer({ min: Math.ceil(least / step), max: Math.floor(greatest / step) })
      .map((n) => n * step),
  })
}

/** What llvm-mc prints for each word: its mnemonic, or undefined where it knows no instruction. */
function disassemble(words: readonly number[], bytes: 2 | 4): (string | undefined)[] {
  // Brackets: what is wrong with one word says nothing about the next.
  const hex = (word: number) =>
    `[${Array.from({ length: bytes }, (_, i) => `0x${((word >>> (8 * i)) & 255).toString(16)}`).join(',')}]`
  const { stdout, stderr } = spawnSync(
    'llvm-mc-19',
    ['--disassemble', '--triple=riscv64', '--mattr=+m,+a,+c', '-M', 'no-aliases'],
    { input: words.map(hex).join('\n'), encoding: 'utf8', maxBuffer: 1 << 26 },
  )
  const rejected = new Set(
    [...stderr.matchAll(/<stdin>:(\d+):\d+: warning: invalid/g)].map((m) => Number(m[1]) - 1),
  )
  const lines = stdout.split('\n').filter((line) => line.startsWith('\t') && !line.startsWith('\t.'))
  let next = 0
  return words.map((_, i) => (rejected.has(i) ? undefined : lines[next++]!.trim().split(/\s/)[0]))
}

describe('the instruction table', () => {
  test('decoding undoes encoding, for every row and all operands', () => {
    for (const row of instructions) {
      fc.assert(
        fc.property(arbitraryOperands(row.name), (operands) => {
          const decoded = decode(encodeInstruction(row.name, operands))
          expect(decoded?.row.name).toBe(row.name)
          if (row.format === 'none') return
          const { rd, rs1, rs2, immediate } = operands
          expect(decoded).toMatchObject({
            lengthBytes: 4,
            ...(row.format !== 'S' && row.format !== 'B' ? { rd } : {}),
            ...(row.format !== 'U' && row.format !== 'J' ? { rs1 } : {}),
            ...(['S', 'B'].includes(row.format) || (row.format === 'R' && !row.name.startsWith('lr.'))
              ? { rs2 }
              : {}),
            ...(row.format === 'R' ? {} : { immediate }),
          })
        }),
        { numRuns: 20 },
      )
    }
  })

  test('no word belongs to two rows', () => {
    for (const a of instructions) {
      for (const b of instructions) {
        if (a === b) continue
        expect(((a.match ^ b.match) & a.mask & b.mask) !== 0, `${a.name} and ${b.name}`).toBe(true)
      }
    }
  })

  test('an immediate that does not fit is refused', () => {
    expect(() => encodeInstruction('addi', { immediate: 2048 })).toThrow(/addi: immediate 2048/)
    expect(() => encodeInstruction('beq', { immediate: 3 })).toThrow(/multiple of 2/)
    expect(() => encodeInstruction('fadd.s')).toThrow(/no instruction/)
  })

  test.skipIf(!hasLlvm)('random words are what llvm-mc-19 says (skipped without llvm-mc-19)', () => {
    const words = fc.sample(
      fc.oneof(
        fc
          .constantFrom(...instructions)
          .chain((row) => fc.integer().map((bits) => ((bits & ~row.mask) | row.match) >>> 0)),
        fc
          .constantFrom(...instructions)
          .chain((row) =>
            fc
              .tuple(fc.integer(), fc.integer({ min: 0, max: 31 }))
              .map(([bits, flip]) => ((((bits & ~row.mask) | row.match) ^ (1 << flip)) | 3) >>> 0),
          ),
      ),
      { numRuns: 4000, seed: 20 },
    )
    const theirs = disassemble(words, 4)
    // Reserved forms of fence, and aq/rl suffixes, are the same instruction here.
    const ours = words.map((word) => decode(word)?.row.name)
    words.forEach((word, i) => {
      const name = theirs[i]?.replace(/\.(aq|rl|aqrl)$/, '')
      if (name === 'fence.tso' || name === 'unimp') return
      // llvm accepts only zero in the reserved fields of these, and knows CSR-less extensions that we do not.
      if (ours[i] === 'fence.i' || ours[i] === 'fence') return
      expect(ours[i], `0x${word.toString(16)}`).toBe(isForeign(name) ? undefined : name)
    })
  })

  test.skipIf(!hasLlvm)(
    'every halfword is legal or not as llvm-mc-19 says (skipped without llvm-mc-19)',
    () => {
      const halfwords = Array.from({ length: 0x10000 }, (_, i) => i).filter(isCompressed)
      const theirs = disassemble(halfwords, 2)
      const differing = halfwords.filter((word, i) => {
        const name = theirs[i]
        // llvm-mc 19 takes c.lui with an immediate of 0, which the manual reserves.
        if ((word & 0xf07f) === 0x6001) return false
        return (decode(word) === undefined) !== (name === undefined || name === 'c.unimp' || isForeign(name))
      })
      expect(differing.map((word) => `0x${word.toString(16)} ${theirs[halfwords.indexOf(word)]}`)).toEqual([])
      const names = new Set(theirs.filter((name) => name !== undefined))
      for (const { name } of compressedInstructions) expect(names).toContain(name)
    },
  )
})

/** Instructions that llvm-mc knows beyond ours even without being asked for them. */
const isForeign = (name: string | undefined) =>
  name !== undefined &&
  /^(dret|mnret|uret|hfence|hlv|hlvx|hsv|sfence\.(w|inval)|sinval|hinval|wrs|sctrclr|cbo)/.test(name)
