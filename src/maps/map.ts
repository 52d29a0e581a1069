/**
 * What every map type offers: to programs, which hand it arena offsets and run on some CPU, and to user space,
 * which copies bytes.
 *
 * Rules
 * - The program side takes and gives plain numbers and allocates nothing; -errno where an operation fails.
 * - All that a program or compiled code may walk lies in the arena, laid out by `layout.ts`.
 * - Memory that a program may still see is given back through `grace`.
 */
import type { Arena, Grace } from '../memory/index.ts'
import type { SpecialFields } from './special-fields.ts'
import type { StructOpsLayout } from './struct-ops-map.ts'

/** What BPF_MAP_CREATE asks for; the numbers are Linux's. */
export interface MapDefinition {
  readonly type: number
  /** Bytes. */
  readonly keySize: number
  /** Bytes. */
  readonly valueSize: number
  readonly maxEntries: number
  /** BPF_F_*. */
  readonly flags: number
  readonly name: string
  /** `map_extra`; 0 where missing. */
  readonly extra?: bigint
  readonly numaNode?: number
  /** Maps of maps: the map that entries must be like, or why its descriptor names none (-errno). */
  readonly inner?: BpfMap | number
  /** struct_ops maps: the kernel's type of the value, or why there is none (-errno). */
  readonly structOps?: StructOpsLayout | number
  /** Whether BPF_MAP_CREATE named BTF types of key and value; some types do not go without. */
  readonly hasTypes?: boolean
}

/** What maps need of the kernel that they live in. */
export interface MapHost {
  readonly arena: Arena
  readonly grace: Grace
  /** Possible CPUs: per-CPU values have this many. */
  readonly cpuCount: number
  /** 32 random bits, unsigned. */
  random(): number
  /** Whether there is a network device with this index; without it there is the loopback, 1. */
  deviceExists?(index: number): boolean
}

export interface BpfMap extends Disposable {
  readonly definition: MapDefinition
  /** Arena address of the map's header, what a program holds as a pointer to the map. */
  readonly address: bigint
  /** Bytes of a value as user space reads and writes it: for per-CPU types, 8-byte rounded and one per CPU. */
  readonly userValueSize: number
  /** Elements in it; undefined where the type does not count them. */
  readonly count?: number | undefined
  /** Bytes of the arena that it takes. */
  readonly memoryBytes: number
  /**
   * Where in a value its bpf_spin_lock lies, as the value's type says; the kernel sets it right after creation. Runs
   * never overlap here, so the lock is never waited for: user space does not see it, and BPF_F_LOCK is allowed.
   */
  lockOffset?: number | undefined
  /** Members of its values that are the kernel's own; undefined: none. */
  readonly specialFields?: SpecialFields | undefined

  /** The kernel says what is special in the values, right after creation. */
  setSpecialFields?(fields: SpecialFields): void
  /** Ends what waits for its time in all values. */
  cancelTimed?(): void
  /** Offset of the key that the value at this offset belongs to; 0: it is no value of the map. */
  keyOfValue?(value: number): number

  /** Offset of the value of the key at offset `key` as `cpu` sees it; 0 where there is none. */
  lookup(key: number, cpu: number): number
  /** Offset of the value that belongs to `ofCpu`; 0 where there is none or the type is not per CPU. */
  lookupOfCpu(key: number, ofCpu: number): number
  /** 0 or -errno. `flags`: BPF_ANY, BPF_NOEXIST, BPF_EXIST. */
  update(key: number, value: number, flags: bigint, cpu: number): number
  /** 0 or -errno. */
  delete(key: number): number
  /**
   * Calls `visit` with the offsets of each key and of its value as `cpu` sees it until it answers true.
   * Returns how many it visited, or -errno. The visitor may change the map.
   */
  forEach(cpu: number, visit: (key: number, value: number) => boolean): number

  /**
   * A copy of the value, or -errno. `key` has exactly `keySize` bytes here and below. `given` is what the caller's
   * buffer held before, which a bloom filter is asked for.
   */
  read(key: Uint8Array, flags: bigint, given?: Uint8Array): Uint8Array | number
  /** 0 or -errno. `value` has exactly `userValueSize` bytes. */
  write(key: Uint8Array, value: Uint8Array, flags: bigint): number
  remove(key: Uint8Array): number
  readAndRemove(key: Uint8Array, flags: bigint): Uint8Array | number
  /** The key after `key`, or the first for undefined; -ENOENT at the end. */
  nextKey(key: Uint8Array | undefined): Uint8Array | number
}
