/** `anybpf kernel symbols [PATTERN]`: what of a guest kernel can be named in a section. */
import { ElfError, parseElf, type SymbolEntry, SymbolTable } from '../../elf/index.ts'
import { CliFailure, EXIT_FAILURE, EXIT_OK } from '../failure.ts'
import type { Host } from '../host.ts'

export interface SymbolsArguments {
  /** Part of a name, or a pattern with `*` and `?` for the whole of it; undefined: all. */
  readonly pattern: string | undefined
  readonly kernelPath: string | undefined
  readonly functionsOnly: boolean
  readonly json: boolean
}

export function runSymbols(host: Host, options: SymbolsArguments): number | CliFailure {
  const path = options.kernelPath ?? host.artefact('guest/build/kernel.elf')
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  const file = parseElf(bytes)
  if (file instanceof ElfError) {
    const message = file.code === 'not-elf' ? 'this is no ELF file' : file.message
    return new CliFailure(`${path}: ${message}`)
  }
  const table = SymbolTable.fromElf(file)
  if (table instanceof ElfError) return new CliFailure(`${path}: ${table.message}`)

  const matches = matcherOf(options.pattern)
  const found = table.entries.filter(
    (entry) => matches(entry.name) && (!options.functionsOnly || entry.kind === 'function'),
  )
  host.stdout.write(found.map((entry) => `${options.json ? jsonOf(entry) : lineOf(entry)}\n`).join(''))
  if (found.length > 0) return EXIT_OK
  const near = table.suggest(options.pattern ?? '', 3, options.functionsOnly ? 'function' : undefined)
  return new CliFailure(
    table.entries.length === 0
      ? `${path}: it has no symbols`
      : `${path}: no symbol matches '${options.pattern}'`,
    {
      advice: near.length > 0 ? [`did you mean ${near.join(', ')}?`] : [],
      exitCode: EXIT_FAILURE,
    },
  )
}

/** A pattern with a wildcard stands for the whole name, one without for a part of it. */
function matcherOf(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true
  if (!/[*?]/.test(pattern)) return (name) => name.includes(pattern)
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const form = new RegExp(`^${source}$`)
  return (name) => form.test(name)
}

/** As /proc/kallsyms has it, with the size behind: `ffffffc080201000 T sys_write 256`. */
function lineOf(entry: SymbolEntry): string {
  const letter = { function: 'T', object: 'D', other: 'N' }[entry.kind]
  const type = entry.isGlobal ? letter : letter.toLowerCase()
  return `${addressOf(entry)} ${type} ${entry.name} ${entry.size}`
}

const jsonOf = (entry: SymbolEntry): string =>
  JSON.stringify({
    name: entry.name,
    address: `0x${addressOf(entry)}`,
    sizeBytes: Number(entry.size),
    kind: entry.kind,
    isGlobal: entry.isGlobal,
  })

const addressOf = (entry: SymbolEntry): string => entry.address.toString(16).padStart(16, '0')
