/**
 * What is attached to one function of a program: an extension that replaces it, or tracing programs around it.
 *
 * Rules
 * - The function's hook is there while something is attached. A call that is under way when that ends goes on with the
 *   function itself.
 * - Of several tracing programs, the one that was attached last runs first, at the entry and at the exit.
 *
 * Source: __bpf_trampoline_link_prog(), bpf_freplace_check_tgt_prog() of kernel/bpf/trampoline.c of Linux.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE, E2BIG, EBUSY } from '../abi/index.ts'
import { BTF_KIND, type BtfId } from '../btf/index.ts'
import type { HookFault } from '../helpers/index.ts'
import { functionAddress } from '../interpreter/index.ts'
import type { ProvedFunction } from '../verifier/index.ts'
import type { ProgramHook, RunEnvironment } from './engine.ts'
import type { ProgramObject } from './program-object.ts'
import type { ProgramRunner } from './runner.ts'

/** Source: BPF_MAX_TRAMP_LINKS of Linux. */
const MOST_PROGRAMS = 38
/** Registers that arguments are in. */
const MOST_ARGUMENTS = 5

interface Attached {
  readonly program: ProgramObject
  readonly cookie: bigint
}

export class Trampoline implements ProgramHook {
  readonly argumentCount: number
  readonly #target: ProgramObject
  readonly #function: ProvedFunction
  readonly #runner: ProgramRunner
  #extension: ProgramObject | undefined
  #entries: readonly Attached[] = []
  #exits: readonly Attached[] = []

  private constructor(target: ProgramObject, called: ProvedFunction, runner: ProgramRunner) {
    this.#target = target
    this.#function = called
    this.#runner = runner
    this.argumentCount = argumentCount(target, called)
  }

  /** That of the function with this BTF id; undefined where the program has none. */
  static of(target: ProgramObject, btfId: number, runner: ProgramRunner): Trampoline | undefined {
    const known = target.trampolines.get(btfId)
    if (known !== undefined) return known
    const called = target.loaded.functions.find(({ typeId }) => typeId === btfId)
    if (called === undefined) return undefined
    const made = new Trampoline(target, called, runner)
    target.trampolines.set(btfId, made)
    return made
  }

  /** 0, or -errno. Whoever attaches keeps both programs until `detach`. */
  attach(program: ProgramObject, cookie: bigint): number {
    if (this.#extension !== undefined) return -EBUSY
    const count = this.#entries.length + this.#exits.length
    if (program.loaded.type.type === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT) {
      // A target that is called in the place of others could come to itself again and again.
      if (count > 0 || this.#target.arrayEntries > 0) return -EBUSY
      this.#extension = program
      this.#target.extensions++
    } else {
      if (count >= MOST_PROGRAMS) return -E2BIG
      const isExit = program.loaded.expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_FEXIT
      const list = isExit ? this.#exits : this.#entries
      if (list.some((one) => one.program === program)) return -EBUSY
      const longer = [{ program, cookie }, ...list]
      if (isExit) this.#exits = longer
      else this.#entries = longer
    }
    if (count === 0) this.#target.hook(this.#function.start, this)
    return 0
  }

  detach(program: ProgramObject): void {
    if (this.#extension === program) {
      this.#extension = undefined
      this.#target.extensions--
    }
    const without = (list: readonly Attached[]) => list.filter((one) => one.program !== program)
    this.#entries = without(this.#entries)
    this.#exits = without(this.#exits)
    if (this.#extension === undefined && this.#entries.length + this.#exits.length === 0) {
      this.#target.hook(this.#function.start, undefined)
    }
  }

  call(
    environment: RunEnvironment,
    args: readonly bigint[],
    proceed: () => bigint | undefined,
  ): bigint | HookFault {
    if (this.#extension !== undefined) return this.#runner.runInPlace(this.#extension, args, environment)
    const values = BigUint64Array.from(args.slice(0, this.argumentCount))
    this.#run(this.#entries, environment, values)
    const returned = proceed()
    if (returned === undefined) return 0n
    this.#run(this.#exits, environment, values, returned)
    return returned
  }

  #run(
    attached: readonly Attached[],
    environment: RunEnvironment,
    values: BigUint64Array,
    returned?: bigint,
  ): void {
    const address = functionAddress(this.#function.start)
    for (const { program, cookie } of attached) {
      const result = returned === undefined ? {} : { returned }
      this.#runner.runAround(program, environment, { values, ...result }, address, cookie)
    }
  }
}

function argumentCount({ loaded }: ProgramObject, { typeId, isReliable }: ProvedFunction): number {
  const types = loaded.btf?.types
  const type = types?.typeById(typeId as BtfId)
  const prototype = type?.kind === BTF_KIND.FUNC ? types?.typeById(type.type) : undefined
  if (!isReliable || prototype?.kind !== BTF_KIND.FUNC_PROTO) return MOST_ARGUMENTS
  return Math.min(prototype.parameters.length, MOST_ARGUMENTS)
}
