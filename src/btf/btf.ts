/**
 * Types of a kernel or an object file: parsing and queries.
 *
 * Rules: parsing checks everything that a type refers to (see `tables.ts`), so queries only fail where the
 * question has no answer, and then return `undefined`. Types are decoded when asked for. Chains of modifiers
 * and nested arrays are followed for a bounded number of steps, so a cycle cannot hang a query.
 */
import { textBytes } from '../abi/index.ts'
import { MAX_NAME_BYTES, readCString } from '../elf/index.ts'
import { BtfError } from './error.ts'
import { entriesWithFlavour } from './flavours.ts'
import { BTF_INT, BTF_KIND, type BtfKind } from './kinds.ts'
import { equalsAt, NameIndex } from './name-index.ts'
import { NameScan } from './name-scan.ts'
import { type BtfTables, readTables } from './tables.ts'
import type { BtfId, BtfMember, BtfType } from './types.ts'

/** The kernel follows at most 32 (MAX_RESOLVE_DEPTH). */
const MAX_CHAIN = 64

/** Bytes of a pointer: BPF and every kernel that this project meets are 64-bit. */
const POINTER_BYTES = 8

/** So many names are looked for in a pass each: of Linux's 127,000 types a pass takes 0.9 ms, an index of all 7. */
const MOST_PASSES = 8

/** With fewer types than these, as objects have, the index is made at once. */
const FEW_TYPES = 2000

/** Types of one name, rising. */
interface FoundTypes {
  readonly exact: readonly BtfId[]
  readonly withFlavours: readonly BtfId[]
}

/** The types of one BTF section, of a whole kernel or of an object. */
export class Btf {
  /** The section as it was given. */
  readonly bytes: Uint8Array
  /** What this BTF continues, for split BTF (kernel modules). */
  readonly base: Btf | undefined
  /** Ids run from 0 (void) to this, exclusive; those under `firstId` are the base's. */
  readonly typeCount: number
  readonly firstId: number
  /** Bytes of strings, the base's included: string offsets are under this. */
  readonly stringBytes: number
  readonly #tables: BtfTables
  #names: NameIndex | undefined
  #scan: NameScan | undefined
  /** Names that were looked for one by one. */
  #lookedFor = 0
  #flavoured: readonly BtfId[] | undefined
  #declTags: readonly BtfId[] | undefined
  #offsets: Uint32Array | undefined
  /** Types of the names that were looked for without the index. */
  readonly #found = new Map<string, FoundTypes>()
  readonly #decoded = new Map<number, BtfType>()
  readonly #alignments = new Map<number, number | undefined>()

  private constructor(bytes: Uint8Array, tables: BtfTables, base: Btf | undefined) {
    this.bytes = bytes
    this.base = base
    this.firstId = base?.typeCount ?? 1
    this.typeCount = this.firstId + tables.starts.length
    this.stringBytes = (base?.stringBytes ?? 0) + tables.strings.length
    this.#tables = tables
  }

  /** Reads a `.BTF` section of either byte order; `base` is the BTF that a split one continues. */
  static parse(bytes: Uint8Array, base?: Btf): Btf | BtfError {
    const tables = readTables(bytes, base)
    if (tables instanceof BtfError) return tables
    return new Btf(bytes, tables, base)
  }

  /**
   * As `parse`, for types that a kernel has checked, as a running one has its own: it is not checked again that all
   * that they refer to is there, which is two thirds of the time. Of other types, queries would fail in any way.
   */
  static parseTrusted(bytes: Uint8Array): Btf | BtfError {
    const tables = readTables(bytes, undefined, true)
    if (tables instanceof BtfError) return tables
    return new Btf(bytes, tables, undefined)
  }

  get byteOrder(): 'little' | 'big' {
    return this.#tables.byteOrder
  }

  /** `n` as an id, if there is such a type. */
  id(n: number): BtfId | undefined {
    return Number.isInteger(n) && n >= 0 && n < this.typeCount ? (n as BtfId) : undefined
  }

  /** Every id but void's, rising. */
  *ids(): Iterable<BtfId> {
    for (let id = 1; id < this.typeCount; id++) yield id as BtfId
  }

  /** The string at `offset`, cut after `limit` bytes: a name, or the text of a source line. Empty outside the strings. */
  string(offset: number, limit = MAX_NAME_BYTES): string {
    const before = this.base?.stringBytes ?? 0
    if (offset < before) return this.base?.string(offset, limit) ?? ''
    return readCString(this.#tables.strings, offset - before, limit) ?? ''
  }

  /** Every string, base first: where it begins, and its text. */
  *strings(): Iterable<{ readonly offset: number; readonly text: string }> {
    if (this.base !== undefined) yield* this.base.strings()
    const { strings } = this.#tables
    const before = this.base?.stringBytes ?? 0
    const decoder = new TextDecoder()
    for (let at = 0; at < strings.length; ) {
      const end = strings.indexOf(0, at)
      yield { offset: before + at, text: decoder.decode(strings.subarray(at, end)) }
      at = end + 1
    }
  }

  kindOf(id: BtfId): BtfKind {
    return ((this.#word(id, 1) >>> 24) & 0x1f) as BtfKind
  }

  /** Empty for anonymous types. */
  nameOf(id: BtfId): string {
    return this.string(this.#word(id, 0))
  }

  /** Byte offset in `bytes` of the type's first word; `undefined` for void and types of the base. */
  offsetInSection(id: BtfId): number | undefined {
    if (id < this.firstId || id >= this.typeCount) return undefined
    return this.#tables.typesOffset + (this.#tables.starts[id - this.firstId] as number) * 4
  }

  /** The first type of this name (and kind), base first. */
  find(name: string, kind?: BtfKind): BtfId | undefined {
    const isIndexed = this.base !== undefined || this.#names !== undefined
    if (kind !== undefined && !isIndexed && this.typeCount < FEW_TYPES) return this.#findAmongFew(name, kind)
    for (const id of this.findAll(name, kind)) return id
    return undefined
  }

  /** Without an index: of few types, those of one kind are fewer than are worth one. */
  #findAmongFew(name: string, kind: BtfKind): BtfId | undefined {
    if (name === '') return undefined
    const { words, starts, strings } = this.#tables
    const bytes = textBytes(name)
    for (let i = 0; i < starts.length; i++) {
      const at = starts[i] as number
      if ((((words[at + 1] as number) >>> 24) & 0x1f) !== kind) continue
      if (equalsAt(strings, words[at] as number, bytes)) return (this.firstId + i) as BtfId
    }
    return undefined
  }

  /** All types of this name (and kind), rising. */
  *findAll(name: string, kind?: BtfKind): Iterable<BtfId> {
    if (name === '') return
    yield* this.#findAll(name, textBytes(name), kind)
  }

  *#findAll(name: string, bytes: Uint8Array, kind: BtfKind | undefined): Iterable<BtfId> {
    if (this.base !== undefined) yield* this.base.#findAll(name, bytes, kind)
    const found = this.#foundByPass(name)
    if (found !== undefined) {
      for (const id of found.exact) if (kind === undefined || this.kindOf(id) === kind) yield id
      return
    }
    for (const entry of this.#nameIndex().entriesOf(bytes)) {
      const id = (this.firstId + entry) as BtfId
      if (kind === undefined || this.kindOf(id) === kind) yield id
    }
    if (this.base === undefined) return
    // Types of a split BTF may be named by strings of the base, which the index does not hold.
    const before = this.base.stringBytes
    for (let id = this.firstId; id < this.typeCount; id++) {
      const offset = this.#word(id as BtfId, 0)
      if (offset === 0 || offset >= before || this.string(offset) !== name) continue
      if (kind === undefined || this.kindOf(id as BtfId) === kind) yield id as BtfId
    }
  }

  /** What a pass has found, or finds now; undefined where the index is to be asked. */
  #foundByPass(name: string): FoundTypes | undefined {
    const known = this.#found.get(name)
    if (known !== undefined || this.base !== undefined || this.#names !== undefined) return known
    if (this.typeCount < FEW_TYPES || this.#lookedFor++ >= MOST_PASSES) return undefined
    this.expectNames([name])
    return this.#found.get(name)
  }

  /** Looks for these names in one pass, so that `find` and `findAll` need none for each. */
  expectNames(names: readonly string[]): void {
    if (this.base !== undefined) return
    const unknown = names.filter((name) => !this.#found.has(name))
    if (unknown.length === 0) return
    this.#scan ??= new NameScan(this.#nameOffsets(), this.#tables.strings)
    const idOf = (entry: number) => (this.firstId + entry) as BtfId
    for (const [name, { exact, withFlavours }] of this.#scan.find(unknown))
      this.#found.set(name, { exact: exact.map(idOf), withFlavours: withFlavours.map(idOf) })
  }

  /** Types whose names hold `___` (flavours, as CO-RE calls them), base first, rising. */
  flavouredIds(): readonly BtfId[] {
    if (this.#flavoured === undefined) {
      const own = entriesWithFlavour(this.#nameOffsets(), this.#tables.strings)
      const inherited = this.base?.flavouredIds() ?? []
      this.#flavoured = [...inherited, ...own.map((entry) => (this.firstId + entry) as BtfId)]
    }
    return this.#flavoured
  }

  /**
   * Types whose names are one of `prefixes`, or begin with one and three underscores: base first, rising, by prefix.
   * One pass over all types, for callers that know what they will ask for: an index of all names costs several.
   */
  findWithFlavours(prefixes: readonly string[]): ReadonlyMap<string, readonly BtfId[]> {
    // Types of a split BTF may be named by strings of the base.
    if (this.base !== undefined)
      return new Map(prefixes.map((prefix) => [prefix, this.#withFlavours(prefix)]))
    this.expectNames(prefixes)
    return new Map(prefixes.map((prefix) => [prefix, this.#found.get(prefix)?.withFlavours ?? []]))
  }

  #withFlavours(prefix: string): readonly BtfId[] {
    const ids = [...this.findAll(prefix)]
    for (const id of this.flavouredIds()) if (this.nameOf(id).startsWith(`${prefix}___`)) ids.push(id)
    return ids.sort((a, b) => a - b)
  }

  /** Tags of functions, parameters, variables and types: base first, rising. */
  get declTags(): readonly BtfId[] {
    this.#declTags ??= this.#ofKind(BTF_KIND.DECL_TAG)
    return this.#declTags
  }

  #ofKind(kind: BtfKind): readonly BtfId[] {
    const found: BtfId[] = []
    for (let id = 1 as BtfId; id < this.typeCount; id++) if (this.kindOf(id) === kind) found.push(id)
    return found
  }

  #nameIndex(): NameIndex {
    this.#names ??= new NameIndex(this.#nameOffsets(), this.#tables.strings)
    return this.#names
  }

  /** Where each type's name is in the own strings; one of the base's strings wraps to an offset past them all. */
  #nameOffsets(): Uint32Array {
    if (this.#offsets !== undefined) return this.#offsets
    const { words, starts } = this.#tables
    const before = this.base?.stringBytes ?? 0
    const offsets = new Uint32Array(starts.length)
    for (let i = 0; i < starts.length; i++) offsets[i] = (words[starts[i] as number] as number) - before
    this.#offsets = offsets
    return offsets
  }

  /** Past typedefs, const, volatile, restrict and type tags, to what the type is made of. */
  resolve(id: BtfId): BtfId {
    for (let step = 0; step < MAX_CHAIN; step++) {
      switch (this.kindOf(id)) {
        case BTF_KIND.TYPEDEF:
        case BTF_KIND.VOLATILE:
        case BTF_KIND.CONST:
        case BTF_KIND.RESTRICT:
        case BTF_KIND.TYPE_TAG:
          id = this.#word(id, 2) as BtfId
          break
        default:
          return id
      }
    }
    return id
  }

  /**
   * Bytes that a value of the type takes; `undefined` for void, functions, forward declarations, cycles, and arrays
   * whose size does not fit 32 bits.
   */
  sizeOf(id: BtfId): number | undefined {
    let count = 1
    for (let step = 0; step < MAX_CHAIN; step++) {
      id = this.resolve(id)
      switch (this.kindOf(id)) {
        case BTF_KIND.INT:
        case BTF_KIND.STRUCT:
        case BTF_KIND.UNION:
        case BTF_KIND.ENUM:
        case BTF_KIND.ENUM64:
        case BTF_KIND.FLOAT:
        case BTF_KIND.DATASEC:
          return fitting(count * this.#word(id, 2))
        case BTF_KIND.PTR:
          return fitting(count * POINTER_BYTES)
        case BTF_KIND.ARRAY:
          count *= this.#word(id, 5)
          id = this.#word(id, 3) as BtfId
          break
        case BTF_KIND.VAR:
          id = this.#word(id, 2) as BtfId
          break
        default:
          return undefined
      }
    }
    return undefined
  }

  /** Alignment in bytes; 1 for packed structs, `undefined` where there is no size. */
  alignOf(id: BtfId): number | undefined {
    return this.#alignOf(id, 0)
  }

  #alignOf(id: BtfId, depth: number): number | undefined {
    id = this.resolve(id)
    // Known types are not walked again: structs that hold the next one twice would take exponential time.
    if (this.#alignments.has(id)) return this.#alignments.get(id)
    if (depth > MAX_CHAIN) return undefined
    this.#alignments.set(id, undefined)
    const align = this.#computeAlign(this.typeById(id), depth)
    this.#alignments.set(id, align)
    return align
  }

  #computeAlign(type: BtfType, depth: number): number | undefined {
    switch (type.kind) {
      case BTF_KIND.INT:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FLOAT:
        return Math.min(POINTER_BYTES, type.size)
      case BTF_KIND.PTR:
        return POINTER_BYTES
      case BTF_KIND.ARRAY:
        return this.#alignOf(type.element, depth + 1)
      case BTF_KIND.VAR:
        return this.#alignOf(type.type, depth + 1)
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION: {
        let most = 1
        for (const member of type.members) {
          const align = this.#alignOf(member.type, depth + 1)
          if (align === undefined) return undefined
          most = Math.max(most, align)
          // A member off its alignment means that the struct is packed.
          if (member.bitSize === 0 && member.bitOffset % (8 * align) !== 0) return 1
        }
        return type.size % most === 0 ? most : 1
      }
      default:
        return undefined
    }
  }

  /** The type in full. Decoded once, kept. */
  typeById(id: BtfId): BtfType {
    if (this.base !== undefined && id < this.firstId) return this.base.typeById(id)
    const known = this.#decoded.get(id)
    if (known !== undefined) return known
    const type = this.#decode(id)
    this.#decoded.set(id, type)
    return type
  }

  /** Word `n` of a type; 0 for void. */
  #word(id: BtfId, n: number): number {
    if (id < this.firstId) return id === 0 ? 0 : (this.base as Btf).#word(id, n)
    const { words, starts } = this.#tables
    return words[(starts[id - this.firstId] as number) + n] as number
  }

  #decode(id: BtfId): BtfType {
    if (id === 0) return { id, kind: BTF_KIND.UNKN, name: 'void' }
    const { words, starts } = this.#tables
    const at = starts[id - this.firstId] as number
    const info = words[at + 1] as number
    const kind = ((info >>> 24) & 0x1f) as BtfKind
    const flag = info >>> 31 === 1
    const count = info & 0xffff
    const third = words[at + 2] as number
    const name = this.string(words[at] as number)
    switch (kind) {
      case BTF_KIND.UNKN:
        return { id, kind, name }
      case BTF_KIND.INT: {
        const data = words[at + 3] as number
        const encoding = data >>> 24
        return {
          id,
          kind,
          name,
          size: third,
          isSigned: (encoding & BTF_INT.SIGNED) !== 0,
          isChar: (encoding & BTF_INT.CHAR) !== 0,
          isBool: (encoding & BTF_INT.BOOL) !== 0,
          bits: data & 0xff,
          bitOffset: (data >>> 16) & 0xff,
        }
      }
      case BTF_KIND.ARRAY:
        return {
          id,
          kind,
          name,
          element: words[at + 3] as BtfId,
          index: words[at + 4] as BtfId,
          count: words[at + 5] as number,
        }
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION: {
        const members: BtfMember[] = []
        for (let i = 0, n = at + 3; i < count; i++, n += 3) {
          const offset = words[n + 2] as number
          members.push({
            name: this.string(words[n] as number),
            type: words[n + 1] as BtfId,
            // With the flag: | bit field size (8) | bit offset (24) |
            bitOffset: flag ? offset & 0xff_ffff : offset,
            bitSize: flag ? offset >>> 24 : 0,
          })
        }
        return { id, kind, name, size: third, members }
      }
      case BTF_KIND.ENUM: {
        const values = []
        for (let i = 0, n = at + 3; i < count; i++, n += 2) {
          const value = words[n + 1] as number
          values.push({ name: this.string(words[n] as number), value: BigInt(flag ? value | 0 : value) })
        }
        return { id, kind, name, size: third, isSigned: flag, values }
      }
      case BTF_KIND.ENUM64: {
        const values = []
        for (let i = 0, n = at + 3; i < count; i++, n += 3) {
          const value = (BigInt(words[n + 2] as number) << 32n) | BigInt(words[n + 1] as number)
          values.push({
            name: this.string(words[n] as number),
            value: flag ? BigInt.asIntN(64, value) : value,
          })
        }
        return { id, kind, name, size: third, isSigned: flag, values }
      }
      case BTF_KIND.FWD:
        return { id, kind, name, isUnion: flag }
      case BTF_KIND.PTR:
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
        return { id, kind, name, type: third as BtfId }
      case BTF_KIND.TYPE_TAG:
        return { id, kind, name, type: third as BtfId, ...(flag ? { isAttribute: true } : {}) }
      case BTF_KIND.FUNC:
        return { id, kind, name, type: third as BtfId, linkage: count }
      case BTF_KIND.FUNC_PROTO: {
        const parameters = []
        for (let i = 0, n = at + 3; i < count; i++, n += 2) {
          parameters.push({ name: this.string(words[n] as number), type: words[n + 1] as BtfId })
        }
        // `...` is a last parameter without name and type.
        const last = parameters.at(-1)
        const isVariadic = last !== undefined && last.type === 0 && last.name === ''
        if (isVariadic) parameters.pop()
        return { id, kind, name, returns: third as BtfId, parameters, isVariadic }
      }
      case BTF_KIND.VAR:
        return { id, kind, name, type: third as BtfId, linkage: words[at + 3] as number }
      case BTF_KIND.DATASEC: {
        const variables = []
        for (let i = 0, n = at + 3; i < count; i++, n += 3) {
          variables.push({
            type: words[n] as BtfId,
            offset: words[n + 1] as number,
            size: words[n + 2] as number,
          })
        }
        return { id, kind, name, size: third, variables }
      }
      case BTF_KIND.FLOAT:
        return { id, kind, name, size: third }
      case BTF_KIND.DECL_TAG:
        return {
          id,
          kind,
          name,
          type: third as BtfId,
          component: (words[at + 3] as number) | 0,
          ...(flag ? { isAttribute: true } : {}),
        }
      default: {
        const unreachable: never = kind
        throw new Error(`kind ${unreachable} passed the checks of readTables`)
      }
    }
  }
}

const fitting = (bytes: number): number | undefined => (bytes <= 0xffff_ffff ? bytes : undefined)
