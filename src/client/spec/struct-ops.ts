/** Variables of `.struct_ops` sections: tables of functions that the kernel calls. */
import { BTF_KIND, type Btf, type BtfDatasec, type BtfId } from '../../btf/index.ts'
import { ElfError, type ElfRelocation, type ElfSection } from '../../elf/index.ts'
import type { FunctionTable } from './functions.ts'
import { ObjectError } from './object-error.ts'
import { fromElfError, type ObjectFile } from './object-file.ts'
import type { StructOpsSpec } from './types.ts'

const sectionNames = ['.struct_ops', '.struct_ops.link', '?.struct_ops', '?.struct_ops.link']

export function collectStructOps(
  file: ObjectFile,
  functions: FunctionTable,
): readonly StructOpsSpec[] | ObjectError {
  const { btf } = file
  const found: StructOpsSpec[] = []
  for (const name of sectionNames) {
    const section = file.elf.section(name)
    if (section === undefined || section.size === 0) continue
    const datasec = btf?.find(name, BTF_KIND.DATASEC)
    if (btf === undefined || datasec === undefined) {
      return new ObjectError('malformed-btf', 'expected BTF that describes the variables, found none', {
        section: name,
      })
    }
    const relocations = file.elf.relocations(section)
    if (relocations instanceof ElfError) return fromElfError(relocations)
    const sorted = [...relocations].sort((a, b) => a.offset - b.offset)
    let next = 0
    const variables = variablesIn(file, btf, section, datasec)
    if (variables instanceof ObjectError) return variables
    for (const { variable, type, offset, size } of variables) {
      const members = []
      while (next < sorted.length && (sorted[next] as ElfRelocation).offset < offset) next++
      for (
        let entry = sorted[next];
        entry !== undefined && entry.offset < offset + size;
        entry = sorted[++next]
      ) {
        const target = file.symbols[entry.symbol]
        const program =
          target === undefined ? undefined : functions.startingAt(target.sectionIndex, Number(target.value))
        if (program !== undefined) members.push({ offset: entry.offset - offset, program: program.name })
      }
      const data = section.data.subarray(offset, offset + size)
      found.push({ name: variable, section: name, type, data, members, autocreate: !name.startsWith('?') })
    }
  }
  return found
}

interface Variable {
  readonly variable: string
  readonly type: BtfId
  readonly offset: number
  readonly size: number
}

/** The variables of a section by rising offset, none overlapping another. */
function variablesIn(
  file: ObjectFile,
  btf: Btf,
  section: ElfSection,
  datasec: BtfId,
): readonly Variable[] | ObjectError {
  const variables: Variable[] = []
  for (const place of (btf.typeById(datasec) as BtfDatasec).variables) {
    const variable = btf.typeById(place.type)
    if (variable.kind !== BTF_KIND.VAR) continue
    const symbol = file.variable(section, variable.name)
    const type = btf.resolve(variable.type)
    const offset = symbol === undefined ? place.offset : Number(symbol.value)
    variables.push({ variable: variable.name, type, offset, size: btf.sizeOf(type) ?? 0 })
  }
  variables.sort((a, b) => a.offset - b.offset)
  let end = 0
  for (const { variable, offset, size } of variables) {
    if (offset < end || offset + size > section.size) {
      const reason = `expected variable '${variable}' between ${end} and ${section.size}, found ${size} bytes at ${offset}`
      return new ObjectError('bad-section', reason, { section: section.name, offset })
    }
    end = offset + size
  }
  return variables
}
