/**
 * Names for addresses and addresses for names: the symbol service of a kernel or an executable.
 *
 * Rules: symbols are sorted by address once; where several names share an address, the global one wins for
 * `nearest`, then the one that has a size, then the first in the table. Built from an ELF file or from any list
 * (a `kallsyms`), so it knows nothing of where symbols come from.
 */
import { closestNames } from './closest-names.ts'
import { SHN, STB, STT } from './constants.ts'
import type { ElfFile } from './elf.ts'
import { ElfError } from './error.ts'

/** One named address. */
export interface SymbolEntry {
  readonly name: string
  readonly address: bigint
  /** Bytes; 0 where unknown. */
  readonly size: bigint
  readonly kind: 'function' | 'object' | 'other'
  readonly isGlobal: boolean
}

/** An address as a name: `symbol.name + offset`. */
export interface NamedAddress {
  readonly symbol: SymbolEntry
  /** Bytes from the symbol's address. */
  readonly offset: bigint
}

/** Symbols by name and by address. */
export class SymbolTable {
  readonly #sorted: readonly SymbolEntry[]
  readonly #addresses: BigUint64Array
  readonly #byName: ReadonlyMap<string, SymbolEntry>
  /** No symbol reaches further than this. */
  readonly #largest: bigint

  /** Takes symbols in any order. */
  constructor(entries: Iterable<SymbolEntry>) {
    const sorted = [...entries].sort(byAddressThenRank)
    this.#sorted = sorted
    this.#addresses = BigUint64Array.from(sorted, (entry) => entry.address)
    const byName = new Map<string, SymbolEntry>()
    for (const entry of sorted) {
      const other = byName.get(entry.name)
      if (other === undefined || (!other.isGlobal && entry.isGlobal)) byName.set(entry.name, entry)
    }
    this.#byName = byName
    let largest = 0n
    for (const entry of sorted) if (entry.size > largest) largest = entry.size
    this.#largest = largest
  }

  /** The named, defined symbols of an executable; section, file and mapping symbols are left out. */
  static fromElf(file: ElfFile): SymbolTable | ElfError {
    const symbols = file.symbols()
    if (symbols instanceof ElfError) return symbols
    const entries: SymbolEntry[] = []
    for (const symbol of symbols) {
      if (symbol.sectionIndex === SHN.UNDEF || symbol.type === STT.SECTION || symbol.type === STT.FILE)
        continue
      const name = symbol.name
      // Mapping symbols ($x, $d, $xrv64...) and assembler-local labels name no function or object.
      if (name === '' || name.startsWith('$') || name.startsWith('.L')) continue
      entries.push({
        name,
        address: symbol.value,
        size: symbol.size,
        kind:
          symbol.type === STT.FUNC || symbol.type === STT.GNU_IFUNC
            ? 'function'
            : symbol.type === STT.OBJECT
              ? 'object'
              : 'other',
        isGlobal: symbol.binding !== STB.LOCAL,
      })
    }
    return new SymbolTable(entries)
  }

  /** All symbols by rising address. */
  get entries(): readonly SymbolEntry[] {
    return this.#sorted
  }

  /** The symbol of exactly this name; a global one before a local one, then the lowest address. */
  byName(name: string): SymbolEntry | undefined {
    return this.#byName.get(name)
  }

  /** Functions by rising address. */
  functions(): readonly SymbolEntry[] {
    return this.#sorted.filter((entry) => entry.kind === 'function')
  }

  /**
   * The symbol that contains `address`, else the closest one below it if that has no size. `undefined` below the
   * first symbol and after the end of a sized one.
   */
  nearest(address: bigint): NamedAddress | undefined {
    let low = 0
    let high = this.#addresses.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#addresses[middle] as bigint) <= address) low = middle + 1
      else high = middle
    }
    let unsized: NamedAddress | undefined
    let isPastAnEnd = false
    // A few steps back see through labels inside functions; nesting deeper than that has no practical use.
    for (let i = low - 1; i >= 0 && i >= low - 1 - MAX_STEPS_BACK; i--) {
      const symbol = this.#sorted[i] as SymbolEntry
      const offset = address - symbol.address
      if (offset < symbol.size) return { symbol: this.#first(i), offset }
      if (offset >= this.#largest && (unsized !== undefined || isPastAnEnd)) break
      // A symbol that ended lies between: what stands before it does not reach here.
      if (symbol.size !== 0n) isPastAnEnd = true
      else if (unsized === undefined && !isPastAnEnd) unsized = { symbol: this.#first(i), offset }
    }
    return unsized
  }

  /** Up to `limit` known names that `name` may have meant, the likeliest first; functions only if asked. */
  suggest(name: string, limit = 3, kind?: SymbolEntry['kind']): readonly string[] {
    const names = kind === undefined ? this.#byName.keys() : this.#namesOf(kind)
    return closestNames(name, names, limit)
  }

  *#namesOf(kind: SymbolEntry['kind']): Iterable<string> {
    for (const [name, entry] of this.#byName) if (entry.kind === kind) yield name
  }

  /** The best-ranked of the symbols that share the address of entry `i` and reach as far. */
  #first(i: number): SymbolEntry {
    const { address, size } = this.#sorted[i] as SymbolEntry
    let best = i
    for (let j = i - 1; j >= 0 && this.#addresses[j] === address; j--) {
      if ((this.#sorted[j] as SymbolEntry).size === size) best = j
    }
    return this.#sorted[best] as SymbolEntry
  }
}

const MAX_STEPS_BACK = 64

const rank = (entry: SymbolEntry): number =>
  (entry.isGlobal ? 0 : 4) + (entry.kind === 'function' ? 0 : 2) + (entry.size > 0n ? 0 : 1)

function byAddressThenRank(a: SymbolEntry, b: SymbolEntry): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1
  return rank(a) - rank(b)
}
