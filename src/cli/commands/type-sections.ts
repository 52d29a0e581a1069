/** The types that a file holds: an ELF file with a section .BTF, or such a section itself. */
import { Btf } from '../../btf/index.ts'
import { ElfError, parseElf } from '../../elf/index.ts'
import { CliFailure } from '../failure.ts'
import type { Host } from '../host.ts'

export interface TypeSections {
  readonly btf: Btf
  /** The section .BTF.ext, of objects. */
  readonly ext: Uint8Array | undefined
}

/** Reads the types in the file at `path`; `base` is what they continue, for kernel modules. */
export function readTypeSections(host: Host, path: string, base?: Btf): TypeSections | CliFailure {
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  let section = bytes
  let ext: Uint8Array | undefined
  if (isElf(bytes)) {
    const file = parseElf(bytes)
    if (file instanceof ElfError) return new CliFailure(`${path}: ${file.message}`)
    const found = file.section('.BTF')
    if (found === undefined) {
      return new CliFailure(`${path}: it has no types (no section .BTF)`, {
        advice: ['compile with -g, or run pahole -J over a kernel'],
      })
    }
    section = found.data
    ext = file.section('.BTF.ext')?.data
  }
  const btf = Btf.parse(section, base)
  if (btf instanceof Btf) return { btf, ext }
  const advice =
    base === undefined && btf.code === 'bad-strings'
      ? ['types of a kernel module continue those of the kernel: -B /sys/kernel/btf/vmlinux']
      : []
  return new CliFailure(`${path}: ${btf.message}`, { advice })
}

const isElf = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
