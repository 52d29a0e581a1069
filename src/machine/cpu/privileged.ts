/**
 * Traps, interrupts, returns from them, and CSR accesses, as WebAssembly functions.
 *
 * Rules: whoever changes `privilege`, `mstatus` or `satp` calls `updateModes` before the next access. An
 * instruction that traps counts as one in the retired and time counters, so that a loop of traps makes time
 * pass too.
 *
 * Source: The RISC-V Instruction Set Manual, volume II (20240411), 3.1.6 to 3.1.15, 3.3, 10.1.
 */
import type { Code, FunctionRef, ModuleBuilder } from '../../wasm/index.ts'
import {
  block,
  br,
  brIf,
  brTable,
  choose,
  i32,
  i64,
  label,
  load32,
  load64,
  ret,
  select,
  seq,
  seqThen,
  store64,
  when,
} from '../../wasm/index.ts'
import type { CsrKind } from './csrs.ts'
import { csrKinds, interrupt, status } from './csrs.ts'
import { csrDescriptor, TLB_MODE_BYTES } from './layout.ts'
import { bitOf, get32, get64, hasBits, set32, set64 } from './state.ts'

/** Instructions that take as long as one tick of `time`: virtual time runs at 100 MHz, `time` at 10 MHz. */
export const INSTRUCTIONS_PER_TICK = 10

export interface Privileged {
  readonly updateModes: FunctionRef<readonly [], 'void'>
  /** (pc of the trap): takes the exception or interrupt in `cause` and `tval`; the address of the handler. */
  readonly trap: FunctionRef<readonly ['i64'], 'i64'>
  /** (pc): takes the most urgent enabled interrupt, if any; where to go on. */
  readonly takeInterrupt: FunctionRef<readonly ['i64'], 'i64'>
  /** (1 for mret, 0 for sret): 1 and the new pc in `pc`, or 0 where it is illegal. */
  readonly trapReturn: FunctionRef<readonly ['i32'], 'i32'>
  /** (descriptor, writes at all): 1 if the access is legal. */
  readonly csrAllowed: FunctionRef<readonly ['i32', 'i32'], 'i32'>
  /** (descriptor): its value, for an access that is legal. */
  readonly csrRead: FunctionRef<readonly ['i32'], 'i64'>
  /** (descriptor, value). */
  readonly csrWrite: FunctionRef<readonly ['i32', 'i64'], 'void'>
}

const INTERRUPT = 1n << 63n
const SATP_MODES = [0n, 8n]

export function buildPrivileged(
  module: ModuleBuilder,
  flushTlb: FunctionRef<readonly [], 'void'>,
): Privileged {
  const updateModes = module.function('updateModes', [], 'void')
  {
    const translated = updateModes.local('i32')
    const privilege = updateModes.local('i32')
    const modeOf = (p: Code<'i32'>) =>
      choose(
        'i32',
        i32.and(translated.get, i32.ne(p, i32.const(3))),
        // S-mode with SUM is a mode of its own, so that SUM can change without a flush.
        i32.add(p, i32.and(p, i32.wrap_i64(bitOf(get64('mstatus'), 18)))),
        i32.const(3),
      )
    const arrays = (mode: Code<'i32'>) => i32.add(get32('tlb'), i32.mul(mode, i32.const(TLB_MODE_BYTES)))
    updateModes.body(
      seq(
        translated.set(i64.ne(i64.shr_u(get64('satp'), i64.const(60n)), i64.const(0n))),
        privilege.set(get32('privilege')),
        set32('fetchMode', modeOf(privilege.get)),
        // Fetches by S-mode do not depend on SUM, but its mode is as good as the other.
        when(
          i32.and(i32.eq(privilege.get, i32.const(3)), hasBits(get64('mstatus'), status.MPRV)),
          privilege.set(i32.and(i32.wrap_i64(i64.shr_u(get64('mstatus'), i64.const(11n))), i32.const(3))),
        ),
        set32('dataMode', modeOf(privilege.get)),
        set32('fetchTlb', arrays(get32('fetchMode'))),
        set32('dataTlb', arrays(get32('dataMode'))),
      ),
    )
  }

  const trap = module.function('trap', ['i64'], 'i64')
  {
    const [pc] = trap.parameters
    const code = trap.local('i64')
    const old = trap.local('i64')
    const privilege = trap.local('i32')
    const vector = trap.local('i64')
    const isInterrupt = i64.lt_s(get64('cause'), i64.const(0n))
    const delegated = hasBits(
      i64.shr_u(choose('i64', isInterrupt, get64('mideleg'), get64('medeleg')), code.get),
      1n,
    )
    const cleared = (mask: bigint) => i64.and(old.get, i64.const(~mask))
    const p64 = i64.extend_i32_u(privilege.get)
    trap.body(
      seqThen(
        [
          code.set(i64.and(get64('cause'), i64.const(63n))),
          old.set(get64('mstatus')),
          privilege.set(get32('privilege')),
          when(
            i32.and(i32.le_u(privilege.get, i32.const(1)), delegated),
            seq(
              set64('scause', get64('cause')),
              set64('stval', get64('tval')),
              set64('sepc', pc.get),
              // SPIE = SIE, SIE = 0, SPP = the privilege before
              set64(
                'mstatus',
                i64.or(
                  cleared(status.SIE | status.SPIE | status.SPP),
                  i64.or(i64.shl(bitOf(old.get, 1), i64.const(5n)), i64.shl(p64, i64.const(8n))),
                ),
              ),
              set32('privilege', i32.const(1)),
              vector.set(get64('stvec')),
            ),
            seq(
              set64('mcause', get64('cause')),
              set64('mtval', get64('tval')),
              set64('mepc', pc.get),
              set64(
                'mstatus',
                i64.or(
                  cleared(status.MIE | status.MPIE | status.MPP),
                  i64.or(i64.shl(bitOf(old.get, 3), i64.const(7n)), i64.shl(p64, i64.const(11n))),
                ),
              ),
              set32('privilege', i32.const(3)),
              vector.set(get64('mtvec')),
            ),
          ),
          updateModes.call(),
        ],
        i64.add(
          i64.and(vector.get, i64.const(~3n)),
          choose(
            'i64',
            i32.and(isInterrupt, i32.wrap_i64(i64.and(vector.get, i64.const(1n)))),
            i64.shl(code.get, i64.const(2n)),
            i64.const(0n),
          ),
        ),
      ),
    )
  }

  const takeInterrupt = module.function('takeInterrupt', ['i64'], 'i64')
  {
    const [pc] = takeInterrupt.parameters
    const pending = takeInterrupt.local('i64')
    const privilege = takeInterrupt.local('i32')
    const enabled = takeInterrupt.local('i64')
    const mstatus = get64('mstatus')
    const { MEI, MSI, MTI, SEI, SSI, STI } = interrupt
    const take = (code: number) =>
      when(
        hasBits(enabled.get, 1n << BigInt(code)),
        seq(
          set64('cause', i64.const(INTERRUPT | BigInt(code))),
          set64('tval', i64.const(0n)),
          ret(trap.call(pc.get)),
        ),
      )
    takeInterrupt.body(
      seqThen(
        [
          pending.set(i64.and(get64('mip'), get64('mie'))),
          privilege.set(get32('privilege')),
          when(
            i32.or(i32.lt_u(privilege.get, i32.const(3)), hasBits(mstatus, status.MIE)),
            enabled.set(i64.and(pending.get, i64.xor(get64('mideleg'), i64.const(-1n)))),
          ),
          when(
            i32.and(
              i64.eqz(enabled.get),
              i32.or(
                i32.eqz(privilege.get),
                i32.and(i32.eq(privilege.get, i32.const(1)), hasBits(mstatus, status.SIE)),
              ),
            ),
            enabled.set(i64.and(pending.get, get64('mideleg'))),
          ),
          ...[MEI, MSI, MTI, SEI, SSI, STI].map(take),
        ],
        pc.get,
      ),
    )
  }

  const trapReturn = module.function('trapReturn', ['i32'], 'i32')
  {
    const [isMachine] = trapReturn.parameters
    const old = trapReturn.local('i64')
    const to = trapReturn.local('i64')
    const privilege = get32('privilege')
    const illegal = ret(i32.const(0))
    const cleared = (mask: bigint) => i64.and(old.get, i64.const(~mask))
    trapReturn.body(
      seqThen(
        [
          old.set(get64('mstatus')),
          when(
            isMachine.get,
            seq(
              when(i32.ne(privilege, i32.const(3)), illegal),
              to.set(i64.and(i64.shr_u(old.get, i64.const(11n)), i64.const(3n))),
              // MIE = MPIE, MPIE = 1, MPP = U
              set64(
                'mstatus',
                i64.or(
                  cleared(status.MIE | status.MPIE | status.MPP),
                  i64.or(i64.shl(bitOf(old.get, 7), i64.const(3n)), i64.const(status.MPIE)),
                ),
              ),
              set64('pc', get64('mepc')),
            ),
            seq(
              when(i32.eqz(privilege), illegal),
              when(i32.and(i32.eq(privilege, i32.const(1)), hasBits(old.get, status.TSR)), illegal),
              to.set(bitOf(old.get, 8)),
              set64(
                'mstatus',
                i64.or(
                  cleared(status.SIE | status.SPIE | status.SPP),
                  i64.or(i64.shl(bitOf(old.get, 5), i64.const(1n)), i64.const(status.SPIE)),
                ),
              ),
              set64('pc', get64('sepc')),
            ),
          ),
          when(
            i64.ne(to.get, i64.const(3n)),
            set64('mstatus', i64.and(get64('mstatus'), i64.const(~status.MPRV))),
          ),
          set32('privilege', i32.wrap_i64(to.get)),
          updateModes.call(),
        ],
        i32.const(1),
      ),
    )
  }

  return {
    updateModes,
    trap,
    takeInterrupt,
    trapReturn,
    ...buildCsrAccess(module, updateModes, flushTlb),
  }
}

function buildCsrAccess(
  module: ModuleBuilder,
  updateModes: FunctionRef<readonly [], 'void'>,
  flushTlb: FunctionRef<readonly [], 'void'>,
): Pick<Privileged, 'csrAllowed' | 'csrRead' | 'csrWrite'> {
  const kindIs = (descriptor: Code<'i32'>, kind: CsrKind) =>
    i32.eq(load32.full(descriptor, csrDescriptor.kind), i32.const(csrKinds.indexOf(kind)))

  const csrAllowed = module.function('csrAllowed', ['i32', 'i32'], 'i32')
  {
    const [descriptor, writes] = csrAllowed.parameters
    const privilege = get32('privilege')
    const kind = csrAllowed.local('i32')
    const counter = csrAllowed.local('i64')
    const no = ret(i32.const(0))
    csrAllowed.body(
      seqThen(
        [
          when(i32.lt_u(privilege, load32.full(descriptor.get, csrDescriptor.privilege)), no),
          when(i32.and(writes.get, load32.full(descriptor.get, csrDescriptor.readOnly)), no),
          when(
            i32.and(
              kindIs(descriptor.get, 'satp'),
              i32.and(i32.eq(privilege, i32.const(1)), hasBits(get64('mstatus'), status.TVM)),
            ),
            no,
          ),
          // The user-level counters: the read-only ones among the counter kinds.
          when(
            i32.eqz(load32.full(descriptor.get, csrDescriptor.privilege)),
            seq(
              kind.set(load32.full(descriptor.get, csrDescriptor.kind)),
              counter.set(
                select(
                  i32.eq(kind.get, i32.const(csrKinds.indexOf('cycle'))),
                  i64.const(1n),
                  select(i32.eq(kind.get, i32.const(csrKinds.indexOf('time'))), i64.const(2n), i64.const(4n)),
                ),
              ),
              when(
                i32.and(
                  i32.lt_u(privilege, i32.const(3)),
                  i64.eqz(i64.and(get64('mcounteren'), counter.get)),
                ),
                no,
              ),
              when(i32.and(i32.eqz(privilege), i64.eqz(i64.and(get64('scounteren'), counter.get))), no),
            ),
          ),
        ],
        i32.const(1),
      ),
    )
  }

  const budget = i64.extend_i32_s(get32('budget'))
  const time = i64.sub(get64('timeEnd'), budget)
  const retired = i64.sub(get64('retiredEnd'), budget)

  // One way per kind; each leaves the masked value of the slot as it is or adjusts it.
  const byKind = (descriptor: Code<'i32'>, ways: Partial<Record<CsrKind, Code>>): Code => {
    const labels = csrKinds.map((kind) => label(kind))
    const end = label('end')
    const dispatch = brTable(load32.full(descriptor, csrDescriptor.kind), labels, end)
    return block(
      end,
      csrKinds.reduce<Code>(
        (inner, kind, i) => seq(block(labels[i]!, inner), ways[kind] ?? seq(), br(end)),
        dispatch,
      ),
    )
  }

  const csrRead = module.function('csrRead', ['i32'], 'i64')
  {
    const [descriptor] = csrRead.parameters
    const value = csrRead.local('i64')
    csrRead.body(
      seqThen(
        [
          value.set(
            i64.and(
              load64.full(load32.full(descriptor.get, csrDescriptor.slot)),
              load64.full(descriptor.get, csrDescriptor.readMask),
            ),
          ),
          byKind(descriptor.get, {
            delegated: value.set(i64.and(value.get, get64('mideleg'))),
            time: value.set(i64.div_u(time, i64.const(BigInt(INSTRUCTIONS_PER_TICK)))),
            cycle: value.set(i64.add(time, get64('cycleOffset'))),
            // The reading instruction has been counted already, but is not to be seen.
            instret: value.set(i64.add(i64.sub(retired, i64.const(1n)), get64('instretOffset'))),
          }),
        ],
        value.get,
      ),
    )
  }

  const csrWrite = module.function('csrWrite', ['i32', 'i64'], 'void')
  {
    const [descriptor, value] = csrWrite.parameters
    const mask = csrWrite.local('i64')
    const old = csrWrite.local('i64')
    const at = csrWrite.local('i32')
    const done = label('done')

    csrWrite.body(
      block(
        done,
        seq(
          mask.set(load64.full(descriptor.get, csrDescriptor.writeMask)),
          at.set(load32.full(descriptor.get, csrDescriptor.slot)),
          old.set(load64.full(at.get)),
          byKind(descriptor.get, {
            delegated: mask.set(i64.and(mask.get, get64('mideleg'))),
            status:
              // MPP is WARL: there is no privilege 2, a write of it keeps the old one.
              when(
                i64.eq(i64.and(value.get, i64.const(status.MPP)), i64.const(2n << 11n)),
                mask.set(i64.and(mask.get, i64.const(~status.MPP))),
              ),
            satp: seq(
              // A write with a mode that is not supported changes nothing.
              brIf(
                done,
                i32.eqz(
                  SATP_MODES.map((mode) =>
                    i64.eq(i64.shr_u(value.get, i64.const(60n)), i64.const(mode)),
                  ).reduce((a, b) => i32.or(a, b)),
                ),
              ),
            ),
            // The new value holds from the next instruction on.
            cycle: value.set(i64.sub(value.get, time)),
            instret: value.set(i64.sub(value.get, retired)),
          }),
          when(
            at.get,
            store64.full(
              at.get,
              i64.or(i64.and(old.get, i64.xor(mask.get, i64.const(-1n))), i64.and(value.get, mask.get)),
            ),
          ),
          when(
            kindIs(descriptor.get, 'status'),
            seq(
              // Entries of execute-only pages depend on MXR.
              when(hasBits(i64.xor(old.get, get64('mstatus')), status.MXR), flushTlb.call()),
              updateModes.call(),
            ),
          ),
          when(
            kindIs(descriptor.get, 'satp'),
            when(i64.ne(old.get, get64('satp')), seq(flushTlb.call(), updateModes.call())),
          ),
        ),
      ),
    )
  }

  return { csrAllowed, csrRead, csrWrite }
}
