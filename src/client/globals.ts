/** Global variables of the object's programs: places in the one value of the data sections' maps. */
import { BTF_KIND, type Btf } from '../btf/index.ts'
import { type BtfCodecOptions, type BtfValue, btfCodec } from './btf-codec.ts'
import type { Codec } from './codec.ts'
import { SyscallError } from './errors.ts'
import type { BpfMap } from './map.ts'
import type { MapSpec } from './spec/index.ts'

/** Where a variable lies. */
export interface GlobalVariable {
  readonly name: string
  readonly map: MapSpec
  /** Bytes from the start of the map's value. */
  readonly offset: number
  readonly codec: Codec<BtfValue>
}

/** The variables of `.data`, `.bss` and `.rodata`, and those in an arena, by name; empty for an object without BTF. */
export function globalVariables(
  maps: readonly MapSpec[],
  btf: Btf | undefined,
  options: BtfCodecOptions = {},
): Map<string, GlobalVariable> {
  const found = new Map<string, GlobalVariable>()
  if (btf === undefined) return found
  for (const map of maps) {
    const isData = map.origin === 'data' || map.origin === 'rodata' || map.origin === 'bss'
    const type = isData ? map.valueType : map.variables
    if (type === undefined) continue
    const section = btf.typeById(type)
    if (section.kind !== BTF_KIND.DATASEC) continue
    for (const variable of section.variables) {
      const codec = btfCodec(btf, variable.type, options)
      const name = btf.nameOf(variable.type)
      if (codec !== undefined) found.set(name, { name, map, offset: variable.offset, codec })
    }
  }
  return found
}

/** Reads and writes the variables of a loaded object. */
export class Globals {
  readonly #variables: () => ReadonlyMap<string, GlobalVariable>
  readonly #maps: ReadonlyMap<string, BpfMap>

  /** `variables` is asked for when one of them is. */
  constructor(variables: () => ReadonlyMap<string, GlobalVariable>, maps: ReadonlyMap<string, BpfMap>) {
    this.#variables = variables
    this.#maps = maps
  }

  /** In the order of the object. */
  get names(): readonly string[] {
    return [...this.#variables().keys()]
  }

  has(name: string): boolean {
    return this.#variables().has(name)
  }

  /** Whether it lies in `.rodata`, where nothing can change it once the programs are loaded. */
  isConstant(name: string): boolean {
    return this.#variables().get(name)?.map.frozen === true
  }

  /** The value now. Throws for a name that the object does not have. */
  get(name: string): BtfValue {
    const { variable, bytes } = this.#locate(name)
    return variable.codec.get(viewOf(bytes), variable.offset)
  }

  /**
   * Writes a variable; EPERM for constants, which are set before loading (`LoadOptions.globals`). The section is
   * read and written as a whole: a program that writes another variable of it at the same time may lose that.
   */
  set(name: string, value: BtfValue): SyscallError | undefined {
    const { variable, map, bytes } = this.#locate(name)
    const { arena } = map.handle
    const next = bytes.slice()
    variable.codec.set(viewOf(next), variable.offset, value)
    if (arena !== undefined) {
      const place = next.subarray(variable.offset, variable.offset + variable.codec.size)
      arena.write(arena.address + BigInt(variable.offset), place)
      return undefined
    }
    const result = map.handle.update(new Uint8Array(4), next, 0)
    return result < 0 ? new SyscallError('BPF_MAP_UPDATE_ELEM', result, `variable '${name}'`) : undefined
  }

  #locate(name: string) {
    const variable = this.#variables().get(name)
    const map = variable && this.#maps.get(variable.map.name)
    if (variable === undefined || map === undefined) {
      throw new RangeError(`no global variable '${name}', only ${this.names.join(', ') || 'none'}`)
    }
    const { arena } = map.handle
    const bytes =
      arena === undefined
        ? map.handle.lookup(new Uint8Array(4))
        : arena.read(arena.address, variable.map.initialValue?.length ?? 0)
    if (typeof bytes === 'number') throw new SyscallError('BPF_MAP_LOOKUP_ELEM', bytes, `variable '${name}'`)
    return { variable, map, bytes }
  }
}

export const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
