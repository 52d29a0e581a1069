/**
 * The type section of BTF as flat words, checked once.
 *
 * Every field of every type is a 32-bit word, so the section is one `Uint32Array`: a view where alignment and
 * byte order allow it, else a swapped copy. A first pass finds where each type starts, a second checks that every
 * name lies in the strings and every type id exists. After that a query needs no checks, and nothing has been
 * allocated per type: Linux's 5.5 MB of types open in some 20 ms.
 *
 * btf_header: | magic 0xeb9f (16) | version (8) | flags (8) | hdr_len | type_off | type_len | str_off | str_len |
 * btf_type:   | name_off | info: kflag (1) 0 (2) kind (5) 0 (8) vlen (16) | size or type | more words by kind ...
 *
 * Source: Documentation/bpf/btf.rst.
 */
import { BtfError } from './error.ts'
import { BTF_KIND } from './kinds.ts'
import { isHostLittleEndian, wordsOf } from './words.ts'

const MAGIC = 0xeb9f
const HEADER_BYTES = 24

export interface BtfTables {
  readonly byteOrder: 'little' | 'big'
  /** The type section. */
  readonly words: Uint32Array
  /** Byte offset of the type section in the input. */
  readonly typesOffset: number
  /** Index in `words` of each type, the first being type `firstId`. */
  readonly starts: Uint32Array
  readonly strings: Uint8Array
}

/** What a split BTF continues. */
export interface BtfBase {
  readonly typeCount: number
  readonly stringBytes: number
}

const place = (offset: number, typeId?: number) => ({ section: '.BTF', offset, typeId })

/**
 * Reads header, types and strings of `bytes`; `base` is what ids and string offsets continue. What is trusted is not
 * checked to refer to what is there.
 */
export function readTables(
  bytes: Uint8Array,
  base: BtfBase | undefined,
  isTrusted = false,
): BtfTables | BtfError {
  if (bytes.length < HEADER_BYTES) {
    return new BtfError('bad-header', place(0), `a header of ${HEADER_BYTES} bytes`, `${bytes.length} bytes`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = view.getUint16(0, true) === MAGIC
  if (!little && view.getUint16(0, false) !== MAGIC) {
    return new BtfError('not-btf', place(0), 'the magic 0xeb9f', `0x${view.getUint16(0, true).toString(16)}`)
  }
  if (bytes[2] !== 1) return new BtfError('unsupported-version', place(2), 'version 1', `${bytes[2]}`)
  const headerLength = view.getUint32(4, little)
  if (headerLength < HEADER_BYTES || headerLength > bytes.length) {
    return new BtfError(
      'bad-header',
      place(4),
      `a header of ${HEADER_BYTES} bytes or more, inside the ${bytes.length} bytes`,
      `${headerLength}`,
    )
  }
  const typesOffset = headerLength + view.getUint32(8, little)
  const typesLength = view.getUint32(12, little)
  const stringsOffset = headerLength + view.getUint32(16, little)
  const stringsLength = view.getUint32(20, little)
  if (
    typesOffset + typesLength > bytes.length ||
    typesLength % 4 !== 0 ||
    (typesOffset - headerLength) % 4 !== 0
  ) {
    return new BtfError(
      'bad-header',
      place(8),
      `whole words of types inside the ${bytes.length} bytes`,
      `${typesLength} bytes at ${typesOffset}`,
    )
  }
  if (stringsOffset + stringsLength > bytes.length) {
    return new BtfError(
      'bad-header',
      place(16),
      `strings inside the ${bytes.length} bytes`,
      `${stringsLength} bytes at ${stringsOffset}`,
    )
  }
  if (typesOffset + typesLength > stringsOffset) {
    return new BtfError(
      'bad-header',
      place(16),
      `strings behind the ${typesLength} bytes of types at ${typesOffset}`,
      `${stringsLength} bytes at ${stringsOffset}`,
    )
  }
  const strings = bytes.subarray(stringsOffset, stringsOffset + stringsLength)
  const badStrings =
    base === undefined
      ? strings.length === 0 || strings[0] !== 0 || strings[strings.length - 1] !== 0
      : strings.length > 0 && strings[strings.length - 1] !== 0
  if (badStrings) {
    return new BtfError(
      'bad-strings',
      place(stringsOffset),
      'strings that start and end with NUL',
      `${stringsLength} bytes that do not`,
    )
  }
  const words = wordsOf(bytes, typesOffset, typesLength, little === isHostLittleEndian)
  const starts = findTypes(words, typesOffset, base?.typeCount ?? 1)
  if (starts instanceof BtfError) return starts
  const limits = {
    types: (base?.typeCount ?? 1) + starts.length,
    strings: (base?.stringBytes ?? 0) + strings.length,
    firstId: base?.typeCount ?? 1,
    typesOffset,
  }
  const error = isTrusted ? undefined : checkReferences(words, starts, limits)
  if (error !== undefined) return error
  return { byteOrder: little ? 'little' : 'big', words, typesOffset, starts, strings }
}

/** Words after the three that every type has: constant part and part per `vlen`; -1 for an unknown kind. */
export function extraWords(kind: number, vlen: number): number {
  switch (kind) {
    case BTF_KIND.INT:
    case BTF_KIND.VAR:
    case BTF_KIND.DECL_TAG:
      return 1
    case BTF_KIND.ARRAY:
      return 3
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
    case BTF_KIND.DATASEC:
    case BTF_KIND.ENUM64:
      return 3 * vlen
    case BTF_KIND.ENUM:
    case BTF_KIND.FUNC_PROTO:
      return 2 * vlen
    case BTF_KIND.PTR:
    case BTF_KIND.FWD:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
    case BTF_KIND.FUNC:
    case BTF_KIND.FLOAT:
    case BTF_KIND.TYPE_TAG:
      return 0
    default:
      return -1
  }
}

/** Kinds are five bits. */
const KINDS = 32

/**
 * `extraWords` as a table: what every type of the kind has, and what each of its `vlen` has. With the call and its
 * switch, opening a kernel's trusted types took 8 ms in a new process and 1.5 when warm; so it takes 3.8 and 1.2.
 */
const FIXED_WORDS = Int8Array.from({ length: KINDS }, (_, kind) => extraWords(kind, 0))
const REPEATED_WORDS = Int8Array.from(
  { length: KINDS },
  (_, kind) => extraWords(kind, 1) - extraWords(kind, 0),
)

function findTypes(words: Uint32Array, typesOffset: number, firstId: number): Uint32Array | BtfError {
  const starts = new Uint32Array(Math.floor(words.length / 3))
  const count = markStarts(words, starts)
  const last = starts[count - 1] as number
  const at = count === 0 ? 0 : last + 3 + extraWordsAt(words, last)
  const left = words.length - at
  if (left === 0) return starts.subarray(0, count)
  const where = place(typesOffset + at * 4, firstId + count)
  const found = `${left * 4} left`
  if (left < 3) return new BtfError('bad-type', where, '12 bytes of type', found)
  const info = words[at + 1] as number
  const extra = extraWords((info >>> 24) & 0x1f, info & 0xffff)
  if (extra < 0) return new BtfError('bad-type', where, 'a kind from 1 to 19', `${(info >>> 24) & 0x1f}`)
  return new BtfError('bad-type', where, `${12 + extra * 4} bytes of type`, found)
}

/** Negative for an unknown kind. */
function extraWordsAt(words: Uint32Array, at: number): number {
  const info = words[at + 1] as number
  const kind = (info >>> 24) & 0x1f
  return (FIXED_WORDS[kind] as number) + (REPEATED_WORDS[kind] as number) * (info & 0xffff)
}

/**
 * Where types begin, as far as there are whole ones; how many there are. V8 compiles the loop while it first runs, over
 * a kernel's types, and would leave that code after it in every later call, if it had to do anything there.
 */
function markStarts(words: Uint32Array, starts: Uint32Array): number {
  const { length } = words
  let count = 0
  let at = 0
  while (at + 3 <= length) {
    const extra = extraWordsAt(words, at)
    if (extra < 0 || at + 3 + extra > length) break
    starts[count++] = at
    at += 3 + extra
  }
  return count
}

interface Limits {
  readonly types: number
  readonly strings: number
  readonly firstId: number
  readonly typesOffset: number
}

function checkReferences(words: Uint32Array, starts: Uint32Array, limits: Limits): BtfError | undefined {
  const { types, strings } = limits
  for (let n = 0; n < starts.length; n++) {
    const at = starts[n] as number
    const bad = badWord(words, at, types, strings)
    if (bad < 0) continue
    const isName = bad >= NAME_FLAG
    const word = isName ? bad - NAME_FLAG : bad
    const where = place(limits.typesOffset + word * 4, limits.firstId + n)
    const found = `${words[word]}`
    return isName
      ? new BtfError(
          'bad-reference',
          where,
          `a name inside the ${limits.strings} bytes of strings`,
          `offset ${found}`,
        )
      : new BtfError('bad-reference', where, `a type id under ${limits.types}`, found)
  }
  return undefined
}

/** Added to the index of a bad word that is a name, so that the hot check returns a plain number. */
const NAME_FLAG = 0x4000_0000

/** Index of the first word of the type at `at` that refers to nothing (plus `NAME_FLAG` for names), or -1. */
function badWord(words: Uint32Array, at: number, types: number, strings: number): number {
  if ((words[at] as number) >= strings) return NAME_FLAG + at
  const info = words[at + 1] as number
  const vlen = info & 0xffff
  const kind = (info >>> 24) & 0x1f
  const rest = at + 3
  switch (kind) {
    case BTF_KIND.PTR:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
    case BTF_KIND.FUNC:
    case BTF_KIND.VAR:
    case BTF_KIND.DECL_TAG:
    case BTF_KIND.TYPE_TAG:
      return (words[at + 2] as number) >= types ? at + 2 : -1
    case BTF_KIND.ARRAY:
      if ((words[rest] as number) >= types) return rest
      return (words[rest + 1] as number) >= types ? rest + 1 : -1
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      for (let i = rest, end = rest + 3 * vlen; i < end; i += 3) {
        if ((words[i] as number) >= strings) return NAME_FLAG + i
        if ((words[i + 1] as number) >= types) return i + 1
      }
      return -1
    case BTF_KIND.ENUM:
      for (let i = rest, end = rest + 2 * vlen; i < end; i += 2) {
        if ((words[i] as number) >= strings) return NAME_FLAG + i
      }
      return -1
    case BTF_KIND.ENUM64:
      for (let i = rest, end = rest + 3 * vlen; i < end; i += 3) {
        if ((words[i] as number) >= strings) return NAME_FLAG + i
      }
      return -1
    case BTF_KIND.FUNC_PROTO:
      if ((words[at + 2] as number) >= types) return at + 2
      for (let i = rest, end = rest + 2 * vlen; i < end; i += 2) {
        if ((words[i] as number) >= strings) return NAME_FLAG + i
        if ((words[i + 1] as number) >= types) return i + 1
      }
      return -1
    case BTF_KIND.DATASEC:
      for (let i = rest, end = rest + 3 * vlen; i < end; i += 3) {
        if ((words[i] as number) >= types) return i
      }
      return -1
    default:
      return -1
  }
}
