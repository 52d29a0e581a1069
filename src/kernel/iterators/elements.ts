/** Elements of a map, with their values as they lie there. Source: kernel/bpf/map_iter.c, the seq_operations of hashtab.c and arraymap.c of Linux. */
import { BPF_F_RDONLY_PROG, BPF_MAP_TYPE, EACCES, EINVAL } from '../../abi/index.ts'
import { mapFile } from '../bpf/descriptors.ts'
import type { MapObject } from '../map-object.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import { showMap } from './map-view.ts'
import type { IteratorScope, Walk, WalkMemory } from './walk.ts'

const M = BPF_MAP_TYPE
const ARRAYS: readonly number[] = [M.BPF_MAP_TYPE_ARRAY, M.BPF_MAP_TYPE_PERCPU_ARRAY]
const PER_CPU: readonly number[] = [
  M.BPF_MAP_TYPE_PERCPU_ARRAY,
  M.BPF_MAP_TYPE_PERCPU_HASH,
  M.BPF_MAP_TYPE_LRU_PERCPU_HASH,
]
const WALKED: readonly number[] = [...ARRAYS, ...PER_CPU, M.BPF_MAP_TYPE_HASH, M.BPF_MAP_TYPE_LRU_HASH]

/** The map of a descriptor, if its elements are walked and are no smaller than the program takes them to be; or -errno. */
export function checkElements(
  process: KernelProcess,
  program: ProgramObject,
  fd: number,
): IteratorScope | number {
  const file = mapFile(process, fd)
  if (typeof file === 'number') return file
  const { map } = file.object
  const { type, keySize } = map.definition
  if (!WALKED.includes(type)) return -EINVAL
  const { readOnly, writable } = program.loaded.bufferBytes
  const valueSize = PER_CPU.includes(type) ? map.userValueSize : map.definition.valueSize
  return readOnly > keySize || writable > valueSize ? -EACCES : { map: file.object }
}

export class ElementWalk implements Walk {
  readonly #memory: WalkMemory
  readonly #object: MapObject
  readonly #view: bigint
  readonly #key: number
  /** Where values are copied to that programs cannot be shown in place: of all CPUs, with members of the kernel's, or not theirs to write. */
  readonly #copy: number | undefined
  /** Keys of a hash table as they were when the walk began; of an array there are too many to write down. */
  readonly #keys: readonly Uint8Array[] | undefined
  #next = 0

  private constructor(
    memory: WalkMemory,
    object: MapObject,
    view: bigint,
    key: number,
    copy: number | undefined,
  ) {
    this.#memory = memory
    this.#object = object
    this.#view = view
    this.#key = key
    this.#copy = copy
    this.#keys = ARRAYS.includes(object.map.definition.type) ? undefined : keysOf(object)
    memory.core.showMapAt(view, object.map)
  }

  static make(memory: WalkMemory, object: MapObject): ElementWalk | undefined {
    const { map } = object
    const { type, keySize, flags } = map.definition
    const view = memory.struct('bpf_map')
    const key = memory.block(keySize, 'read')
    const isCopied =
      PER_CPU.includes(type) ||
      map.specialFields !== undefined ||
      (flags & BPF_F_RDONLY_PROG) !== 0 ||
      map.lockOffset !== undefined
    const copy = isCopied ? memory.block(map.userValueSize, 'write') : undefined
    if (view === undefined || key === undefined || (isCopied && copy === undefined)) return undefined
    return new ElementWalk(memory, object, showMap(view, object), key, copy)
  }

  get atEnd(): readonly bigint[] {
    return [this.#view, 0n, 0n]
  }

  current(): readonly bigint[] | undefined {
    const { arena } = this.#memory.core
    for (; ; this.#next++) {
      const key = this.#keyAt(this.#next)
      if (key === undefined) return undefined
      arena.bytes.set(key, this.#key)
      const value = this.#valueOf(key)
      if (value !== 0) return [this.#view, arena.address(this.#key), arena.address(value)]
    }
  }

  advance(): void {
    this.#next++
  }

  #keyAt(index: number): Uint8Array | undefined {
    if (this.#keys !== undefined) return this.#keys[index]
    if (index >= this.#object.map.definition.maxEntries) return undefined
    return new Uint8Array(Uint32Array.of(index).buffer)
  }

  /** Offset; 0: there is no such element any more. */
  #valueOf(key: Uint8Array): number {
    const { map } = this.#object
    if (this.#copy === undefined) return map.lookup(this.#key, 0)
    const value = map.read(key, 0n)
    if (typeof value === 'number') return 0
    this.#memory.core.arena.bytes.set(value, this.#copy)
    return this.#copy
  }

  [Symbol.dispose](): void {
    this.#memory.core.showMapAt(this.#view, undefined)
  }
}

function keysOf({ map }: MapObject): readonly Uint8Array[] {
  const keys: Uint8Array[] = []
  for (let key = map.nextKey(undefined); typeof key !== 'number'; key = map.nextKey(key)) keys.push(key)
  return keys
}
