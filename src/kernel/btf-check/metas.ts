/**
 * The first pass over BTF: each type by itself, in order. What it finds wrong is logged, and ends the load.
 *
 * Source: btf_check_all_metas() and the *_check_meta functions of kernel/bpf/btf.c of Linux.
 */
import { EINVAL, ENOTSUPP } from '../../abi/index.ts'
import { BTF_KIND, extraWords } from '../../btf/index.ts'
import { type BtfLog, BtfRefusal } from './log.ts'
import { MOST_TYPES, type RawType, type RawTypes, TYPE_BYTES, VOID } from './raw-types.ts'

const K = BTF_KIND
const KNOWN_INFO = 0x9f00ffff
const LAST_KIND = K.ENUM64
const KNOWN_INT = 0x0fffffff
const MOST_BITS = 128
const FLOAT_BYTES: readonly number[] = [2, 4, 8, 12, 16]

/** Adds all types of the section; throws a refusal. */
export function checkMetas(types: RawTypes, log: BtfLog, from: number, to: number): void {
  const metas = new Metas(types, log)
  let id = 1
  for (let at = from; at < to; id++) at += metas.add(at, to - at, id)
}

class Metas {
  readonly #types: RawTypes
  readonly #log: BtfLog
  /** The one that is being checked. */
  #type: RawType = VOID

  constructor(types: RawTypes, log: BtfLog) {
    this.#types = types
    this.#log = log
  }

  /** Checks the type at a byte offset and adds it; returns how long it is. */
  add(at: number, left: number, id: number): number {
    const types = this.#types
    if (left < TYPE_BYTES) this.#refuse(`[${id}] meta_left:${left} meta_needed:${TYPE_BYTES}`)
    const type = types.read(at, id)
    if ((type.info & ~KNOWN_INFO) !== 0) this.#refuse(`[${id}] Invalid btf_info:${type.info.toString(16)}`)
    if (type.kind > LAST_KIND || type.kind === K.UNKN) this.#refuse(`[${id}] Invalid kind:${type.kind}`)
    if (!types.isNameOffset(type.nameOffset)) this.#refuse(`[${id}] Invalid name_offset:${type.nameOffset}`)
    const needed = 4 * extraWords(type.kind, type.vlen)
    if (left - TYPE_BYTES < needed) {
      this.#log.type(types, type, id, `meta_left:${left - TYPE_BYTES} meta_needed:${needed}`, false)
      throw new BtfRefusal(EINVAL)
    }
    this.#type = type
    this.#check()
    if (types.count > MOST_TYPES) this.#refuse('Too many BTF types')
    types.add(type)
    return TYPE_BYTES + needed
  }

  #refuse(text: string): never {
    this.#log.write(text)
    throw new BtfRefusal(EINVAL)
  }

  #check(): void {
    switch (this.#type.kind) {
      case K.INT:
        this.#int()
        break
      case K.ARRAY:
        this.#array()
        break
      case K.STRUCT:
      case K.UNION:
        this.#struct()
        break
      case K.ENUM:
      case K.ENUM64:
        this.#enum()
        break
      case K.FWD:
        this.#forward()
        break
      case K.FUNC:
        this.#function()
        break
      case K.FUNC_PROTO:
        this.#need(this.#type.nameOffset === 0, 'Invalid name')
        this.#noKindFlag()
        this.#logType()
        break
      case K.VAR:
        this.#variable()
        break
      case K.DATASEC:
        this.#section()
        break
      case K.FLOAT:
        this.#noVlen()
        this.#noKindFlag()
        this.#need(FLOAT_BYTES.includes(this.#type.word), 'Invalid type_size')
        this.#logType()
        break
      case K.DECL_TAG:
        this.#tag()
        break
      default:
        this.#reference()
        break
    }
  }

  #need(holds: boolean, message: string, errno = EINVAL): void {
    if (holds) return
    this.#log.type(this.#types, this.#type, this.#type.id, message)
    throw new BtfRefusal(errno)
  }

  #noVlen(): void {
    this.#need(this.#type.vlen === 0, 'vlen != 0')
  }

  #noKindFlag(): void {
    this.#need(!this.#type.kindFlag, 'Invalid btf_info kind_flag')
  }

  #identifier(isOptional: boolean): void {
    const { nameOffset } = this.#type
    const holds = nameOffset === 0 ? isOptional : this.#types.isIdentifier(nameOffset)
    this.#need(holds, 'Invalid name')
  }

  #logType(): void {
    this.#log.type(this.#types, this.#type, this.#type.id)
  }

  #int(): void {
    this.#noVlen()
    this.#noKindFlag()
    const type = this.#type
    const data = this.#types.extra(type, 0)
    if ((data & ~KNOWN_INT) !== 0) {
      this.#log.type(this.#types, type, type.id, `Invalid int_data:${data.toString(16)}`, false)
      throw new BtfRefusal(EINVAL)
    }
    const bits = (data & 0xff) + ((data >>> 16) & 0xff)
    this.#need(bits <= MOST_BITS, `nr_bits exceeds ${MOST_BITS}`)
    this.#need(Math.ceil(bits / 8) <= type.word, 'nr_bits exceeds type_size')
    const encoding = (data >>> 24) & 0xf
    const isKnown = encoding === 0 || encoding === 1 || encoding === 2 || encoding === 4
    this.#need(isKnown, 'Unsupported encoding', ENOTSUPP)
    this.#logType()
  }

  #reference(): void {
    const { kind, nameOffset, word, kindFlag } = this.#type
    this.#noVlen()
    this.#need(!kindFlag || kind === K.TYPE_TAG, 'Invalid btf_info kind_flag')
    this.#need(word <= MOST_TYPES, 'Invalid type_id')
    if (kind === K.TYPEDEF) this.#identifier(false)
    else if (kind === K.TYPE_TAG) this.#need(this.#types.hasText(nameOffset), 'Invalid name')
    else this.#need(nameOffset === 0, 'Invalid name')
    this.#logType()
  }

  #array(): void {
    const type = this.#type
    this.#need(type.nameOffset === 0, 'Invalid name')
    this.#noVlen()
    this.#noKindFlag()
    this.#need(type.word === 0, 'size != 0')
    const element = this.#types.extra(type, 0)
    const index = this.#types.extra(type, 1)
    this.#need(element !== 0 && element <= MOST_TYPES, 'Invalid elem')
    this.#need(index !== 0 && index <= MOST_TYPES, 'Invalid index')
    this.#logType()
  }

  #struct(): void {
    const type = this.#type
    const types = this.#types
    this.#identifier(true)
    this.#logType()
    let last = 0
    for (let index = 0; index < type.vlen; index++) {
      const place = types.extra(type, 3 * index + 2)
      const offset = type.kindFlag ? place & 0xffffff : place
      const message = this.#memberFault(index, offset, last)
      if (message !== undefined) {
        this.#log.member(types, type, index, type.id, message)
        throw new BtfRefusal(EINVAL)
      }
      this.#log.member(types, type, index, type.id)
      last = offset
    }
  }

  #memberFault(index: number, offset: number, last: number): string | undefined {
    const type = this.#type
    const types = this.#types
    const name = types.extra(type, 3 * index)
    const member = types.extra(type, 3 * index + 1)
    if (!types.isNameOffset(name)) return `Invalid member name_offset:${name}`
    if (name !== 0 && !types.isIdentifier(name)) return 'Invalid name'
    if (member === 0 || member > MOST_TYPES) return 'Invalid type_id'
    if ((type.kind === K.UNION && offset !== 0) || last > offset) return 'Invalid member bits_offset'
    if (Math.ceil(offset / 8) > type.word) return 'Member bits_offset exceeds its struct size'
    return undefined
  }

  #enum(): void {
    const type = this.#type
    const types = this.#types
    const isWide = type.kind === K.ENUM64
    const words = isWide ? 3 : 2
    const size = type.word
    this.#need(size <= 8 && size !== 0 && (size & (size - 1)) === 0, 'Unexpected size')
    this.#identifier(true)
    this.#logType()
    for (let index = 0; index < type.vlen; index++) {
      const name = types.extra(type, words * index)
      if (!types.isNameOffset(name)) {
        this.#log.write(`\tInvalid name_offset:${name}`)
        throw new BtfRefusal(EINVAL)
      }
      this.#need(name !== 0 && types.isIdentifier(name), 'Invalid name')
      if (!this.#log.isWanted) continue
      const low = BigInt(types.extra(type, words * index + 1))
      const high = isWide ? BigInt(types.extra(type, words * index + 2)) : 0n
      const bits = isWide ? 64 : 32
      const value = (high << 32n) | low
      this.#log.write(`\t${types.name(name)} val=${type.kindFlag ? BigInt.asIntN(bits, value) : value}\n`)
    }
  }

  #forward(): void {
    this.#noVlen()
    this.#need(this.#type.word === 0, 'type != 0')
    this.#identifier(false)
    this.#logType()
  }

  #function(): void {
    this.#identifier(false)
    this.#need(this.#type.vlen <= 1, 'Invalid func linkage')
    this.#noKindFlag()
    this.#logType()
  }

  #variable(): void {
    const type = this.#type
    this.#noVlen()
    this.#noKindFlag()
    this.#identifier(false)
    this.#need(type.word !== 0 && type.word <= MOST_TYPES, 'Invalid type_id')
    this.#need(this.#types.extra(type, 0) <= 1, 'Linkage not supported')
    this.#logType()
  }

  #section(): void {
    const type = this.#type
    const types = this.#types
    this.#need(type.word !== 0, 'size == 0')
    this.#noKindFlag()
    this.#need(type.nameOffset !== 0 && types.isSectionName(type.nameOffset), 'Invalid name')
    this.#logType()
    let end = 0
    let sum = 0
    for (let index = 0; index < type.vlen; index++) {
      const message = this.#variableFault(index, end)
      if (message !== undefined) {
        this.#log.variable(types, type, index, type.id, message)
        throw new BtfRefusal(EINVAL)
      }
      this.#log.variable(types, type, index, type.id)
      const size = types.extra(type, 3 * index + 2)
      end = types.extra(type, 3 * index + 1) + size
      sum += size
    }
    this.#need(type.word >= sum, 'Invalid btf_info size')
  }

  #variableFault(index: number, end: number): string | undefined {
    const type = this.#type
    const types = this.#types
    const variable = types.extra(type, 3 * index)
    const offset = types.extra(type, 3 * index + 1)
    const size = types.extra(type, 3 * index + 2)
    if (variable === 0 || variable > MOST_TYPES) return 'Invalid type_id'
    if (offset < end || offset >= type.word) return 'Invalid offset'
    if (size === 0 || size > type.word) return 'Invalid size'
    return offset + size > type.word ? 'Invalid offset+size' : undefined
  }

  #tag(): void {
    const type = this.#type
    this.#need(this.#types.hasText(type.nameOffset), 'Invalid value')
    this.#noVlen()
    this.#need((this.#types.extra(type, 0) | 0) >= -1, 'Invalid component_idx')
    this.#logType()
  }
}
