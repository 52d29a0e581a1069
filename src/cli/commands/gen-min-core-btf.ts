/** `anybpf gen min_core_btf BTF OUT OBJECT...`: the types of a kernel that objects' CO-RE relocations look at. */
import { BtfError, CoreError, type CoreObject, minimalTypes, parseBtfExt } from '../../btf/index.ts'
import { CliFailure, EXIT_OK } from '../failure.ts'
import type { Host } from '../host.ts'
import { readTypeSections } from './type-sections.ts'

export interface GenMinCoreBtfArguments {
  /** A plain BTF file, or an ELF file with a section .BTF. */
  readonly types: string
  readonly output: string
  readonly objects: readonly string[]
  /** What the types continue, if they are a kernel module's; the output continues the same. */
  readonly basePath?: string | undefined
}

export function runGenMinCoreBtf(host: Host, options: GenMinCoreBtfArguments): number | CliFailure {
  const base = options.basePath === undefined ? undefined : readTypeSections(host, options.basePath)
  if (base instanceof CliFailure) return base
  const target = readTypeSections(host, options.types, base?.btf)
  if (target instanceof CliFailure) return target
  const objects: (CoreObject & { readonly path: string })[] = []
  for (const path of options.objects) {
    const sections = readTypeSections(host, path)
    if (sections instanceof CliFailure) return sections
    if (sections.ext === undefined) continue
    const ext = parseBtfExt(sections.ext, sections.btf)
    if (ext instanceof BtfError) return new CliFailure(`${path}: ${ext.message}`)
    objects.push({ path, btf: sections.btf, relocations: ext.coreRelocations })
  }
  const bytes = minimalTypes(target.btf, objects)
  if (bytes instanceof CoreError) {
    return new CliFailure(`${objects[bytes.place?.object ?? 0]?.path}: ${bytes.message}`)
  }
  if (bytes instanceof BtfError) return new CliFailure(`${options.types}: ${bytes.message}`)
  return host.writeFile(options.output, bytes) ?? EXIT_OK
}
