/**
 * Calls: of subprograms, of helpers and kernel functions in JavaScript, and those helpers whose code is part of the
 * program.
 *
 * A call of JavaScript passes its arguments through the run's block, as bytes, and takes r0 from there: an i64 that
 * crosses is a BigInt, at 20 to 80 ns each. The import answers 1 where a tail call has run another program to its end,
 * whose r0 is then this program's.
 */
import { E2BIG, EINVAL } from '../abi/index.ts'
import type { Row } from '../isa/index.ts'
import {
  block,
  brIf,
  type Code,
  type FunctionRef,
  i32,
  i64,
  label,
  load32,
  load64,
  loop,
  seq,
  store32,
  store64,
  when,
} from '../wasm/index.ts'
import { runBlock } from './layout.ts'
import { MapCalls } from './map-calls.ts'
import type { ModuleContext } from './module-context.ts'
import { FUNCTION_BASE, functionAddress, type Slot } from './program.ts'
import { TAIL_CALL } from './registers.ts'
import type { SubprogramTranslator } from './subprogram.ts'

type Bridge = FunctionRef<readonly ['i32', 'i32'], 'i32'>
type Packet = FunctionRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>
type Indirect = FunctionRef<readonly ['i32', 'i32', 'i32'], 'i32'>

/** BPF_MAX_LOOPS of Linux. */
const MOST_LOOPS = 1 << 23

const HELPER = { smpProcessorId: 8, loop: 181 } as const

export class CallTranslator {
  readonly #context: ModuleContext
  readonly #helpers = new Map<number, Bridge>()
  readonly #words = new Map<number, FunctionRef<readonly ['i32'], 'i32'>>()
  readonly #kfuncs = new Map<string, Bridge>()
  readonly #maps: MapCalls
  readonly #packet: Packet | undefined
  readonly #indirect: Indirect | undefined

  /** Declares the imports that the program needs. */
  constructor(context: ModuleContext) {
    this.#context = context
    const { builder, program, options } = context
    const rows = program.slots.map((slot) => ({ slot, name: slot.row?.name }))
    for (const { slot, name } of rows) {
      if (name === 'call_helper') {
        const id = slot.imm
        if (options.hasWordHelper(id)) {
          if (this.#words.has(id)) continue
          this.#words.set(id, builder.importFunction('word', `${id}`, ['i32'], 'i32'))
        } else if (!this.#helpers.has(id)) {
          this.#helpers.set(id, builder.importFunction('helper', `${id}`, ['i32', 'i32'], 'i32'))
        }
      }
      if (name === 'call_kfunc') {
        const key = `${slot.imm} ${slot.offset}`
        if (!this.#kfuncs.has(key)) {
          this.#kfuncs.set(key, builder.importFunction('kfunc', key, ['i32', 'i32'], 'i32'))
        }
      }
    }
    this.#maps = new MapCalls(context)
    const has = (test: (name: string | undefined) => boolean) => rows.some(({ name }) => test(name))
    if (has((name) => name?.startsWith('ldabs') === true || name?.startsWith('ldind') === true)) {
      this.#packet = builder.importFunction('run', 'packet', ['i32', 'i32', 'i32', 'i32'], 'i32')
    }
    if (has((name) => name === 'callx')) {
      this.#indirect = builder.importFunction('run', 'indirect', ['i32', 'i32', 'i32'], 'i32')
    }
  }

  /** Functions that JavaScript wants of the module, for maps whose elements it takes and retires itself. */
  exportMapFunctions(): void {
    this.#maps.exportFunctions()
  }

  translate(at: SubprogramTranslator, slot: Slot, row: Row): Code {
    switch (row.op) {
      case 'local':
        return at.callSubprogram(slot.target, argumentsOf(at), at.values.slice(1, 6), slot.pc)
      case 'helper':
        return this.#helper(at, slot)
      case 'kfunc':
        return this.#kfunc(at, slot)
      default:
        return this.#callIndirect(at, slot)
    }
  }

  /** Legacy packet access: outside the packet, the subprogram returns 0. */
  packet(at: SubprogramTranslator, slot: Slot, row: Row): Code {
    const { frame, leave } = at.embedding
    const run = this.#context.runOf(frame)
    const base = row.op === 'ind' ? i32.wrap_i64(at.get(slot.src)) : i32.const(0)
    const offset = i32.add(base, i32.const(slot.imm))
    const packet = this.#packet as Packet
    const isOutside = i32.eqz(packet.call(run, i32.const(slot.pc), offset, i32.const(row.bits / 8)))
    return seq(
      store64.full(run, at.get(6), runBlock.arguments),
      ...this.#context.saveFuel(at.embedding),
      when(isOutside, leave(i64.const(0n))),
      at.set(0, load64.full(run, runBlock.result)),
      ...[1, 2, 3, 4, 5].map((register) => at.set(register, i64.const(0n))),
    )
  }

  #kfunc(at: SubprogramTranslator, slot: Slot): Code {
    const { options, isChecked } = this.#context
    const inline = isChecked ? undefined : options.kfuncInline(slot.imm)
    if (inline === 'nothing') return at.set(0, i64.const(0n))
    if (inline === 'nextNumber') return nextNumber(at)
    const bridge = this.#kfuncs.get(`${slot.imm} ${slot.offset}`) as Bridge
    const count = options.kfuncArgumentCount(slot.imm)
    return this.#bridged(at, count, false, (run) => bridge.call(run, i32.const(slot.pc)))
  }

  #helper(at: SubprogramTranslator, slot: Slot): Code {
    const id = slot.imm
    const { frame } = at.embedding
    const run = this.#context.runOf(frame)
    const word = this.#words.get(id)
    if (word !== undefined) {
      const low = i64.extend_i32_u(word.call(run))
      const high = i64.shl(load64.u32(run, runBlock.result + 4), i64.const(32n))
      return at.set(0, i64.or(low, high))
    }
    const { inlinesHelpers } = this.#context.options
    if (inlinesHelpers && id === HELPER.smpProcessorId) return at.set(0, load64.u32(run, runBlock.cpu))
    if (inlinesHelpers) {
      const inline = this.#maps.translate(at, slot, () => this.#javascript(at, slot))
      if (inline !== undefined) return inline
    }
    if (inlinesHelpers && id === HELPER.loop) {
      const inline = this.#loop(at, slot)
      if (inline !== undefined) return inline
    }
    return this.#javascript(at, slot)
  }

  #javascript(at: SubprogramTranslator, slot: Slot): Code {
    const id = slot.imm
    const bridge = this.#helpers.get(id) as Bridge
    return this.#bridged(at, this.#context.options.argumentCount(id), id === TAIL_CALL, (block) =>
      bridge.call(block, i32.const(slot.pc)),
    )
  }

  /** Stores the arguments, calls, and takes r0; of a tail call that may not happen, the one of before. */
  #bridged(
    at: SubprogramTranslator,
    argumentCount: number,
    keepsResult: boolean,
    call: (run: Code<'i32'>) => Code<'i32'>,
  ): Code {
    const { embedding } = at
    const run = this.#context.runOf(embedding.frame)
    const args = argumentsOf(at).slice(0, argumentCount)
    const result = load64.full(run, runBlock.result)
    return seq(
      ...(keepsResult ? [store64.full(run, at.get(0), runBlock.result)] : []),
      ...args.map((arg, n) => store64.full(run, arg, runBlock.arguments + 8 * n)),
      store32.full(run, embedding.frame, runBlock.frame),
      ...this.#context.saveFuel(embedding),
      when(call(run), seq(...this.#context.restoreFuel(embedding), embedding.leave(result))),
      ...this.#context.restoreFuel(embedding),
      at.set(0, result),
    )
  }

  /** To a subprogram's address, or a helper's number. */
  #callIndirect(at: SubprogramTranslator, slot: Slot): Code {
    const { subprograms } = this.#context
    const indirect = this.#indirect as Indirect
    const target = at.get(slot.dst)
    let code = this.#bridged(at, 5, true, (run) =>
      indirect.call(run, i32.const(slot.pc), i32.wrap_i64(target)),
    )
    for (const entry of subprograms.keys()) {
      const call = at.callSubprogram(entry, argumentsOf(at), at.values.slice(1, 6), slot.pc)
      code = when(i64.eq(target, i64.const(functionAddress(entry))), call, code)
    }
    return code
  }

  /** bpf_loop with a known callback: a loop around a call, without leaving WebAssembly. */
  #loop(at: SubprogramTranslator, slot: Slot): Code | undefined {
    const callback = at.values[2]
    if (callback?.kind !== 'constant') return undefined
    const entry = Number(callback.value - FUNCTION_BASE) / 8
    if (!this.#context.subprograms.has(entry)) return undefined
    const { scope } = at.embedding
    const count = scope.local('i32')
    const index = scope.local('i32')
    const callbackContext = scope.local('i64')
    const done = label('loop ends')
    const again = label('loop')
    const zero = i64.const(0n)
    const args = [i64.extend_i32_u(index.get), callbackContext.get, zero, zero, zero]
    const constantZero = { kind: 'constant', value: 0n } as const
    const known = [undefined, at.values[3], constantZero, constantZero, constantZero]
    const body = seq(
      brIf(done, i32.ge_u(index.get, count.get)),
      at.callSubprogram(entry, args, known, slot.pc),
      index.set(i32.add(index.get, i32.const(1))),
      brIf(again, i64.eqz(at.get(0))),
    )
    const failure = (errno: number) => at.set(0, i64.const(BigInt(-errno)))
    return when(
      i64.ne(at.get(4), zero),
      failure(EINVAL),
      seq(
        count.set(i32.wrap_i64(at.get(1))),
        index.set(i32.const(0)),
        callbackContext.set(at.get(3)),
        when(
          i32.gt_u(count.get, i32.const(MOST_LOOPS)),
          failure(E2BIG),
          seq(block(done, loop(again, body)), at.set(0, i64.extend_i32_u(index.get))),
        ),
      ),
    )
  }
}

/** bpf_iter_num_next: i32 the number that was given last, i32 the end; both 0 when it is over. */
function nextNumber(at: SubprogramTranslator): Code {
  const { scope } = at.embedding
  const iterator = scope.local('i32')
  const number = scope.local('i32')
  const isOver = scope.local('i32')
  at.resultIsZero = isOver.get
  return seq(
    iterator.set(i32.wrap_i64(at.get(1))),
    number.set(i32.add(load32.full(iterator.get), i32.const(1))),
    isOver.set(i32.ge_s(number.get, load32.full(iterator.get, 4))),
    when(
      isOver.get,
      seq(store64.full(iterator.get, i64.const(0n)), at.set(0, i64.const(0n))),
      seq(store32.full(iterator.get, number.get), at.set(0, at.get(1))),
    ),
  )
}

const argumentsOf = (at: SubprogramTranslator): Code<'i64'>[] => [1, 2, 3, 4, 5].map((n) => at.get(n))
