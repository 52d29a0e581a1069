/** The disassembler's kernel flavour against what bpftool prints of programs that the kernel holds. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  assemble,
  assembleMnemonics,
  decode,
  disassembleAt,
  encode,
  instruction,
  type Program,
  type Row,
  rows,
} from '../../src/isa/index.ts'
import { LinuxOracle } from '../support/linux-oracle.ts'

const tools = ['bpftool', 'llvm-mc-19', 'unshare']
const missing = tools.filter((tool) => spawnSync(tool, ['--version']).status !== 0)
const oracle = LinuxOracle.open()
const why = missing.length > 0 ? `no ${missing.join(', ')}` : typeof oracle === 'string' ? oracle : undefined

const directory = mkdtempSync(join(tmpdir(), 'bpftool-'))
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
  if (typeof oracle !== 'string') oracle[Symbol.dispose]()
})

/** An object with one socket filter, made of the encoded instructions. */
function objectOf(program: Program): string {
  const words = new BigUint64Array(encode(program).buffer)
  const lines = [
    '.section socket,"ax",@progbits',
    '.globl filter',
    '.type filter,@function',
    'filter:',
    ...Array.from(words, (word) => `.8byte 0x${word.toString(16)}`),
    '.size filter, .-filter',
    '.section license,"aw",@progbits',
    '.asciz "GPL"',
  ]
  const object = join(directory, 'filter.o')
  execFileSync('llvm-mc-19', ['-triple', 'bpfel', '-filetype=obj', '-o', object], {
    input: `${lines.join('\n')}\n`,
  })
  return object
}

/** What the kernel holds of a program after its verifier has rewritten it, with bpftool's text. */
function dump(object: string): { text: string; bytes: number[] }[] {
  const mountPoint = join(directory, 'fs')
  mkdirSync(mountPoint, { recursive: true })
  // In a mount namespace of its own, so that nothing stays pinned.
  const script = `mount -t bpf bpf ${mountPoint} && bpftool prog load ${object} ${mountPoint}/p type socket && bpftool prog dump xlated pinned ${mountPoint}/p opcodes`
  const listing = execFileSync('unshare', ['-m', 'sh', '-c', script], {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const instructions: { text: string; bytes: number[] }[] = []
  for (const line of listing.split('\n')) {
    const text = /^\s*\d+: (\([0-9a-f]{2}\) .*)$/.exec(line)?.[1]
    if (text !== undefined) instructions.push({ text, bytes: [] })
    else if (/^\s*(?:[0-9a-f]{2} ?)+$/.test(line)) {
      instructions.at(-1)?.bytes.push(
        ...line
          .trim()
          .split(' ')
          .map((byte) => Number.parseInt(byte, 16)),
      )
    }
  }
  return instructions
}

/** Every instruction that needs no more than a stack, one after the other, as mnemonics. */
function everything(): string {
  const lines = ['mov %r6, %r1', ...[0, 1, 2, 3, 4, 5].map((r) => `mov %r${r}, 7`)]
  for (const register of ['%r7', '%r8', '%r9']) lines.push(`ldxw ${register}, [%r6+0]`)
  lines.push('stdw [%r10-8], -3', 'stdw [%r10-16], 5')
  for (const { kind, mnemonic, src, op } of rows as readonly Row[]) {
    // The kernel prints the newest ones as BUG in older versions of bpftool, which formats them itself.
    if (/^(load_acquire|store_release)/.test(op)) continue
    const isOld = !/^(movsx|sdiv|smod|bswap)/.test(op) && op !== 'ldsx'
    if (!isOld) continue
    const second = src === 'reg' ? '%r8' : '3'
    if (kind === 'alu') lines.push(op === 'neg' ? `${mnemonic} %r7` : `${mnemonic} %r7, ${second}`)
    else if (kind === 'swap') lines.push(`${mnemonic} %r7`)
    else if (kind === 'load') lines.push(`${mnemonic} %r7, [%r10-16]`)
    else if (kind === 'store' || kind === 'atomic') {
      lines.push(`${mnemonic} [%r10-8], ${src === 'reg' ? '%r8' : '-3'}`)
    } else if (kind === 'jump') lines.push(`${mnemonic} %r9, ${second}, +1`, 'ja +0')
    else if (mnemonic === 'lddw') lines.push('lddw %r7, 0x123456789abcdef0', 'lddw %r7, -1')
  }
  return [...lines, 'call 5', 'mov %r0, 0', 'exit'].join('\n')
}

describe('bpftool prog dump xlated', () => {
  it.skipIf(why !== undefined)(`prints what we print${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
    const assembled = assembleMnemonics(everything())
    if (!assembled.ok) throw new Error(assembled.errors[0].message)
    const listed = dump(objectOf(assembled.program))
    expect(listed.length).toBeGreaterThan(120)
    const found = listed.map(({ bytes }) => {
      const decoded = decode(Uint8Array.from(bytes))
      if (!decoded.ok) throw new Error(decoded.error.message)
      const { text, row } = disassembleAt(decoded.program, 0)
      // Our text says that an immediate is 64 bits wide, so that it can be assembled again.
      const plain = row?.kind === 'wide' ? text.replace(/ ll$/, '') : text
      return `(${bytes[0]!.toString(16).padStart(2, '0')}) ${plain}`
    })
    // The kernel's own mark for a zero extension is a mov with a reserved field in use.
    const isInternal = (text: string) => / call (?!pc)|w0 = w0|\.8byte 0x00000001000000bc/.test(text)
    expect(found.filter((text) => !isInternal(text))).toEqual(
      listed.map(({ text }) => text).filter((text) => !isInternal(text)),
    )
  })
})

/**
 * A program around one instruction of `row`, and the slot where it is. It ends in a fault, since Linux keeps the log of
 * rejected programs only.
 */
function around(row: Row): { program: Program; index: number } | undefined {
  if (!['alu', 'swap', 'load', 'store', 'atomic', 'jump', 'goto', 'may_goto'].includes(row.kind))
    return undefined
  const isMemory = row.kind === 'load' || row.kind === 'store' || row.kind === 'atomic'
  const base = isMemory && row.kind !== 'load' ? 10 : 1
  const insn = instruction({
    opcode: row.opcode,
    dst: row.dst === 'reg' ? base : 0,
    src: row.src === 'reg' ? (row.kind === 'load' ? 10 : 2) : (row.src ?? 0),
    offset: isMemory ? -16 : row.offset === 'jump' ? 0 : ((row.offset ?? 0) as number),
    imm: row.imm === 'imm' ? 6 : row.imm === 'jump' ? 0 : (row.imm ?? 0),
  })
  const setup = assembleText('r0 = 0\nr1 = 5\nr2 = 9\n*(u64 *)(r10 -16) = 3')
  return {
    program: [...setup, insn, ...assembleText('r0 = r9\nexit')],
    index: setup.length,
  }
}

const assembleText = (source: string): Program => {
  const result = assemble(source)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

describe("the log of Linux's verifier", () => {
  const reason = typeof oracle === 'string' ? ` (skipped: ${oracle})` : ''
  it.skipIf(typeof oracle === 'string')(`shows instructions as we print them${reason}`, () => {
    const cases = (rows as readonly Row[]).flatMap((row) => around(row) ?? [])
    const answers = (oracle as LinuxOracle).ask(cases)
    const expected = cases.map(({ index }, i) => {
      const line = answers[i]!.log.split('\n').find((text) => text.startsWith(`${index}: (`))
      return line?.replace(/^\d+: \([0-9a-f]{2}\) /, '').replace(/\s+;.*$/, '')
    })
    expect(cases.map(({ program, index }) => disassembleAt(program, index).text)).toEqual(expected)
    expect(cases.length).toBeGreaterThan(150)
  })
})
