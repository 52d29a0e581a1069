/** The engines under one contract: what a suite asks of each, and how to ask it. */

import { describeFault, type Fault, type FunctionHooks, type HelperFault } from '../../src/helpers/index.ts'
import { Interpreter, type PreparedProgram, prepare } from '../../src/interpreter/index.ts'
import type { Program } from '../../src/isa/index.ts'
import { type CompiledProgram, Jit } from '../../src/jit/index.ts'
import type { BpfMap } from '../../src/maps/index.ts'
import type { Arena } from '../../src/memory/index.ts'

/** A program made ready by an engine; only that engine knows what it is. */
export type Ready = { readonly program: PreparedProgram | CompiledProgram }

export interface HelperContext {
  readonly pc: number
  callback(
    address: bigint,
    r1: bigint,
    r2?: bigint,
    r3?: bigint,
    r4?: bigint,
    r5?: bigint,
  ): bigint | undefined
}

export type Helper = (
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
  context: HelperContext,
) => bigint | HelperFault | { readonly tailCall: Ready }

export interface EngineEnvironment {
  helper(id: number): Helper | undefined
  kfunc?(btfId: number, btfIndex: number): Helper | undefined
  packet?(context: bigint, offset: number, sizeBytes: 1 | 2 | 4): number | undefined
  /** Given: helper numbers are Linux's, and the maps of the programs can be looked at. */
  mapAt?(address: bigint): BpfMap | undefined
}

export interface RunOptions {
  readonly r2?: bigint
  readonly budget?: number
}

export type Outcome =
  | { readonly ok: true; readonly value: bigint; readonly instructions?: number }
  | { readonly ok: false; readonly fault: Fault; readonly message: string; readonly instructions?: number }

export interface EngineUnderTest {
  /** `hooks`: what stands for functions of the program. */
  prepare(program: Program, hooks?: FunctionHooks): Ready
  run(ready: Ready, context: bigint, options?: RunOptions): Outcome
}

/** Of the mixed one, every second program is proved. */
export type EngineName = 'interpreter' | 'jit' | 'proved jit' | 'mixed jit'

export function engine(name: EngineName, arena: Arena, environment: EngineEnvironment): EngineUnderTest {
  return name === 'interpreter'
    ? interpreterOn(arena, environment)
    : jitOn(arena, environment, name === 'mixed jit' ? (nth) => nth % 2 === 1 : () => name === 'proved jit')
}

const outcomeOf = (
  result: { readonly ok: true; readonly value: bigint } | { readonly ok: false; readonly fault: Fault },
): Outcome => (result.ok ? result : { ...result, message: describeFault(result.fault) })

function interpreterOn(arena: Arena, environment: EngineEnvironment): EngineUnderTest {
  const adapt = (helper: Helper | undefined) =>
    helper &&
    ((r1: bigint, r2: bigint, r3: bigint, r4: bigint, r5: bigint, context: HelperContext) => {
      const result = helper(r1, r2, r3, r4, r5, context)
      return typeof result === 'object' && 'tailCall' in result
        ? { tailCall: result.tailCall.program as PreparedProgram }
        : result
    })
  const { kfunc, packet } = environment
  const interpreter = new Interpreter(arena, {
    helper: (id) => adapt(environment.helper(id)),
    ...(kfunc === undefined ? {} : { kfunc: (id: number, index: number) => adapt(kfunc(id, index)) }),
    ...(packet === undefined ? {} : { packet }),
  })
  return {
    prepare: (program, hooks) => ({ program: prepare(program, { hooks }) }),
    run: ({ program }, context, options) =>
      outcomeOf(interpreter.run(program as PreparedProgram, context, options)),
  }
}

function jitOn(
  arena: Arena,
  environment: EngineEnvironment,
  isProved: (nth: number) => boolean,
): EngineUnderTest {
  const adapt = (helper: Helper | undefined) =>
    helper &&
    ((r1: bigint, r2: bigint, r3: bigint, r4: bigint, r5: bigint, context: HelperContext) => {
      const result = helper(r1, r2, r3, r4, r5, context)
      return typeof result === 'object' && 'tailCall' in result
        ? { tailCall: result.tailCall.program as CompiledProgram }
        : result
    })
  const { kfunc, packet, mapAt } = environment
  const jit = new Jit(arena, {
    helper: (id) => adapt(environment.helper(id)),
    ...(kfunc === undefined ? {} : { kfunc: (id: number, index: number) => adapt(kfunc(id, index)) }),
    ...(packet === undefined ? {} : { packet }),
    ...(mapAt === undefined ? { argumentCount: () => 5 } : { mapAt, inlinesHelpers: true }),
  })
  let nth = 0
  return {
    prepare: (program, hooks) => ({ program: jit.compile(program, { isProved: isProved(nth++), hooks }) }),
    run: ({ program }, context, options) => outcomeOf(jit.run(program as CompiledProgram, context, options)),
  }
}
