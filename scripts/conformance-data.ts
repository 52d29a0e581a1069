/**
 * Writes test/data/conformance/: for every instruction that runs alone, a program that tries it on operands at the
 * edges and returns the number of the first case that went wrong, or 0. What each case must give is asked of the Linux
 * that runs this script (its JIT compiler), so it needs root: `npx tsx scripts/conformance-data.ts`.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { assembleMnemonics, type Row, rows } from '../src/isa/index.ts'
import { LinuxOracle } from '../test/support/linux-oracle.ts'

/** An instruction on given operands, and the registers to look at afterwards. */
interface Case {
  readonly setup: readonly string[]
  readonly instruction: string
  readonly look: readonly string[]
}

const directory = fileURLToPath(new URL('../test/data/conformance', import.meta.url))

const least64 = 0x8000_0000_0000_0000n
const values = [
  0n,
  1n,
  0xffff_ffff_ffff_ffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  least64,
  0x0123_4567_89ab_cdefn,
  0xfedc_ba98_7654_3210n,
]
const immediates = [0, 1, -1, 7, 0x7fffffff, -0x80000000]
const pattern = 0x8081_8283_8485_8687n

const hex = (value: bigint) => `0x${BigInt.asUintN(64, value).toString(16)}`
const load = (register: string, value: bigint) => `lddw ${register}, ${hex(value)}`

/** Every value against a few others, each at least once on both sides. */
const pairs: readonly (readonly [bigint, bigint])[] = values.flatMap((a, i) =>
  [i, i + 1, i + 3, i + 7].map((j) => [a, values[j % values.length]!] as const),
)

function operands({ op, bits, src }: Row): (readonly [bigint, string, readonly string[]])[] {
  if (src === 'reg') return pairs.map(([a, b]) => [a, '%r2', [load('%r1', a), load('%r2', b)]] as const)
  const isShift = /^(lsh|rsh|arsh)$/.test(op)
  const usable = isShift
    ? [0, 1, 7, bits / 2 - 1, bits / 2, bits - 1]
    : immediates.filter((imm) => imm !== 0 || !/div|mod/.test(op))
  return values.flatMap((a, i) =>
    usable.filter((_, j) => (i + j) % 2 === 0).map((imm) => [a, `${imm}`, [load('%r1', a)]] as const),
  )
}

/** The cases of a row that computes; undefined for one that needs more than registers and a stack. */
function computations(row: Row): Case[] | undefined {
  const { mnemonic, kind, op, bits } = row
  switch (kind) {
    case 'alu':
      if (op === 'neg') return unary(mnemonic)
      return operands(row).map(([, second, setup]) => {
        return { setup, instruction: `${mnemonic} %r1, ${second}`, look: ['%r1'] }
      })
    case 'swap':
      return unary(mnemonic)
    case 'load':
      return [pattern, ~pattern, 0n].flatMap((value) =>
        Array.from({ length: 64 / bits }, (_, i) => ({
          setup: [load('%r1', value), 'stxdw [%r10-8], %r1', 'mov %r3, %r10', load('%r1', -1n)],
          instruction: `${mnemonic} %r1, [%r3-${8 - (i * bits) / 8}]`,
          look: ['%r1'],
        })),
      )
    case 'store': {
      const operand = row.src === 'reg' ? ['%r2'] : immediates.map((imm) => `${imm}`)
      return operand.flatMap((second) =>
        Array.from({ length: 64 / bits }, (_, i) => ({
          setup: [
            load('%r1', 0x1122_3344_5566_7788n),
            'stxdw [%r10-8], %r1',
            load('%r2', pattern),
            'mov %r3, %r10',
          ],
          instruction: `${mnemonic} [%r3-${8 - (i * bits) / 8}], ${second}`,
          look: ['memory'],
        })),
      )
    }
    case 'atomic':
      return pairs.slice(0, 20).flatMap(([a, b]) =>
        [a, ~a].slice(0, op === 'cmpxchg' ? 2 : 1).map((expected) => ({
          setup: [
            load('%r1', a),
            'stxdw [%r10-8], %r1',
            load('%r2', b),
            load('%r0', expected),
            'mov %r3, %r10',
          ],
          instruction: `${mnemonic} [%r3-8], %r2`,
          look: ['%r2', '%r0', 'memory'],
        })),
      )
    case 'wide':
      if (op !== 'imm64') return undefined
      return values.map((value) => ({
        setup: [],
        instruction: `${mnemonic} %r1, ${hex(value)}`,
        look: ['%r1'],
      }))
    default:
      return undefined
  }
}

const unary = (mnemonic: string): Case[] =>
  [...values, pattern].map((value) => ({
    setup: [load('%r1', value)],
    instruction: `${mnemonic} %r1`,
    look: ['%r1'],
  }))

const read = (place: string) => (place === 'memory' ? 'ldxdw %r4, [%r10-8]' : `mov %r4, ${place}`)

const program = (lines: readonly string[]) => {
  const result = assembleMnemonics(lines.join('\n'))
  if (!result.ok) throw new Error(`${result.errors[0].message}\n${lines.join('\n')}`)
  return result.program
}

/** What Linux's JIT makes of each program: r4, all 64 bits. */
function evaluate(oracle: LinuxOracle, sources: readonly (readonly string[])[]): bigint[] {
  const halves = [
    ['mov %r0, %r4', 'exit'],
    ['mov %r0, %r4', 'rsh %r0, 32', 'exit'],
  ]
  const data = new Uint8Array(64)
  const questions = sources.flatMap((lines) =>
    halves.map((half) => ({ program: program([...lines, ...half]), data })),
  )
  const answers = oracle.ask(questions).map(({ returned, log }, i) => {
    if (returned === undefined) throw new Error(`Linux refuses ${sources[i >> 1]!.join('; ')}: ${log}`)
    return BigInt(returned)
  })
  return sources.map((_, i) => answers[2 * i]! | (answers[2 * i + 1]! << 32n))
}

function computationFile(oracle: LinuxOracle, cases: readonly Case[]): string[] {
  const checks = cases.flatMap((one) => one.look.map((place) => ({ ...one, place })))
  const expected = evaluate(
    oracle,
    checks.map(({ setup, instruction, place }) => [...setup, instruction, read(place)]),
  )
  let at = 0
  return cases.flatMap(({ setup, instruction, look }, number) => [
    `# ${number + 1}`,
    ...setup,
    instruction,
    ...look.flatMap((place) => [
      read(place),
      load('%r5', expected[at++]!),
      `jne %r4, %r5, wrong${number + 1}`,
    ]),
  ])
}

/** Each wrong case has an end of its own, since r0 may be what is looked at. */
const ends = (count: number) => [
  'mov %r0, 0',
  'exit',
  ...Array.from({ length: count }, (_, i) => [`wrong${i + 1}:`, `mov %r0, ${i + 1}`, 'exit']).flat(),
]

function jumpFile(oracle: LinuxOracle, row: Row): string[] {
  const cases = operands(row)
  const jump = (second: string, target: string) => `${row.mnemonic} %r1, ${second}, ${target}`
  const taken = evaluate(
    oracle,
    cases.map(([, second, setup]) => ['mov %r4, 1', ...setup, jump(second, '+1'), 'mov %r4, 0']),
  )
  return cases.flatMap(([, second, setup], i) => {
    const isTaken = taken[i] === 1n
    const jumps = isTaken ? [jump(second, '+1'), `ja wrong${i + 1}`] : [jump(second, `wrong${i + 1}`)]
    return [`# ${i + 1}: ${isTaken ? 'taken' : 'not taken'}`, ...setup, ...jumps]
  })
}

/** Forwards and back again; what is jumped over could be reached, else Linux would refuse the program. */
const jumpAbout = (jump: string): readonly string[] => [
  'mov %r0, 3',
  'jeq %r0, 9, between',
  `${jump} over`,
  'between:',
  'mov %r0, 4',
  'exit',
  'back:',
  'sub %r0, 3',
  'exit',
  'over:',
  `${jump} back`,
]

/** What cannot be told from registers alone. */
const others: Readonly<Record<string, readonly string[]>> = {
  ja: jumpAbout('ja'),
  ja32: jumpAbout('ja32'),
  exit: ['mov %r0, 0', 'exit'],
  may_goto: ['mov %r0, 0', 'may_goto end', 'mov %r0, 0', 'end:', 'exit'],
  call_helper: ['mov %r6, 6', 'call 5', 'mov %r0, %r6', 'sub %r0, 6', 'exit'],
  call_local: [
    'mov %r6, 6',
    'mov %r1, 1',
    'mov %r2, 2',
    'call local first',
    'sub %r0, %r6',
    'sub %r0, 13',
    'exit',
    'second:',
    'mov %r0, %r1',
    'mov %r6, 0',
    'exit',
    'first:',
    'mov %r6, 8',
    'add %r1, 7',
    'mov %r9, %r2',
    'call local second',
    'add %r0, %r6',
    'add %r0, %r9',
    'add %r0, 1',
    'exit',
  ],
}

const oracle = LinuxOracle.open()
if (typeof oracle === 'string') {
  console.error(`conformance-data: ${oracle}`)
  process.exit(1)
}
rmSync(directory, { recursive: true, force: true })
mkdirSync(directory, { recursive: true })
let files = 0
for (const row of rows as readonly Row[]) {
  const cases = computations(row)
  let lines: readonly string[] | undefined = others[row.name]
  if (row.kind === 'jump') lines = [...jumpFile(oracle, row), ...ends(operands(row).length)]
  else if (cases !== undefined) lines = [...computationFile(oracle, cases), ...ends(cases.length)]
  if (lines === undefined) continue
  const section = row.section === 'none' ? 'Linux 6.18' : `RFC 9669, section ${row.section}`
  const text = [`# ${row.name}: ${row.text}. ${section}.`, '-- asm', ...lines, '-- result', '0x0', '']
  writeFileSync(join(directory, `${row.name}.data`), text.join('\n'))
  files++
}
oracle[Symbol.dispose]()
console.log(`conformance-data: ${files} files of ${rows.length} rows`)
