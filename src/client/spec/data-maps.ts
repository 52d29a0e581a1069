/**
 * Global data: each `.data*`, `.rodata*` and `.bss*` section becomes an array map with one value.
 *
 * Source: libbpf's conventions for the names, flags and types of these maps.
 */
import { BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, BPF_MAP_TYPE } from '../../abi/bpf.ts'
import { BTF_KIND, BTF_LINKAGE, type BtfId } from '../../btf/index.ts'
import type { ElfSection } from '../../elf/index.ts'
import { ObjectError } from './object-error.ts'
import { dataKind, isHidden, type ObjectFile } from './object-file.ts'
import type { MapSpec } from './types.ts'

/** The kernel's BPF_OBJ_NAME_LEN is 16, with the NUL. */
export const MAX_KERNEL_NAME = 15

/** Value sizes are 32-bit, and the kernel refuses arrays of 2^31 bytes or more. */
const MAX_VALUE_BYTES = 0x7fff_ffff

/** A data map with the section that it holds, so that relocations can find it. */
export interface DataMap {
  readonly sectionIndex: number
  readonly spec: MapSpec
}

export function collectDataMaps(file: ObjectFile): readonly DataMap[] | ObjectError {
  const maps: DataMap[] = []
  const names = new Set<string>()
  for (const section of file.elf.sections) {
    const kind = dataKind(section)
    if (kind === undefined) continue
    if (names.has(section.name)) {
      return new ObjectError('bad-section', 'expected one section of this name, found two', {
        section: section.name,
      })
    }
    names.add(section.name)
    if (section.size > MAX_VALUE_BYTES) {
      const reason = `expected at most ${MAX_VALUE_BYTES} bytes of data, found ${section.size}`
      return new ObjectError('bad-section', reason, { section: section.name })
    }
    if (file.elf.relocationSections(section).some((one) => one.size > 0)) {
      file.warnings.push(`section '${section.name}' holds addresses of other data, which stay zero`)
    }
    maps.push({ sectionIndex: section.index, spec: dataMap(file, section, kind) })
  }
  return maps
}

function dataMap(file: ObjectFile, section: ElfSection, kind: 'data' | 'rodata' | 'bss'): MapSpec {
  const valueType = file.btf?.find(section.name, BTF_KIND.DATASEC)
  const isReadOnly = kind === 'rodata'
  const flags = isReadOnly ? BPF_F_RDONLY_PROG : 0
  const isMapped = valueType !== undefined && isShared(file, section, valueType)
  return arrayOfOne(file.name, section.name, section.size, {
    origin: kind,
    flags: flags | (isMapped ? BPF_F_MMAPABLE : 0),
    valueType,
    initialValue: kind === 'bss' ? undefined : section.data,
    frozen: isReadOnly,
  })
}

/** The map that holds the values of `__kconfig` externs. */
export function kconfigMap(file: ObjectFile, size: number): MapSpec {
  const valueType = file.btf?.find('.kconfig', BTF_KIND.DATASEC)
  return arrayOfOne(file.name, '.kconfig', size, {
    origin: 'kconfig',
    flags: BPF_F_RDONLY_PROG | BPF_F_MMAPABLE,
    valueType,
    initialValue: undefined,
    frozen: true,
  })
}

function arrayOfOne(
  objectName: string,
  name: string,
  valueSize: number,
  own: Pick<MapSpec, 'origin' | 'flags' | 'valueType' | 'initialValue' | 'frozen'>,
): MapSpec {
  return {
    name,
    kernelName: dataMapKernelName(objectName, name),
    origin: own.origin,
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize,
    maxEntries: 1,
    flags: own.flags,
    mapExtra: 0n,
    numaNode: undefined,
    pinning: 'none',
    keyType: undefined,
    valueType: own.valueType,
    initialValue: own.initialValue,
    frozen: own.frozen,
    inner: undefined,
    values: [],
  }
}

/** Mapped into user space only if it holds a variable that other files (a skeleton) may name. */
function isShared(file: ObjectFile, section: ElfSection, datasec: BtfId): boolean {
  const { btf } = file
  const type = btf?.typeById(datasec)
  if (btf === undefined || type?.kind !== BTF_KIND.DATASEC) return false
  return type.variables.some((one) => {
    const variable = btf.typeById(one.type)
    if (variable.kind !== BTF_KIND.VAR || variable.linkage === BTF_LINKAGE.STATIC) return false
    const symbol = file.variable(section, variable.name)
    return symbol === undefined || !isHidden(symbol)
  })
}

/**
 * What the kernel is told: `<object>.rodata` for the plain sections, where at least 7 characters are kept for
 * the suffix, and the section's own name, cut, for those with a second dot (`.data.shared`).
 */
export function dataMapKernelName(objectName: string, section: string): string {
  const suffix = Math.min(Math.max(7, section.length), MAX_KERNEL_NAME)
  const prefix = section.indexOf('.', 1) >= 0 ? 0 : Math.min(MAX_KERNEL_NAME - suffix, objectName.length)
  return (objectName.slice(0, prefix) + section.slice(0, suffix)).replace(/[^A-Za-z0-9_.]/g, '_')
}
