/**
 * The Sv39 page walk, as a WebAssembly function. Accessed and dirty bits are set by hardware.
 *
 * Source: The RISC-V Instruction Set Manual, volume II (20240411), 10.3.2 (address translation), 10.4 (Sv39).
 */
import type { Code, FunctionRef, ModuleBuilder } from '../../wasm/index.ts'
import {
  block,
  br,
  brIf,
  i32,
  i64,
  label,
  load64,
  loop,
  ret,
  select,
  seq,
  seqThen,
  store64,
  when,
} from '../../wasm/index.ts'
import { status } from './csrs.ts'
import { get64, hasBits } from './state.ts'

/** Kinds of access for the walker. `inspect` changes and checks nothing but the U bit. */
export const accessKind = { read: 0, write: 1, fetch: 2, inspect: 3 } as const

/** What the walk gives when there is no physical address. */
export const NOWHERE = -1n
const pte = { V: 1n, R: 2n, W: 4n, X: 8n, U: 16n, A: 64n, D: 128n } as const
/** Bits 63..54, for extensions that this machine does not have. */
const PTE_RESERVED = 0xffc0_0000_0000_0000n

/**
 * The Sv39 page walk: (virtual address, kind, mode 0 U, 1 S, 2 S with SUM) gives the physical address, or
 * NOWHERE after `onFault`.
 */
export function buildWalk(
  module: ModuleBuilder,
  isRam: (pa: Code<'i64'>, bytes: number) => Code<'i32'>,
  linear: (pa: Code<'i64'>) => Code<'i32'>,
  onFault: (kind: Code<'i32'>, address: Code<'i64'>, isAccessFault: Code<'i32'>) => Code,
): FunctionRef<readonly ['i64', 'i32', 'i32'], 'i64'> {
  const walk = module.function('walk', ['i64', 'i32', 'i32'], 'i64')
  const [va, kind, mode] = walk.parameters
  const table = walk.local('i64')
  const entry = walk.local('i64')
  const updated = walk.local('i64')
  const shift = walk.local('i64')
  const isAccessFault = walk.local('i32')
  const faulty = label('fault')
  const leaf = label('leaf')
  const level = label('level')

  const is = (k: number) => i32.eq(kind.get, i32.const(k))
  const failIf = (condition: Code<'i32'>) => brIf(faulty, condition)
  const frame = (e: Code<'i64'>) =>
    i64.shl(i64.and(i64.shr_u(e, i64.const(10n)), i64.const((1n << 44n) - 1n)), i64.const(12n))
  const lacks = (mask: bigint) => i32.eqz(hasBits(entry.get, mask))
  const belowLeaf = i64.sub(i64.shl(i64.const(1n), shift.get), i64.const(1n))

  const readEntry = seq(
    table.set(
      i64.add(table.get, i64.shl(i64.and(i64.shr_u(va.get, shift.get), i64.const(511n)), i64.const(3n))),
    ),
    when(i32.eqz(isRam(table.get, 8)), seq(isAccessFault.set(i32.const(1)), br(faulty))),
    entry.set(load64.full(linear(table.get))),
    failIf(lacks(pte.V)),
    failIf(hasBits(entry.get, PTE_RESERVED)),
  )

  const permissions = seq(
    // A U page is for U-mode, and for data also for S-mode with SUM. An S page is not for U-mode.
    when(
      hasBits(entry.get, pte.U),
      seq(
        failIf(i32.eq(mode.get, i32.const(1))),
        failIf(i32.and(is(accessKind.fetch), i32.ne(mode.get, i32.const(0)))),
      ),
      failIf(i32.eqz(mode.get)),
    ),
    when(is(accessKind.fetch), failIf(lacks(pte.X))),
    when(is(accessKind.write), failIf(lacks(pte.W))),
    when(
      is(accessKind.read),
      when(lacks(pte.R), failIf(i32.or(lacks(pte.X), i32.eqz(hasBits(get64('mstatus'), status.MXR))))),
    ),
  )

  const physical = i64.or(
    i64.and(frame(entry.get), i64.xor(belowLeaf, i64.const(-1n))),
    i64.and(va.get, belowLeaf),
  )

  const body = seq(
    // Bits 63..39 must be copies of bit 38.
    failIf(i64.ne(i64.shr_s(i64.shl(va.get, i64.const(25n)), i64.const(25n)), va.get)),
    table.set(i64.shl(i64.and(get64('satp'), i64.const((1n << 44n) - 1n)), i64.const(12n))),
    shift.set(i64.const(30n)),
    block(
      leaf,
      loop(
        level,
        seq(
          readEntry,
          brIf(leaf, hasBits(entry.get, pte.R | pte.X)),
          // A pointer to the next level: W, U, A and D are reserved in it.
          failIf(hasBits(entry.get, pte.W | pte.U | pte.A | pte.D)),
          failIf(i64.eq(shift.get, i64.const(12n))),
          table.set(frame(entry.get)),
          shift.set(i64.sub(shift.get, i64.const(9n))),
          br(level),
        ),
      ),
    ),
    // Writable but not readable is reserved.
    failIf(i64.eq(i64.and(entry.get, i64.const(pte.R | pte.W)), i64.const(pte.W))),
    permissions,
    // A superpage must be aligned.
    failIf(i64.ne(i64.and(frame(entry.get), belowLeaf), i64.const(0n))),
    when(is(accessKind.inspect), ret(physical)),
    updated.set(i64.or(entry.get, select(is(accessKind.write), i64.const(pte.A | pte.D), i64.const(pte.A)))),
    when(i64.ne(updated.get, entry.get), store64.full(linear(table.get), updated.get)),
    ret(physical),
  )

  walk.body(
    seqThen(
      [
        block(faulty, body),
        when(i32.eqz(is(accessKind.inspect)), onFault(kind.get, va.get, isAccessFault.get)),
      ],
      i64.const(NOWHERE),
    ),
  )
  return walk
}
