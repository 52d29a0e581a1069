/**
 * Hash tables in WebAssembly: what `HashBase` and `HashMap` do for programs, on the same bytes, specialised for one
 * map: its key's size, its place, its seed are constants.
 *
 * Rules
 * - Functions take and give arena offsets, and -errno, as `BpfMap` does.
 * - The LRU types look up here; what touches their lists stays in JavaScript.
 * - Programs' access to elements (the shadow) is kept exactly as `ElementPool` keeps it.
 */
import {
  BPF_EXIST,
  BPF_MAP_TYPE,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOMEM,
} from '../../abi/index.ts'
import { type Access, type Arena, SHADOW_POINTER } from '../../memory/index.ts'
import {
  block,
  br,
  brIf,
  type Code,
  type FunctionRef,
  i32,
  type Local,
  label,
  load32,
  loop,
  type ModuleBuilder,
  type OwnFunction,
  type ResultType,
  ret,
  seq,
  store32,
  type ValueType,
  when,
} from '../../wasm/index.ts'
import { poolState } from '../element-pool.ts'
import type { HashBase } from '../hash-base.ts'
import { hashElement, KEY_OFFSET, mapHeader } from '../layout.ts'
import { LruHashMap } from '../lru-hash.ts'
import { hasShortHash } from '../short-hash.ts'
import { copyCode, differCode, fillCode, isShort, shadowRange } from './bytes-code.ts'
import { type HashLocals, hashCode, shortHashCode } from './jhash-code.ts'

const NEXT = hashElement.offsets.next
const HASH = hashElement.offsets.hash
const REFERENCED = hashElement.offsets.referenced
const RETIRED_NEXT = hashElement.offsets.node
const COUNT = mapHeader.offsets.count
const POOL = poolState.offsets

/** What the code asks of JavaScript, rarely. */
export interface HashImports {
  /** `ElementPool.takeFreshOrGrow`. */
  readonly grow: FunctionRef<readonly [], 'i32'>
  /** `ElementPool.mayRetire`, 1 for true. */
  readonly mayRetire: FunctionRef<readonly [], 'i32'>
}

type Own<P extends readonly ValueType[], R extends ResultType> = OwnFunction<P, R>

export class HashCode {
  readonly #builder: ModuleBuilder
  readonly #map: HashBase
  readonly #header: number
  readonly #fields: ReturnType<typeof mapHeader.read>
  readonly #given: HashImports | undefined
  readonly #isLru: boolean
  #lookup: Own<readonly ['i32', 'i32'], 'i32'> | undefined
  #update: Own<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'> | undefined
  #delete: Own<readonly ['i32'], 'i32'> | undefined
  #retire: Own<readonly ['i32'], 'void'> | undefined
  #release: Own<readonly [], 'void'> | undefined

  constructor(builder: ModuleBuilder, arena: Arena, map: HashBase, imports?: HashImports) {
    this.#builder = builder
    this.#map = map
    this.#header = arena.offsetOf(map.address)
    this.#fields = mapHeader.read(arena.bytes, this.#header)
    this.#given = imports
    this.#isLru = map instanceof LruHashMap
  }

  /** lookup(key, cpu): the value, or 0. */
  get lookup(): FunctionRef<readonly ['i32', 'i32'], 'i32'> {
    this.#lookup ??= this.#defineLookup()
    return this.#lookup
  }

  /**
   * `lookup` written out, which leaves the value in `found`; undefined where it would be long. 64
   * look-ups took 205 ns so, and 275 by calls.
   */
  lookupInline(
    local: () => Local<'i32'>,
    key: Code<'i32'>,
    cpu: () => Code<'i32'>,
  ): { readonly code: Code; readonly found: Local<'i32'> } | undefined {
    const { keySize, flags, cpuCount } = this.#fields
    if (!hasShortHash(keySize, flags)) return undefined
    const at = local()
    const found = local()
    const { locals, find } = this.#finder(local, at.get, found)
    const value = this.#valueOf(found.get, cpuCount === 1 ? i32.const(0) : cpu())
    const used = this.#isLru ? [store32.full(found.get, i32.const(1), REFERENCED)] : []
    const code = seq(
      at.set(key),
      this.#hash(at.get, locals),
      find,
      when(found.get, seq(...used, found.set(value))),
    )
    return { code, found }
  }

  /** update(key, value, mode, cpu): 0 or -errno; `mode` is 0 to 2. Not for LRU types. */
  get update(): FunctionRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'> {
    this.#update ??= this.#defineUpdate()
    return this.#update
  }

  /** delete(key): 0 or -errno. Not for LRU types. */
  get delete(): FunctionRef<readonly ['i32'], 'i32'> {
    this.#delete ??= this.#defineDelete()
    return this.#delete
  }

  /** Gives retired elements back. */
  get release(): FunctionRef<readonly [], 'void'> {
    this.#release ??= this.#defineRelease()
    return this.#release
  }

  get #imports(): HashImports {
    if (this.#given === undefined) throw new Error(`${this.#name}: elements are JavaScript's to take`)
    return this.#given
  }

  get #name(): string {
    return this.#map.definition.name
  }

  #defineLookup(): Own<readonly ['i32', 'i32'], 'i32'> {
    const lookup = this.#builder.function(`${this.#name} lookup`, ['i32', 'i32'], 'i32')
    const [key, cpu] = lookup.parameters
    const element = lookup.local('i32')
    const { locals, find } = this.#finder(() => lookup.local('i32'), key.get, element)
    lookup.body([
      this.#hash(key.get, locals),
      find,
      when(i32.eqz(element.get), ret(i32.const(0))),
      ...(this.#isLru ? [store32.full(element.get, i32.const(1), REFERENCED)] : []),
      this.#valueOf(element.get, cpu.get),
    ] as unknown as Code<'i32'>)
    return lookup
  }

  #defineUpdate(): Own<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'> {
    const { maxEntries, keySize, valueSize, valueStride, cpuCount } = this.#fields
    const isPerCpu = this.#isPerCpu
    const update = this.#builder.function(`${this.#name} update`, ['i32', 'i32', 'i32', 'i32'], 'i32')
    const [key, value, mode, cpu] = update.parameters
    const old = update.local('i32')
    const made = update.local('i32')
    const { locals, find } = this.#finder(() => update.local('i32'), key.get, old)
    const fail = (errno: number) => ret(i32.const(-errno)) as Code
    const target = update.local('i32')
    const copyValue = (element: Code<'i32'>) =>
      seq(target.set(this.#valueOf(element, cpu.get)), copyCode(target.get, value.get, valueSize))
    const bucket = this.#bucketOf(locals.c.get)
    update.body([
      when(i32.gt_u(mode.get, i32.const(BPF_EXIST)), fail(EINVAL)),
      this.#hash(key.get, locals),
      find,
      when(
        old.get,
        seq(
          when(i32.eq(mode.get, i32.const(BPF_NOEXIST)), fail(EEXIST)),
          ...(isPerCpu ? [copyValue(old.get), ret(i32.const(0)) as Code] : []),
        ),
        seq(
          when(i32.eq(mode.get, i32.const(BPF_EXIST)), fail(ENOENT)),
          when(i32.ge_u(load32.full(i32.const(this.#header), COUNT), i32.const(maxEntries)), fail(E2BIG)),
        ),
      ),
      this.#take(made),
      when(i32.eqz(made.get), fail(ENOMEM)),
      copyCode(i32.add(made.get, i32.const(KEY_OFFSET)), key.get, keySize),
      ...(isPerCpu
        ? [fillCode(i32.add(made.get, i32.const(this.#map.elements.valueOffset)), 0, valueStride * cpuCount)]
        : []),
      copyValue(made.get),
      store32.full(made.get, locals.c.get, HASH),
      store32.full(made.get, load32.full(bucket), NEXT),
      store32.full(bucket, made.get),
      this.#addToCount(1),
      when(old.get, seq(this.#unlink(update, old, locals.c.get), this.#retireFunction.call(old.get))),
      i32.const(0),
    ] as unknown as Code<'i32'>)
    return update
  }

  #defineDelete(): Own<readonly ['i32'], 'i32'> {
    const remove = this.#builder.function(`${this.#name} delete`, ['i32'], 'i32')
    const [key] = remove.parameters
    const element = remove.local('i32')
    const { locals, find } = this.#finder(() => remove.local('i32'), key.get, element)
    remove.body([
      this.#hash(key.get, locals),
      find,
      when(i32.eqz(element.get), ret(i32.const(-ENOENT))),
      this.#unlink(remove, element, locals.c.get),
      this.#retireFunction.call(element.get),
      i32.const(0),
    ] as unknown as Code<'i32'>)
    return remove
  }

  get #retireFunction(): FunctionRef<readonly ['i32'], 'void'> {
    this.#retire ??= this.#defineRetire()
    return this.#retire
  }

  #defineRetire(): Own<readonly ['i32'], 'void'> {
    const retire = this.#builder.function(`${this.#name} retire`, ['i32'], 'void')
    const [element] = retire.parameters
    const last = retire.local('i32')
    const state = i32.const(this.#map.elements.state)
    const count = load32.full(state, POOL.retiredCount)
    retire.body(
      seq(
        last.set(load32.full(state, POOL.retiredLast)),
        when(
          i32.eqz(last.get),
          seq(
            when(i32.eqz(this.#imports.mayRetire.call()), seq(this.#free(element.get), ret())),
            store32.full(state, element.get, POOL.retiredFirst),
          ),
          store32.full(last.get, element.get, RETIRED_NEXT),
        ),
        store32.full(element.get, i32.const(0), RETIRED_NEXT),
        store32.full(state, element.get, POOL.retiredLast),
        store32.full(state, i32.add(count, i32.const(1)), POOL.retiredCount),
      ),
    )
    return retire
  }

  #defineRelease(): Own<readonly [], 'void'> {
    const release = this.#builder.function(`${this.#name} release`, [], 'void')
    const element = release.local('i32')
    const next = release.local('i32')
    const state = i32.const(this.#map.elements.state)
    const again = label('elements')
    const done = label('elements end')
    release.body(
      seq(
        element.set(load32.full(state, POOL.retiredFirst)),
        store32.full(state, i32.const(0), POOL.retiredFirst),
        store32.full(state, i32.const(0), POOL.retiredLast),
        store32.full(state, i32.const(0), POOL.retiredCount),
        block(
          done,
          loop(
            again,
            seq(
              brIf(done, i32.eqz(element.get)),
              next.set(load32.full(element.get, RETIRED_NEXT)),
              this.#free(element.get),
              element.set(next.get),
              br(again),
            ),
          ),
        ),
      ),
    )
    return release
  }

  /** The element of the key whose hash is in `locals.c`, or 0. */
  #finder(local: () => Local<'i32'>, key: Code<'i32'>, element: Local<'i32'>) {
    const { keySize } = this.#fields
    const locals = {
      a: local(),
      b: local(),
      c: local(),
      at: local(),
    }
    const again = label('chain')
    const found = label('found')
    const otherKey = i32.add(element.get, i32.const(KEY_OFFSET))
    const isOther = isShort(keySize)
      ? // One comparison or a few of the key cost no more than one of the hash.
        differCode(otherKey, key, keySize)
      : i32.or(i32.ne(load32.full(element.get, HASH), locals.c.get), this.#differs.call(otherKey, key))
    const find = seq(
      element.set(load32.full(this.#bucketOf(locals.c.get))),
      block(
        found,
        loop(
          again,
          seq(
            brIf(found, i32.eqz(element.get)),
            brIf(found, i32.eqz(isOther)),
            element.set(load32.full(element.get, NEXT)),
            br(again),
          ),
        ),
      ),
    )
    return { locals, find }
  }

  #long: Own<readonly ['i32', 'i32'], 'i32'> | undefined

  /** differs(a, b): for long keys, a loop. */
  get #differs(): FunctionRef<readonly ['i32', 'i32'], 'i32'> {
    this.#long ??= this.#defineDiffers()
    return this.#long
  }

  #defineDiffers(): Own<readonly ['i32', 'i32'], 'i32'> {
    const differs = this.#builder.function(`${this.#name} differs`, ['i32', 'i32'], 'i32')
    const [a, b] = differs.parameters
    const { keySize } = this.#fields
    const words = keySize - (keySize % 4)
    const end = differs.local('i32')
    const again = label('words')
    const done = label('words end')
    const rest = keySize - words
    differs.body([
      end.set(i32.add(a.get, i32.const(words))),
      block(
        done,
        loop(
          again,
          seq(
            brIf(done, i32.ge_u(a.get, end.get)),
            when(i32.ne(load32.full(a.get), load32.full(b.get)), ret(i32.const(1))),
            a.set(i32.add(a.get, i32.const(4))),
            b.set(i32.add(b.get, i32.const(4))),
            br(again),
          ),
        ),
      ),
      rest === 0 ? i32.const(0) : differCode(a.get, b.get, rest),
    ] as unknown as Code<'i32'>)
    return differs
  }

  /** Leaves the hash in `locals.c`. */
  #hash(key: Code<'i32'>, locals: HashLocals): Code {
    const { keySize, flags, seed } = this.#fields
    const code = hasShortHash(keySize, flags) ? shortHashCode : hashCode
    return code(key, keySize, seed, locals)
  }

  #bucketOf(hash: Code<'i32'>): Code<'i32'> {
    const { data, mask } = this.#fields
    return i32.add(i32.const(data), i32.shl(i32.and(hash, i32.const(mask)), i32.const(2)))
  }

  /** Takes `element`, whose hash is given, out of its bucket. */
  #unlink(
    into: OwnFunction<readonly ValueType[], ResultType>,
    element: Local<'i32'>,
    hash: Code<'i32'>,
  ): Code {
    const link = into.local('i32')
    const again = label('links')
    // A bucket is a link too: the next element stands at its start, as in an element.
    return seq(
      link.set(this.#bucketOf(hash)),
      loop(
        again,
        when(
          i32.ne(load32.full(link.get, NEXT), element.get),
          seq(link.set(load32.full(link.get, NEXT)), br(again)),
        ),
      ),
      store32.full(link.get, load32.full(element.get, NEXT), NEXT),
      this.#addToCount(-1),
    )
  }

  #addToCount(difference: number): Code {
    const header = i32.const(this.#header)
    return store32.full(header, i32.add(load32.full(header, COUNT), i32.const(difference)), COUNT)
  }

  /** Leaves an element in `element`, accessible; 0 where there is none. */
  #take(element: Local<'i32'>): Code {
    const state = i32.const(this.#map.elements.state)
    return seq(
      element.set(load32.full(state, POOL.free)),
      when(
        element.get,
        store32.full(state, load32.full(element.get, NEXT), POOL.free),
        element.set(this.#imports.grow.call()),
      ),
      when(element.get, this.#allow(element.get, 'read', this.#map.elements.shape.valueAccess)),
    )
  }

  #free(element: Code<'i32'>): Code {
    const state = i32.const(this.#map.elements.state)
    return seq(
      this.#allow(element, 'none', 'none'),
      store32.full(element, load32.full(state, POOL.free), NEXT),
      store32.full(state, element, POOL.free),
    )
  }

  #allow(element: Code<'i32'>, key: Access, value: Access): Code {
    const { keySize, valueSize, cpuCount, valueStride } = this.#fields
    const shadow = i32.add(load32.full(i32.const(SHADOW_POINTER)), i32.shr_u(element, i32.const(3)))
    const { valueOffset } = this.#map.elements
    return seq(
      shadowRange(shadow, KEY_OFFSET, keySize, key),
      ...Array.from({ length: cpuCount }, (_, cpu) =>
        shadowRange(shadow, valueOffset + cpu * valueStride, valueSize, value),
      ),
    )
  }

  get #isPerCpu(): boolean {
    const { type } = this.#fields
    return (
      type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH || type === BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH
    )
  }

  #valueOf(element: Code<'i32'>, cpu: Code<'i32'>): Code<'i32'> {
    const first = i32.add(element, i32.const(this.#map.elements.valueOffset))
    if (this.#fields.cpuCount === 1) return first
    return i32.add(first, i32.mul(cpu, i32.const(this.#fields.valueStride)))
  }
}
