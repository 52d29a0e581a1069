/** `anybpf gen min_core_btf BTF OUT OBJECT...`: the types of a kernel that objects' CO-RE relocations look at. */
import { Btf, BtfError, type CoreObject, minimalTypes, parseBtfExt } from '../../btf/index.ts'
import { ElfError, parseElf } from '../../elf/index.ts'
import { CliFailure, EXIT_OK } from '../failure.ts'
import type { Host } from '../host.ts'

export interface GenMinCoreBtfArguments {
  /** A plain BTF file, or an ELF file with a section .BTF. */
  readonly types: string
  readonly output: string
  readonly objects: readonly string[]
}

export function runGenMinCoreBtf(host: Host, options: GenMinCoreBtfArguments): number | CliFailure {
  const target = readSections(host, options.types)
  if (target instanceof CliFailure) return target
  const objects: CoreObject[] = []
  for (const path of options.objects) {
    const sections = readSections(host, path)
    if (sections instanceof CliFailure) return sections
    if (sections.ext === undefined) continue
    const ext = parseBtfExt(sections.ext, sections.btf)
    if (ext instanceof BtfError) return new CliFailure(`${path}: ${ext.message}`)
    objects.push({ btf: sections.btf, relocations: ext.coreRelocations.flatMap(({ records }) => records) })
  }
  const bytes = minimalTypes(target.btf, objects)
  if (bytes instanceof BtfError) return new CliFailure(`${options.types}: ${bytes.message}`)
  return host.writeFile(options.output, bytes) ?? EXIT_OK
}

function readSections(host: Host, path: string): { btf: Btf; ext: Uint8Array | undefined } | CliFailure {
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  let section = bytes
  let ext: Uint8Array | undefined
  if (bytes[0] === 0x7f) {
    const file = parseElf(bytes)
    if (file instanceof ElfError) return new CliFailure(`${path}: ${file.message}`)
    const found = file.section('.BTF')
    if (found === undefined) return new CliFailure(`${path}: it has no types (no section .BTF)`)
    section = found.data
    ext = file.section('.BTF.ext')?.data
  }
  const btf = Btf.parse(section)
  return btf instanceof Btf ? { btf, ext } : new CliFailure(`${path}: ${btf.message}`)
}
