/**
 * Accesses to the pages of an arena map. What lies inside one page that is there is accessed in place; the rest is
 * asked of JavaScript: an access across the end of a page, and one to a page that is missing, where a load gives 0, a
 * store writes nothing, and an atomic instruction does nothing at all.
 */
import type { ArenaUse } from '../maps/index.ts'
import {
  type Code,
  choose,
  drop,
  type FunctionRef,
  i32,
  i64,
  load32,
  type ModuleBuilder,
  seq,
  store64,
  when,
} from '../wasm/index.ts'
import { runBlock } from './layout.ts'
import type { ModuleContext } from './module-context.ts'
import type { Embedding } from './subprogram.ts'

const PAGE_BYTES = 4096
const PAGE_SHIFT = 12

/** run, place (low, high), size: copies into the result of the run's block; 0 and zeros where a page is missing. */
type PagedRead = FunctionRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>
/** run, place (low, high), size: copies from the result of the run's block. */
type PagedWrite = FunctionRef<readonly ['i32', 'i32', 'i32', 'i32'], 'void'>

/** What all accesses of one module share. */
export class PagedAccess {
  readonly use: ArenaUse
  readonly #read: PagedRead
  readonly #write: PagedWrite

  constructor(builder: ModuleBuilder, use: ArenaUse) {
    this.use = use
    this.#read = builder.importFunction('pages', 'read', ['i32', 'i32', 'i32', 'i32'], 'i32')
    this.#write = builder.importFunction('pages', 'write', ['i32', 'i32', 'i32', 'i32'], 'void')
  }

  /** `load` is given an address that holds the value, which may be a copy. */
  load(
    context: ModuleContext,
    { scope, frame }: Embedding,
    access: { readonly register: Code<'i64'>; readonly offset: number; readonly sizeBytes: number },
  ): { readonly before: Code; readonly address: Code<'i32'> } {
    const { address, old } = scope
    const run = context.runOf(frame)
    return {
      before: seq(
        old.set(this.#distance(access.register, access.offset)),
        address.set(this.#page(old.get)),
        when(
          this.#isInside(address.get, old.get, access.sizeBytes),
          address.set(within(address.get, old.get)),
          seq(
            drop(this.#read.call(run, low(old.get), high(old.get), i32.const(access.sizeBytes))),
            address.set(i32.add(run, i32.const(runBlock.result))),
          ),
        ),
      ),
      address: address.get,
    }
  }

  store(
    context: ModuleContext,
    { scope, frame }: Embedding,
    access: { readonly register: Code<'i64'>; readonly offset: number; readonly sizeBytes: number },
    value: Code<'i64'>,
    store: (address: Code<'i32'>) => Code,
  ): Code {
    const { address, old } = scope
    const run = context.runOf(frame)
    return seq(
      old.set(this.#distance(access.register, access.offset)),
      address.set(this.#page(old.get)),
      when(
        this.#isInside(address.get, old.get, access.sizeBytes),
        store(within(address.get, old.get)),
        seq(
          store64.full(run, value, runBlock.result),
          this.#write.call(run, low(old.get), high(old.get), i32.const(access.sizeBytes)),
        ),
      ),
    )
  }

  /** `operate` works on an address, which may be that of a copy that is written back. */
  atomic(
    context: ModuleContext,
    { scope, frame }: Embedding,
    access: { readonly register: Code<'i64'>; readonly offset: number; readonly sizeBytes: number },
    operate: (address: Code<'i32'>) => Code,
  ): Code {
    const { address } = scope
    const at = scope.local('i64')
    const run = context.runOf(frame)
    const size = i32.const(access.sizeBytes)
    const copy = i32.add(run, i32.const(runBlock.result))
    return seq(
      at.set(this.#distance(access.register, access.offset)),
      address.set(this.#page(at.get)),
      when(
        this.#isInside(address.get, at.get, access.sizeBytes),
        address.set(within(address.get, at.get)),
        seq(
          address.set(i32.const(0)),
          when(this.#read.call(run, low(at.get), high(at.get), size), address.set(copy)),
        ),
      ),
      when(
        address.get,
        seq(
          operate(address.get),
          when(i32.eq(address.get, copy), this.#write.call(run, low(at.get), high(at.get), size)),
        ),
      ),
    )
  }

  /** The address of user space with the low 32 bits of `value`; null stays null. */
  castToUser(value: Code<'i64'>): Code<'i64'> {
    const upper = BigInt.asIntN(64, (this.use.map.userStart >> 32n) << 32n)
    const isThere = i64.extend_i32_u(i32.ne(i32.wrap_i64(value), i32.const(0)))
    return i64.or(i64.extend_i32_u(i32.wrap_i64(value)), i64.mul(isThere, i64.const(upper)))
  }

  /** Where the page of a place lies in memory; 0 where it is not there. */
  #page(at: Code<'i64'>): Code<'i32'> {
    const { pages } = this.use.map
    const entry = i32.shl(i32.shr_u(i32.wrap_i64(at), i32.const(PAGE_SHIFT)), i32.const(2))
    const isInArena = i64.lt_u(at, i64.const(BigInt(pages.sizeBytes)))
    return choose('i32', isInArena, load32.full(entry, pages.table), i32.const(0))
  }

  /** Whether a page is there and a range of it. */
  #isInside(page: Code<'i32'>, at: Code<'i64'>, sizeBytes: number): Code<'i32'> {
    const isThere = i32.ne(page, i32.const(0))
    if (sizeBytes === 1) return isThere
    const last = i32.const(PAGE_BYTES - sizeBytes)
    return i32.and(isThere, i32.le_u(i32.and(i32.wrap_i64(at), i32.const(PAGE_BYTES - 1)), last))
  }

  /** How far from the first byte of the arena an access lies, of whose address only the low 32 bits count. */
  #distance(register: Code<'i64'>, offset: number): Code<'i64'> {
    const first = BigInt.asUintN(32, this.use.map.userStart)
    return i64.add(i64.extend_i32_u(i32.wrap_i64(register)), i64.const(BigInt(offset) - first))
  }
}

const low = (at: Code<'i64'>): Code<'i32'> => i32.wrap_i64(at)
const high = (at: Code<'i64'>): Code<'i32'> => i32.wrap_i64(i64.shr_u(at, i64.const(32n)))

/** Of a place inside the page that begins at `page`. */
const within = (page: Code<'i32'>, at: Code<'i64'>): Code<'i32'> =>
  i32.add(page, i32.and(i32.wrap_i64(at), i32.const(PAGE_BYTES - 1)))
