/**
 * The cold instructions: division, atomics, CSRs, system instructions. One function with one way per handler
 * from `firstCold` on; it returns a `stepStatus` or the code of an exit.
 *
 * System and CSR instructions end their block, so `budget` is exact when they run.
 */
import type { Code, FunctionRef, ModuleBuilder, OwnFunction } from '../../wasm/index.ts'
import {
  block,
  brTable,
  choose,
  i32,
  i64,
  label,
  load64,
  ret,
  select,
  seq,
  seqThen,
  store64,
  when,
} from '../../wasm/index.ts'
import { status } from './csrs.ts'
import { emitValue } from './emit.ts'
import { exitReason } from './exits.ts'
import { coldRows, firstCold, illegalHandler } from './handlers.ts'
import { REGISTERS } from './layout.ts'
import type { Mmu } from './mmu.ts'
import { stepStatus } from './mmu.ts'
import { accessKind } from './page-walk.ts'
import type { Privileged } from './privileged.ts'
import type { AmoOperator, Semantics, SystemAction } from './semantics.ts'
import { fields, get32, get64, hasBits, set64 } from './state.ts'

type ColdFunction = OwnFunction<readonly ['i32', 'i64'], 'i32'>

/** (record, virtual address of its page) */
export type Cold = FunctionRef<readonly ['i32', 'i64'], 'i32'>

export function buildCold(
  module: ModuleBuilder,
  mmu: Mmu,
  privileged: Privileged,
  highProduct: FunctionRef<readonly ['i64', 'i64'], 'i64'>,
): Cold {
  const cold: ColdFunction = module.function('cold', ['i32', 'i64'], 'i32')
  const [ip, page] = cold.parameters
  const f = fields(ip)
  const scratch = cold.local('i32')
  const value = cold.local('i64')
  const old = cold.local('i64')

  const done = ret(i32.const(stepStatus.next))
  const trapped = ret(i32.const(stepStatus.trap))
  const resume = ret(i32.const(stepStatus.resume))
  const pc = i64.add(page.get, f.pageOffset)
  const exception = (cause: Code<'i64'>, tval: Code<'i64'>) =>
    seq(set64('cause', cause), set64('tval', tval), trapped)
  const illegal = exception(i64.const(2n), f.extra64)
  const goOn = set64('pc', i64.add(page.get, f.nextPageOffset))
  const privilege = get32('privilege')
  const clearZero = store64.full(i32.const(REGISTERS), i64.const(0n))

  const amoValue = (operator: AmoOperator, bytes: 4 | 8): Code<'i64'> => {
    // Comparisons of words look at the sign- or zero-extended halves.
    const source = f.rs2
    const narrow = (x: Code<'i64'>, signed: boolean) =>
      bytes === 8 ? x : signed ? i64.extend32_s(x) : i64.and(x, i64.const(0xffff_ffffn))
    switch (operator) {
      case 'swap':
        return source
      case 'min':
        return select(i64.lt_s(old.get, narrow(source, true)), old.get, source)
      case 'max':
        return select(i64.gt_s(old.get, narrow(source, true)), old.get, source)
      case 'minu':
        return select(i64.lt_u(narrow(old.get, false), narrow(source, false)), old.get, source)
      case 'maxu':
        return select(i64.gt_u(narrow(old.get, false), narrow(source, false)), old.get, source)
      default:
        return i64[operator](old.get, source)
    }
  }
  const loadWord = (bytes: 4 | 8, at: Code<'i32'>) => (bytes === 4 ? load64.s32(at) : load64.full(at))
  const storeWord = (bytes: 4 | 8, at: Code<'i32'>, x: Code<'i64'>) =>
    bytes === 4 ? store64.low32(at, x) : store64.full(at, x)
  /** Sets `scratch` to the linear address of rs1, or traps. */
  const address = (bytes: 4 | 8, kind: number) =>
    seq(
      scratch.set(mmu.atomicAddress.call(f.rs1, i32.const(bytes), i32.const(kind))),
      when(i32.eqz(scratch.get), trapped),
    )

  const system = (action: SystemAction): Code => {
    switch (action) {
      case 'ecall':
        return seq(
          when(
            i32.and(i32.eq(privilege, i32.const(1)), get32('supervisorCallsLeave')),
            seq(goOn, ret(i32.const(exitReason.supervisorCall))),
          ),
          exception(i64.add(i64.const(8n), i64.extend_i32_u(privilege)), i64.const(0n)),
        )
      case 'ebreak':
        return seq(
          when(get32('breakpointsLeave'), seq(set64('pc', pc), ret(i32.const(exitReason.breakpoint)))),
          exception(i64.const(3n), pc),
        )
      case 'mret':
      case 'sret':
        return seq(
          when(i32.eqz(privileged.trapReturn.call(i32.const(action === 'mret' ? 1 : 0))), illegal),
          resume,
        )
      case 'wfi':
        return seq(
          when(
            i32.or(
              i32.eqz(privilege),
              i32.and(i32.eq(privilege, i32.const(1)), hasBits(get64('mstatus'), status.TW)),
            ),
            illegal,
          ),
          goOn,
          ret(i32.const(exitReason.wait)),
        )
      case 'sfence.vma':
        return seq(
          when(
            i32.or(
              i32.eqz(privilege),
              i32.and(i32.eq(privilege, i32.const(1)), hasBits(get64('mstatus'), status.TVM)),
            ),
            illegal,
          ),
          mmu.flushTlb.call(),
          goOn,
          resume,
        )
      case 'fence.i':
        // Stores into decoded code have already thrown it away; only this block may be stale.
        return seq(goOn, resume)
    }
  }

  const csr = (action: 'write' | 'set' | 'clear', immediate: boolean): Code => {
    const source = immediate ? i64.extend_i32_u(f.rs1Number) : f.rs1
    const writes = action === 'write' ? i32.const(1) : i32.ne(f.rs1Number, i32.const(0))
    const newValue =
      action === 'write'
        ? value.get
        : action === 'set'
          ? i64.or(old.get, value.get)
          : i64.and(old.get, i64.xor(value.get, i64.const(-1n)))
    return seq(
      value.set(source),
      scratch.set(writes),
      when(i32.eqz(privileged.csrAllowed.call(f.immediate32, scratch.get)), illegal),
      old.set(privileged.csrRead.call(f.immediate32)),
      when(scratch.get, privileged.csrWrite.call(f.immediate32, newValue)),
      f.setRd(old.get),
      clearZero,
      goOn,
      resume,
    )
  }

  const way = (semantics: Semantics): Code => {
    switch (semantics.kind) {
      case 'compute':
        return seq(
          f.setRd(
            emitValue(semantics.value, {
              rs1: f.rs1,
              rs2: f.rs2,
              immediate: f.immediate,
              pcPlusImmediate: i64.add(page.get, f.immediate),
              highProduct,
            }),
          ),
          done,
        )
      case 'loadReserved':
        return seq(
          address(semantics.bytes, accessKind.read),
          value.set(loadWord(semantics.bytes, scratch.get)),
          set64('reservation', i64.extend_i32_u(scratch.get)),
          set64('reservedValue', value.get),
          f.setRd(value.get),
          done,
        )
      case 'storeConditional':
        return seq(
          address(semantics.bytes, accessKind.write),
          scratch.set(
            choose(
              'i32',
              i32.and(
                i64.eq(get64('reservation'), i64.extend_i32_u(scratch.get)),
                i64.eq(loadWord(semantics.bytes, scratch.get), reserved(semantics.bytes)),
              ),
              seqThen([storeWord(semantics.bytes, scratch.get, f.rs2)], i32.const(0)),
              i32.const(1),
            ),
          ),
          set64('reservation', i64.const(-1n)),
          f.setRd(i64.extend_i32_u(scratch.get)),
          done,
        )
      case 'amo':
        return seq(
          address(semantics.bytes, accessKind.write),
          old.set(loadWord(semantics.bytes, scratch.get)),
          storeWord(semantics.bytes, scratch.get, amoValue(semantics.operator, semantics.bytes)),
          f.setRd(old.get),
          done,
        )
      case 'csr':
        return csr(semantics.action, semantics.immediate)
      case 'system':
        return system(semantics.action)
      default:
        throw new Error(`${semantics.kind} is not a cold instruction`)
    }
  }

  const ways = [...coldRows.map(({ semantics }) => way(semantics)), illegal]
  if (ways.length !== illegalHandler - firstCold + 1)
    throw new Error('cold handlers are numbered differently')
  const labels = ways.map((_, i) => label(`cold ${i}`))
  const last = labels.at(-1)!
  const dispatch = brTable(i32.sub(f.handler, i32.const(firstCold)), labels, last)
  cold.body(
    seqThen(
      [ways.reduce<Code>((inner, code, i) => seq(block(labels[i]!, inner), code), dispatch)],
      i32.const(stepStatus.trap),
    ),
  )
  return cold
}

/** The value that the reservation was made on: a store by anyone since then breaks it. */
const reserved = (bytes: 4 | 8): Code<'i64'> =>
  bytes === 4 ? i64.extend32_s(get64('reservedValue')) : get64('reservedValue')
