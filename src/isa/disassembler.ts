import { type Instruction, isWide, type Program, wideImmediate } from './instruction.ts'
import { rowOf } from './lookup.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'
import { type Placeholder, parseTemplate, type TemplatePart } from './template.ts'

export interface DisassembleOptions {
  /**
   * `kernel`: what the verifier's log and `bpftool prog dump xlated` print. `llvm`: what llvm-objdump prints,
   * which drops what an object file keeps in its relocations (the pseudo forms of `call` and of 64-bit
   * immediates), so it does not always assemble to the same bytes. Default: `kernel`.
   */
  readonly flavour?: 'kernel' | 'llvm'
  /** Begin each line with the slot's index and, in the kernel's flavour, its opcode: `   0: (b7) r0 = 0`. */
  readonly numbered?: boolean
  /** `bpf_map_lookup_elem` for 1. */
  readonly helperName?: (id: number) => string | undefined
  /** Name of the kernel function with this BTF id, from the BTF descriptor at `btfIndex`. */
  readonly kfuncName?: (btfId: number, btfIndex: number) => string | undefined
  /** Name of the subprogram that begins at slot `index`, for calls and function pointers. */
  readonly functionName?: (index: number) => string | undefined
  /** Name of the map that a 64-bit immediate stands for; `source` is one of `WIDE_SOURCE`. */
  readonly mapName?: (source: number, imm: number) => string | undefined
}

export interface DisassembledLine {
  /** The slot's index. */
  readonly index: number
  readonly text: string
  readonly slots: 1 | 2
  /** What the slot is; undefined when it is no instruction, and `text` is a `.8byte`. */
  readonly row: Row | undefined
}

const templates: ReadonlyMap<string, { kernel: TemplatePart[]; llvm: TemplatePart[] }> = new Map(
  rows.map((row: Row) => [
    row.name,
    { kernel: parseTemplate(row.text), llvm: parseTemplate(row.llvm ?? row.text) },
  ]),
)

const signed = (value: number | bigint): string => (value < 0 ? `${value}` : `+${value}`)
const hex = (value: number | bigint): string =>
  value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`
const signedHex = (value: number): string => (value < 0 ? hex(value) : `+${hex(value)}`)

interface Site {
  readonly program: Program
  readonly index: number
  readonly insn: Instruction
  readonly row: Row
  readonly options: DisassembleOptions
}

const jumpDistance = ({ insn, row }: Site): number => (row.imm === 'jump' ? insn.imm : insn.offset)

function kernelField(field: Placeholder, site: Site): string {
  const { insn, program, index, options } = site
  switch (field) {
    case 'd':
      return `${insn.dst}`
    case 's':
      return `${insn.src}`
    case 'i':
      return `${insn.imm}`
    case 'x':
      return `0x${(insn.imm >>> 0).toString(16)}`
    case 'o':
      return signed(insn.offset)
    case 'p':
      return ` + ${insn.imm}`
    case 'j':
      return kernelJump(site)
    case 'I':
      return hex(wideImmediate(program, index))
    case 'h':
      return highHalf(site) === 0 ? '' : signed(highHalf(site))
    case 'a':
      return `${insn.imm >>> 16}`
    case 'b':
      return `${insn.imm & 0xffff}`
    case 'n':
      return `${options.helperName?.(insn.imm) ?? 'unknown'}#${insn.imm}`
    case 'k': {
      const name = options.kfuncName?.(insn.imm, insn.offset) ?? 'kernel-function'
      return `${name}#${insn.imm}${insn.offset === 0 ? '' : `@${insn.offset & 0xffff}`}`
    }
  }
}

const highHalf = ({ program, index }: Site): number => program[index + 1]?.imm ?? 0

function kernelJump(site: Site): string {
  const distance = jumpDistance(site)
  const { kind } = site.row
  const isCode = kind === 'call' || kind === 'wide'
  const name = isCode ? site.options.functionName?.(site.index + 1 + distance) : undefined
  return name ?? (kind === 'wide' ? signed(distance) : `pc${signed(distance)}`)
}

function llvmField(field: Placeholder, site: Site): string {
  const { insn, program, index } = site
  switch (field) {
    case 'd':
      return `${insn.dst}`
    case 's':
      return `${insn.src}`
    case 'i':
    case 'x':
    case 'n':
    case 'k':
      return hex(insn.imm)
    case 'o':
      return insn.offset < 0 ? `- ${hex(-insn.offset)}` : `+ ${hex(insn.offset)}`
    case 'j':
      return signedHex(jumpDistance(site))
    case 'I':
      return hex(BigInt.asIntN(64, wideImmediate(program, index)))
    case 'a':
      return hex(insn.imm >>> 16)
    case 'b':
      return hex(insn.imm & 0xffff)
    case 'p':
    case 'h':
      return ''
  }
}

const slotAsData = (insn: Instruction): string => {
  const low = BigInt(insn.opcode | (insn.dst << 8) | (insn.src << 12) | ((insn.offset & 0xffff) << 16))
  const word = (BigInt.asUintN(32, BigInt(insn.imm)) << 32n) | BigInt.asUintN(32, low)
  return `.8byte 0x${word.toString(16).padStart(16, '0')}`
}

/** Is the second slot of the wide instruction at `index` there, with only its `imm` in use as `row` allows? */
function secondSlotFits(program: Program, index: number, row: Row): boolean {
  const second = program[index + 1]
  if (second === undefined) return false
  const { opcode, dst, src, offset, imm } = second
  const reserved = opcode | dst | src | offset
  return reserved === 0 && (row.high === 'imm' || imm === 0)
}

/**
 * The text of the instruction at slot `index`.
 *
 * A slot that is no instruction (an unknown opcode, a reserved field in use, half a wide instruction) becomes
 * `.8byte`, so that a listing always assembles to the same bytes.
 */
export function disassembleAt(
  program: Program,
  index: number,
  options: DisassembleOptions = {},
): DisassembledLine {
  const insn = program[index]
  if (insn === undefined) throw new RangeError(`no instruction ${index} in a program of ${program.length}`)
  const row: Row | undefined = rowOf(insn)
  if (row === undefined || (isWide(insn) && !secondSlotFits(program, index, row))) {
    return { index, text: slotAsData(insn), slots: 1, row: undefined }
  }
  const flavour = options.flavour ?? 'kernel'
  const site = { program, index, insn, row, options }
  const mapText = flavour === 'kernel' ? namedMap(site) : undefined
  const text =
    mapText ??
    templates
      .get(row.name)!
      [flavour].map((part) => {
        if (part.kind === 'text') return part.text
        return flavour === 'kernel' ? kernelField(part.field, site) : llvmField(part.field, site)
      })
      .join('')
  return { index, text, slots: isWide(insn) ? 2 : 1, row }
}

function namedMap({ insn, row, options, program, index }: Site): string | undefined {
  if (row.kind !== 'wide' || !row.op.startsWith('map_')) return undefined
  const name = options.mapName?.(insn.src, insn.imm)
  if (name === undefined) return undefined
  const high = program[index + 1]?.imm ?? 0
  const value = row.op.endsWith('value') ? `[0]${signed(high)}` : ''
  return `r${insn.dst} = map[${name}]${value}`
}

/** Every instruction of a program, one line each. */
export function disassembleLines(program: Program, options: DisassembleOptions = {}): DisassembledLine[] {
  const lines: DisassembledLine[] = []
  for (let index = 0; index < program.length; ) {
    const line = disassembleAt(program, index, options)
    lines.push(line)
    index += line.slots
  }
  return lines
}

/**
 * A program as text, a line per instruction: in the kernel's flavour without name resolvers, `assemble` gives the
 * same program back.
 */
export function disassemble(program: Program, options: DisassembleOptions = {}): string {
  return disassembleLines(program, options)
    .map(({ index, text }) => {
      if (options.numbered !== true) return text
      const opcode = program[index]!.opcode.toString(16).padStart(2, '0')
      return options.flavour === 'llvm'
        ? `${`${index}`.padStart(8)}:\t${text}`
        : `${`${index}`.padStart(4)}: (${opcode}) ${text}`
    })
    .join('\n')
}
