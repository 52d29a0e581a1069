/** `anybpf btf dump FILE [format c|raw]`: types of an object, a kernel or a plain BTF file. */
import { Btf, BtfError, dumpC, dumpRaw } from '../../btf/index.ts'
import { ElfError, parseElf } from '../../elf/index.ts'
import { CliFailure, EXIT_OK, EXIT_USAGE } from '../failure.ts'
import type { Host } from '../host.ts'

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
  const base = options.basePath === undefined ? undefined : readTypes(host, options.basePath)
  if (base instanceof CliFailure) return base
  const btf = readTypes(host, options.path, base)
  if (btf instanceof CliFailure) return btf
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

function readTypes(host: Host, path: string, base?: Btf): Btf | CliFailure {
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  let section = bytes
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
  }
  const btf = Btf.parse(section, base)
  if (btf instanceof Btf) return btf
  const advice =
    base === undefined && btf.code === 'bad-strings'
      ? ['types of a kernel module continue those of the kernel: --base /sys/kernel/btf/vmlinux']
      : []
  return new CliFailure(`${path}: ${btf.message}`, { advice })
}

const isElf = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
