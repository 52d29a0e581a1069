/**
 * One subprogram as a WebAssembly function: its instructions over locals, in the structure of `structure.ts`.
 *
 * Rules
 * - A register is an i64 local, or an i32 local while only its low word is asked for (`demand.ts`): at the start of a
 *   block, demand alone says which; inside of one, `#isLow` keeps account. The frame (the arena offset where its stack begins) is an i32, so that a stack access
 *   whose place is known is one instruction with a constant displacement.
 * - A subprogram that is inlined is translated again into the function that calls it, with registers of its own; its
 *   `exit` goes to the end of a block.
 * - Every way out of a block is explicit; the code of a block never falls off its end.
 */
import type { InstructionRow, Row } from '../isa/index.ts'
import {
  block,
  br,
  type Code,
  i32,
  i64,
  type Label,
  type Local,
  label,
  load32,
  load64,
  select,
  seq,
  seqThen,
  store32,
  store64,
  unreachable,
  type ValueType,
  when,
} from '../wasm/index.ts'
import { arithmetic32, arithmetic64, comparison32, comparison64, swap64, swapLow } from './arithmetic.ts'
import type { Block } from './control-flow.ts'
import { type CountedLoop, countedLoop } from './counted-loop.ts'
import { type Demand, highOf, isNarrow, isZeroTest, lowOf } from './demand.ts'
import { faultCode } from './fault.ts'
import { foreignLoad } from './foreign-load.ts'
import { FRAME_STEP, MAX_MAY_GOTO, STACK_BYTES } from './layout.ts'
import type { ModuleContext } from './module-context.ts'
import type { PagedAccess } from './paged-access.ts'
import type { Slot } from './program.ts'
import { isFetch, type Subprogram } from './registers.ts'
import { type Rotations, rotationsOf } from './rotation.ts'
import type { StackPart } from './stack-slots.ts'
import { type BlockTranslator, type Iteration, structured } from './structure.ts'
import { nothingKnown, type Registers, step, type Value, valuesOf } from './values.ts'

/** The WebAssembly function that code goes into, shared by a subprogram and those inlined in it. */
export interface FunctionScope {
  local<T extends ValueType>(type: T): Local<T>
  /** What is left of the budget; undefined where the program is known to end. */
  readonly fuel: Local<'i32'> | undefined
  /** Frames that have been numbered, the function's own being 0. */
  frames: number
  /** Slots that were inlined. */
  inlined: number
  /** What comes before the function's first block, and the locals that it sets. */
  readonly prologue: Code[]
  readonly bases: Map<number, Local<'i32'>>
  /** Scratch that no two pieces of code use across each other: an address, and values. */
  readonly address: Local<'i32'>
  readonly old: Local<'i64'>
  /** Where a value is kept that is rotated further on in its block. */
  rotated<T extends ValueType>(value: number, type: T): Local<T>
}

/** How the code of a subprogram is embedded. */
export interface Embedding {
  readonly scope: FunctionScope
  /** Arena offset of the frame's stack. */
  readonly frame: Code<'i32'>
  readonly frameNumber: number
  /** The frames that are open here, by number. */
  readonly frames: ReadonlyMap<number, Code<'i32'>>
  /** What is known of the registers on entry. */
  readonly entry: Registers
  /** Leaves the subprogram with the value. */
  leave(value: Code<'i64'>): Code
  /** Entries of the subprograms that this one is inlined in, itself last. */
  readonly inside: readonly number[]
}

/** `imm` of a cast from address space 0 to 1, which user space's addresses are in. */
const TO_USER = 1 << 16

const SLOTS_INLINED_EACH = 48
const SLOTS_INLINED_IN_ALL = 600

export class SubprogramTranslator implements BlockTranslator {
  readonly context: ModuleContext
  readonly embedding: Embedding
  readonly subprogram: Subprogram
  readonly registers: readonly Local<'i64'>[]
  readonly #demand: Demand
  /** The registers while they are kept in 32 bits, made as they are needed. */
  readonly #lows: (Local<'i32'> | undefined)[] = new Array<undefined>(11).fill(undefined)
  /** Where each register is now. */
  readonly #isLow: boolean[] = new Array<boolean>(11).fill(false)
  /** Demand behind the instruction that is being translated. */
  #behind = 0
  #rotations: Rotations = rotationsOf([])
  /** Values of 64 bits that would be rotated if more than their low word were kept. */
  readonly #halved = new Set<number>()
  /** Parts of the stack that are locals, by the slots of their accesses, and these locals by place. */
  readonly #parts: ReadonlyMap<number, StackPart>
  readonly #partLocals = new Map<number, Local<ValueType>>()
  readonly #known: readonly (Registers | undefined)[]
  readonly #mayGoto: Local<'i32'> | undefined
  /** What is known at the instruction that is being translated. */
  values: Value[] = []
  /** Whether r0 is zero, where the last instruction has just found that out in another way. */
  resultIsZero: Code<'i32'> | undefined
  /** Whether the jump at the end asks, right behind this instruction, if r0 is zero, and nobody looks at it then. */
  #zeroIsUnseen = false
  /** The last word that was stored at a known place of a stack, while it is known to be there. */
  #keptWord: KeptWord | undefined

  constructor(
    context: ModuleContext,
    subprogram: Subprogram,
    embedding: Embedding,
    registers: readonly Local<'i64'>[],
  ) {
    this.context = context
    this.subprogram = subprogram
    this.embedding = embedding
    this.registers = registers
    this.#demand = context.demandOf(subprogram)
    this.#parts = context.stackSlotsOf(subprogram)
    this.#known = valuesOf(subprogram.flow, embedding.entry)
    const hasMayGoto = subprogram.flow.blocks.some(
      ({ exit }) => exit.kind === 'branch' && exit.slot.row?.kind === 'may_goto',
    )
    this.#mayGoto = hasMayGoto ? embedding.scope.local('i32') : undefined
  }

  /** All of it; it does not fall through. */
  translate(): Code {
    const { frame } = this.embedding
    const top = i64.extend_i32_u(i32.add(frame, i32.const(STACK_BYTES)))
    const setup = [
      ...(this.subprogram.usesStack
        ? [
            this.#register(10).set(i64.or(top, i64.const(this.context.arenaBase))),
            ...(this.context.isChecked ? [this.context.clearFrame(frame)] : []),
          ]
        : []),
      ...(this.#mayGoto === undefined ? [] : [this.#mayGoto.set(i32.const(MAX_MAY_GOTO))]),
    ]
    this.#isLow.fill(false)
    return seq(
      ...setup,
      this.#narrow(this.#demand.atStart[0] as number),
      structured(this.subprogram.flow, this),
    )
  }

  /** Makes the low words of registers that are to be found as such by whoever has this demand. */
  #narrow(demand: number): Code {
    const out: Code[] = []
    for (let n = 0; n < 11; n++) {
      const isLowOnly = (demand & lowOf(n)) !== 0 && (demand & highOf(n)) === 0
      if (isLowOnly && !this.#isLow[n]) out.push(this.#low(n).set(i32.wrap_i64(this.#register(n).get)))
    }
    return seq(...out)
  }

  /** Where the registers are at the start of a block. */
  #arrive(demand: number): void {
    for (let n = 0; n < 11; n++) {
      this.#isLow[n] = (demand & lowOf(n)) !== 0 && (demand & highOf(n)) === 0
    }
  }

  counted(head: Block): CountedLoop | undefined {
    // Where each iteration is to be paid for, they stay as they are.
    if (this.context.isChecked) return undefined
    return countedLoop(this.subprogram.flow, head, this.#known)
  }

  countFrom({ head, register }: CountedLoop): { readonly before: Code; readonly origin: Local<'i32'> } {
    const origin = this.embedding.scope.local('i32')
    this.#arrive(this.#demand.atStart[head.number] as number)
    return { before: origin.set(this.low(register)), origin }
  }

  body(block_: Block, iteration?: Iteration): Code {
    this.resultIsZero = undefined
    this.values = [...(this.#known[block_.number] ?? nothingKnown(this.embedding.frameNumber))]
    if (iteration !== undefined) this.values[iteration.loop.register] = counterAt(iteration)
    const out: Code[] = []
    const { number, slots, exit } = block_
    this.#arrive(this.#demand.atStart[number] as number)
    this.#rotations = rotationsOf(slots)
    this.#halved.clear()
    this.#keptWord = undefined
    const behind = this.#demand.behind(number)
    for (const [i, slot] of slots.entries()) {
      this.resultIsZero = undefined
      this.#behind = behind[i] as number
      this.#zeroIsUnseen = i === slots.length - 1 && this.#isZeroUnseen(exit)
      out.push(this.context.traced(slot.pc, this.#instruction(slot)))
      step(this.values, slot)
      const { kind } = slot.row ?? { kind: undefined }
      if (kind === 'call' || kind === 'atomic' || kind === 'packet') this.#keptWord = undefined
    }
    const successors =
      exit.kind === 'none' ? [] : exit.kind === 'goto' ? [exit.to] : [exit.taken, exit.otherwise]
    for (const to of successors) out.push(this.#narrow(this.#demand.atStart[to] as number))
    return seq(...out)
  }

  #isZeroUnseen(exit: Block['exit']): boolean {
    if (exit.kind !== 'branch' || !isZeroTest(exit.slot)) return false
    const { op }: Row = exit.slot.row as Row
    const demand = this.#demand.atStart[op === 'jeq' ? exit.taken : exit.otherwise] as number
    return (demand & (lowOf(0) | highOf(0))) === 0
  }

  /**
   * Sets r0 to a pointer to this offset of the arena, or to zero unless `isFound`. `isKnown`: that is so on every way
   * to this code.
   */
  setPointer(offset: Code<'i32'>, isFound: Code<'i32'>, isKnown: boolean): Code {
    // One comparison less in a look-up: V8 does not see that r0 is zero just where nothing was found.
    this.resultIsZero = isKnown ? i32.eqz(isFound) : undefined
    const isPlain = isKnown && this.#zeroIsUnseen
    if (this.#wantsLowOnly(0)) {
      return this.#setLow(0, isPlain ? offset : select(isFound, offset, i32.const(0)))
    }
    const pointer = i64.or(i64.extend_i32_u(offset), i64.const(this.context.arenaBase))
    return this.set(0, isPlain ? pointer : select(isFound, pointer, i64.const(0n)))
  }

  /** The word that a register points to, where it has been stored just now; undefined where it has to be loaded. */
  keptWord(register: number): Code<'i32'> | undefined {
    const kept = this.#keptWord
    const value = this.values[register]
    if (kept === undefined || value?.kind !== 'stack') return undefined
    return value.frame === kept.frame && value.offset === kept.offset ? kept.value : undefined
  }

  condition({ exit }: Block): Code<'i32'> {
    if (exit.kind !== 'branch') throw new Error('a condition where there is no branch')
    const { slot } = exit
    const row: Row = slot.row as Row
    if (row.kind === 'may_goto') {
      const left = this.#mayGoto as Local<'i32'>
      // Falls through until the frame has used its count up.
      const isUsedUp = i32.eqz(left.get)
      return this.context.traced(
        slot.pc,
        seqThen(
          [
            this.embedding.scope.address.set(isUsedUp),
            left.set(i32.sub(left.get, i32.eqz(this.embedding.scope.address.get))),
          ],
          this.embedding.scope.address.get,
        ),
      )
    }
    const { resultIsZero } = this
    if (resultIsZero !== undefined && isZeroTest(slot)) {
      return row.op === 'jeq' ? resultIsZero : i32.eqz(resultIsZero)
    }
    const { dst, src, constant } = slot
    return this.context.traced(
      slot.pc,
      row.bits === 32
        ? comparison32(row.op, this.low(dst), this.low(src), constant)
        : comparison64(row.op, this.get(dst), this.get(src), constant),
    )
  }

  loopHead(block_: Block): Code {
    const { fuel } = this.embedding.scope
    if (fuel === undefined) return seq()
    const { slots, exit } = block_
    // No more than an iteration executes at least.
    const cost = Math.max(1, slots.length + (exit.kind === 'branch' ? 1 : 0))
    const pc = slots[0]?.pc ?? (exit.kind === 'branch' ? exit.slot.pc : this.subprogram.entry)
    return this.context.spend(fuel, cost, pc)
  }

  dispatchLocal(): Local<'i32'> {
    return this.embedding.scope.local('i32')
  }

  /** All of a register; of one that is kept in 32 bits, with zeroes above, which nobody will look at. */
  get(register: number): Code<'i64'> {
    return this.#isLow[register] === true
      ? i64.extend_i32_u(this.#low(register).get)
      : this.#register(register).get
  }

  /** The low word of a register. */
  low(register: number): Code<'i32'> {
    return this.#isLow[register] === true
      ? this.#low(register).get
      : i32.wrap_i64(this.#register(register).get)
  }

  set(register: number, value: Code<'i64'>): Code {
    if (this.#wantsLowOnly(register)) return this.#setLow(register, i32.wrap_i64(value))
    this.#isLow[register] = false
    return this.#register(register).set(value)
  }

  /** Sets all of a register, whatever will be asked of it. */
  #setWhole(register: number, value: Code<'i64'>): Code {
    this.#isLow[register] = false
    return this.#register(register).set(value)
  }

  /** Sets a register to a low word with zeroes above. */
  setWord(register: number, value: Code<'i32'>): Code {
    if (this.#wantsLowOnly(register)) return this.#setLow(register, value)
    this.#isLow[register] = false
    return this.#register(register).set(i64.extend_i32_u(value))
  }

  /** Sets the low word of a register of which nothing else will be asked. */
  #setLow(register: number, value: Code<'i32'>): Code {
    this.#isLow[register] = true
    return this.#low(register).set(value)
  }

  #wantsLowOnly(register: number): boolean {
    return (this.#behind & lowOf(register)) !== 0 && (this.#behind & highOf(register)) === 0
  }

  #low(register: number): Local<'i32'> {
    const known = this.#lows[register]
    if (known !== undefined) return known
    const made = this.embedding.scope.local('i32')
    this.#lows[register] = made
    return made
  }

  #register(register: number): Local<'i64'> {
    return this.registers[register] as Local<'i64'>
  }

  #instruction(slot: Slot): Code {
    const found: InstructionRow | undefined = slot.row
    if (found === undefined) return this.#bad(slot)
    const row: Row = found
    const { dst, src, constant } = slot
    switch (found.kind) {
      case 'alu':
        return this.#arithmetic(slot, row)
      case 'cast':
        // Without an arena there is one address space.
        if (slot.imm !== TO_USER || this.context.paged === undefined) return this.set(dst, this.get(src))
        return this.set(dst, this.context.paged.castToUser(this.get(src)))
      case 'swap':
        if (row.bits !== 64) return this.setWord(dst, swapLow(row.op, row.bits, this.low(dst)))
        return this.set(dst, swap64(row.op, this.get(dst)))
      case 'wide':
        return this.#wantsLowOnly(dst)
          ? this.#setLow(dst, i32.const(Number(BigInt.asIntN(32, constant as bigint))))
          : this.set(dst, i64.const(constant as bigint))
      case 'load':
        return this.#load(slot, row)
      case 'store':
        return this.#store(slot, row)
      case 'atomic':
        return this.#atomic(slot, row)
      case 'call':
        return this.context.calls.translate(this, slot, row)
      case 'packet':
        return this.context.calls.packet(this, slot, row)
      case 'exit':
        return this.embedding.leave(this.get(0))
      case 'jump':
      case 'goto':
      case 'may_goto':
        throw new Error('a jump inside a block')
    }
  }

  #arithmetic(slot: Slot, row: Row): Code {
    const { dst, src, constant, pc } = slot
    if ((this.#behind & (lowOf(dst) | highOf(dst))) === 0) return seq()
    const join = this.#rotations.joins.get(pc)
    if (join !== undefined && !this.#halved.has(join.value)) {
      if (join.bits === 64) {
        const value = this.embedding.scope.rotated(join.value, 'i64')
        return this.set(dst, i64.rotl(value.get, i64.const(BigInt(join.left))))
      }
      const value = this.embedding.scope.rotated(join.value, 'i32')
      return this.setWord(dst, i32.rotl(value.get, i32.const(join.left)))
    }
    const rotated = this.#rotations.values.get(pc)
    const isHalf = rotated?.bits === 64 && this.#isLow[dst] === true
    if (isHalf) this.#halved.add(rotated.value)
    const keep =
      rotated === undefined || isHalf
        ? seq()
        : rotated.bits === 64
          ? this.embedding.scope.rotated(rotated.value, 'i64').set(this.get(dst))
          : this.embedding.scope.rotated(rotated.value, 'i32').set(this.low(dst))
    return seq(keep, this.#computed(row, dst, src, constant))
  }

  #computed(row: Row, dst: number, src: number, constant: bigint | undefined): Code {
    if (row.bits === 32)
      return this.setWord(dst, arithmetic32(row.op, this.low(dst), this.low(src), constant))
    if (this.#wantsLowOnly(dst) && isNarrow(row, constant)) {
      return this.#setLow(dst, arithmetic32(row.op, this.low(dst), this.low(src), constant))
    }
    return this.set(dst, arithmetic64(row.op, this.get(dst), this.get(src), constant))
  }

  #bad({ pc, opcode }: Slot): Code {
    const { context } = this
    return pc >= context.program.length
      ? context.fault(faultCode.outOfProgram, pc)
      : context.fault(faultCode.unknownInstruction, pc, i32.const(opcode))
  }

  /** Where an access goes: an address and a displacement for it. Checked where the place is not known. */
  place(pc: number, register: number, offset: number, sizeBytes: number, isWrite: boolean): Place {
    const value = this.values[register]
    if (value?.kind === 'stack') {
      const at = value.offset + offset + STACK_BYTES
      const frame = this.embedding.frames.get(value.frame)
      if (at >= 0 && at + sizeBytes <= STACK_BYTES && frame !== undefined) {
        return { before: seq(), address: frame, offset: at }
      }
    }
    const indexed = this.context.isChecked ? undefined : indexedPlace(value, offset, sizeBytes)
    if (indexed !== undefined) return indexed
    if (!this.context.isChecked) {
      const address = this.low(register)
      if (offset >= 0) return { before: seq(), address, offset }
      return { before: seq(), address: i32.add(address, i32.const(offset)), offset: 0 }
    }
    const { address } = this.embedding.scope
    const checked = this.context.checkedAccess(this.get(register), offset, sizeBytes, isWrite, pc)
    return { before: address.set(checked), address: address.get, offset: 0 }
  }

  /** One of 64 bits, or a smaller one with zeroes above. */
  #partLocal<T extends 'i32' | 'i64'>({ offset }: StackPart, type: T): Local<T> {
    const known = this.#partLocals.get(offset) ?? (this.embedding.scope.local(type) as Local<ValueType>)
    this.#partLocals.set(offset, known)
    return known as Local<T>
  }

  #loadPart(part: StackPart, { dst }: Slot, { op, bits }: Row): Code {
    if (bits === 64) return this.set(dst, this.#partLocal(part, 'i64').get)
    const { get } = this.#partLocal(part, 'i32')
    if (op !== 'ldsx') return this.setWord(dst, get)
    const signed = bits === 8 ? i32.extend8_s(get) : bits === 16 ? i32.extend16_s(get) : get
    return this.#wantsLowOnly(dst) ? this.#setLow(dst, signed) : this.set(dst, i64.extend_i32_s(signed))
  }

  #storePart(part: StackPart, { src, constant }: Slot, { bits }: Row): Code {
    if (bits === 64) {
      return this.#partLocal(part, 'i64').set(constant === undefined ? this.get(src) : i64.const(constant))
    }
    const mask = bits === 32 ? -1 : 2 ** bits - 1
    const low = constant === undefined ? this.low(src) : i32.const(Number(constant) & mask)
    const isWhole = constant !== undefined || bits === 32
    return this.#partLocal(part, 'i32').set(isWhole ? low : i32.and(low, i32.const(mask)))
  }

  #load(slot: Slot, row: Row): Code {
    const part = this.#parts.get(slot.pc)
    if (part !== undefined) return this.#loadPart(part, slot, row)
    const isForeign = this.context.options.foreignLoads?.has(slot.pc) === true
    const paged = this.#pagedAt(slot)
    const access = { register: this.get(slot.src), offset: slot.offset, sizeBytes: row.bits / 8 }
    const { before, address, offset } = isForeign
      ? { ...foreignLoad(this.context, this.embedding, row, this.get(slot.src), slot.offset), offset: 0 }
      : paged !== undefined
        ? { ...paged.load(this.context, this.embedding, access), offset: 0 }
        : this.place(slot.pc, slot.src, slot.offset, row.bits / 8, false)
    const what = row.op === 'ldsx' ? `s${row.bits}` : `u${row.bits}`
    if (this.#wantsLowOnly(slot.dst)) {
      const load = lowLoads[what] as (typeof load32)['full']
      return seq(before, this.#setLow(slot.dst, load(address, offset)))
    }
    const load = loads[what] as (typeof load64)['full']
    return seq(before, this.set(slot.dst, load(address, offset)))
  }

  #store(slot: Slot, row: Row): Code {
    const paged = this.#pagedAt(slot)
    if (paged !== undefined) {
      const access = { register: this.get(slot.dst), offset: slot.offset, sizeBytes: row.bits / 8 }
      const value = slot.constant === undefined ? this.get(slot.src) : i64.const(slot.constant)
      const store = stores[row.bits] as (typeof store64)['full']
      return paged.store(this.context, this.embedding, access, value, (address) => store(address, value))
    }
    const part = this.#parts.get(slot.pc)
    if (part !== undefined) return this.#storePart(part, slot, row)
    const { before, address, offset } = this.place(slot.pc, slot.dst, slot.offset, row.bits / 8, true)
    const kept = this.#keep(slot, row)
    if (kept !== undefined) return seq(before, kept.before, store32.full(address, kept.value, offset))
    if (row.bits === 64) {
      const value = slot.constant === undefined ? this.get(slot.src) : i64.const(slot.constant)
      return seq(before, store64.full(address, value, offset))
    }
    const value = slot.constant === undefined ? this.low(slot.src) : i32.const(Number(slot.constant))
    return seq(before, (lowStores[row.bits] as (typeof store32)['full'])(address, value, offset))
  }

  /** Notes what a store changes of what is known to be in a stack; a word that goes to a known place is kept. */
  #keep(slot: Slot, { bits }: Row): { readonly before: Code; readonly value: Code<'i32'> } | undefined {
    const place = this.values[slot.dst]
    const kept = this.#keptWord
    if (this.context.isChecked || place?.kind !== 'stack') {
      this.#keptWord = undefined
      return undefined
    }
    const { frame } = place
    const offset = place.offset + slot.offset
    if (bits !== 32) {
      const isApart = frame !== kept?.frame || offset + bits / 8 <= kept.offset || kept.offset + 4 <= offset
      if (!isApart) this.#keptWord = undefined
      return undefined
    }
    if (slot.constant !== undefined) {
      const value = i32.const(Number(slot.constant))
      this.#keptWord = { frame, offset, value }
      return { before: seq(), value }
    }
    const word = this.embedding.scope.local('i32')
    this.#keptWord = { frame, offset, value: word.get }
    return { before: word.set(this.low(slot.src)), value: word.get }
  }

  /** Programs here never run at the same instant, so plain accesses do. */
  #atomic(slot: Slot, row: Row): Code {
    const paged = this.#pagedAt(slot)
    if (paged !== undefined) {
      const access = { register: this.get(slot.dst), offset: slot.offset, sizeBytes: row.bits / 8 }
      // Where the page is missing, the register stays: it has to lie where it is then looked for.
      const result = row.op === 'cmpxchg' ? 0 : isFetch(row) ? slot.src : undefined
      const settled = result === undefined ? seq() : this.#setWhole(result, this.get(result))
      const operate = (address: Code<'i32'>) =>
        this.#operate(slot, row, { address, offset: 0 }, (register, value) => this.#setWhole(register, value))
      return seq(settled, paged.atomic(this.context, this.embedding, access, operate))
    }
    const place = this.place(slot.pc, slot.dst, slot.offset, row.bits / 8, true)
    const set = (register: number, value: Code<'i64'>) => this.set(register, value)
    return seq(place.before, this.#operate(slot, row, place, set))
  }

  /** The pages that an instruction goes through, if it does. */
  #pagedAt({ pc }: Slot): PagedAccess | undefined {
    const { paged } = this.context
    return paged?.use.slots.has(pc) === true ? paged : undefined
  }

  #operate(
    slot: Slot,
    row: Row,
    { address, offset }: Omit<Place, 'before'>,
    set: (register: number, value: Code<'i64'>) => Code,
  ): Code {
    const { src } = slot
    const { scope } = this.embedding
    const load = loads[`u${row.bits}`] as (typeof load64)['full']
    const store = (value: Code<'i64'>) =>
      (stores[row.bits] as (typeof store64)['full'])(address, value, offset)
    const operand = this.get(src)
    const old = scope.old
    const narrow = (value: Code<'i64'>) => (row.bits === 32 ? i64.extend_i32_u(i32.wrap_i64(value)) : value)
    if (row.op === 'cmpxchg') {
      const isExpected = i64.eq(old.get, narrow(this.get(0)))
      return seq(old.set(load(address, offset)), when(isExpected, store(operand)), set(0, old.get))
    }
    const operation = row.op.replace('fetch_', '') as 'add' | 'or' | 'and' | 'xor' | 'xchg'
    const result = operation === 'xchg' ? operand : i64[operation](old.get, operand)
    return seq(old.set(load(address, offset)), store(result), ...(isFetch(row) ? [set(src, old.get)] : []))
  }

  /** Calls a subprogram and sets r0; `args` are r1 to r5. */
  callSubprogram(entry: number, args: readonly Code<'i64'>[], known: readonly Value[], pc: number): Code {
    const callee = this.context.subprograms.get(entry) as Subprogram
    const { scope, frame, inside, frames } = this.embedding
    const inner = i32.sub(frame, i32.const(FRAME_STEP))
    const guard = this.context.isChecked ? [this.context.checkDepth(frame, pc)] : []
    const opens = this.context.isChecked && callee.usesStack
    const open = opens ? [this.context.openFrame(inner)] : []
    const close = opens ? [this.context.closeFrame(inner)] : []
    if (!this.#isInlined(callee)) {
      const passed = args.filter((_, n) => ((callee.parameters >> (n + 1)) & 1) !== 0)
      const call = this.context.callFunction(entry, passed, inner)
      return seq(
        ...guard,
        ...open,
        ...this.context.saveFuel(this.embedding),
        this.set(0, call),
        ...close,
        ...this.context.restoreFuel(this.embedding),
      )
    }
    scope.inlined += callee.slotCount
    const registers = this.registers.map(() => scope.local('i64'))
    const at = label(`inlined ${entry}`)
    const number = ++scope.frames
    let innerFrame: Code<'i32'> = inner
    const setup: Code[] = []
    if (callee.usesStack) {
      const local = scope.local('i32')
      setup.push(local.set(inner))
      innerFrame = local.get
    }
    const entryValues = nothingKnown(number).map((value, n) => (n >= 1 && n <= 5 ? known[n - 1] : value))
    const translator = new SubprogramTranslator(
      this.context,
      callee,
      {
        scope,
        frame: innerFrame,
        frameNumber: number,
        frames: new Map(frames).set(number, innerFrame),
        entry: entryValues,
        leave: (value) => seq(this.set(0, value), br(at)),
        inside: [...inside, entry],
      },
      registers,
    )
    const parameters = args.flatMap((arg, n) =>
      ((callee.parameters >> (n + 1)) & 1) !== 0 ? [(registers[n + 1] as Local<'i64'>).set(arg)] : [],
    )
    return seq(...guard, ...setup, ...open, ...parameters, blockOf(at, translator.translate()), ...close)
  }

  #isInlined(callee: Subprogram): boolean {
    const { scope, inside } = this.embedding
    return (
      !this.context.isHooked(callee.entry) &&
      callee.slotCount <= SLOTS_INLINED_EACH &&
      scope.inlined + callee.slotCount <= SLOTS_INLINED_IN_ALL &&
      !inside.includes(callee.entry)
    )
  }
}

/** What is known of the register that counts, at the start of an iteration. */
function counterAt(iteration: Iteration): Value {
  const { start, step: amount, iterations } = iteration.loop
  if ('number' in iteration) {
    return { kind: 'constant', value: BigInt.asUintN(64, start + BigInt(iteration.number) * amount) }
  }
  const { origin, first, since } = iteration
  const ends = [first, iterations].map((n) => start + BigInt(n) * amount)
  const [low, high] = (ends[0] as bigint) < (ends[1] as bigint) ? ends : ends.reverse()
  if ((low as bigint) < 0n || (high as bigint) > MOST_INDEX) return undefined
  return { kind: 'index', origin, most: high as bigint, plus: BigInt(since) * amount }
}

/** An address that is a constant and a local: the constant is the instruction's, if the sum cannot run over. */
function indexedPlace(value: Value, offset: number, sizeBytes: number): Place | undefined {
  if (value?.kind !== 'index') return undefined
  const displacement = BigInt.asUintN(32, value.plus + BigInt(offset))
  if (displacement + value.most + BigInt(sizeBytes) > 1n << 32n) return undefined
  return { before: seq(), address: value.origin.get, offset: Number(displacement) }
}

const MOST_INDEX = 0x7fff_ffffn

interface KeptWord {
  readonly frame: number
  readonly offset: number
  readonly value: Code<'i32'>
}

const blockOf = (at: Label, code: Code): Code => block(at, seq(code, unreachable()))

export interface Place {
  /** Comes first; sets what `address` reads. */
  readonly before: Code
  readonly address: Code<'i32'>
  readonly offset: number
}

const loads: Readonly<Record<string, (typeof load64)['full']>> = {
  u8: load64.u8,
  u16: load64.u16,
  u32: load64.u32,
  u64: load64.full,
  s8: load64.s8,
  s16: load64.s16,
  s32: load64.s32,
}

/** The same where only the low word is asked for. */
const lowLoads: Readonly<Record<string, (typeof load32)['full']>> = {
  u8: load32.u8,
  u16: load32.u16,
  u32: load32.full,
  u64: load32.full,
  s8: load32.s8,
  s16: load32.s16,
  s32: load32.full,
}

const lowStores: Readonly<Record<number, (typeof store32)['full']>> = {
  8: store32.low8,
  16: store32.low16,
  32: store32.full,
}

const stores: Readonly<Record<number, (typeof store64)['full']>> = {
  8: store64.low8,
  16: store64.low16,
  32: store64.low32,
  64: store64.full,
}
