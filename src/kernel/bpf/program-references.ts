/**
 * The maps that a program's 64-bit immediates name, by descriptor or by index into `fd_array`, each looked up once.
 */
import {
  BPF_MAP_TYPE,
  EBADF,
  EFAULT,
  EINVAL,
  EPROTO,
  type progLoadAttr,
  type StructValue,
} from '../../abi/index.ts'
import { isWide, type Program, WIDE_SOURCE, wideInstruction } from '../../isa/index.ts'
import { ArrayMap } from '../../maps/index.ts'
import type { MapProperties } from '../../verifier/index.ts'
import { BtfFile } from '../btf-object.ts'
import { MapFile, type MapObject } from '../map-object.ts'
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
  readonly #mapBySlot = new Map<number, MapObject | number>()
  readonly #properties = new Map<MapObject, MapProperties>()
  /** In the order of first use, those of `fd_array` first. */
  readonly #maps = new Set<MapObject>()

  constructor(process: KernelProcess, attr: Attr, program: Program) {
    this.#program = program
    this.error = this.#takeArray(process, attr)
    if (this.error !== 0) return
    for (let index = 0; index < program.length; index++) {
      const insn = program[index] as Program[number]
      if (!isWide(insn)) continue
      if (namesMapByFd(insn.src)) this.#resolve(process, index, insn.imm)
      else if (namesMapByIndex(insn.src)) {
        const entry = readBytes(process.memory, attr.fd_array + BigInt((insn.imm >>> 0) * FD_BYTES), FD_BYTES)
        if (attr.fd_array === 0n) this.#mapBySlot.set(index, -EPROTO)
        else if (entry === undefined) this.#mapBySlot.set(index, -EFAULT)
        else this.#resolve(process, index, new DataView(entry.buffer).getInt32(0, true))
      }
      index++
    }
  }

  get maps(): readonly MapObject[] {
    return [...this.#maps]
  }

  programArrays(): readonly MapObject[] {
    return this.maps.filter(({ map }) => map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY)
  }

  /** What the verifier asks: the map of the immediate at `slot`, or a positive errno. */
  propertiesAt(slot: number): MapProperties | number {
    const map = this.#mapBySlot.get(slot) ?? -EINVAL
    return typeof map === 'number' ? -map : (this.#properties.get(map) as MapProperties)
  }

  /** The program with `ids` (what user space is shown) or `addresses` (what runs) in the place of descriptors. */
  instructions(what: 'ids' | 'addresses'): Program {
    const resolved = [...this.#program]
    for (const [slot, object] of this.#mapBySlot) {
      if (typeof object === 'number') continue
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
      const entry = readBytes(process.memory, attr.fd_array + BigInt(i * FD_BYTES), FD_BYTES)
      if (entry === undefined) return -EFAULT
      const file = process.file(new DataView(entry.buffer).getInt32(0, true))
      if (file instanceof MapFile) this.#add(file.object)
      else if (!(file instanceof BtfFile)) return file === undefined ? -EBADF : -EINVAL
    }
    return 0
  }

  #resolve(process: KernelProcess, slot: number, fd: number): void {
    const file = process.file(fd)
    if (file instanceof MapFile) {
      this.#add(file.object)
      this.#mapBySlot.set(slot, file.object)
    } else this.#mapBySlot.set(slot, file === undefined ? -EBADF : -EINVAL)
  }

  #add(object: MapObject): void {
    if (this.#maps.has(object)) return
    this.#maps.add(object)
    const { type, keySize, valueSize, maxEntries } = object.map.definition
    this.#properties.set(object, { type, keySize, valueSize, maxEntries })
  }
}

/** The verifier has seen to it that the map is an array of one value and the offset inside it. */
function valueAddress({ map, arena }: MapObject, offset: number): bigint {
  return map instanceof ArrayMap ? arena.address(map.valuesOffset + offset) : 0n
}
