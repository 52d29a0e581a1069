/**
 * From `path:symbol` to what a uprobe takes: a file and an offset in it.
 *
 * Rules, as libbpf's: only functions count; a global one comes before a weak one, that before a local one, and two
 * of the same rank at different addresses are an error; a name without a version (`malloc`) finds one with a
 * version (`malloc@@GLIBC_2.2.5`). A path without a `/` is looked for where libraries or programs usually lie.
 */
import { ENOENT, errnoName, O_RDONLY, type Syscalls } from '../abi/index.ts'
import { closestNames, ElfError, type ElfFile, type ElfSymbol, PT, parseElf, STB, STT } from '../elf/index.ts'
import { openFile } from './calls.ts'
import { matchesGlob } from './glob.ts'
import { readFile } from './read-file.ts'

/** A byte of a file that can be executed. */
export interface ExecutablePlace {
  readonly path: string
  /** Bytes from the start of the file. */
  readonly fileOffset: bigint
}

export interface PlaceFailure {
  readonly code: 'bad-file' | 'unknown-symbol'
  readonly message: string
  /** Positive, where a system call failed. */
  readonly errno?: number
}

const LIBRARY_DIRECTORIES = [
  '/usr/lib64',
  '/usr/lib',
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib/riscv64-linux-gnu',
  '/lib64',
  '/lib',
]
const PROGRAM_DIRECTORIES = ['/usr/bin', '/usr/sbin', '/bin', '/sbin', '/usr/local/bin']

/** `offset` counts from the symbol, or from the start of the file where there is no symbol. */
export function findExecutablePlace(
  syscalls: Syscalls,
  path: string,
  symbol: string,
  offset: number,
): ExecutablePlace | PlaceFailure {
  if (symbol === '') {
    const found = resolvePath(syscalls, path)
    return typeof found === 'number' ? unreadable(path, found) : { path: found, fileOffset: BigInt(offset) }
  }
  const opened = readExecutable(syscalls, path)
  if ('code' in opened) return opened
  const { path: found, file } = opened
  const address = addressOf(file, symbol, found)
  if (typeof address !== 'bigint') return address
  const fileOffset = fileOffsetOf(file, address)
  if (fileOffset === undefined) {
    const message = `'${found}': the address 0x${address.toString(16)} of '${symbol}' lies in no loaded segment`
    return { code: 'bad-file', message }
  }
  return { path: found, fileOffset: fileOffset + BigInt(offset) }
}

/** The file of that path, or of that name in the usual places. */
export function readExecutable(
  syscalls: Syscalls,
  path: string,
): { readonly path: string; readonly file: ElfFile } | PlaceFailure {
  const found = resolvePath(syscalls, path)
  if (typeof found === 'number') return unreadable(path, found)
  const bytes = readFile(syscalls, found)
  if (typeof bytes === 'number') return unreadable(found, bytes)
  const file = parseElf(bytes)
  if (file instanceof ElfError) return { code: 'bad-file', message: `'${found}': ${file.message}` }
  return { path: found, file }
}

/** Several bytes of one file. */
export interface ManyPlaces {
  readonly path: string
  readonly fileOffsets: readonly bigint[]
}

/** The functions whose names are of a pattern with `*` and `?`, each place once, in the order of the symbols. */
export function findMatchingPlaces(
  syscalls: Syscalls,
  path: string,
  pattern: string,
): ManyPlaces | PlaceFailure {
  const opened = readExecutable(syscalls, path)
  if ('code' in opened) return opened
  const { path: found, file } = opened
  const functions = functionsOf(file, found)
  if ('code' in functions) return functions
  const places = new Set<bigint>()
  for (const { name, value } of functions) {
    // Names may end with a version (`malloc@@GLIBC_2.2.5`).
    if (!matchesGlob(pattern, name.replace(/@.*$/, ''))) continue
    const fileOffset = fileOffsetOf(file, value)
    if (fileOffset !== undefined) places.add(fileOffset)
  }
  if (places.size > 0) return { path: found, fileOffsets: [...places] }
  return { code: 'unknown-symbol', message: `'${found}' has no function '${pattern}'` }
}

function functionsOf(file: ElfFile, path: string): readonly ElfSymbol[] | PlaceFailure {
  const symbols = file.symbols()
  if (symbols instanceof ElfError) return { code: 'bad-file', message: `'${path}': ${symbols.message}` }
  return symbols.filter((symbol) => symbol.type === STT.FUNC && symbol.isDefined)
}

const unreadable = (path: string, result: number): PlaceFailure => ({
  code: 'bad-file',
  message: `'${path}' cannot be read: ${errnoName(result)}`,
  errno: -result,
})

/** The path itself, or the first file of that name in the usual places; -errno where there is none. */
function resolvePath(syscalls: Syscalls, path: string): string | number {
  if (path.includes('/')) return path
  const directories = path.includes('.so') ? LIBRARY_DIRECTORIES : PROGRAM_DIRECTORIES
  for (const directory of directories) {
    const file = openFile(syscalls, `${directory}/${path}`, O_RDONLY)
    if (typeof file === 'number') continue
    file[Symbol.dispose]()
    return `${directory}/${path}`
  }
  return -ENOENT
}

function addressOf(file: ElfFile, wanted: string, path: string): bigint | PlaceFailure {
  const functions = functionsOf(file, path)
  if ('code' in functions) return functions
  let best: ElfSymbol | undefined
  let isAmbiguous = false
  for (const symbol of functions) {
    const { name } = symbol
    if (name !== wanted && !(name.startsWith(wanted) && name[wanted.length] === '@')) continue
    if (best === undefined || rank(symbol) < rank(best)) {
      best = symbol
      isAmbiguous = false
    } else if (rank(symbol) === rank(best) && symbol.value !== best.value) {
      isAmbiguous = true
    }
  }
  if (best === undefined) {
    const near = closestNames(wanted, new Set(functions.map(({ name }) => name)), 3)
    const hint = near.length > 0 ? `; did you mean ${near.join(', ')}?` : ''
    return { code: 'unknown-symbol', message: `'${path}' has no function '${wanted}'${hint}` }
  }
  if (isAmbiguous) {
    const message = `'${path}' has several functions '${wanted}'; give the offset in the file instead`
    return { code: 'unknown-symbol', message }
  }
  return best.value
}

const rank = ({ binding }: ElfSymbol): number => (binding === STB.GLOBAL ? 0 : binding === STB.WEAK ? 1 : 2)

/** Where the loader takes the byte at `address` from; undefined where the file has none for it. */
export function fileOffsetOf(file: ElfFile, address: bigint): bigint | undefined {
  const segment = file.segments.find(
    ({ type, virtualAddress, data }) =>
      type === PT.LOAD && address >= virtualAddress && address < virtualAddress + BigInt(data.length),
  )
  return segment && address - segment.virtualAddress + BigInt(segment.offset)
}
