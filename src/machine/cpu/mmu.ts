/**
 * Address translation and the slow path of memory accesses, as WebAssembly functions.
 *
 * The hot loop finds a page in the TLB by itself. Everything else comes here: a page walk (Sv39, with the
 * accessed and dirty bits set by hardware, as QEMU's default), misaligned accesses (done in hardware, byte by
 * byte where they cross a page), devices, and stores into pages of decoded code, which never get a TLB entry
 * for writing.
 *
 * A fault sets the slots `cause` and `tval` and returns the status `TRAP`.
 *
 * Source: The RISC-V Instruction Set Manual, volume II (20240411), 10.3.2 (address translation), 10.4 (Sv39).
 */
import type { Code, FunctionRef, Local, ModuleBuilder } from '../../wasm/index.ts'
import {
  br,
  brIf,
  choose,
  i32,
  i64,
  label,
  load32,
  load64,
  loop,
  memory,
  ret,
  select,
  seq,
  seqThen,
  store32,
  store64,
  when,
} from '../../wasm/index.ts'
import type { MemoryMap } from './layout.ts'
import {
  PAGE_BYTES,
  RAM_BASE,
  TLB_ARRAY_BYTES,
  TLB_ENTRY_BYTES,
  TLB_LOG,
  TLB_LOG_ENTRIES,
  TLB_MODE_BYTES,
  TLB_UNTRANSLATED_MODE,
  tlbArray,
} from './layout.ts'
import { accessKind, buildWalk, NOWHERE } from './page-walk.ts'
import { get32, get64, set32, set64 } from './state.ts'

/** What an instruction that can go wrong returns. */
export const stepStatus = {
  /** Go on with the next record. */
  next: 0,
  /** An exception: `cause` and `tval` are set. */
  trap: 1,
  /** The block is over: go on at `pc`, after a look at the interrupts. */
  resume: 2,
  /** Done, but a device wants the interrupts looked at. */
  attention: 3,
} as const

export interface DeviceImports {
  /** (physical address, bytes): puts the value into `mmioValue`; returns 0, or 1 where nothing answers. */
  readonly deviceLoad: FunctionRef<readonly ['i32', 'i32'], 'i32'>
  /** (physical address, bytes): takes the value from `mmioValue`; returns 0, or 1 where nothing answers. */
  readonly deviceStore: FunctionRef<readonly ['i32', 'i32'], 'i32'>
  /** (offset into RAM, bytes): a store is about to change a page with decoded code. */
  readonly codeStore: FunctionRef<readonly ['i32', 'i32'], 'void'>
}

export interface Mmu {
  /** (virtual address, bytes): the loaded value, zero-extended. The global `status` says how it went. */
  readonly loadSlow: FunctionRef<readonly ['i64', 'i32'], 'i64'>
  /** (virtual address, bytes, value): returns a status. */
  readonly storeSlow: FunctionRef<readonly ['i64', 'i32', 'i64'], 'i32'>
  /** (virtual address, bytes, kind, cause of misalignment): the linear address for an atomic access, or 0 after a trap. */
  readonly atomicAddress: FunctionRef<readonly ['i64', 'i32', 'i32'], 'i32'>
  /** (virtual pc): 0 when the fetch TLB has its page, 1 trap, 2 when the page has no entry table yet. */
  readonly fetchMiss: FunctionRef<readonly ['i64'], 'i32'>
  readonly flushTlb: FunctionRef<readonly [], 'void'>
  /** (address high, low, mode 0 U, 1 S, 2 both): the offset into RAM, or -1. Changes nothing. */
  readonly inspect: FunctionRef<readonly ['i32', 'i32', 'i32'], 'i32'>
  /** Status of the last `loadSlow`. */
  readonly status: { readonly get: Code<'i32'> }
}

const PAGE_MASK = -4096n

/** Address of the TLB entry, within an array at `array`, for the page of `address`. */
export function tlbEntry(array: Code<'i32'>, address: Code<'i64'>): Code<'i32'> {
  const index = i32.and(
    i32.wrap_i64(i64.shr_u(address, i64.const(8n))),
    i32.const(TLB_ARRAY_BYTES - TLB_ENTRY_BYTES),
  )
  return i32.add(array, index)
}

export function buildMmu(module: ModuleBuilder, map: MemoryMap, imports: DeviceImports): Mmu {
  const lastStatus = module.global('i32', 0n)

  const fault = (cause: Code<'i64'>, tval: Code<'i64'>): Code =>
    seq(set64('cause', cause), set64('tval', tval), lastStatus.set(i32.const(stepStatus.trap)))

  const ramOffset = (pa: Code<'i64'>) => i64.sub(pa, i64.const(BigInt(RAM_BASE)))
  const isRam = (pa: Code<'i64'>, bytes: number) =>
    i64.lt_u(ramOffset(pa), i64.const(BigInt(map.ramBytes - bytes + 1)))
  const linear = (pa: Code<'i64'>) => i32.wrap_i64(i64.add(pa, i64.const(BigInt(map.ram - RAM_BASE))))
  const directoryAt = (pa: Code<'i64'>) =>
    i32.shl(i32.wrap_i64(i64.shr_u(ramOffset(pa), i64.const(12n))), i32.const(2))

  // Causes by kind of access: 12, 15, 13 (page fault) and 1, 7, 5 (access fault) for fetch, write, read.
  const causeOf = (kind: Code<'i32'>, read: bigint, write: bigint, fetch: bigint) =>
    select(
      i32.eq(kind, i32.const(accessKind.fetch)),
      i64.const(fetch),
      select(i32.eq(kind, i32.const(accessKind.write)), i64.const(write), i64.const(read)),
    )
  const accessFault = (kind: Code<'i32'>, address: Code<'i64'>) => fault(causeOf(kind, 5n, 7n, 1n), address)

  const walk = buildWalk(module, isRam, linear, (kind, address, isAccessFault) =>
    fault(choose('i64', isAccessFault, causeOf(kind, 5n, 7n, 1n), causeOf(kind, 13n, 15n, 12n)), address),
  )

  // The physical address for an access in the hart's present mode, or NOWHERE after a trap.
  const translate = module.function('translate', ['i64', 'i32'], 'i64')
  {
    const [va, kind] = translate.parameters
    const mode = translate.local('i32')
    translate.body(
      seqThen(
        [
          mode.set(
            choose(
              'i32',
              i32.eq(kind.get, i32.const(accessKind.fetch)),
              get32('fetchMode'),
              get32('dataMode'),
            ),
          ),
          when(i32.eq(mode.get, i32.const(TLB_UNTRANSLATED_MODE)), ret(va.get)),
        ],
        walk.call(va.get, kind.get, mode.get),
      ),
    )
  }

  // Enters a page into an array of the TLB: (array, virtual address, second word).
  const fill = module.function('fill', ['i32', 'i64', 'i32'], 'void')
  {
    const [array, va, word] = fill.parameters
    const entry = fill.local('i32')
    const fills = fill.local('i32')
    const logAt = i32.add(get32('tlb'), i32.shl(fills.get, i32.const(2)))
    fill.body(
      seq(
        entry.set(tlbEntry(array.get, va.get)),
        store64.full(entry.get, i64.and(va.get, i64.const(PAGE_MASK))),
        store32.full(entry.get, word.get, 8),
        fills.set(get32('fills')),
        when(i32.lt_u(fills.get, i32.const(TLB_LOG_ENTRIES)), store32.full(logAt, entry.get, TLB_LOG)),
        set32('fills', i32.add(fills.get, i32.const(1))),
      ),
    )
  }

  const flushTlb = module.function('flushTlb', [], 'void')
  {
    const count = flushTlb.local('i32')
    const again = label('again')
    const empty = (entry: Code<'i32'>) => store64.full(entry, i64.const(-1n))
    const logged = load32.full(i32.add(get32('tlb'), i32.shl(count.get, i32.const(2))), TLB_LOG)
    flushTlb.body(
      seq(
        count.set(get32('fills')),
        set32('fills', i32.const(0)),
        when(
          i32.gt_u(count.get, i32.const(TLB_LOG_ENTRIES)),
          memory.fill(get32('tlb'), i32.const(0xff), i32.const(4 * TLB_MODE_BYTES)),
          loop(
            again,
            when(count.get, seq(count.set(i32.sub(count.get, i32.const(1))), empty(logged), br(again))),
          ),
        ),
      ),
    )
  }

  // What to add to the virtual address to get the linear one.
  const addend = (pa: Code<'i64'>, va: Code<'i64'>) => i32.sub(linear(pa), i32.wrap_i64(va))

  const loadSlow = module.function('loadSlow', ['i64', 'i32'], 'i64')
  {
    const [va, bytes] = loadSlow.parameters
    const pa = loadSlow.local('i64')
    const value = loadSlow.local('i64')
    const i = loadSlow.local('i32')
    const again = label('again')
    const at = linear(pa.get)
    loadSlow.body(
      seqThen(
        [
          lastStatus.set(i32.const(stepStatus.next)),
          when(
            crossesPage(va, bytes),
            seq(
              loop(
                again,
                seq(
                  value.set(
                    i64.or(
                      value.get,
                      i64.shl(
                        loadSlow.call(i64.add(va.get, i64.extend_i32_u(i.get)), i32.const(1)),
                        i64.extend_i32_u(i32.shl(i.get, i32.const(3))),
                      ),
                    ),
                  ),
                  when(i32.eq(lastStatus.get, i32.const(stepStatus.trap)), ret(i64.const(0n))),
                  i.set(i32.add(i.get, i32.const(1))),
                  brIf(again, i32.lt_u(i.get, bytes.get)),
                ),
              ),
              ret(value.get),
            ),
          ),
          pa.set(translate.call(va.get, i32.const(accessKind.read))),
          when(i64.eq(pa.get, i64.const(NOWHERE)), ret(i64.const(0n))),
          when(
            isRam(pa.get, 1),
            seq(
              fill.call(i32.add(get32('dataTlb'), i32.const(tlbArray.read)), va.get, addend(pa.get, va.get)),
              ret(
                bySize(bytes, 'i64', {
                  1: load64.u8(at),
                  2: load64.u16(at),
                  4: load64.u32(at),
                  8: load64.full(at),
                }),
              ),
            ),
          ),
          when(
            choose(
              'i32',
              notDevice(va, pa, bytes),
              i32.const(1),
              imports.deviceLoad.call(i32.wrap_i64(pa.get), bytes.get),
            ),
            seq(accessFault(i32.const(accessKind.read), va.get), ret(i64.const(0n))),
          ),
          when(get32('attention'), lastStatus.set(i32.const(stepStatus.attention))),
        ],
        get64('mmioValue'),
      ),
    )
  }

  const storeSlow = module.function('storeSlow', ['i64', 'i32', 'i64'], 'i32')
  {
    const [va, bytes, value] = storeSlow.parameters
    const pa = storeSlow.local('i64')
    const i = storeSlow.local('i32')
    const again = label('again')
    const at = linear(pa.get)
    const last = i64.add(va.get, i64.extend_i32_u(i32.sub(bytes.get, i32.const(1))))
    const trapped = ret(i32.const(stepStatus.trap))
    storeSlow.body(
      seqThen(
        [
          when(
            crossesPage(va, bytes),
            seq(
              // Both pages must be writable before a byte is written.
              when(
                i64.eq(
                  translate.call(i64.and(last, i64.const(PAGE_MASK)), i32.const(accessKind.write)),
                  i64.const(NOWHERE),
                ),
                trapped,
              ),
              loop(
                again,
                seq(
                  when(
                    i32.eq(
                      storeSlow.call(
                        i64.add(va.get, i64.extend_i32_u(i.get)),
                        i32.const(1),
                        i64.shr_u(value.get, i64.extend_i32_u(i32.shl(i.get, i32.const(3)))),
                      ),
                      i32.const(stepStatus.trap),
                    ),
                    trapped,
                  ),
                  i.set(i32.add(i.get, i32.const(1))),
                  brIf(again, i32.lt_u(i.get, bytes.get)),
                ),
              ),
              ret(i32.const(stepStatus.next)),
            ),
          ),
          pa.set(translate.call(va.get, i32.const(accessKind.write))),
          when(i64.eq(pa.get, i64.const(NOWHERE)), trapped),
          when(
            isRam(pa.get, 1),
            seq(
              when(
                load32.full(directoryAt(pa.get), map.codeDirectory),
                imports.codeStore.call(i32.wrap_i64(ramOffset(pa.get)), bytes.get),
                fill.call(
                  i32.add(get32('dataTlb'), i32.const(tlbArray.write)),
                  va.get,
                  addend(pa.get, va.get),
                ),
              ),
              bySize(bytes, 'void', {
                1: store64.low8(at, value.get),
                2: store64.low16(at, value.get),
                4: store64.low32(at, value.get),
                8: store64.full(at, value.get),
              }),
              ret(i32.const(stepStatus.next)),
            ),
          ),
          set64('mmioValue', value.get),
          when(
            choose(
              'i32',
              notDevice(va, pa, bytes),
              i32.const(1),
              imports.deviceStore.call(i32.wrap_i64(pa.get), bytes.get),
            ),
            seq(accessFault(i32.const(accessKind.write), va.get), trapped),
          ),
        ],
        select(get32('attention'), i32.const(stepStatus.attention), i32.const(stepStatus.next)),
      ),
    )
  }

  const atomicAddress = module.function('atomicAddress', ['i64', 'i32', 'i32'], 'i32')
  {
    const [va, bytes, kind] = atomicAddress.parameters
    const pa = atomicAddress.local('i64')
    atomicAddress.body(
      seqThen(
        [
          when(
            i32.and(i32.wrap_i64(va.get), i32.sub(bytes.get, i32.const(1))),
            seq(
              fault(
                select(i32.eq(kind.get, i32.const(accessKind.write)), i64.const(6n), i64.const(4n)),
                va.get,
              ),
              ret(i32.const(0)),
            ),
          ),
          pa.set(translate.call(va.get, kind.get)),
          when(i64.eq(pa.get, i64.const(NOWHERE)), ret(i32.const(0))),
          when(i32.eqz(isRam(pa.get, 1)), seq(accessFault(kind.get, va.get), ret(i32.const(0)))),
          when(
            i32.eq(kind.get, i32.const(accessKind.write)),
            when(
              load32.full(directoryAt(pa.get), map.codeDirectory),
              imports.codeStore.call(i32.wrap_i64(ramOffset(pa.get)), bytes.get),
            ),
          ),
        ],
        linear(pa.get),
      ),
    )
  }

  const fetchMiss = module.function('fetchMiss', ['i64'], 'i32')
  {
    const [pc] = fetchMiss.parameters
    const pa = fetchMiss.local('i64')
    const table = fetchMiss.local('i32')
    fetchMiss.body(
      seqThen(
        [
          pa.set(translate.call(pc.get, i32.const(accessKind.fetch))),
          when(i64.eq(pa.get, i64.const(NOWHERE)), ret(i32.const(1))),
          when(
            i32.eqz(isRam(pa.get, 2)),
            seq(accessFault(i32.const(accessKind.fetch), pc.get), ret(i32.const(1))),
          ),
          set32('fetchOffset', i32.wrap_i64(ramOffset(pa.get))),
          table.set(load32.full(directoryAt(pa.get), map.codeDirectory)),
          when(i32.eqz(table.get), ret(i32.const(2))),
          fill.call(i32.add(get32('fetchTlb'), i32.const(tlbArray.fetch)), pc.get, table.get),
        ],
        i32.const(0),
      ),
    )
  }

  const inspect = module.function('inspect', ['i32', 'i32', 'i32'], 'i32')
  {
    const [high, low, mode] = inspect.parameters
    const pa = inspect.local('i64')
    const va = i64.or(i64.shl(i64.extend_i32_u(high.get), i64.const(32n)), i64.extend_i32_u(low.get))
    inspect.body(
      seqThen(
        [
          pa.set(
            choose(
              'i64',
              i64.eqz(i64.shr_u(get64('satp'), i64.const(60n))),
              va,
              walk.call(va, i32.const(accessKind.inspect), mode.get),
            ),
          ),
        ],
        select(isRam(pa.get, 1), i32.wrap_i64(ramOffset(pa.get)), i32.const(-1)),
      ),
    )
  }

  return { loadSlow, storeSlow, atomicAddress, fetchMiss, flushTlb, inspect, status: lastStatus }
}

const crossesPage = (va: Local<'i64'>, bytes: Local<'i32'>): Code<'i32'> =>
  i32.gt_u(
    i32.add(i32.and(i32.wrap_i64(va.get), i32.const(PAGE_BYTES - 1)), bytes.get),
    i32.const(PAGE_BYTES),
  )

/** Devices lie below 4 GiB and want naturally aligned accesses. */
const notDevice = (va: Local<'i64'>, pa: Local<'i64'>, bytes: Local<'i32'>): Code<'i32'> =>
  i32.or(
    i64.ne(i64.shr_u(pa.get, i64.const(32n)), i64.const(0n)),
    i32.and(i32.wrap_i64(va.get), i32.sub(bytes.get, i32.const(1))),
  )

/** One of four pieces of code, by an access's size. */
function bySize<T extends 'i64' | 'void'>(
  bytes: Local<'i32'>,
  result: T,
  code: Readonly<Record<1 | 2 | 4 | 8, Code<T>>>,
): Code<T> {
  const is = (size: number) => i32.eq(bytes.get, i32.const(size))
  if (result === 'void') {
    const { 1: one, 2: two, 4: four, 8: eight } = code as Readonly<Record<1 | 2 | 4 | 8, Code>>
    return when(is(8), eight, when(is(4), four, when(is(2), two, one))) as Code<T>
  }
  const { 1: one, 2: two, 4: four, 8: eight } = code as Readonly<Record<1 | 2 | 4 | 8, Code<'i64'>>>
  return choose('i64', is(8), eight, choose('i64', is(4), four, choose('i64', is(2), two, one))) as Code<T>
}
