/** How the bytes of a key or a value become a JavaScript value. */
import { bytes, type FieldType, type Struct, type StructValue } from '../abi/index.ts'

/**
 * One direction and back between `size` bytes and a `T`. The field types of `abi/` are codecs: `u32`, `u64`,
 * `chars(16)`, `bytes(8)`.
 */
export type Codec<T> = Pick<FieldType<T>, 'size' | 'get' | 'set'>

/** The bytes themselves; reads are copies. */
export const bytesCodec = (size: number): Codec<Uint8Array> => bytes(size)

/** A struct described by hand with `struct()` of `abi/`; members left out of a written value are zero. */
export function structCodec<F extends Record<string, FieldType<unknown>>>(
  layout: Struct<F>,
): Codec<StructValue<Struct<F>>> {
  const { size } = layout
  return {
    size,
    get: (view, offset) => layout.read(bytesOf(view, offset, size)) as StructValue<Struct<F>>,
    set: (view, offset, value) => bytesOf(view, offset, size).set(layout.encode(value)),
  }
}

/** One value for each CPU, each at a multiple of 8 bytes, as per-CPU maps hand them out. */
export function perCpuCodec<T>(value: Codec<T>, cpuCount: number): Codec<readonly T[]> {
  const stride = (value.size + 7) & ~7
  return {
    size: stride * cpuCount,
    get: (view, offset) =>
      Array.from({ length: cpuCount }, (_, cpu) => value.get(view, offset + cpu * stride)),
    set(view, offset, values) {
      if (values.length !== cpuCount) {
        throw new RangeError(
          `a per-CPU value has one element for each of ${cpuCount} CPUs, not ${values.length}`,
        )
      }
      for (const [cpu, element] of values.entries()) value.set(view, offset + cpu * stride, element)
    },
  }
}

/** A codec of `size` bytes that is made when it is first used. */
export function laterCodec<T>(size: number, make: () => Codec<T>): Codec<T> {
  let made: Codec<T> | undefined
  const codec = () => {
    made ??= make()
    return made
  }
  return {
    size,
    get: (view, offset) => codec().get(view, offset),
    set: (view, offset, value) => codec().set(view, offset, value),
  }
}

/** Decodes the bytes of one value. */
export function decodeWith<T>(codec: Codec<T>, source: Uint8Array): T {
  if (source.length < codec.size) throw new RangeError(`${source.length} bytes for a value of ${codec.size}`)
  return codec.get(new DataView(source.buffer, source.byteOffset, source.byteLength), 0)
}

/** The bytes of one value. */
export function encodeWith<T>(codec: Codec<T>, value: T): Uint8Array {
  const target = new Uint8Array(codec.size)
  codec.set(new DataView(target.buffer), 0, value)
  return target
}

function bytesOf(view: DataView, offset: number, size: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, size)
}
