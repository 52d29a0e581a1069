/**
 * Types that are being changed: the words of a type section, type by type, and its strings.
 *
 * Where `Btf` answers questions about types that stay as they are, this lets them be appended, pointed elsewhere and
 * thrown out, as linking and deduplication do. Words are as in the file: see `tables.ts` for what they mean. Strings
 * are byte strings (`elf/string-table.ts`).
 */
import { StringTable } from '../elf/index.ts'
import { BtfError } from './error.ts'
import { BTF_KIND, type BtfKind } from './kinds.ts'
import { readTables } from './tables.ts'

const HEADER_BYTES = 24
/** Of void, which is type 0 and not in a file. */
const VOID_WORDS = 3

const NO_WORDS: readonly number[] = []

export class TypeTable {
  readonly byteOrder: 'little' | 'big'
  readonly strings: StringTable
  #words: Uint32Array
  #used: number
  #starts: number[]

  private constructor(
    byteOrder: 'little' | 'big',
    strings: StringTable,
    words: Uint32Array,
    starts: Iterable<number>,
  ) {
    this.byteOrder = byteOrder
    this.strings = strings
    this.#words = new Uint32Array(VOID_WORDS + words.length)
    this.#words.set(words, VOID_WORDS)
    this.#used = this.#words.length
    this.#starts = [0]
    for (const start of starts) this.#starts.push(VOID_WORDS + start)
  }

  /** A table without types. */
  static empty(byteOrder: 'little' | 'big'): TypeTable {
    return new TypeTable(byteOrder, new StringTable(), new Uint32Array(0), [])
  }

  /** The types of a `.BTF` section that continues no other, checked as `Btf.parse` checks them. */
  static parse(bytes: Uint8Array): TypeTable | BtfError {
    const tables = readTables(bytes, undefined)
    if (tables instanceof BtfError) return tables
    const { byteOrder, strings, words, starts } = tables
    return new TypeTable(byteOrder, new StringTable(strings), words, starts)
  }

  /** Ids are under this; 0 is void. */
  get count(): number {
    return this.#starts.length
  }

  word(id: number, n: number): number {
    return this.#words[(this.#starts[id] as number) + n] as number
  }

  setWord(id: number, n: number, value: number): void {
    this.#words[(this.#starts[id] as number) + n] = value
  }

  kind(id: number): BtfKind {
    return ((this.word(id, 1) >>> 24) & 0x1f) as BtfKind
  }

  /** How many parts the type has: members, values, parameters, variables; of a FUNC, its linkage. */
  vlen(id: number): number {
    return this.word(id, 1) & 0xffff
  }

  flag(id: number): boolean {
    return this.word(id, 1) >>> 31 === 1
  }

  /** The string of word `n`. */
  text(id: number, n: number): string {
    return this.strings.at(this.word(id, n))
  }

  name(id: number): string {
    return this.text(id, 0)
  }

  wordCount(id: number): number {
    return ((this.#starts[id + 1] as number | undefined) ?? this.#used) - (this.#starts[id] as number)
  }

  /** The type's words; a view until types are added or thrown out. */
  words(id: number): Uint32Array {
    const start = this.#starts[id] as number
    return this.#words.subarray(start, start + this.wordCount(id))
  }

  /** Whether all words of two types are equal. */
  areWordsEqual(a: number, b: number): boolean {
    const count = this.wordCount(a)
    if (count !== this.wordCount(b)) return false
    for (let n = 0; n < count; n++) if (this.word(a, n) !== this.word(b, n)) return false
    return true
  }

  /** Indexes of the words that are type ids. */
  typeWords(id: number): readonly number[] {
    switch (this.kind(id)) {
      case BTF_KIND.PTR:
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.FUNC:
      case BTF_KIND.VAR:
      case BTF_KIND.DECL_TAG:
      case BTF_KIND.TYPE_TAG:
        return JUST_TARGET
      case BTF_KIND.ARRAY:
        return ARRAY_TYPES
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        return every(4, 3, this.vlen(id))
      case BTF_KIND.DATASEC:
        return every(3, 3, this.vlen(id))
      case BTF_KIND.FUNC_PROTO:
        return [2, ...every(4, 2, this.vlen(id))]
      default:
        return NO_WORDS
    }
  }

  /** Indexes of the words that are offsets of strings. */
  stringWords(id: number): readonly number[] {
    switch (this.kind(id)) {
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM64:
        return [0, ...every(3, 3, this.vlen(id))]
      case BTF_KIND.ENUM:
      case BTF_KIND.FUNC_PROTO:
        return [0, ...every(3, 2, this.vlen(id))]
      default:
        return JUST_NAME
    }
  }

  /** Adds a type of whole words and returns its id. */
  add(words: ArrayLike<number>): number {
    const start = this.#used
    if (start + words.length > this.#words.length) {
      const more = new Uint32Array(Math.max(start + words.length, this.#words.length * 2))
      more.set(this.#words.subarray(0, start))
      this.#words = more
    }
    this.#words.set(words, start)
    this.#used = start + words.length
    return this.#starts.push(start) - 1
  }

  /** Adds a type of another table: its strings, too, while its type ids are left as they are. */
  addFrom(other: TypeTable, id: number): number {
    const added = this.add(other.words(id))
    for (const n of other.stringWords(id)) this.setWord(added, n, this.strings.add(other.text(id, n)))
    return added
  }

  /** Throws out all types but those of the given ids, which rise; what refers to them is not changed. */
  keep(ids: readonly number[]): void {
    const starts = [0]
    let used = VOID_WORDS
    for (const id of ids) {
      const start = this.#starts[id] as number
      const length = this.wordCount(id)
      this.#words.copyWithin(used, start, start + length)
      starts.push(used)
      used += length
    }
    this.#starts = starts
    this.#used = used
  }

  /** The section. */
  bytes(): Uint8Array {
    const strings = this.strings.bytes()
    const typeBytes = (this.#used - VOID_WORDS) * 4
    const bytes = new Uint8Array(HEADER_BYTES + typeBytes + strings.length)
    const view = new DataView(bytes.buffer)
    const little = this.byteOrder === 'little'
    view.setUint16(0, 0xeb9f, little)
    view.setUint8(2, 1)
    for (const [i, value] of [HEADER_BYTES, 0, typeBytes, typeBytes, strings.length].entries()) {
      view.setUint32(4 + i * 4, value, little)
    }
    for (let n = VOID_WORDS, at = HEADER_BYTES; n < this.#used; n++, at += 4) {
      view.setUint32(at, this.#words[n] as number, little)
    }
    bytes.set(strings, HEADER_BYTES + typeBytes)
    return bytes
  }
}

const JUST_NAME: readonly number[] = [0]
const JUST_TARGET: readonly number[] = [2]
const ARRAY_TYPES: readonly number[] = [3, 4]

/** `count` indexes from `first` on, `step` apart. */
function every(first: number, step: number, count: number): number[] {
  const indexes: number[] = []
  for (let i = 0; i < count; i++) indexes.push(first + i * step)
  return indexes
}
