/** `anybpf prog dump jited OBJECT`: the WebAssembly of a program beside its instructions and its lines of C. */
import {
  type CollectionSpec,
  type LinkedProgram,
  linkProgram,
  ObjectError,
  objectName,
  openObject,
} from '../../client/index.ts'
import { decode, type Instruction, type Program, wideInstruction } from '../../isa/index.ts'
import { Jit } from '../../jit/index.ts'
import { ArrayMap, type BpfMap, createMap } from '../../maps/index.ts'
import { Arena, Grace } from '../../memory/index.ts'
import { type FunctionText, functionTexts, type MarkPlace } from '../../wasm/index.ts'
import { type Colours, coloursFor } from '../colours.ts'
import { CliFailure, EXIT_OK, explain } from '../failure.ts'
import type { Host } from '../host.ts'
import { instructionTexts } from './disasm.ts'

export interface DumpJitedArguments {
  readonly path: string
  /** Only this program. */
  readonly program: string | undefined
  /** With the checks of a program of which nothing is proved. */
  readonly isChecked: boolean
}

export function runDumpJited(host: Host, options: DumpJitedArguments): number | CliFailure {
  const { path } = options
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  const spec = openObject(bytes, { name: objectName(path) })
  if (spec instanceof ObjectError) return explain(spec, { path })
  const names = spec.programs
    .map(({ name }) => name)
    .filter((name) => options.program === undefined || name === options.program)
  if (names.length === 0) {
    const message =
      options.program === undefined ? 'it has no programs' : `there is no program '${options.program}'`
    return new CliFailure(`${path}: ${message}`, {
      advice: [`there are ${spec.programs.map(({ name }) => name).join(', ') || 'none'}`],
    })
  }
  for (const name of names) {
    const linked = linkProgram(spec, name)
    if (linked instanceof ObjectError) return explain(linked, { path })
    const lines = listing(spec, linked, options.isChecked, coloursFor(host.hasColours))
    if (lines instanceof CliFailure) return lines
    host.stdout.write(`${lines.join('\n')}\n`)
  }
  return EXIT_OK
}

function listing(
  spec: CollectionSpec,
  linked: LinkedProgram,
  isChecked: boolean,
  colours: Colours,
): string[] | CliFailure {
  const world = resolve(spec, linked)
  if (world instanceof CliFailure) return world
  const { arena, program, mapAt } = world
  const jit = new Jit(arena, { helper: () => undefined, mapAt, inlinesHelpers: true })
  const compiled = jit.compile(program, { isProved: !isChecked, isTraced: true, name: linked.name })
  const texts = instructionTexts(spec, linked)
  const lines = [
    colours.bold(`${linked.program.section}: ${linked.name}`),
    colours.dim(`; ${compiled.bytes.length} bytes of WebAssembly for ${program.length} slots`),
  ]
  for (const one of functionTexts(compiled.bytes)) {
    lines.push('', colours.bold(`(func $${one.name.replaceAll(' ', '_')} ${one.type}`))
    lines.push(...functionLines(one, compiled.marks?.get(one.name) ?? [], texts, colours), ')')
  }
  return lines
}

/** Before the code of each slot: its line of C, where that is another one, and the instruction. */
function functionLines(
  { instructions }: FunctionText,
  marks: readonly MarkPlace[],
  texts: ReadonlyMap<number, { readonly text: string; readonly source: string | undefined }>,
  colours: Colours,
): string[] {
  const lines: string[] = []
  let next = 0
  let shown = -1
  let mark = -1
  for (const { offset, depth, text } of instructions) {
    for (; next < marks.length && (marks[next] as MarkPlace).offset <= offset; next++) {
      mark = (marks[next] as MarkPlace).mark
    }
    const slot = texts.get(mark)
    if (mark !== shown && slot !== undefined) {
      if (slot.source !== undefined) lines.push(colours.dim(`; ${slot.source}`))
      lines.push(colours.dim(`;; ${String(mark).padStart(3)}: ${slot.text}`))
    }
    if (mark >= 0) shown = mark
    lines.push(`  ${'  '.repeat(depth)}${text}`)
  }
  return lines
}

/** The program with maps of its own in an arena of its own, since the code depends on where they lie. */
function resolve(spec: CollectionSpec, linked: LinkedProgram) {
  const decoded = decode(linked.instructions)
  if (!decoded.ok) throw new Error(decoded.error.message)
  const arena = new Arena()
  const host = { arena, grace: new Grace(), cpuCount: 1, random: () => 1 }
  const maps = new Map<string, BpfMap>()
  const program: Instruction[] = [...decoded.program]
  for (const reference of linked.references) {
    if (reference.kind !== 'map' && reference.kind !== 'mapValue') continue
    const declared = spec.maps.find(({ name }) => name === reference.map)
    if (declared === undefined) continue
    const { type, keySize, valueSize, flags, name } = declared
    const maxEntries = declared.maxEntries || 1
    const map = maps.get(name) ?? createMap(host, { type, keySize, valueSize, maxEntries, flags, name })
    if (typeof map === 'number') return new CliFailure(`map '${name}': errno ${-map}`)
    maps.set(name, map)
    const at = reference.instruction
    const { dst, src } = program[at] as Instruction
    const value =
      reference.kind === 'mapValue' && map instanceof ArrayMap
        ? arena.address(map.valuesOffset + reference.offset)
        : map.address
    program.splice(at, 2, ...wideInstruction(dst, src, value))
  }
  const byAddress = new Map([...maps.values()].map((map) => [map.address, map]))
  return { arena, program: program as Program, mapAt: (address: bigint) => byAddress.get(address) }
}
