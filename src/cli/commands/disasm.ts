/** `anybpf prog disasm OBJECT`: the programs of an object, instruction by instruction. */
import type { Btf } from '../../btf/index.ts'
import {
  type CollectionSpec,
  type LinkedProgram,
  linkProgram,
  ObjectError,
  objectName,
  openObject,
} from '../../client/index.ts'
import { closestNames } from '../../elf/index.ts'
import { helperById } from '../../helpers/index.ts'
import { decode, disassembleLines, type Instruction, WIDE_SOURCE } from '../../isa/index.ts'
import { type Colours, coloursFor } from '../colours.ts'
import { CliFailure, EXIT_OK, explain } from '../failure.ts'
import type { Host } from '../host.ts'

export interface DisasmArguments {
  readonly path: string
  /** Only this program. */
  readonly program: string | undefined
  /** Whether to show the lines of C that clang noted. */
  readonly withSource: boolean
}

export function runDisasm(host: Host, options: DisasmArguments): number | CliFailure {
  const { path } = options
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  const spec = openObject(bytes, { name: objectName(path), allowBigEndian: true })
  if (spec instanceof ObjectError) return explain(spec, { path })
  const names = spec.programs.map(({ name }) => name)
  if (names.length === 0) return explain(new ObjectError('no-programs', 'it has no programs'), { path })
  if (options.program !== undefined && !names.includes(options.program)) {
    const near = closestNames(options.program, names, 3)
    return new CliFailure(`${path}: there is no program '${options.program}'`, {
      advice: [`there ${names.length === 1 ? 'is' : 'are'} ${(near.length > 0 ? near : names).join(', ')}`],
    })
  }
  const colours = coloursFor(host.hasColours)
  const shown = names.filter((name) => options.program === undefined || name === options.program)
  for (const [index, name] of shown.entries()) {
    const linked = linkProgram(spec, name)
    if (linked instanceof ObjectError) return explain(linked, { path })
    if (index > 0) host.stdout.write('\n')
    host.stdout.write(`${listing(spec, linked, options.withSource, colours).join('\n')}\n`)
  }
  return EXIT_OK
}

function listing(
  spec: CollectionSpec,
  linked: LinkedProgram,
  withSource: boolean,
  colours: Colours,
): string[] {
  const decoded = decode(linked.instructions, { bigEndian: spec.byteOrder === 'big' })
  if (!decoded.ok) throw new Error(`linked program: ${decoded.error.message}`)
  const { program, notes } = withReferences(decoded.program, spec, linked)
  const starts = new Map(linked.functions.map(({ function: one, start }) => [start, one.name]))
  const sources = withSource
    ? sourceLines(spec.btf, linked.lineInfo, spec.byteOrder)
    : new Map<number, string>()
  const lines = [colours.bold(`${linked.program.section}: ${linked.name}`)]
  const disassembled = disassembleLines(program, {
    helperName: (id) => helperById(id)?.name,
    functionName: (start) => starts.get(start),
    mapName: (_source, index) => spec.maps[index]?.name,
  })
  for (const { index, text } of disassembled) {
    const name = starts.get(index)
    if (name !== undefined && index > 0) lines.push(colours.bold(`${name}:`))
    const source = sources.get(index)
    if (source !== undefined) lines.push(colours.dim(`; ${source}`))
    const opcode = (program[index] as Instruction).opcode.toString(16).padStart(2, '0')
    const note = notes.get(index)
    lines.push(`${String(index).padStart(4)}: (${opcode}) ${text}${note === undefined ? '' : ` ; ${note}`}`)
  }
  return lines
}

/** The text of each slot of a linked program, and the line of C where another one begins. */
export function instructionTexts(
  spec: CollectionSpec,
  linked: LinkedProgram,
): ReadonlyMap<number, { readonly text: string; readonly source: string | undefined }> {
  const decoded = decode(linked.instructions, { bigEndian: spec.byteOrder === 'big' })
  if (!decoded.ok) throw new Error(`linked program: ${decoded.error.message}`)
  const { program } = withReferences(decoded.program, spec, linked)
  const sources = sourceLines(spec.btf, linked.lineInfo, spec.byteOrder)
  const names = {
    helperName: (id: number) => helperById(id)?.name,
    mapName: (_source: number, index: number) => spec.maps[index]?.name,
  }
  return new Map(
    disassembleLines(program, names).map(({ index, text }) => [index, { text, source: sources.get(index) }]),
  )
}

/** Puts the index of a map where its descriptor will be, so that it can be shown by name. */
function withReferences(plain: readonly Instruction[], spec: CollectionSpec, linked: LinkedProgram) {
  const program = [...plain]
  const notes = new Map<number, string>()
  for (const reference of linked.references) {
    const at = reference.instruction
    const first = program[at] as Instruction
    if (reference.kind === 'extern' || reference.kind === 'externCall') {
      notes.set(at, `extern ${reference.name}`)
      continue
    }
    const imm = spec.maps.findIndex(({ name }) => name === reference.map)
    const isValue = reference.kind === 'mapValue'
    program[at] = { ...first, src: isValue ? WIDE_SOURCE.MAP_VALUE : WIDE_SOURCE.MAP_FD, imm }
    if (isValue) program[at + 1] = { ...(program[at + 1] as Instruction), imm: reference.offset }
  }
  return { program, notes }
}

/**
 * Lines of C by slot index, from `struct bpf_line_info`: slot, file name, text, line << 10 | column, 4 bytes each.
 * A line is given where it differs from the one before.
 */
function sourceLines(
  btf: Btf | undefined,
  lineInfo: Uint8Array,
  byteOrder: 'little' | 'big',
): Map<number, string> {
  const lines = new Map<number, string>()
  if (btf === undefined) return lines
  const view = new DataView(lineInfo.buffer, lineInfo.byteOffset, lineInfo.byteLength)
  const word = (at: number) => view.getUint32(at, byteOrder === 'little')
  let last = ''
  for (let at = 0; at + 16 <= lineInfo.length; at += 16) {
    const text = btf.string(word(at + 8)).trim()
    const place = `${btf.string(word(at + 4)).replace(/^\.\//, '')}:${word(at + 12) >>> 10}`
    const line = text === '' ? `@ ${place}` : `${text} @ ${place}`
    if (line !== last) lines.set(word(at), line)
    last = line
  }
  return lines
}
