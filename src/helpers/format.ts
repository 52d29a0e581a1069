/**
 * The printf of bpf_trace_printk, bpf_trace_vprintk and bpf_snprintf.
 *
 * Linux works in two passes, and the seams show: the first checks the format and copies what pointers point
 * to into a buffer of 512 bytes, the second prints. So a string that does not fit the buffer is cut, and
 * `%s` takes a width while `%pks` does not. `prepareFormat` is the first pass, `printFormat` the second. One seam
 * is not copied: where text behind a `%pI4` or `%pks` no longer fits the output, Linux reads the arguments after
 * it from the wrong place; here only the length differs then.
 *
 * Source: the behaviour of bpf_bprintf_prepare (kernel/bpf/helpers.c) and bstr_printf (lib/vsprintf.c) of
 * Linux, compared with the running kernel by format-oracle.test.ts.
 */
import { EINVAL, ENOSPC } from '../abi/index.ts'
import type { HelperEnvironment } from './environment.ts'
import { type ForeignRead, readAny, readKernel, readString, readUser } from './foreign-memory.ts'

/** Room for copied arguments. */
const ARGUMENT_BYTES = 512
const WIDEST = (1 << 23) - 1

type Piece =
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  /** What a pointer led to, printed in the first pass. */
  | { readonly kind: 'copied'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'number'
      readonly value: bigint
      readonly isSigned: boolean
      readonly base: 10 | 16
      readonly upper: boolean
      readonly spec: Spec
    }
  | { readonly kind: 'char'; readonly byte: number; readonly spec: Spec }
  | { readonly kind: 'string'; readonly bytes: Uint8Array; readonly spec: Spec }
  | { readonly kind: 'pointer'; readonly value: bigint; readonly form: string; readonly spec: Spec }

interface Spec {
  readonly left: boolean
  readonly plus: boolean
  readonly space: boolean
  readonly zero: boolean
  /** -1: none. */
  readonly width: number
}

const code = (character: string) => character.charCodeAt(0)
const PERCENT = code('%')
const isSpace = (byte: number) => byte === 0x20 || (byte >= 9 && byte <= 13) || byte === 0xa0
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39
const isAlphanumeric = (byte: number) =>
  isDigit(byte) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || isLatinLetter(byte)
const isLatinLetter = (byte: number) => byte >= 0xc0 && byte <= 0xff && byte !== 0xd7 && byte !== 0xf7
const isPunctuation = (byte: number) =>
  (byte > 0x20 && byte < 0x7f && !isAlphanumeric(byte)) ||
  (byte > 0xa0 && byte < 0xc0) ||
  byte === 0xd7 ||
  byte === 0xf7
const isControl = (byte: number) => byte < 0x20 || byte === 0x7f
const endsPointer = (byte: number) => byte === 0 || isSpace(byte) || isPunctuation(byte)

/** First pass: the pieces to print, or -EINVAL for a bad format and -ENOSPC for too much to copy. */
export function prepareFormat(
  env: HelperEnvironment,
  format: Uint8Array,
  args: readonly bigint[],
): readonly Piece[] | number {
  const pieces: Piece[] = []
  const at = (index: number) => format[index] ?? 0
  let copied = 0
  let used = 0
  let textStart = 0
  const endText = (end: number) => {
    if (end > textStart) pieces.push({ kind: 'text', bytes: format.subarray(textStart, end) })
  }
  /** Takes `size` bytes of the buffer; false where they are not there. */
  const reserve = (size: number) => {
    copied = Math.ceil(copied / 4) * 4
    if (ARGUMENT_BYTES - copied < size) return false
    copied += size
    return true
  }
  const copyString = (read: ForeignRead, address: bigint): Uint8Array | undefined => {
    const room = ARGUMENT_BYTES - copied
    if (room <= 0) return undefined
    const buffer = new Uint8Array(room)
    const length = readString(env, read, address, buffer)
    copied += Math.max(length, 1)
    return buffer.subarray(0, Math.max(length - 1, 0))
  }

  for (let index = 0; index < format.length; index++) {
    const byte = at(index)
    if (isControl(byte) && !isSpace(byte)) return -EINVAL
    if (byte !== PERCENT) continue
    endText(index)
    if (at(index + 1) === PERCENT) {
      index++
      textStart = index
      continue
    }
    const value = args[used++]
    if (value === undefined) return -EINVAL
    const parsed = parseSpec(format, index + 1)
    const { spec } = parsed
    index = parsed.end
    const conversion = String.fromCharCode(at(index))

    if (conversion === 'p') {
      const next = at(index + 1)
      const form = String.fromCharCode(next)
      if (endsPointer(next) || 'KxsS'.includes(form)) {
        if (!reserve(8)) return -ENOSPC
        pieces.push({ kind: 'pointer', value, form: endsPointer(next) ? '' : form, spec })
        if (!endsPointer(next)) index++
      } else if ((form === 'k' || form === 'u') && at(index + 2) === code('s')) {
        index += 2
        if (!endsPointer(at(index + 1))) return -EINVAL
        const bytes = copyString(form === 'k' ? readKernel : readUser, value)
        if (bytes === undefined) return -ENOSPC
        pieces.push({ kind: 'copied', bytes })
      } else if (form === 'B') {
        const bytes = new TextEncoder().encode(symbolText(env, value, true))
        copied += bytes.length + 1
        pieces.push({ kind: 'copied', bytes })
        index++
      } else {
        const version = at(index + 2)
        if ((form !== 'i' && form !== 'I') || (version !== code('4') && version !== code('6'))) return -EINVAL
        index += 2
        const address = new Uint8Array(version === code('4') ? 4 : 16)
        if (ARGUMENT_BYTES - copied < address.length) return -ENOSPC
        if (readKernel(env, value, address) < 0) address.fill(0)
        const text = internetAddress(address, form === 'I')
        copied += text.length + 1
        pieces.push({ kind: 'copied', bytes: new TextEncoder().encode(text) })
      }
      // the second pass takes every letter and digit behind a pointer as part of it
      textStart = index + 1
      while (isAlphanumeric(at(textStart))) textStart++
      continue
    }

    if (conversion === 's') {
      if (!endsPointer(at(index + 1))) return -EINVAL
      const bytes = copyString(readAny, value)
      if (bytes === undefined) return -ENOSPC
      pieces.push({ kind: 'string', bytes, spec })
    } else if (conversion === 'c') {
      if (copied >= ARGUMENT_BYTES) return -ENOSPC
      copied++
      pieces.push({ kind: 'char', byte: Number(value & 0xffn), spec })
    } else {
      let isLong = false
      for (let letters = 0; letters < 2 && at(index) === code('l'); letters++) {
        isLong = true
        index++
      }
      const letter = String.fromCharCode(at(index))
      if (!'diuxX'.includes(letter) || letter === '\0') return -EINVAL
      if (!reserve(isLong ? 8 : 4)) return -ENOSPC
      const isSigned = letter === 'd' || letter === 'i'
      const bits = isLong ? 64 : 32
      pieces.push({
        kind: 'number',
        value: isSigned ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value),
        isSigned,
        base: letter === 'x' || letter === 'X' ? 16 : 10,
        upper: letter === 'X',
        spec,
      })
    }
    textStart = index + 1
  }
  endText(format.length)
  return pieces
}

/**
 * Second pass: writes into `into`, always ended by a NUL where there is room for one. Returns the characters
 * that the whole text has without the NUL, also where it was cut.
 */
export function printFormat(env: HelperEnvironment, pieces: readonly Piece[], into: Uint8Array): number {
  const output = new CutOutput(into)
  for (const piece of pieces) {
    switch (piece.kind) {
      case 'text':
        output.put(piece.bytes)
        break
      case 'copied':
        output.putCopied(piece.bytes)
        break
      case 'string':
        output.padded(piece.bytes, piece.spec)
        break
      case 'char':
        output.padded(Uint8Array.of(piece.byte), piece.spec)
        break
      case 'number':
        output.number(piece.value, piece)
        break
      case 'pointer':
        putPointer(env, output, piece.value, piece.form, piece.spec)
        break
      default:
        piece satisfies never
    }
  }
  return output.finish()
}

function parseSpec(format: Uint8Array, start: number): { spec: Spec; end: number } {
  let end = start
  const flags = new Set<string>()
  for (; '0+- '.includes(String.fromCharCode(format[end] ?? 0x2e)); end++) {
    flags.add(String.fromCharCode(format[end] as number))
  }
  let width = -1
  if (isDigit(format[end] ?? 0)) {
    width = 0
    for (; isDigit(format[end] ?? 0); end++) {
      width = Math.min(width * 10 + ((format[end] as number) - 0x30), WIDEST)
    }
  }
  const spec = {
    left: flags.has('-'),
    plus: flags.has('+'),
    space: flags.has(' '),
    zero: flags.has('0'),
    width,
  }
  return { spec, end }
}

function putPointer(
  env: HelperEnvironment,
  output: CutOutput,
  value: bigint,
  form: string,
  spec: Spec,
): void {
  if (form === 's' || form === 'S') {
    output.padded(new TextEncoder().encode(symbolText(env, value, form === 'S')), spec)
    return
  }
  const shown = form === 'x' ? value : shownPointer(value)
  const wide = spec.width < 0 ? { ...spec, width: 16, zero: true } : spec
  output.number(shown, { isSigned: false, base: 16, upper: false, spec: wide })
}

const isErrorPointer = (value: bigint) => value >= 0xffff_ffff_ffff_f001n

/** What `%p` shows of a pointer: not an address, unless it is none. */
export const shownPointer = (value: bigint): bigint =>
  value === 0n || isErrorPointer(value) ? value : disguised(value)

/** The same address gives the same 32 bits, as in Linux, though other ones. */
function disguised(address: bigint): bigint {
  const mixed = BigInt.asUintN(64, (address ^ (address >> 29n)) * 0xbf58_476d_1ce4_e5b9n)
  return BigInt.asUintN(32, mixed ^ (mixed >> 32n))
}

/** `name+0x1/0x20`, or `name` without offset; `0x...` where there is no symbol. */
function symbolText(env: HelperEnvironment, address: bigint, withOffset: boolean): string {
  const symbol = env.symbolAt?.(address)
  if (symbol === undefined) return `0x${address.toString(16)}`
  if (!withOffset) return symbol.name
  return `${symbol.name}+0x${(address - symbol.address).toString(16)}/0x${symbol.sizeBytes.toString(16)}`
}

/** `%pI4` 127.0.0.1, `%pi4` 127.000.000.001, `%pI6` 0000:...:0001, `%pi6` without the colons. */
function internetAddress(address: Uint8Array, isCapital: boolean): string {
  if (address.length === 4) {
    return Array.from(address, (byte) => (isCapital ? `${byte}` : `${byte}`.padStart(3, '0'))).join('.')
  }
  const hex = Array.from(address, (byte) => byte.toString(16).padStart(2, '0'))
  const groups = Array.from({ length: 8 }, (_, index) => `${hex[2 * index]}${hex[2 * index + 1]}`)
  return groups.join(isCapital ? ':' : '')
}

/** Writes what fits and counts what does not. */
class CutOutput {
  readonly #into: Uint8Array
  #length = 0

  constructor(into: Uint8Array) {
    this.#into = into
  }

  put(bytes: Uint8Array): void {
    const room = Math.max(0, this.#into.length - this.#length)
    if (room > 0) this.#into.set(bytes.subarray(0, room), this.#length)
    this.#length += bytes.length
  }

  /** As `put`, but once the room is used up such text does not even count. */
  putCopied(bytes: Uint8Array): void {
    if (this.#length < this.#into.length) this.put(bytes)
  }

  fill(byte: number, count: number): void {
    this.#into.fill(byte, this.#length, Math.min(this.#length + count, this.#into.length))
    this.#length += count
  }

  padded(bytes: Uint8Array, spec: Spec): void {
    const padding = Math.max(0, spec.width - bytes.length)
    if (!spec.left) this.fill(0x20, padding)
    this.put(bytes)
    if (spec.left) this.fill(0x20, padding)
  }

  number(
    value: bigint,
    form: { readonly isSigned: boolean; readonly base: number; readonly upper: boolean; readonly spec: Spec },
  ): void {
    const { spec } = form
    const sign = value < 0n ? '-' : !form.isSigned ? '' : spec.plus ? '+' : spec.space ? ' ' : ''
    const plain = (value < 0n ? -value : value).toString(form.base)
    const digits = form.upper ? plain.toUpperCase() : plain
    const padding = Math.max(0, spec.width - sign.length - digits.length)
    const zeros = spec.zero && !spec.left
    if (!zeros && !spec.left) this.fill(0x20, padding)
    this.put(new TextEncoder().encode(sign))
    if (zeros) this.fill(0x30, padding)
    this.put(new TextEncoder().encode(digits))
    if (spec.left) this.fill(0x20, padding)
  }

  finish(): number {
    if (this.#into.length > 0) this.#into[Math.min(this.#length, this.#into.length - 1)] = 0
    return this.#length
  }
}
