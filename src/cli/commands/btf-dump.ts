/** `anybpf btf dump FILE [format c|raw]`: types of an object, a kernel or a plain BTF file. */
import { BtfError, dumpC, dumpRaw } from '../../btf/index.ts'
import { CliFailure, EXIT_OK, EXIT_USAGE } from '../failure.ts'
import type { Host } from '../host.ts'
import { readTypeSections } from './type-sections.ts'

export interface BtfDumpArguments {
  readonly path: string
  /** The words behind the file, as bpftool has them: none, or `format` and its name. */
  readonly words: readonly string[]
  /** What the file continues, if it is a kernel module's. */
  readonly basePath: string | undefined
}

export function runBtfDump(host: Host, options: BtfDumpArguments): number | CliFailure {
  const format = formatOf(options.words)
  if (format instanceof CliFailure) return format
  const base = options.basePath === undefined ? undefined : readTypeSections(host, options.basePath)
  if (base instanceof CliFailure) return base
  const sections = readTypeSections(host, options.path, base?.btf)
  if (sections instanceof CliFailure) return sections
  const { btf } = sections
  const pieces = format === 'c' ? dumpC(btf) : dumpRaw(btf).map((line) => `${line}\n`)
  if (pieces instanceof BtfError) return new CliFailure(`${options.path}: ${pieces.message}`)
  host.stdout.write(pieces.join(''))
  return EXIT_OK
}

function formatOf(words: readonly string[]): 'c' | 'raw' | CliFailure {
  if (words.length === 0) return 'raw'
  const [keyword, name] = words
  if (keyword === 'format' && words.length === 2 && (name === 'c' || name === 'raw')) return name
  return new CliFailure(`expected 'format c' or 'format raw' behind the file, found '${words.join(' ')}'`, {
    exitCode: EXIT_USAGE,
  })
}
