/**
 * What the modules that `generateSkeleton` writes are made of.
 *
 * A generated class says which names there are and what types they have; everything else is here, so that the
 * generated text is short and a fix needs no new one.
 */
import type { Syscalls } from '../../abi/index.ts'
import { type BtfValue, btfCodec } from '../btf-codec.ts'
import { decodeWith } from '../codec.ts'
import { type Collection, Links } from '../collection.ts'
import type { AttachError, LoadError, SyscallError } from '../errors.ts'
import { load } from '../load.ts'
import type { LoadOptions } from '../load-options.ts'
import { PerfReader, type PerfReaderOptions } from '../perf-buffer.ts'
import type { Program } from '../program.ts'
import { recordType } from '../record-types.ts'
import { type RingBufferOptions, RingBufferReader } from '../ring-buffer.ts'
import { type ObjectError, openObject } from '../spec/index.ts'

/** `LoadOptions` with the object's own global variables; values read as the generated types say. */
export type SkeletonOptions<G> = Omit<LoadOptions, 'globals' | 'values'> & {
  readonly globals?: { readonly [Name in keyof G]?: G[Name] }
  /** The bytes of another build of the object. Default: those in the module. */
  readonly object?: Uint8Array
}

/** A loaded object of which the names and types are known. Disposing detaches and closes everything. */
export class Skeleton<Maps extends object, Programs extends object, Globals extends object>
  implements Disposable
{
  readonly collection: Collection
  /** By the variable's name. */
  readonly maps: Maps
  /** By the function's name; asking for one that was not loaded throws. */
  readonly programs: Programs
  /**
   * Global variables. Reading one reads it from the kernel; writing one writes it, and throws a `SyscallError` where
   * the kernel refuses. Constants are set before loading.
   */
  readonly globals: Globals
  #links: Links | undefined

  constructor(collection: Collection) {
    this.collection = collection
    this.maps = view(collection.maps.keys(), (name) => ({ get: () => collection.map(name) })) as Maps
    const programs = collection.spec.programs.map(({ name }) => name)
    this.programs = view(
      programs,
      (name): PropertyDescriptor => ({
        get: (): Program => collection.program(name),
      }),
    ) as Programs
    this.globals = view(collection.globals.names, (name) => variable(collection, name)) as Globals
  }

  /** Attaches every program whose section says where; on failure nothing stays attached. */
  attach(): Links | AttachError {
    if (this.#links !== undefined) return this.#links
    const links = this.collection.attach()
    if (links instanceof Links) this.#links = links
    return links
  }

  /** Detaches what `attach` attached; maps and variables can still be read. */
  detach(): void {
    this.#links?.[Symbol.dispose]()
    this.#links = undefined
  }

  [Symbol.dispose](): void {
    this.detach()
    this.collection[Symbol.dispose]()
  }

  /** A reader whose records are of the object's struct (or typedef) `type`. */
  protected ringBuffer<T>(
    map: string,
    type: string,
    options: Omit<RingBufferOptions<T>, 'decode'>,
  ): RingBufferReader<T> | SyscallError {
    return RingBufferReader.open<T>(this.collection.map(map), { ...options, decode: this.#decoder<T>(type) })
  }

  /** As `ringBuffer`, for an array of perf events. */
  protected perfBuffer<T>(
    map: string,
    type: string,
    options: Omit<PerfReaderOptions<T>, 'decode'>,
  ): PerfReader<T> | SyscallError {
    return PerfReader.open<T>(this.collection.map(map), { ...options, decode: this.#decoder<T>(type) })
  }

  #decoder<T>(name: string): (record: Uint8Array) => T {
    const { btf } = this.collection.spec
    const type = btf && recordType(btf, name)
    const codec = btf && type && btfCodec(btf, type.id)
    if (codec === undefined) throw new RangeError(`the object has no struct '${name}'`)
    return (record) => decodeWith(codec, record) as T
  }
}

/** Opens and loads the object of a skeleton. */
export function loadSkeleton<G>(
  name: string,
  embedded: () => Uint8Array,
  syscalls: Syscalls,
  { object, ...options }: SkeletonOptions<G>,
): Collection | LoadError | ObjectError {
  const spec = openObject(object ?? embedded(), { name })
  if (!('programs' in spec)) return spec
  return load(spec, syscalls, options as LoadOptions)
}

function view(names: Iterable<string>, descriptor: (name: string) => PropertyDescriptor): object {
  const properties: PropertyDescriptorMap = {}
  for (const name of names) properties[name] = { enumerable: true, ...descriptor(name) }
  return Object.defineProperties({}, properties)
}

function variable({ globals }: Collection, name: string): PropertyDescriptor {
  return {
    get: () => globals.get(name),
    set(value: BtfValue) {
      const failure = globals.set(name, value)
      if (failure !== undefined) throw failure
    },
  }
}
