/**
 * The maps that a program's 64-bit immediates name, by descriptor or by index into `fd_array`, each looked up once.
 */
import { BPF_MAP_TYPE, EBADF, EFAULT, EINVAL, type progLoadAttr, type StructValue } from '../../abi/index.ts'
import { CALL_SOURCE, isWide, OPCODE, type Program, WIDE_SOURCE, wideInstruction } from '../../isa/index.ts'
import { ArenaMap, ArrayMap } from '../../maps/index.ts'
import type { DescriptorEntry, MapSpec, NoMap } from '../../verifier/index.ts'
import { BtfFile } from '../btf-object.ts'
import { MapFile, type MapObject } from '../map-object.ts'
import { mapSpec } from '../map-spec.ts'
import type { KernelProcess } from '../process.ts'
import { readBytes } from '../user-copy.ts'

type Attr = StructValue<typeof progLoadAttr>

const FD_BYTES = 4

const namesMapByIndex = (src: number) => src === WIDE_SOURCE.MAP_INDEX || src === WIDE_SOURCE.MAP_INDEX_VALUE
const namesMapByFd = (src: number) => src === WIDE_SOURCE.MAP_FD || src === WIDE_SOURCE.MAP_VALUE
const namesValue = (src: number) => src === WIDE_SOURCE.MAP_VALUE || src === WIDE_SOURCE.MAP_INDEX_VALUE

export class ProgramReferences {
  /** -errno of an `fd_array` that holds something else than maps and types; 0 else. */
  readonly error: number
  readonly #program: Program
  /** By the slot of the immediate. */
  readonly #mapBySlot = new Map<number, MapObject>()
  readonly #specs = new Map<MapObject, MapSpec>()
  readonly #byDescriptor: Record<number, MapSpec | NoMap> = {}
  readonly #byIndex: (DescriptorEntry | undefined)[] = []
  /** In the order of first use, those of `fd_array` first. */
  readonly #maps = new Set<MapObject>()

  constructor(process: KernelProcess, attr: Attr, program: Program) {
    this.#program = program
    this.error = this.#takeArray(process, attr)
    if (this.error !== 0) return
    for (let index = 0; index < program.length; index++) {
      const insn = program[index] as Program[number]
      if (!isWide(insn)) continue
      if (namesMapByFd(insn.src)) this.#byDescriptor[insn.imm] = this.#resolve(process, index, insn.imm)
      else if (namesMapByIndex(insn.src) && attr.fd_array !== 0n) {
        const fd = fdAt(process, attr, insn.imm >>> 0)
        this.#byIndex[insn.imm >>> 0] = {
          map: fd === undefined ? NOWHERE : this.#resolve(process, index, fd),
        }
      }
      index++
    }
    if (attr.fd_array !== 0n) this.#takeTypes(process, attr)
  }

  get maps(): readonly MapObject[] {
    return [...this.#maps]
  }

  /** The one arena that the program uses. */
  get arena(): ArenaMap | undefined {
    return this.maps.map(({ map }) => map).find((map) => map instanceof ArenaMap)
  }

  programArrays(): readonly MapObject[] {
    return this.maps.filter(({ map }) => map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY)
  }

  /** What the verifier is told of the maps that immediates name by descriptor. */
  get byDescriptor(): Readonly<Record<number, MapSpec | NoMap>> {
    return this.#byDescriptor
  }

  /** The same by index into `fd_array`. */
  get byIndex(): readonly (DescriptorEntry | undefined)[] {
    return this.#byIndex
  }

  /** The program with `ids` (what user space is shown) or `addresses` (what runs) in the place of descriptors. */
  instructions(what: 'ids' | 'addresses'): Program {
    const resolved = [...this.#program]
    for (const [slot, object] of this.#mapBySlot) {
      const insn = this.#program[slot] as Program[number]
      const offset = (this.#program[slot + 1] as Program[number]).imm >>> 0
      let value = BigInt(object.id)
      if (what === 'addresses')
        value = namesValue(insn.src) ? valueAddress(object, offset) : object.map.address
      else if (namesValue(insn.src)) value |= BigInt(offset) << 32n
      const src = namesValue(insn.src) ? WIDE_SOURCE.MAP_VALUE : WIDE_SOURCE.MAP_FD
      const [first, second] = wideInstruction(insn.dst, src, value)
      resolved[slot] = first
      resolved[slot + 1] = second
    }
    return resolved
  }

  /** `fd_array` with a count: all of it must be maps and types, and the program keeps the maps. */
  #takeArray(process: KernelProcess, attr: Attr): number {
    if (attr.fd_array_cnt === 0) return 0
    if (attr.fd_array_cnt >= 0x1000_0000) return -EINVAL
    for (let i = 0; i < attr.fd_array_cnt; i++) {
      const fd = fdAt(process, attr, i)
      if (fd === undefined) return -EFAULT
      const file = process.file(fd)
      if (file instanceof MapFile) this.#add(file.object)
      else if (!(file instanceof BtfFile)) return file === undefined ? -EBADF : -EINVAL
    }
    return 0
  }

  /** The types that calls of kernel functions name by index. */
  #takeTypes(process: KernelProcess, attr: Attr): void {
    for (const insn of this.#program) {
      if (insn.opcode !== OPCODE.CALL || insn.src !== CALL_SOURCE.KFUNC || insn.offset <= 0) continue
      const fd = fdAt(process, attr, insn.offset)
      const file = fd === undefined ? undefined : process.file(fd)
      const btf = file instanceof BtfFile && file.object.isKernel ? file.object.types : undefined
      if (btf !== undefined) this.#byIndex[insn.offset] ??= { btf }
    }
  }

  #resolve(process: KernelProcess, slot: number, fd: number): MapSpec | NoMap {
    const file = process.file(fd)
    if (!(file instanceof MapFile)) return { fd, errno: file === undefined ? EBADF : EINVAL }
    this.#add(file.object)
    this.#mapBySlot.set(slot, file.object)
    return this.#specs.get(file.object) as MapSpec
  }

  /** A map has one specification, by which the verifier knows it again. */
  #add(object: MapObject): void {
    if (this.#maps.has(object)) return
    this.#maps.add(object)
    this.#specs.set(object, mapSpec(object))
  }
}

/** What an immediate names whose place in `fd_array` cannot be read. */
const NOWHERE: NoMap = { fd: -1, errno: EFAULT }

function fdAt(process: KernelProcess, attr: Attr, index: number): number | undefined {
  const entry = readBytes(process.memory, attr.fd_array + BigInt(index * FD_BYTES), FD_BYTES)
  return entry === undefined ? undefined : new DataView(entry.buffer).getInt32(0, true)
}

/** The verifier has seen to it that the map is an arena or an array of one value, and the offset inside it. */
function valueAddress({ map, arena }: MapObject, offset: number): bigint {
  if (map instanceof ArenaMap) return map.userStart + BigInt(offset)
  return map instanceof ArrayMap ? arena.address(map.valuesOffset + offset) : 0n
}
