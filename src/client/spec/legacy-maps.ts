/**
 * Maps declared as plain structs in section `maps` (or `maps/...`), as objects did before BTF and Rust's still do.
 *
 * struct bpf_map_def: | type | key_size | value_size | max_entries | map_flags | (20 bytes), with, in the longer
 * forms of aya (28 bytes) and iproute2 (36), | id | pinning | ... |. All fields are 32 bits.
 */
import { BPF_MAP_TYPE } from '../../abi/bpf.ts'
import type { ElfSection } from '../../elf/index.ts'
import type { DeclaredMap } from './btf-maps.ts'
import { MAX_KERNEL_NAME } from './data-maps.ts'
import { ObjectError } from './object-error.ts'
import type { ObjectFile } from './object-file.ts'
import type { MapSpec } from './types.ts'

const LEAST_BYTES = 20
const WITH_PINNING_BYTES = 28

export function collectLegacyMaps(file: ObjectFile): readonly DeclaredMap[] | ObjectError {
  const maps: DeclaredMap[] = []
  for (const section of file.elf.sections) {
    if (section.name !== 'maps' && !section.name.startsWith('maps/')) continue
    const error = collectSection(file, section, maps)
    if (error !== undefined) return error
  }
  return maps
}

function collectSection(file: ObjectFile, section: ElfSection, maps: DeclaredMap[]): ObjectError | undefined {
  const symbols = file.variablesOf(section)
  const { data } = section
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  for (const [i, symbol] of symbols.entries()) {
    const offset = Number(symbol.value)
    const next = symbols[i + 1]
    const size = Number(symbol.size) || (next === undefined ? data.length : Number(next.value)) - offset
    const bad = (reason: string): ObjectError =>
      new ObjectError('bad-map', reason, { map: symbol.name, section: section.name, offset })
    if (offset + size > data.length) {
      return bad(`expected a definition inside the ${data.length} bytes of the section, found ${size} bytes`)
    }
    if (size < LEAST_BYTES) {
      return bad(`expected a definition of at least ${LEAST_BYTES} bytes (struct bpf_map_def), found ${size}`)
    }
    const spec = readDefinition(view, file.little, symbol.name, offset, size)
    if (spec.type === BPF_MAP_TYPE.BPF_MAP_TYPE_UNSPEC) return bad('expected a map type, found 0')
    maps.push({ sectionIndex: section.index, offset, size, spec })
  }
  return undefined
}

function readDefinition(
  view: DataView,
  little: boolean,
  name: string,
  offset: number,
  size: number,
): MapSpec {
  const field = (n: number): number => view.getUint32(offset + n * 4, little)
  return {
    name,
    kernelName: name.slice(0, MAX_KERNEL_NAME),
    origin: 'legacy',
    type: field(0),
    keySize: field(1),
    valueSize: field(2),
    maxEntries: field(3),
    flags: field(4),
    mapExtra: 0n,
    numaNode: undefined,
    pinning: size >= WITH_PINNING_BYTES && field(6) !== 0 ? 'by-name' : 'none',
    keyType: undefined,
    valueType: undefined,
    initialValue: undefined,
    frozen: false,
    inner: undefined,
    values: [],
  }
}
