/**
 * Linkers whose files this project's makes, too: `bpftool gen object`, and the system's libbpf.
 *
 * Bpftool brings a libbpf of its own. Those of before 1.1 leave a struct declared that only one other file defines.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BTF_KIND, BTF_LINKAGE, Btf, BtfError } from '../../src/btf/index.ts'
import { ElfError, parseElf } from '../../src/elf/index.ts'
import type { LinkInput } from '../../src/linker/index.ts'

/** Why it cannot be asked here, or an empty text. */
export const noBpftool = (): string => {
  const { stdout, stderr } = spawnSync('bpftool', ['gen', 'help'], { encoding: 'utf8' })
  return `${stdout}${stderr}`.includes('gen object') ? '' : 'needs bpftool'
}

/** The object that bpftool makes, or what it says. */
export function linkedByBpftool(directory: string, inputs: readonly LinkInput[]): Uint8Array | string {
  const out = join(directory, 'bpftool.bpf.o')
  const names = inputs.map(({ name }) => name)
  const { status, stderr } = spawnSync('bpftool', ['gen', 'object', out, ...names], { encoding: 'utf8' })
  return status === 0 ? new Uint8Array(readFileSync(out)) : stderr
}

/** Links as the system's libbpf does; `undefined` for inputs that it refuses. */
export type LibbpfLinker = (inputs: readonly LinkInput[]) => Uint8Array | undefined

/** The linker, built in a directory, or why there is none here. */
export function libbpfLinker(directory: string): LibbpfLinker | string {
  const command = join(directory, 'libbpf-linker')
  try {
    const source = join(import.meta.dirname, 'libbpf-linker.c')
    execFileSync('gcc', ['-O1', '-w', '-o', command, source, '-lbpf'], { stdio: 'pipe' })
  } catch {
    return 'needs gcc and libbpf-dev'
  }
  return (inputs) => {
    const out = join(directory, 'libbpf.bpf.o')
    const { status } = spawnSync(command, [out, ...inputs.map(({ name }) => name)])
    return status === 0 ? new Uint8Array(readFileSync(out)) : undefined
  }
}

/**
 * A copy without two faults of libbpf's linker (1.1 to 1.7), which show where a map is declared extern:
 *
 * - A variable that is defined after it was declared, or after a weak one, stays in its DATASEC at the place that it
 *   had first, until the object is linked again. It belongs where its symbol is.
 * - An extern that nothing defines, but whose section has something in it, becomes a symbol at the section's start. It
 *   belongs to no section.
 */
export function corrected(object: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(object)
  const file = parseElf(copy)
  const symbols = file instanceof ElfError ? file : file.symbols()
  const section = file instanceof ElfError ? undefined : file.section('.BTF')
  if (file instanceof ElfError || symbols instanceof ElfError || section === undefined) return copy
  const btf = Btf.parse(section.data)
  if (btf instanceof BtfError) throw new Error(btf.message)
  const types = new DataView(copy.buffer, section.offset)
  const table = new DataView(copy.buffer, file.section('.symtab')?.offset)
  const little = btf.byteOrder === 'little'
  for (const id of btf.ids()) {
    const type = btf.typeById(id)
    const home = type.kind === BTF_KIND.DATASEC ? file.section(type.name) : undefined
    if (type.kind !== BTF_KIND.DATASEC || home === undefined) continue
    for (const [i, entry] of type.variables.entries()) {
      const variable = btf.typeById(entry.type)
      if (variable.kind !== BTF_KIND.VAR || variable.linkage === BTF_LINKAGE.STATIC) continue
      const symbol = symbols.find((one) => one.name === variable.name && one.sectionIndex === home.index)
      if (symbol === undefined) continue
      if (variable.linkage === BTF_LINKAGE.EXTERN) {
        table.setUint16(symbol.index * 24 + 6, 0, little)
        table.setBigUint64(symbol.index * 24 + 8, 0n, little)
      } else {
        const at = (btf.offsetInSection(id) as number) + 12 + i * 12 + 4
        types.setUint32(at, Number(symbol.value), little)
      }
    }
  }
  return copy
}
