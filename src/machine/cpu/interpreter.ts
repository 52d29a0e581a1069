/**
 * Generates the CPU: a WebAssembly module whose `run` executes decoded records until something needs the
 * world outside.
 *
 * How it is fast:
 * - Instructions are decoded once, into records of 16 bytes that follow each other as far as control falls
 *   through; a record's operands are byte offsets into the register file. One `br_table` per instruction
 *   dispatches, and the loop holds only the instructions that matter (the rest is in `cold`).
 * - A block (up to the next unconditional jump) pays for its instructions when it is entered; a branch that
 *   leaves it early gives the rest back. So nothing is counted per instruction, and the look at the budget and
 *   at interrupts happens between blocks only. The counts are exact all the same.
 * - Jumps within a page are linked from record to record. Other jumps go through the fetch TLB and the page's
 *   entry table.
 * - Loads and stores find their page in a TLB that is probed inline; the tag comparison catches misalignment.
 *
 * Rules: a record never changes once a run can reach it, but for `extra` of branches, from 0 to their link;
 * a page whose code changes gets a new entry table, and old records are reused only when the whole cache is
 * thrown away, between runs.
 */
import type { Code, FunctionRef, Label } from '../../wasm/index.ts'
import {
  block,
  br,
  brIf,
  brTable,
  i32,
  i64,
  label,
  load32,
  load64,
  loop,
  ModuleBuilder,
  nop,
  ret,
  seq,
  seqThen,
  store64,
  when,
} from '../../wasm/index.ts'
import { buildCold } from './cold.ts'
import { emitCondition, emitValue } from './emit.ts'
import { exitReason } from './exits.ts'
import type { HotStep } from './handlers.ts'
import { firstCold, firstPair, firstStep, hotRows, hotSteps, pairs } from './handlers.ts'
import type { MemoryMap } from './layout.ts'
import { record, tlbArray } from './layout.ts'
import { buildMmu, stepStatus, tlbEntry } from './mmu.ts'
import { buildPrivileged } from './privileged.ts'
import type { AccessBytes, Semantics } from './semantics.ts'
import { fields, get32, get64, set32, set64 } from './state.ts'

/** What the generated module exports. Everything else passes through the slots of layout.ts. */
export interface CpuExports {
  /** Runs the hart whose state is in place; an `exitReason`. */
  run(): number
  /** Takes the exception in `cause` and `tval` at `pc`. */
  raise(): void
  /** Recomputes what depends on `privilege`, `mstatus` and `satp`. */
  updateModes(): void
  flushTlb(): void
  /** (address high, low, mode 0 U, 1 S, 2 both): the offset into RAM, or -1. */
  inspect(high: number, low: number, mode: number): number
  /** Fills the fetch TLB for an address: 0, 1 after a fault (`cause` and `tval`), 2 if it has no code. */
  fetch(high: number, low: number): number
}

/** The bytes of the CPU's module for a memory map. It imports `env.memory` and the devices' functions. */
export function buildCpuModule(map: MemoryMap): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder('cpu')
  module.importMemory('env', 'memory', { minimum: (map.ram + map.ramBytes) / 65536 })
  const deviceLoad = module.importFunction('env', 'deviceLoad', ['i32', 'i32'], 'i32')
  const deviceStore = module.importFunction('env', 'deviceStore', ['i32', 'i32'], 'i32')
  const codeStore = module.importFunction('env', 'codeStore', ['i32', 'i32'], 'void')

  const highProduct = buildHighProduct(module)
  const mmu = buildMmu(module, map, { deviceLoad, deviceStore, codeStore })
  const privileged = buildPrivileged(module, mmu.flushTlb)
  const cold = buildCold(module, mmu, privileged, highProduct)

  const run = module.function('run', [], 'i32')
  const ip = run.local('i32')
  const budget = run.local('i32')
  /** The virtual page that `ip` is on. */
  const page = run.local('i64')
  const pc = run.local('i64')
  const dataTlb = run.local('i32')
  const fetchTlb = run.local('i32')
  const address = run.local('i64')
  const entry = run.local('i32')
  const outcome = run.local('i32')
  const f = fields(ip)

  const enter = label('enter')
  const lookUp = label('lookUp')
  const next = label('next')
  const fetchTrap = label('fetchTrap')

  // Where a handler goes when it is done; all but `next` are the ends of blocks around the dispatch.
  const slowMemory = label('slowMemory')
  const taken = label('taken')
  const linked = label('linked')
  const toPc = label('toPc')
  const trapped = label('trapped')

  const toNextRecord = ip.set(i32.add(ip.get, i32.const(record.sizeBytes)))
  const advance: Code = seq(toNextRecord, br(next))
  const giveBack = budget.set(i32.add(budget.get, i32.sub(load32.u8(ip.get, record.remaining), i32.const(1))))
  const leave = (reason: number): Code =>
    seq(set64('pc', pc.get), set32('budget', budget.get), ret(i32.const(reason)))
  const here = i64.add(page.get, f.pageOffset)

  const operands = {
    rs1: f.rs1,
    rs2: f.rs2,
    immediate: f.immediate,
    pcPlusImmediate: i64.add(page.get, f.immediate),
    highProduct,
  }

  /** Goes to `slowMemory` unless the TLB has the page and the access is aligned; `entry` is the TLB's. */
  const probe = (array: number, bytes: AccessBytes): Code =>
    seq(
      address.set(i64.add(f.rs1, f.immediate)),
      entry.set(tlbEntry(dataTlb.get, address.get)),
      brIf(
        slowMemory,
        i64.ne(load64.full(entry.get, array), i64.and(address.get, i64.const(BigInt(-4096 + (bytes - 1))))),
      ),
    )
  const linear = (array: number) => i32.add(load32.full(entry.get, array + 8), i32.wrap_i64(address.get))

  /** What a row does before control goes to the next record; undefined where it goes elsewhere. */
  const hotBody = (semantics: Semantics): Code | undefined => {
    switch (semantics.kind) {
      case 'nothing':
        return nop()
      case 'compute':
        return f.setRd(emitValue(semantics.value, operands))
      case 'load':
        return seq(
          probe(tlbArray.read, semantics.bytes),
          f.setRd(loadOf(semantics.bytes, semantics.signed, linear(tlbArray.read))),
        )
      case 'store':
        return seq(
          probe(tlbArray.write, semantics.bytes),
          storeOf(semantics.bytes, linear(tlbArray.write), f.rs2),
        )
      case 'branch':
        return brIf(taken, emitCondition(semantics.condition, operands))
      default:
        return undefined
    }
  }

  const hotWay = (semantics: Semantics): Code => {
    const body = hotBody(semantics)
    if (body !== undefined) return seq(body, advance)
    switch (semantics.kind) {
      case 'jump':
        return seq(f.setRd(i64.add(page.get, f.link)), br(linked))
      case 'jumpRegister':
        return seq(
          pc.set(i64.and(i64.add(f.rs1, f.immediate), i64.const(-2n))),
          f.setRd(i64.add(page.get, f.extra64)),
          br(lookUp),
        )
      default:
        throw new Error(`${semantics.kind} is not a hot instruction`)
    }
  }

  const stepBody = (step: HotStep): Code | undefined => {
    switch (step) {
      case 'nop':
        return nop()
      case 'li':
        return f.setRd(f.immediate)
      case 'mv':
        return f.setRd(f.rs1)
      case 'clearZero':
        return store64.full(i32.const(0), i64.const(0n))
      default:
        return undefined
    }
  }

  const giveBackAllAndLeave = seq(
    budget.set(i32.add(budget.get, load32.u8(ip.get, record.remaining))),
    pc.set(here),
    leave(exitReason.crossing),
  )

  const stepWay = (step: HotStep): Code => {
    const body = stepBody(step)
    if (body !== undefined) return seq(body, advance)
    switch (step) {
      case 'jump':
        return br(linked)
      case 'jumpRegister':
        return seq(pc.set(i64.and(i64.add(f.rs1, f.immediate), i64.const(-2n))), br(lookUp))
      case 'goto':
        return br(toPc)
      case 'stop':
        return seq(pc.set(here), leave(exitReason.cut))
      case 'crossing':
        return seq(
          address.set(i64.add(page.get, i64.const(4096n))),
          entry.set(tlbEntry(fetchTlb.get, address.get)),
          when(
            i64.ne(load64.full(entry.get, tlbArray.fetch), address.get),
            seq(
              outcome.set(mmu.fetchMiss.call(address.get)),
              brIf(trapped, i32.eq(outcome.get, i32.const(1))),
              when(outcome.get, giveBackAllAndLeave),
            ),
          ),
          when(i32.ne(load32.full(entry.get, tlbArray.fetch + 8), f.extra), giveBackAllAndLeave),
          advance,
        )
      default:
        throw new Error(`${step} has no way`)
    }
  }
  const rowSlowWays = hotRows.map(({ semantics }): Code | undefined => {
    if (semantics.kind === 'load') {
      const { bytes, signed } = semantics
      return seq(
        address.set(mmu.loadSlow.call(address.get, i32.const(bytes))),
        outcome.set(mmu.status.get),
        when(
          i32.ne(outcome.get, i32.const(stepStatus.trap)),
          seq(f.setRd(extend(bytes, signed, address.get)), store64.full(i32.const(0), i64.const(0n))),
        ),
      )
    }
    if (semantics.kind === 'store') {
      return outcome.set(mmu.storeSlow.call(address.get, i32.const(semantics.bytes), f.rs2))
    }
    return undefined
  })

  // A pair's first instruction is the one whose record names the pair.
  const slowWays = [
    ...rowSlowWays,
    ...hotSteps.map(() => undefined),
    ...pairs.map(([first]) => rowSlowWays[first]),
  ]

  // From the inside out: the dispatch, the handlers, what they share.
  const singles = [...hotRows.map(({ semantics }) => hotWay(semantics)), ...hotSteps.map(stepWay)]
  const bodies = [...hotRows.map(({ semantics }) => hotBody(semantics)), ...hotSteps.map(stepBody)]
  const pairWays = pairs.map(([first, second]) => {
    const body = bodies[first]
    if (body === undefined) throw new Error(`handler ${first} cannot be the first of a pair`)
    return seq(body, toNextRecord, singles[second]!)
  })
  const ways = [...singles, ...pairWays]
  const labels = ways.map((_, i) => label(`handler ${i}`))
  if (ways.length !== firstCold || singles.length !== firstPair || hotRows.length !== firstStep) {
    throw new Error('handlers are out of order')
  }
  const coldWay = label('cold')
  const dispatch = brTable(f.handler, labels, coldWay)
  const handlers = ways.reduce<Code>((inner, code, i) => seq(block(labels[i]!, inner), code), dispatch)

  const afterOutcome = seq(
    when(i32.eqz(outcome.get), advance),
    brIf(trapped, i32.eq(outcome.get, i32.const(stepStatus.trap))),
  )
  const coldCode = seq(
    set32('budget', budget.get),
    outcome.set(cold.call(ip.get, page.get)),
    afterOutcome,
    pc.set(get64('pc')),
    brIf(enter, i32.eq(outcome.get, i32.const(stepStatus.resume))),
    ret(outcome.get),
  )

  const slowCode = seq(
    // A device may ask for the time: the budget as it will be after this instruction.
    set32('budget', i32.add(budget.get, i32.sub(load32.u8(ip.get, record.remaining), i32.const(1)))),
    switchCode(f.handler, slowWays),
    afterOutcome,
    // A device wants attention: leave the block here.
    set32('attention', i32.const(0)),
    giveBack,
    pc.set(i64.add(page.get, f.nextPageOffset)),
    leave(exitReason.attention),
  )

  const takenCode = giveBack
  const linkedCode = seq(
    entry.set(f.extra),
    when(
      entry.get,
      seq(
        outcome.set(load32.u8(entry.get, record.remaining)),
        when(
          i32.ge_s(budget.get, outcome.get),
          seq(budget.set(i32.sub(budget.get, outcome.get)), ip.set(entry.get), br(next)),
        ),
      ),
    ),
  )
  const toPcCode = seq(pc.set(i64.add(page.get, f.immediate)), br(lookUp))
  const trappedCode = seq(
    giveBack,
    pc.set(here),
    when(i64.lt_u(i64.sub(pc.get, get64('watchStart')), get64('watchBytes')), leave(exitReason.watched)),
    pc.set(privileged.trap.call(pc.get)),
    br(enter),
  )

  const step = seq(
    block(
      trapped,
      seq(
        block(
          toPc,
          seq(
            block(
              linked,
              seq(
                block(taken, seq(block(slowMemory, seq(block(coldWay, handlers), coldCode)), slowCode)),
                takenCode,
              ),
            ),
            linkedCode,
          ),
        ),
        toPcCode,
      ),
    ),
    trappedCode,
  )

  const lookUpCode = seq(
    entry.set(tlbEntry(fetchTlb.get, pc.get)),
    page.set(i64.and(pc.get, i64.const(-4096n))),
    when(
      i64.ne(load64.full(entry.get, tlbArray.fetch), page.get),
      seq(
        when(i32.le_s(budget.get, i32.const(0)), leave(exitReason.budget)),
        outcome.set(mmu.fetchMiss.call(pc.get)),
        when(outcome.get, seq(brIf(fetchTrap, i32.eq(outcome.get, i32.const(1))), leave(exitReason.decode))),
      ),
    ),
    ip.set(
      load32.full(
        i32.add(
          load32.full(entry.get, tlbArray.fetch + 8),
          i32.shl(i32.and(i32.wrap_i64(pc.get), i32.const(0xffe)), i32.const(1)),
        ),
      ),
    ),
    when(
      i32.eqz(ip.get),
      seq(
        // For `fetchOffset`: the page may have been found in the TLB.
        when(i32.le_s(budget.get, i32.const(0)), leave(exitReason.budget)),
        when(i32.eq(mmu.fetchMiss.call(pc.get), i32.const(1)), br(fetchTrap)),
        leave(exitReason.decode),
      ),
    ),
    outcome.set(load32.u8(ip.get, record.remaining)),
    when(i32.lt_s(budget.get, outcome.get), leave(exitReason.budget)),
    budget.set(i32.sub(budget.get, outcome.get)),
    loop(next, step),
  )

  run.body(
    seqThen(
      [
        budget.set(get32('budget')),
        pc.set(get64('pc')),
        loop(
          enter,
          seq(
            when(
              i64.ne(i64.and(get64('mip'), get64('mie')), i64.const(0n)),
              pc.set(privileged.takeInterrupt.call(pc.get)),
            ),
            when(i32.le_s(budget.get, i32.const(0)), leave(exitReason.budget)),
            dataTlb.set(get32('dataTlb')),
            fetchTlb.set(get32('fetchTlb')),
            block(fetchTrap, loop(lookUp, lookUpCode)),
            // A fetch that faults counts as an instruction, as every trap does.
            budget.set(i32.sub(budget.get, i32.const(1))),
            when(isHandler(pc.get), leave(exitReason.fault)),
            pc.set(privileged.trap.call(pc.get)),
            br(enter),
          ),
        ),
      ],
      i32.const(0),
    ),
  )

  const raise = module.function('raise', [], 'void')
  raise.body(set64('pc', privileged.trap.call(get64('pc'))))

  const fetch = module.function('fetch', ['i32', 'i32'], 'i32')
  {
    const [high, low] = fetch.parameters
    fetch.body(
      mmu.fetchMiss.call(
        i64.or(i64.shl(i64.extend_i32_u(high.get), i64.const(32n)), i64.extend_i32_u(low.get)),
      ),
    )
  }

  module.export('run', run)
  module.export('raise', raise)
  module.export('updateModes', privileged.updateModes)
  module.export('flushTlb', mmu.flushTlb)
  module.export('inspect', mmu.inspect)
  module.export('fetch', fetch)
  return module.encode()
}

/** Whether an address is where the hart's present privilege would trap to. */
const isHandler = (pc: Code<'i64'>): Code<'i32'> => {
  const at = (name: 'mtvec' | 'stvec', level: number) =>
    i32.and(i64.eq(i64.and(get64(name), i64.const(-4n)), pc), i32.eq(get32('privilege'), i32.const(level)))
  return i32.or(at('mtvec', 3), at('stvec', 1))
}

/** One piece of code per index; nothing where there is none. */
function switchCode(index: Code<'i32'>, ways: readonly (Code | undefined)[]): Code {
  const end = label('end')
  const used = ways.flatMap((code) => (code === undefined ? [] : [{ code, at: label('way') }]))
  let position = 0
  const targets: Label[] = ways.map((code) => (code === undefined ? end : used[position++]!.at))
  return block(
    end,
    used.reduce<Code>(
      (inner, { code, at }) => seq(block(at, inner), code, br(end)),
      brTable(index, targets, end),
    ),
  )
}

function loadOf(bytes: AccessBytes, signed: boolean, at: Code<'i32'>): Code<'i64'> {
  switch (bytes) {
    case 1:
      return signed ? load64.s8(at) : load64.u8(at)
    case 2:
      return signed ? load64.s16(at) : load64.u16(at)
    case 4:
      return signed ? load64.s32(at) : load64.u32(at)
    case 8:
      return load64.full(at)
  }
}

function storeOf(bytes: AccessBytes, at: Code<'i32'>, value: Code<'i64'>): Code {
  switch (bytes) {
    case 1:
      return store64.low8(at, value)
    case 2:
      return store64.low16(at, value)
    case 4:
      return store64.low32(at, value)
    case 8:
      return store64.full(at, value)
  }
}

/** A value of a few bytes, zero-extended so far, as `rd` wants it. */
function extend(bytes: AccessBytes, signed: boolean, value: Code<'i64'>): Code<'i64'> {
  if (!signed) return value
  switch (bytes) {
    case 1:
      return i64.extend8_s(value)
    case 2:
      return i64.extend16_s(value)
    case 4:
      return i64.extend32_s(value)
    case 8:
      return value
  }
}

/** The upper 64 bits of the product of two unsigned numbers, from four products of halves. */
function buildHighProduct(module: ModuleBuilder): FunctionRef<readonly ['i64', 'i64'], 'i64'> {
  const mulhu = module.function('mulhu', ['i64', 'i64'], 'i64')
  const [a, b] = mulhu.parameters
  const middle = mulhu.local('i64')
  const other = mulhu.local('i64')
  const low = (x: Code<'i64'>) => i64.and(x, i64.const(0xffff_ffffn))
  const high = (x: Code<'i64'>) => i64.shr_u(x, i64.const(32n))
  mulhu.body(
    seqThen(
      [
        middle.set(i64.add(i64.mul(high(a.get), low(b.get)), high(i64.mul(low(a.get), low(b.get))))),
        other.set(i64.add(i64.mul(low(a.get), high(b.get)), low(middle.get))),
      ],
      i64.add(i64.add(i64.mul(high(a.get), high(b.get)), high(middle.get)), high(other.get)),
    ),
  )
  return mulhu
}
