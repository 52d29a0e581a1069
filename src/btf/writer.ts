/**
 * Making BTF: types are added one by one and become a `.BTF` section.
 *
 * Rules: ids are given in order, from 1 or from the end of the base; types may refer to ids that come later. Equal
 * strings are stored once, those of the base not again. What does not fit the format is reported by `finish`, with
 * the type that it is in.
 *
 * Source: Documentation/bpf/btf.rst.
 */
import type { Btf } from './btf.ts'
import { BtfError } from './error.ts'
import { BTF_INT, BTF_KIND, type BtfKind } from './kinds.ts'
import { readTables } from './tables.ts'
import type { BtfId, BtfMember, BtfType, BtfVoid } from './types.ts'

const HEADER_BYTES = 24
const MAX_PARTS = 0xffff
const MAX_FLAGGED_OFFSET = 0xff_ffff

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never

/** A type that has no id yet. */
export type NewBtfType = WithoutId<Exclude<BtfType, BtfVoid>>

export interface BtfWriterOptions {
  /** What the new types continue (split BTF). */
  readonly base?: Btf
  /**
   * Whether strings of the base serve the new types (the default). Otherwise they are stored again: a few kilobytes,
   * where reading all strings of a kernel takes 100 ms in a new process.
   */
  readonly sharesStrings?: boolean
  /** Default: the base's, or little. */
  readonly byteOrder?: 'little' | 'big'
}

export class BtfWriter {
  readonly #base: Btf | undefined
  readonly #isLittle: boolean
  #words = new Uint32Array(1024)
  #used = 0
  #count = 0
  readonly #strings: Uint8Array[] = []
  #stringBytes: number
  readonly #stringsBefore: number
  readonly #offsets = new Map<string, number>()
  #error: BtfError | undefined

  constructor(options: BtfWriterOptions = {}) {
    this.#base = options.base
    this.#isLittle = (options.byteOrder ?? options.base?.byteOrder ?? 'little') === 'little'
    this.#stringsBefore = options.base?.stringBytes ?? 0
    this.#stringBytes = this.#stringsBefore
    this.#offsets.set('', 0)
    if (options.base === undefined) this.#append(new Uint8Array(1))
    const shared = options.sharesStrings === false ? undefined : options.base?.strings()
    for (const { offset, text } of shared ?? []) {
      if (!this.#offsets.has(text)) this.#offsets.set(text, offset)
    }
  }

  /** The id that the next type will get. */
  get nextId(): BtfId {
    return ((this.#base?.typeCount ?? 1) + this.#count) as BtfId
  }

  /** Adds a type and returns its id. */
  add(type: NewBtfType): BtfId {
    const id = this.nextId
    this.#count++
    switch (type.kind) {
      case BTF_KIND.INT: {
        const encoding =
          (type.isSigned ? BTF_INT.SIGNED : 0) |
          (type.isChar ? BTF_INT.CHAR : 0) |
          (type.isBool ? BTF_INT.BOOL : 0)
        this.#check(type.bits <= 0xff && type.bitOffset <= 0xff, 'at most 255 bits', `${type.bits}`)
        this.#head(type, type.size)
        this.#word((encoding << 24) | (type.bitOffset << 16) | type.bits)
        break
      }
      case BTF_KIND.PTR:
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
        this.#head(type, type.type)
        break
      case BTF_KIND.TYPE_TAG:
        this.#head(type, type.type, 0, type.isAttribute === true)
        break
      case BTF_KIND.DECL_TAG:
        this.#head(type, type.type, 0, type.isAttribute === true)
        this.#word(type.component)
        break
      case BTF_KIND.ARRAY:
        this.#head(type, 0)
        this.#word(type.element)
        this.#word(type.index)
        this.#word(type.count)
        break
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION: {
        const hasBitFields = type.members.some(({ bitSize }) => bitSize > 0)
        this.#head(type, type.size, type.members.length, hasBitFields)
        for (const member of type.members) this.#member(member, hasBitFields)
        break
      }
      case BTF_KIND.ENUM:
        this.#head(type, type.size, type.values.length, type.isSigned)
        for (const { name, value } of type.values) {
          const fits = value === (type.isSigned ? BigInt.asIntN(32, value) : BigInt.asUintN(32, value))
          this.#check(fits, 'constants of 32 bits', `${name} = ${value}`)
          this.#word(this.string(name))
          this.#word(Number(BigInt.asUintN(32, value)))
        }
        break
      case BTF_KIND.ENUM64:
        this.#head(type, type.size, type.values.length, type.isSigned)
        for (const { name, value } of type.values) {
          this.#word(this.string(name))
          this.#word(Number(BigInt.asUintN(32, value)))
          this.#word(Number(BigInt.asUintN(32, value >> 32n)))
        }
        break
      case BTF_KIND.FWD:
        this.#head(type, 0, 0, type.isUnion)
        break
      case BTF_KIND.FUNC:
        this.#head(type, type.type, type.linkage)
        break
      case BTF_KIND.FUNC_PROTO:
        this.#head(type, type.returns, type.parameters.length + (type.isVariadic ? 1 : 0))
        for (const parameter of type.parameters) {
          this.#word(this.string(parameter.name))
          this.#word(parameter.type)
        }
        if (type.isVariadic) {
          this.#word(0)
          this.#word(0)
        }
        break
      case BTF_KIND.VAR:
        this.#head(type, type.type)
        this.#word(type.linkage)
        break
      case BTF_KIND.DATASEC:
        this.#head(type, type.size, type.variables.length)
        for (const variable of type.variables) {
          this.#word(variable.type)
          this.#word(variable.offset)
          this.#word(variable.size)
        }
        break
      case BTF_KIND.FLOAT:
        this.#head(type, type.size)
        break
      default: {
        const unreachable: never = type
        throw new Error(`no words for ${JSON.stringify(unreachable)}`)
      }
    }
    return id
  }

  /** Offset of a string; the same one for the same text. */
  string(text: string): number {
    let offset = this.#offsets.get(text)
    if (offset === undefined) {
      offset = this.#stringBytes
      this.#append(new TextEncoder().encode(`${text}\0`))
      this.#offsets.set(text, offset)
    }
    return offset
  }

  /** The section: header, types, strings. An error where a type does not fit or refers to one that is not there. */
  finish(): Uint8Array | BtfError {
    if (this.#error !== undefined) return this.#error
    const typeBytes = this.#used * 4
    const stringBytes = this.#stringBytes - this.#stringsBefore
    const bytes = new Uint8Array(HEADER_BYTES + typeBytes + stringBytes)
    const view = new DataView(bytes.buffer)
    const little = this.#isLittle
    view.setUint16(0, 0xeb9f, little)
    view.setUint8(2, 1)
    for (const [i, value] of [HEADER_BYTES, 0, typeBytes, typeBytes, stringBytes].entries()) {
      view.setUint32(4 + i * 4, value, little)
    }
    for (let i = 0; i < this.#used; i++)
      view.setUint32(HEADER_BYTES + i * 4, this.#words[i] as number, little)
    let at = HEADER_BYTES + typeBytes
    for (const string of this.#strings) {
      bytes.set(string, at)
      at += string.length
    }
    const tables = readTables(bytes, this.#base)
    return tables instanceof BtfError ? tables : bytes
  }

  #head(type: NewBtfType, third: number, parts = 0, flag = false): void {
    this.#check(parts <= MAX_PARTS, `at most ${MAX_PARTS} parts`, `${parts}`)
    this.#word(this.string(type.name))
    this.#word(infoWord(type.kind, parts, flag))
    this.#word(third)
  }

  /** With the flag: | bit field size (8) | bit offset (24) |. */
  #member(member: BtfMember, isFlagged: boolean): void {
    const most = isFlagged ? MAX_FLAGGED_OFFSET : 0xffff_ffff
    this.#check(
      member.bitOffset <= most && member.bitSize <= 0xff,
      `members up to bit ${most}`,
      `${member.name} at ${member.bitOffset}`,
    )
    this.#word(this.string(member.name))
    this.#word(member.type)
    this.#word(isFlagged ? (member.bitSize << 24) | member.bitOffset : member.bitOffset)
  }

  /** Notes the first thing that does not fit. */
  #check(fits: boolean, expected: string, found: string): void {
    if (fits || this.#error !== undefined) return
    const place = { section: '.BTF', offset: HEADER_BYTES + this.#used * 4, typeId: this.nextId - 1 }
    this.#error = new BtfError('bad-type', place, expected, found)
  }

  #word(value: number): void {
    if (this.#used === this.#words.length) {
      const more = new Uint32Array(this.#used * 2)
      more.set(this.#words)
      this.#words = more
    }
    this.#words[this.#used++] = value
  }

  #append(bytes: Uint8Array): void {
    this.#strings.push(bytes)
    this.#stringBytes += bytes.length
  }
}

const infoWord = (kind: BtfKind, parts: number, flag: boolean): number =>
  ((flag ? 0x8000_0000 : 0) | (kind << 24) | (parts & 0xffff)) >>> 0
