/**
 * The first pass over BTF: each type by itself, in order. What it finds wrong is logged, and ends the load.
 *
 * Source: btf_check_all_metas() and the *_check_meta functions of kernel/bpf/btf.c of Linux.
 */
import { EINVAL, ENOTSUPP } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import { type BtfLog, BtfRefusal } from './log.ts'
import { MEMBER_BYTES, MOST_TYPES, type RawType, type RawTypes, TYPE_BYTES } from './raw-types.ts'

const K = BTF_KIND
const KNOWN_INFO = 0x9f00ffff
const LAST_KIND = K.ENUM64
const KNOWN_INT = 0x0fffffff
const MOST_BITS = 128
const FLOAT_BYTES: readonly number[] = [2, 4, 8, 12, 16]

/** Bytes behind the three words: so many, and so many for each of `vlen`. */
const EXTRA: Readonly<Record<number, readonly [number, number]>> = {
  [K.INT]: [4, 0],
  [K.ARRAY]: [12, 0],
  [K.STRUCT]: [0, MEMBER_BYTES],
  [K.UNION]: [0, MEMBER_BYTES],
  [K.ENUM]: [0, 8],
  [K.FUNC_PROTO]: [0, 8],
  [K.VAR]: [4, 0],
  [K.DATASEC]: [0, 12],
  [K.DECL_TAG]: [4, 0],
  [K.ENUM64]: [0, 12],
}

/** Adds all types of the section; throws a refusal. */
export function checkMetas(types: RawTypes, log: BtfLog, from: number, to: number): void {
  let id = 1
  for (let at = from; at < to; id++) {
    at += checkMeta(types, log, at, to - at, id)
  }
}

function checkMeta(types: RawTypes, log: BtfLog, at: number, left: number, id: number): number {
  const refuse = (text: string): never => {
    log.write(text)
    throw new BtfRefusal(EINVAL)
  }
  if (left < TYPE_BYTES) refuse(`[${id}] meta_left:${left} meta_needed:${TYPE_BYTES}`)
  const type = types.read(at, id)
  if ((type.info & ~KNOWN_INFO) !== 0) refuse(`[${id}] Invalid btf_info:${type.info.toString(16)}`)
  if (type.kind > LAST_KIND || type.kind === K.UNKN) refuse(`[${id}] Invalid kind:${type.kind}`)
  if (!types.isNameOffset(type.nameOffset)) refuse(`[${id}] Invalid name_offset:${type.nameOffset}`)
  const [fixed, each] = EXTRA[type.kind] ?? [0, 0]
  const needed = fixed + each * type.vlen
  if (left - TYPE_BYTES < needed) {
    log.type(types, type, id, `meta_left:${left - TYPE_BYTES} meta_needed:${needed}`, false)
    throw new BtfRefusal(EINVAL)
  }
  new Meta(types, log, type).check()
  if (types.count > MOST_TYPES) refuse('Too many BTF types')
  types.add(type)
  return TYPE_BYTES + needed
}

class Meta {
  readonly #types: RawTypes
  readonly #log: BtfLog
  readonly #type: RawType

  constructor(types: RawTypes, log: BtfLog, type: RawType) {
    this.#types = types
    this.#log = log
    this.#type = type
  }

  check(): void {
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
    const [element, index] = [this.#types.extra(type, 0), this.#types.extra(type, 1)]
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
      const need = (holds: boolean, message: string) => {
        if (holds) return
        this.#log.variable(types, type, index, type.id, message)
        throw new BtfRefusal(EINVAL)
      }
      const [variable, offset, size] = [0, 1, 2].map((word) => types.extra(type, 3 * index + word)) as [
        number,
        number,
        number,
      ]
      need(variable !== 0 && variable <= MOST_TYPES, 'Invalid type_id')
      need(offset >= end && offset < type.word, 'Invalid offset')
      need(size !== 0 && size <= type.word, 'Invalid size')
      end = offset + size
      need(end <= type.word, 'Invalid offset+size')
      this.#log.variable(types, type, index, type.id)
      sum += size
    }
    this.#need(type.word >= sum, 'Invalid btf_info size')
  }

  #tag(): void {
    const type = this.#type
    this.#need(this.#types.hasText(type.nameOffset), 'Invalid value')
    this.#noVlen()
    this.#need((this.#types.extra(type, 0) | 0) >= -1, 'Invalid component_idx')
    this.#logType()
  }
}
