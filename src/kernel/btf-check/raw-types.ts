/** The type section of BTF as Linux's checks look at it: words at offsets, nothing taken on trust. */
import { BTF_KIND, identifierBytes } from '../../btf/index.ts'

const K = BTF_KIND

/** Most types, and the largest id in a reference. */
export const MOST_TYPES = 0xfffff
export const TYPE_BYTES = 12
export const MEMBER_BYTES = 12
const LONGEST_IDENTIFIER = 512

/** One type: three words, and what its kind puts behind them at `at + 12`. */
export interface RawType {
  readonly id: number
  /** Byte offset in the data. */
  readonly at: number
  readonly nameOffset: number
  readonly kind: number
  readonly vlen: number
  readonly kindFlag: boolean
  /** The third word: a size or a type. */
  readonly word: number
}

/** Type 0. */
export const VOID: RawType = { id: 0, at: 0, nameOffset: 0, kind: K.UNKN, vlen: 0, kindFlag: false, word: 0 }

export class RawTypes {
  readonly view: DataView
  readonly #bytes: Uint8Array
  readonly #strings: Uint8Array
  readonly #types: RawType[] = [VOID]

  constructor(bytes: Uint8Array, strings: Uint8Array) {
    this.#bytes = bytes
    this.#strings = strings
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** With void. */
  get count(): number {
    return this.#types.length
  }

  /** The type at a byte offset, not yet one of these. */
  read(at: number, id: number): RawType & { readonly info: number } {
    const info = this.view.getUint32(at + 4, true)
    return {
      id,
      at,
      nameOffset: this.view.getUint32(at, true),
      info,
      kind: (info >>> 24) & 0x1f,
      vlen: info & 0xffff,
      kindFlag: info >>> 31 === 1,
      word: this.view.getUint32(at + 8, true),
    }
  }

  add(type: RawType): void {
    this.#types.push(type)
  }

  get(id: number): RawType | undefined {
    return this.#types[id]
  }

  /** Word `index` of what follows the type. */
  extra(type: RawType, index: number): number {
    return this.view.getUint32(type.at + TYPE_BYTES + 4 * index, true)
  }

  isNameOffset(offset: number): boolean {
    return offset < this.#strings.length
  }

  #text(offset: number): Uint8Array {
    return this.#strings.subarray(offset, this.#strings.indexOf(0, offset))
  }

  /** As logs show it. */
  name(offset: number): string {
    if (offset === 0) return '(anon)'
    return this.isNameOffset(offset)
      ? new TextDecoder('latin1').decode(this.#text(offset))
      : '(invalid-name-offset)'
  }

  hasText(offset: number): boolean {
    return this.isNameOffset(offset) && this.#strings[offset] !== 0
  }

  /** Letters, digits, `_` and `.`, of which the first is no digit. */
  isIdentifier(offset: number): boolean {
    const length = identifierBytes(this.#strings, offset)
    return length > 0 && length <= LONGEST_IDENTIFIER
  }

  isSectionName(offset: number): boolean {
    const strings = this.#strings
    let at = offset
    for (let byte = strings[at] as number; byte !== 0; byte = strings[++at] as number) {
      if (byte < 0x20 || byte >= 0x7f) return false
    }
    return at > offset && at - offset <= LONGEST_IDENTIFIER
  }

  get bytes(): Uint8Array {
    return this.#bytes
  }
}

/** Kinds as a set: bit `n` for kind `n`. */
const setOf = (...kinds: readonly number[]): number => kinds.reduce((set, kind) => set | (1 << kind), 0)

const MODIFIERS = setOf(K.TYPEDEF, K.VOLATILE, K.CONST, K.RESTRICT, K.TYPE_TAG)
const STRUCTS = setOf(K.STRUCT, K.UNION)
const SOURCE_ONLY = setOf(K.VAR, K.DECL_TAG, K.DATASEC)
const WITHOUT_SIZE = setOf(K.UNKN, K.FWD, K.FUNC, K.FUNC_PROTO, K.DECL_TAG)
const WITH_SIZE = STRUCTS | setOf(K.INT, K.ENUM, K.DATASEC, K.FLOAT, K.ENUM64)
const TO_RESOLVE = MODIFIERS | STRUCTS | SOURCE_ONLY | setOf(K.PTR, K.ARRAY, K.FUNC)

export const isModifier = ({ kind }: RawType): boolean => ((MODIFIERS >>> kind) & 1) !== 0

export const isStruct = ({ kind }: RawType): boolean => ((STRUCTS >>> kind) & 1) !== 0

/** Kinds that other types may not refer to. */
export const isSourceOnly = ({ kind }: RawType): boolean => ((SOURCE_ONLY >>> kind) & 1) !== 0

export const hasNoSize = ({ kind }: RawType): boolean => ((WITHOUT_SIZE >>> kind) & 1) !== 0

export const hasSize = ({ kind }: RawType): boolean => ((WITH_SIZE >>> kind) & 1) !== 0

export const needsResolving = ({ kind }: RawType): boolean => ((TO_RESOLVE >>> kind) & 1) !== 0
