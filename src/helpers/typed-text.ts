/**
 * Values as text, by their types: what bpf_snprintf_btf and bpf_seq_printf_btf print.
 *
 * Rules
 * - A walk has a state, which Linux's text shows and which is kept as Linux keeps it: within an element of an array,
 *   members have no names; arrays of bytes are characters and end at a NUL; an array of pointers or of arrays shows its
 *   first element again and again; an enumeration is 4 bytes, whatever its size, and one with a name is not 0.
 * - What is 0 is left out below the top, structs and arrays of zeroes with it, unless `zero` asks for it: such a part is
 *   walked twice, first without a word.
 * - Memory is read in pieces of 32 bytes, none beyond the value. A piece that cannot be read is left out; what the last
 *   read said is what the walk ends with.
 * - Text is one byte a character.
 *
 * Source: btf_type_show() and what it calls, kernel/bpf/btf.c of Linux 6.18, compared with the running kernel by
 * test/linux/typed-text.test.ts.
 */
import { EINVAL } from '../abi/index.ts'
import {
  BTF_KIND,
  type Btf,
  type BtfArray,
  type BtfComposite,
  type BtfEnum,
  type BtfId,
  type BtfInt,
  type BtfMember,
  type BtfType,
} from '../btf/index.ts'

/** `BTF_F_*`. */
export const TYPED_TEXT = { COMPACT: 1, NONAME: 2, PTR_RAW: 4, ZERO: 8 } as const
export const TYPED_TEXT_FLAGS = 0xfn

const PIECE_BYTES = 32
const BASE_TYPE_BYTES = 16
const NAME_BYTES = 79
const INDENT_MOST = 32
const SUFFIX_MOST = 10
const NESTED_MOST = 256

export interface TypedTextHost {
  readonly types: Btf
  /** `BTF_F_*`. */
  readonly flags: number
  /** 0 or -errno. */
  read(address: bigint, into: Uint8Array): number
  /** What `%p` shows of an address, in hexadecimal. */
  disguise(pointer: bigint): string
  print(text: string): void
}

/** Prints the value at `address`; 0 or -errno. */
export function printTyped(host: TypedTextHost, type: BtfId, address: bigint): number {
  const walk = new Walk(host)
  walk.show(host.types.typeById(type), type, address, 0)
  return walk.status
}

const isModifier = (kind: number): boolean =>
  kind === BTF_KIND.VOLATILE ||
  kind === BTF_KIND.CONST ||
  kind === BTF_KIND.RESTRICT ||
  kind === BTF_KIND.TYPE_TAG

class Walk {
  status = 0
  readonly #host: TypedTextHost
  readonly #types: Btf
  #depth = 0
  /** Depth below which nothing is printed, only looked for; 0: what comes is printed. */
  #silentFrom = 0
  /** The deepest value found while silent. */
  #deepest = 0
  #type: BtfType | undefined
  #typeId: BtfId
  #member: BtfMember | undefined
  #inArray = false
  #elementsAreChars = false
  #arrayEnded = false
  #head = 0n
  #sizeBytes = 0
  #pieceAt: bigint | undefined
  readonly #piece = new Uint8Array(PIECE_BYTES)

  constructor(host: TypedTextHost) {
    this.#host = host
    this.#types = host.types
    this.#typeId = 0 as BtfId
  }

  /** A value of `type`, which was named as `id`, `bits` behind `address`. */
  show(type: BtfType, id: BtfId, address: bigint, bits: number): void {
    switch (type.kind) {
      case BTF_KIND.INT:
        this.#showInt(type, id, address, bits)
        break
      case BTF_KIND.PTR:
        this.#value(type, id, address, (at) => {
          const pointer = this.#unsigned(at, 8)
          const raw = (this.#host.flags & TYPED_TEXT.PTR_RAW) !== 0
          const digits = raw ? pointer.toString(16).padStart(16, '0') : this.#host.disguise(pointer)
          this.#put(`0x${digits}`, pointer !== 0n)
        })
        break
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        this.#value(type, id, address, (at) => this.#showEnum(type as BtfEnum, at))
        break
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        this.#ifNotEmpty(() => this.#showComposite(type as BtfComposite, id, address))
        break
      case BTF_KIND.ARRAY:
        this.#ifNotEmpty(() => this.#showArray(type, id, address, bits))
        break
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
      case BTF_KIND.VAR:
        this.show(this.#behind(type), id, address, bits)
        break
      default:
        this.#print(`<unsupported kind:${type.kind}>`)
    }
  }

  #showInt(type: BtfInt, id: BtfId, address: bigint, bits: number): void {
    this.#value(type, id, address, (at) => {
      const { bits: width, bitOffset, isSigned } = type
      if (bits !== 0 || bitOffset !== 0 || ![8, 16, 32, 64, 128].includes(width)) {
        const first = bits + bitOffset
        this.#showBits(at + (first >> 3), first & 7, width)
        return
      }
      const value = this.#unsigned(at, width / 8)
      if (width === 128) {
        this.#put(`0x${value.toString(16)}`, value !== 0n)
        return
      }
      if (width === 8 && this.#elementsAreChars) {
        if (this.#arrayEnded) return
        if (value === 0n) {
          this.#arrayEnded = true
          return
        }
        if (isPrintable(Number(value))) {
          this.#put(`'${String.fromCharCode(Number(value))}'`, true)
          return
        }
      }
      this.#put(`${isSigned ? BigInt.asIntN(width, value) : value}`, value !== 0n)
    })
  }

  #showBits(at: number, offset: number, width: number): void {
    const value = BigInt.asUintN(width, this.#unsigned(at, (offset + width + 7) >> 3) >> BigInt(offset))
    this.#put(`0x${value.toString(16)}`, value !== 0n)
  }

  #showEnum({ kind, values, isSigned }: BtfEnum, at: number): void {
    const width = kind === BTF_KIND.ENUM64 ? 64 : 32
    const value = this.#unsigned(at, width / 8)
    const named = values.find((one) => BigInt.asUintN(width, one.value) === value)
    const text = named?.name ?? `${isSigned ? BigInt.asIntN(width, value) : value}`
    this.#put(text, named !== undefined || value !== 0n)
  }

  #showComposite(type: BtfComposite, id: BtfId, address: bigint): void {
    if (!this.#open(type, id, address)) return
    for (const member of type.members) {
      this.#member = member
      const at = address + BigInt(member.bitOffset >> 3)
      const memberType = this.#types.typeById(member.type)
      if (member.bitSize === 0) this.show(memberType, member.type, at, member.bitOffset & 7)
      else {
        const piece = this.#begin(memberType, member.type, at)
        if (piece >= 0) this.#showBits(piece, member.bitOffset & 7, member.bitSize)
        this.#end()
      }
      this.#member = undefined
    }
    this.#close('}')
  }

  #showArray({ element, count, ...array }: BtfArray, id: BtfId, address: bigint, bits: number): void {
    const type = this.#behind(this.#types.typeById(element))
    const sizeBytes = 'size' in type ? type.size : 0
    const isInt = type.kind === BTF_KIND.INT
    this.#elementsAreChars = isInt && sizeBytes === 1
    this.#arrayEnded = false
    if (!this.#open({ element, count, ...array }, id, address)) return
    for (let index = 0; index < count; index++) {
      this.#inArray = true
      this.#member = undefined
      this.show(type, element, address + BigInt(index * sizeBytes), bits)
      this.#inArray = false
      this.#member = undefined
      if (this.#arrayEnded) break
    }
    this.#elementsAreChars = false
    this.#arrayEnded = false
    this.#close(']')
  }

  /** Shows a struct or an array, unless there is nothing in it that would be shown. */
  #ifNotEmpty(show: () => void): void {
    const member = this.#member
    if (this.#depth > 0 && (this.#host.flags & TYPED_TEXT.ZERO) === 0) {
      if (this.#silentFrom === 0) {
        this.#silentFrom = this.#depth + 1
        this.#deepest = 0
      }
      this.#nested(show)
      this.#member = member
      if (this.#silentFrom !== this.#depth + 1) return
      this.#silentFrom = 0
      if (this.#deepest <= this.#depth) return
    }
    this.#nested(show)
  }

  /** Types that contain themselves are none, but here nothing is taken on trust. */
  #nested(show: () => void): void {
    if (this.#depth < NESTED_MOST) show()
    else this.status = -EINVAL
  }

  /** Shows one value, `show` at its place in the piece. */
  #value(type: BtfType, id: BtfId, address: bigint, show: (at: number) => void): void {
    const at = this.#begin(type, id, address)
    if (at < 0) return
    show(at)
    this.#end()
  }

  #open(type: BtfType, id: BtfId, address: bigint): boolean {
    if (this.#begin(type, id, address) < 0) return false
    this.#print(`${this.#indent()}${this.#name()}${this.#newline()}`)
    this.#depth++
    return true
  }

  #close(bracket: string): void {
    this.#depth--
    this.#print(`${this.#indent()}${bracket}${this.#delimiter()}${this.#newline()}`)
    this.#end()
  }

  /** Offset of the value in the piece that was read; -1 where it cannot be read. */
  #begin(type: BtfType, id: BtfId, address: bigint): number {
    this.#type = type
    this.#typeId = id
    const sizeBytes = this.#types.sizeOf(type.id)
    if (sizeBytes === undefined) {
      this.status = -EINVAL
      return -1
    }
    if (this.#depth === 0) {
      this.#head = address
      this.#sizeBytes = sizeBytes
    } else if (this.#pieceAt !== undefined) {
      const at = Number(address - this.#pieceAt)
      if (at >= 0 && at + Math.min(sizeBytes, BASE_TYPE_BYTES) < PIECE_BYTES) return at
    }
    const left = Math.min(this.#sizeBytes - Number(address - this.#head), PIECE_BYTES)
    const read = new Uint8Array(Math.max(left, 0))
    this.status = this.#host.read(BigInt.asUintN(64, address), read)
    if (this.status !== 0) return -1
    this.#piece.set(read)
    this.#pieceAt = address
    return 0
  }

  #end(): void {
    this.#type = undefined
    this.#typeId = 0 as BtfId
  }

  #unsigned(at: number, sizeBytes: number): bigint {
    let value = 0n
    for (let i = sizeBytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#piece[at + i] ?? 0)
    return value
  }

  #put(text: string, isNotZero: boolean): void {
    if (!isNotZero && (this.#host.flags & TYPED_TEXT.ZERO) === 0 && this.#depth !== 0) return
    this.#print(`${this.#indent()}${this.#name()}${text}${this.#delimiter()}${this.#newline()}`)
    this.#deepest = Math.max(this.#deepest, this.#depth)
  }

  #print(text: string): void {
    if (this.#silentFrom === 0) this.#host.print(text)
  }

  get #isCompact(): boolean {
    return (this.#host.flags & TYPED_TEXT.COMPACT) !== 0
  }

  #indent(): string {
    return this.#isCompact ? '' : ' '.repeat(Math.min(this.#depth, INDENT_MOST))
  }

  #newline(): string {
    return this.#isCompact ? '' : '\n'
  }

  #delimiter(): string {
    if (this.#depth === 0) return ''
    return this.#isCompact && this.#type?.kind === BTF_KIND.UNION ? '|' : ','
  }

  /** `.member = (struct type *[])`, with the bracket that opens what follows. */
  #name(): string {
    if (this.#inArray) return ''
    const member = this.#member
    let type = this.#types.typeById(member?.type ?? this.#typeId)
    let name = ''
    let [stars, brackets, isTypedef] = [0, 0, false]
    for (let step = 0; ; step++) {
      if (step === SUFFIX_MOST) return ''
      let next = 0
      if (type.kind === BTF_KIND.TYPEDEF) {
        if (name === '') name = type.name
        isTypedef = true
        next = type.type
      } else if (type.kind === BTF_KIND.ARRAY) {
        brackets++
        next = type.element
      } else if (type.kind === BTF_KIND.PTR) {
        stars++
        next = type.type
      }
      if (next === 0) break
      type = this.#behindQualifiers(next as BtfId)
    }
    const isComposite = type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION
    const bracket = stars > 0 ? '' : brackets > 0 ? '[' : isComposite ? '{' : ''
    if ((this.#host.flags & TYPED_TEXT.NONAME) !== 0) return bracket
    const ownName = type.kind === BTF_KIND.UNKN ? '' : type.name
    const shown = name === '' ? ownName : name
    const prefix = isTypedef ? '' : kindPrefix(type.kind)
    const of = member === undefined || member.name === '' ? '' : `.${member.name} = `
    const words = `${prefix}${prefix !== '' && shown !== '' ? ' ' : ''}${shown}`
    const suffix = `${stars > 0 ? ' ' : ''}${'*'.repeat(stars)}${'[]'.repeat(brackets)}`
    return `${of}(${words}${suffix})${bracket}`.slice(0, NAME_BYTES)
  }

  #behindQualifiers(id: BtfId): BtfType {
    let type = this.#types.typeById(id)
    while (isModifier(type.kind) && 'type' in type) type = this.#types.typeById(type.type)
    return type
  }

  #behind(type: BtfType): BtfType {
    let at = type
    while (
      (isModifier(at.kind) || at.kind === BTF_KIND.TYPEDEF || at.kind === BTF_KIND.VAR) &&
      'type' in at
    ) {
      at = this.#types.typeById(at.type)
    }
    return at
  }
}

function kindPrefix(kind: number): string {
  switch (kind) {
    case BTF_KIND.STRUCT:
      return 'struct'
    case BTF_KIND.UNION:
      return 'union'
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return 'enum'
    default:
      return ''
  }
}

/** As Linux's own table of characters has it: Latin-1. */
const isPrintable = (byte: number): boolean => (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0
