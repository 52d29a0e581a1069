/** A program of an object file with its maps, in the form that every engine of the benchmark is given. */
import { readFileSync } from 'node:fs'
import { linkProgram, type MapSpec, ObjectError, openObject } from '../../src/client/spec/index.ts'
import { decode, encode, type Instruction } from '../../src/isa/index.ts'

export interface BenchObject {
  readonly name: string
  readonly programType: number
  readonly maps: readonly MapSpec[]
  /** Map loads have the position of the map in `imm`, and an offset into its value in the second slot. */
  readonly instructions: readonly Instruction[]
  /** The same, as bytes. */
  readonly encoded: Uint8Array
  /** Slots of those loads. */
  readonly mapLoads: ReadonlySet<number>
}

export function readBenchObject(given: string | Uint8Array, programName?: string): BenchObject {
  const file = typeof given === 'string' ? given : 'object'
  const spec = openObject(typeof given === 'string' ? readFileSync(given) : given, { name: 'bench' })
  if (spec instanceof ObjectError) throw new Error(`${file}: ${spec.message}`)
  const name = programName ?? spec.programs[0]?.name
  if (name === undefined) throw new Error(`${file}: no program`)
  const linked = linkProgram(spec, name)
  if (linked instanceof ObjectError) throw new Error(`${file}: ${linked.message}`)
  if (linked.coreRelocations.length > 0) throw new Error(`${file}: needs the kernel's types`)
  const decoded = decode(linked.instructions)
  if (!decoded.ok) throw new Error(`${file}: ${decoded.error.message}`)
  const instructions = [...decoded.program]
  const mapLoads = new Set<number>()
  for (const reference of linked.references) {
    if (reference.kind !== 'map' && reference.kind !== 'mapValue') {
      throw new Error(
        `${file}: instruction ${reference.instruction} refers to ${reference.kind} ${reference.name}`,
      )
    }
    const at = reference.instruction
    const first = instructions[at] as Instruction
    const second = instructions[at + 1] as Instruction
    const imm = spec.maps.findIndex((map) => map.name === reference.map)
    const isValue = reference.kind === 'mapValue'
    instructions[at] = { ...first, src: isValue ? 2 : 1, imm }
    instructions[at + 1] = { ...second, imm: isValue ? reference.offset : 0 }
    mapLoads.add(at)
  }
  const { programType } = linked.program.definition
  const encoded = encode(instructions)
  return { name, programType, maps: spec.maps, instructions, encoded, mapLoads }
}
