/**
 * One codec description per C struct gives its size, its member offsets, its reader and its writer.
 *
 * Layout follows the LP64 rules that Linux's 64-bit ABIs share: members at their natural alignment, the
 * struct padded to its largest one, little endian. `__u64` members are bigint, narrower ones number,
 * `char[n]` a string without its NUL.
 */

import { textBytes } from './text.ts'

export interface FieldType<T> {
  readonly size: number
  readonly align: number
  readonly zero: T
  get(view: DataView, offset: number): T
  set(view: DataView, offset: number, value: T): void
}

const decoder = new TextDecoder()

export const u8: FieldType<number> = {
  size: 1,
  align: 1,
  zero: 0,
  get: (view, offset) => view.getUint8(offset),
  set: (view, offset, value) => view.setUint8(offset, value),
}

export const u16: FieldType<number> = {
  size: 2,
  align: 2,
  zero: 0,
  get: (view, offset) => view.getUint16(offset, true),
  set: (view, offset, value) => view.setUint16(offset, value, true),
}

export const u32: FieldType<number> = {
  size: 4,
  align: 4,
  zero: 0,
  get: (view, offset) => view.getUint32(offset, true),
  set: (view, offset, value) => view.setUint32(offset, value, true),
}

export const s32: FieldType<number> = {
  size: 4,
  align: 4,
  zero: 0,
  get: (view, offset) => view.getInt32(offset, true),
  set: (view, offset, value) => view.setInt32(offset, value, true),
}

export const u64: FieldType<bigint> = {
  size: 8,
  align: 8,
  zero: 0n,
  get: (view, offset) => view.getBigUint64(offset, true),
  set: (view, offset, value) => view.setBigUint64(offset, value, true),
}

/** Where a struct that is read member by member has its bytes: a name that no member has. */
const SOURCE = Symbol('source')

/** `char[length]`: read up to the first NUL; written truncated to leave room for one. */
export function chars(length: number): FieldType<string> {
  return {
    size: length,
    align: 1,
    zero: '',
    get(view, offset) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, length)
      const end = bytes.indexOf(0)
      return end === 0 ? '' : decoder.decode(bytes.subarray(0, end < 0 ? length : end))
    },
    set(view, offset, value) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, length)
      bytes.fill(0)
      if (value === '') return
      const text = textBytes(value)
      bytes.set(text.length < length ? text : text.subarray(0, length - 1))
    },
  }
}

/** `__u8[length]`; reads are copies. */
export function bytes(length: number): FieldType<Uint8Array> {
  return {
    size: length,
    align: 1,
    // Made when asked for: types read from a file may claim any length.
    get zero() {
      return new Uint8Array(length)
    },
    get: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, length).slice(),
    set: (view, offset, value) =>
      new Uint8Array(view.buffer, view.byteOffset + offset, length).set(value.subarray(0, length)),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a field's value type is recovered member by member in Value<F>
type FieldsOf = Record<string, FieldType<any>>

type Value<F extends FieldsOf> = { [K in keyof F]: F[K] extends FieldType<infer T> ? T : never }

/** Some members; undefined is as good as not given. */
type Given<F extends FieldsOf> = { readonly [K in keyof F]?: Value<F>[K] | undefined }

export type StructGiven<S> = S extends Struct<infer F> ? Given<F> : never

export interface Struct<F extends FieldsOf> {
  readonly name: string
  /** Bytes, padding at the end included. */
  readonly size: number
  /** Bytes up to the end of the last member: Linux's `offsetofend(last member)`. */
  readonly endOfLastMember: number
  /** Byte offset of each member. */
  readonly offsets: { readonly [K in keyof F]: number }
  /** Reads the struct at `offset`; members that lie past the end of `source` read as zero. */
  read(source: Uint8Array, offset?: number): Value<F>
  /**
   * The struct at the start of `source`, which holds all of it and does not change: each member is read when it is
   * asked for, where most are not.
   */
  view(source: Uint8Array): Value<F>
  /** The struct's bytes; members not given are zero, and so is the padding. */
  encode(value: Given<F>): Uint8Array
  /** Writes one member in place. */
  set<K extends keyof F>(target: Uint8Array, member: K, value: Value<F>[K], offset?: number): void
}

export type StructValue<S> = S extends Struct<infer F> ? Value<F> : never

/** A member with its place. */
interface Part {
  readonly member: string
  readonly type: FieldType<unknown>
  /** Bytes from the start of the struct. */
  readonly place: number
}

/** A class whose instances read a struct's members when they are asked for. */
function viewClass(parts: readonly Part[]) {
  class View {
    readonly [SOURCE]: DataView

    constructor(source: DataView) {
      this[SOURCE] = source
    }
  }
  for (const { member, type, place } of parts) {
    const get = function (this: View) {
      return type.get(this[SOURCE], place)
    }
    Object.defineProperty(View.prototype, member, { get, enumerable: true })
  }
  return View
}

/** A struct by its fields, laid out and padded as in C; its size, reader and writer come from the one description. */
export function struct<const F extends FieldsOf>(name: string, fields: F): Struct<F> {
  const parts: Part[] = []
  const partOf: Record<string, Part> = {}
  const offsets: Record<string, number> = {}
  let end = 0
  let align = 1
  for (const [member, type] of Object.entries(fields)) {
    const place = Math.ceil(end / type.align) * type.align
    const part = { member, type, place }
    parts.push(part)
    partOf[member] = part
    offsets[member] = place
    end = place + type.size
    align = Math.max(align, type.align)
  }
  const size = Math.ceil(end / align) * align
  const View = viewClass(parts)

  return {
    name,
    size,
    endOfLastMember: end,
    offsets: offsets as Struct<F>['offsets'],
    read(source, offset = 0) {
      let whole = source
      let base = source.byteOffset + offset
      if (source.length - offset < size) {
        whole = new Uint8Array(size)
        whole.set(source.subarray(offset))
        base = 0
      }
      const view = new DataView(whole.buffer, base, size)
      const value: Record<string, unknown> = {}
      for (let i = 0; i < parts.length; i++) {
        const { member, type, place } = parts[i] as Part
        value[member] = type.get(view, place)
      }
      return value as Value<F>
    },
    view(source) {
      return new View(new DataView(source.buffer, source.byteOffset, size)) as unknown as Value<F>
    },
    encode(value) {
      const target = new Uint8Array(size)
      const view = new DataView(target.buffer)
      const given = value as Record<string, unknown>
      const names = Object.keys(given)
      for (let i = 0; i < names.length; i++) {
        const member = names[i] as string
        const part = partOf[member]
        if (part !== undefined && given[member] !== undefined) part.type.set(view, part.place, given[member])
      }
      return target
    },
    set(target, member, value, offset = 0) {
      const view = new DataView(target.buffer, target.byteOffset + offset)
      const { type, place } = partOf[member as string] as Part
      type.set(view, place, value)
    },
  }
}
