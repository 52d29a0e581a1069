/** What BPF_BTF_LOAD logs of each type. Source: the *_log functions of kernel/bpf/btf.c of Linux. */
import { BTF_KIND, BTF_KIND_NAMES } from '../../btf/index.ts'
import { MEMBER_BYTES, type RawType, type RawTypes, TYPE_BYTES } from './raw-types.ts'

const K = BTF_KIND
const ENCODINGS: Readonly<Record<number, string>> = { 0: '(none)', 1: 'SIGNED', 2: 'CHAR', 4: 'BOOL' }

/** A check that failed: the errno, once the log says why. */
export class BtfRefusal {
  readonly errno: number

  constructor(errno: number) {
    this.errno = errno
  }
}

export class BtfLog {
  readonly isWanted: boolean
  #pieces: string[] = []
  /** Whether all of a type has been logged before, so that a part of it that is logged again brings it along. */
  isResolving = false

  constructor(isWanted: boolean) {
    this.isWanted = isWanted
  }

  get text(): string {
    return this.#pieces.join('')
  }

  write(text: string): void {
    if (this.isWanted) this.#pieces.push(text)
  }

  /** A line for a type, with its details unless something is wrong with where they are. */
  type(types: RawTypes, type: RawType, id: number, message = '', withDetails = true): void {
    if (!this.isWanted) return
    const details = withDetails ? ` ${detailsOf(types, type)}` : ''
    const name = types.name(type.nameOffset)
    this.write(`[${id}] ${BTF_KIND_NAMES[type.kind]} ${name}${details}${message && ` ${message}`}\n`)
  }

  /** `as`: the type to show the member with, where it is not its own. */
  member(types: RawTypes, type: RawType, index: number, id: number, message = '', as?: number): void {
    if (!this.isWanted) return
    if (this.isResolving) this.type(types, type, id)
    const at = type.at + TYPE_BYTES + index * MEMBER_BYTES
    const name = types.view.getUint32(at, true)
    const member = types.view.getUint32(at + 4, true)
    const offset = types.view.getUint32(at + 8, true)
    const bits = type.kindFlag
      ? `bitfield_size=${offset >>> 24} bits_offset=${offset & 0xffffff}`
      : `bits_offset=${offset}`
    this.write(`\t${types.name(name)} type_id=${as ?? member} ${bits}${message && ` ${message}`}\n`)
  }

  variable(types: RawTypes, type: RawType, index: number, id: number, message = ''): void {
    if (!this.isWanted) return
    if (this.isResolving) this.type(types, type, id)
    const variable = types.extra(type, 3 * index)
    const offset = types.extra(type, 3 * index + 1)
    const size = types.extra(type, 3 * index + 2)
    this.write(`\t type_id=${variable} offset=${offset} size=${size}${message && ` ${message}`}\n`)
  }
}

function detailsOf(types: RawTypes, type: RawType): string {
  const { kind, word, vlen } = type
  const extra = (index: number) => types.extra(type, index)
  switch (kind) {
    case K.INT: {
      const data = extra(0)
      const encoding = ENCODINGS[(data >>> 24) & 0xf] ?? 'UNKN'
      return `size=${word} bits_offset=${(data >>> 16) & 0xff} nr_bits=${data & 0xff} encoding=${encoding}`
    }
    case K.ARRAY:
      return `type_id=${extra(0)} index_type_id=${extra(1)} nr_elems=${extra(2)}`
    case K.STRUCT:
    case K.UNION:
    case K.ENUM:
    case K.ENUM64:
    case K.DATASEC:
      return `size=${word} vlen=${vlen}`
    case K.FWD:
      return type.kindFlag ? 'union' : 'struct'
    case K.FUNC_PROTO:
      return `return=${word} args=(${parametersOf(types, type)})`
    case K.VAR:
      return `type_id=${word} linkage=${extra(0)}`
    case K.FLOAT:
      return `size=${word}`
    case K.DECL_TAG:
      return `type=${word} component_idx=${extra(0) | 0}`
    default:
      return `type_id=${word}`
  }
}

function parametersOf(types: RawTypes, type: RawType): string {
  if (type.vlen === 0) return 'void'
  const parts: string[] = []
  for (let index = 0; index < type.vlen; index++) {
    const parameter = types.extra(type, 2 * index + 1)
    const isLast = index === type.vlen - 1
    parts.push(
      isLast && parameter === 0 ? 'vararg' : `${parameter} ${types.name(types.extra(type, 2 * index))}`,
    )
  }
  return parts.join(', ')
}
