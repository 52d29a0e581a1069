/**
 * Map helpers as part of the program, where it is known which map they are called with.
 *
 * An array's element is found inline; hash tables get functions of their own in the module (`src/maps/wasm`), with the
 * map's place and sizes as constants. LRU lists and ring buffers are JavaScript's, called with plain numbers. Whatever
 * is not quite ordinary (a flag, a pointer that fails the check) takes the helper's general way.
 */
import {
  BPF_F_RDONLY_PROG,
  BPF_MAP_TYPE,
  BPF_RINGBUF_DISCARD_BIT,
  E2BIG,
  EEXIST,
  EINVAL,
} from '../abi/index.ts'
import {
  type BpfMap,
  commitFunction,
  copyCode,
  HashBase,
  HashCode,
  mapHeader,
  RingBuffer,
  reserveFunction,
} from '../maps/index.ts'
import { type Code, type FunctionRef, i32, i64, type Local, load32, seq, when } from '../wasm/index.ts'
import { runBlock, STACK_BYTES } from './layout.ts'
import type { ModuleContext } from './module-context.ts'
import type { Slot } from './program.ts'
import type { SubprogramTranslator } from './subprogram.ts'

/** Whether a slot calls bpf_map_lookup_elem, where helper numbers are Linux's. */
export const isLookup = ({ row, imm }: Slot): boolean => row?.name === 'call_helper' && imm === HELPER.lookup

const HELPER = { lookup: 1, update: 2, delete: 3, reserve: 131, submit: 132, discard: 133 } as const

const arrays: readonly number[] = [BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY]
const lruHashes: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH,
]
const hashes: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH,
  ...lruHashes,
]

/** The imports of module `map`, by the first word of their name; the second is the map's address. */
export const mapImports: Readonly<Record<string, (map: BpfMap) => unknown>> = {
  grow: (map) => () => (map as HashBase).elements.takeFreshOrGrow(),
  mayRetire: (map) => () => ((map as HashBase).elements.mayRetire() ? 1 : 0),
  update: (map) => (key: number, value: number, mode: number, cpu: number) =>
    map.update(key, value, BigInt(mode), cpu),
  delete: (map) => (key: number) => map.delete(key),
}

type Import<N extends readonly 'i32'[]> = FunctionRef<N, 'i32'>

interface KnownMap {
  readonly map: BpfMap
  readonly fields: ReturnType<typeof mapHeader.read>
  readonly isReadOnly: boolean
  /** Of a hash table. */
  readonly code: HashCode | undefined
  readonly update: Import<readonly ['i32', 'i32', 'i32', 'i32']> | undefined
  readonly remove: Import<readonly ['i32']> | undefined
}

/** A range that a helper was given: where it begins, and whether that is not to be trusted. */
interface Argument {
  readonly before: Code
  readonly address: Code<'i32'>
  readonly isBad: Code<'i32'> | undefined
}

/** Look-ups in hash tables that a program has inline. */
const MOST_INLINED = 8

export class MapCalls {
  #inlined = 0
  readonly #context: ModuleContext
  readonly #maps = new Map<bigint, KnownMap>()
  readonly #updated = new Set<KnownMap>()
  readonly #reserves = new Map<string, FunctionRef<readonly [], 'i32'>>()
  readonly #wake: FunctionRef<readonly ['i32'], 'void'> | undefined
  #commitCode: FunctionRef<readonly ['i32', 'i32', 'i32'], 'void'> | undefined

  /** Declares what the maps that the program names may need of JavaScript. */
  constructor(context: ModuleContext) {
    this.#context = context
    if (!context.options.inlinesHelpers) return
    const commits = context.program.slots.some(
      ({ row, imm }) => row?.name === 'call_helper' && (imm === HELPER.submit || imm === HELPER.discard),
    )
    if (commits && !context.isChecked) {
      this.#wake = context.builder.importFunction('run', 'wake', ['i32'], 'void')
    }
    for (const { row, constant } of context.program.slots) {
      if (row?.kind !== 'wide' || constant === undefined || this.#maps.has(constant)) continue
      const map = context.options.mapAt(constant)
      if (map !== undefined) this.#maps.set(constant, this.#known(map))
    }
  }

  #known(map: BpfMap): KnownMap {
    const { builder, options } = this.#context
    const { arena } = options
    const { type, flags } = map.definition
    const fields = mapHeader.read(arena.bytes, arena.offsetOf(map.address))
    const name = (what: string) => `${what} 0x${map.address.toString(16)}`
    const isHash = hashes.includes(type) && map instanceof HashBase
    const isLru = lruHashes.includes(type)
    const code =
      isHash && !isLru
        ? new HashCode(builder, arena, map, {
            grow: builder.importFunction('map', name('grow'), [], 'i32'),
            mayRetire: builder.importFunction('map', name('mayRetire'), [], 'i32'),
          })
        : isHash
          ? new HashCode(builder, arena, map)
          : undefined
    return {
      map,
      fields,
      code,
      isReadOnly: (flags & BPF_F_RDONLY_PROG) !== 0,
      update: isLru
        ? builder.importFunction('map', name('update'), ['i32', 'i32', 'i32', 'i32'], 'i32')
        : undefined,
      remove: isLru ? builder.importFunction('map', name('delete'), ['i32'], 'i32') : undefined,
    }
  }

  exportFunctions(): void {
    for (const { code, map } of this.#updated) {
      if (code !== undefined) {
        this.#context.builder.export(`release 0x${map.address.toString(16)}`, code.release)
      }
    }
  }

  /** Undefined where the helper is to be called in general. */
  translate(at: SubprogramTranslator, slot: Slot, general: () => Code): Code | undefined {
    if (slot.imm === HELPER.submit) return this.#commit(at, 0)
    if (slot.imm === HELPER.discard) return this.#commit(at, BPF_RINGBUF_DISCARD_BIT)
    const value = at.values[1]
    const known = value?.kind === 'constant' ? this.#maps.get(value.value) : undefined
    if (known === undefined) return undefined
    switch (slot.imm) {
      case HELPER.lookup:
        return this.#lookup(at, known, general)
      case HELPER.update:
        return known.isReadOnly || known.map.specialFields !== undefined
          ? undefined
          : this.#update(at, known, general)
      case HELPER.delete:
        return known.isReadOnly || known.map.specialFields !== undefined
          ? undefined
          : this.#delete(at, known, general)
      case HELPER.reserve:
        return this.#reserve(at, known)
      default:
        return undefined
    }
  }

  #lookup(at: SubprogramTranslator, { fields, code }: KnownMap, general: () => Code): Code | undefined {
    const key = this.#argument(at, 2, fields.keySize)
    const isKnown = key.isBad === undefined
    if (arrays.includes(fields.type)) {
      const index = at.embedding.scope.local('i32')
      const isPerCpu = fields.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY
      const first = isPerCpu
        ? this.#context.perCpu(at.embedding, fields.data, fields.valueStride)
        : i32.const(fields.data)
      const value = i32.add(first, i32.mul(index.get, i32.const(fields.elementSize)))
      const isIn = i32.lt_u(index.get, i32.const(fields.maxEntries))
      const word = at.keptWord(2) ?? load32.full(key.address)
      return guarded(
        key.before,
        key.isBad,
        general,
        seq(index.set(word), at.setPointer(value, isIn, isKnown)),
      )
    }
    if (code === undefined) return undefined
    const { found, search } = this.#search(at, code, key.address)
    return guarded(key.before, key.isBad, general, seq(search, at.setPointer(found.get, found.get, isKnown)))
  }

  /** Looks a key up: inline for the first few in a program, since each is some 40 instructions long. */
  #search(
    at: SubprogramTranslator,
    code: HashCode,
    key: Code<'i32'>,
  ): { readonly found: Local<'i32'>; readonly search: Code } {
    const { scope } = at.embedding
    const inline =
      this.#inlined < MOST_INLINED
        ? code.lookupInline(
            () => scope.local('i32'),
            key,
            () => this.#cpu(at),
          )
        : undefined
    if (inline !== undefined) {
      this.#inlined++
      return { found: inline.found, search: inline.code }
    }
    const found = scope.local('i32')
    return { found, search: found.set(code.lookup.call(key, this.#cpu(at))) }
  }

  #update(at: SubprogramTranslator, known: KnownMap, general: () => Code): Code | undefined {
    const { fields, code, update } = known
    const isArray = arrays.includes(fields.type)
    if (!isArray && code === undefined) return undefined
    const key = this.#argument(at, 2, fields.keySize)
    const value = this.#argument(at, 3, fields.valueSize)
    const flags = at.values[4]
    const isOrdinary = flags?.kind === 'constant' && flags.value <= 2n
    const bad = [key.isBad, value.isBad, isOrdinary ? undefined : i64.gt_u(at.get(4), i64.const(2n))].filter(
      (each): each is Code<'i32'> => each !== undefined,
    )
    const isBad = bad.length === 0 ? undefined : bad.reduce((a, b) => i32.or(a, b))
    const before = seq(key.before, value.before)
    const mode = i32.wrap_i64(at.get(4))
    if (isArray) return guarded(before, isBad, general, this.#updateArray(at, known, key, value, mode))
    if (update === undefined) this.#updated.add(known)
    const call = (update ?? (code as HashCode).update).call(key.address, value.address, mode, this.#cpu(at))
    return guarded(before, isBad, general, at.set(0, i64.extend_i32_s(call)))
  }

  #updateArray(
    at: SubprogramTranslator,
    { fields }: KnownMap,
    key: Argument,
    value: Argument,
    mode: Code<'i32'>,
  ): Code {
    const { scope } = at.embedding
    const index = scope.local('i32')
    const target = scope.address
    const source = scope.local('i32')
    const isPerCpu = fields.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY
    const element = i32.add(i32.const(fields.data), i32.mul(index.get, i32.const(fields.elementSize)))
    const own = isPerCpu ? i32.add(element, i32.mul(this.#cpu(at), i32.const(fields.valueStride))) : element
    const answer = (result: number) => at.set(0, i64.const(BigInt(result)))
    return seq(
      index.set(at.keptWord(2) ?? load32.full(key.address)),
      when(
        i32.ge_u(index.get, i32.const(fields.maxEntries)),
        answer(-E2BIG),
        when(
          i32.and(mode, i32.const(1)),
          answer(-EEXIST),
          seq(
            source.set(value.address),
            target.set(own),
            copyCode(target.get, source.get, fields.valueSize),
            answer(0),
          ),
        ),
      ),
    )
  }

  #delete(at: SubprogramTranslator, known: KnownMap, general: () => Code): Code | undefined {
    const { fields, code, remove } = known
    const isArray = arrays.includes(fields.type)
    if (!isArray && code === undefined) return undefined
    const key = this.#argument(at, 2, fields.keySize)
    if (isArray) {
      return guarded(key.before, key.isBad, general, at.set(0, i64.const(BigInt(-EINVAL))))
    }
    if (remove === undefined) this.#updated.add(known)
    const call = (remove ?? (code as HashCode).delete).call(key.address)
    return guarded(key.before, key.isBad, general, at.set(0, i64.extend_i32_s(call)))
  }

  #reserve(at: SubprogramTranslator, { map, fields }: KnownMap): Code | undefined {
    const size = at.values[2]
    const flags = at.values[3]
    const isOrdinary = size?.kind === 'constant' && size.value <= 0x3fff_ffffn
    if (!(map instanceof RingBuffer) || !isOrdinary) return undefined
    if (flags?.kind !== 'constant' || flags.value !== 0n) return undefined
    const { builder, options } = this.#context
    const key = `${map.address} ${size.value}`
    const reserve =
      this.#reserves.get(key) ??
      reserveFunction(builder, options.arena.offsetOf(map.address), fields.mask + 1, Number(size.value))
    this.#reserves.set(key, reserve)
    const found = at.embedding.scope.local('i32')
    return seq(found.set(reserve.call()), at.setPointer(found.get, found.get, true))
  }

  /** Only where a verifier has proved that r1 is a reserved record. */
  #commit(at: SubprogramTranslator, extra: number): Code | undefined {
    if (this.#wake === undefined || this.#context.isChecked) return undefined
    this.#commitCode ??= commitFunction(this.#context.builder, this.#wake)
    const call = this.#commitCode.call(i32.wrap_i64(at.get(1)), i32.wrap_i64(at.get(2)), i32.const(extra))
    return seq(call, at.set(0, i64.const(0n)))
  }

  /** The range of `sizeBytes` bytes that a register points to, for reading. */
  #argument(at: SubprogramTranslator, register: number, sizeBytes: number): Argument {
    const value = at.values[register]
    if (value?.kind === 'stack') {
      const frame = at.embedding.frames.get(value.frame)
      const offset = value.offset + STACK_BYTES
      if (frame !== undefined && offset >= 0 && offset + sizeBytes <= STACK_BYTES) {
        return { before: seq(), address: i32.add(frame, i32.const(offset)), isBad: undefined }
      }
    }
    if (!this.#context.isChecked) {
      return { before: seq(), address: i32.wrap_i64(at.get(register)), isBad: undefined }
    }
    const place = at.embedding.scope.local('i32')
    const zero = i32.const(0)
    const checked = this.#context.checkRange(at.get(register), zero, i32.const(sizeBytes), zero)
    return {
      before: place.set(checked),
      address: place.get,
      isBad: i32.lt_s(place.get, zero),
    }
  }

  #cpu(at: SubprogramTranslator): Code<'i32'> {
    return load32.full(this.#context.runOf(at.embedding.frame), runBlock.cpu)
  }
}

function guarded(before: Code, isBad: Code<'i32'> | undefined, general: () => Code, fast: Code): Code {
  return seq(before, isBad === undefined ? fast : when(isBad, general(), fast))
}
