/**
 * Random programs that make sense often enough to be accepted, and that err often enough to be refused.
 *
 * A function is written statement by statement, with a rough idea of what registers and stack slots hold. Functions that
 * it calls are written after it. Now and then an instruction is anything at all.
 */
import { BPF_PROG_TYPE } from '../../../src/abi/index.ts'
import { type Row, rows } from '../../../src/isa/index.ts'
import { makeTypes, PALETTE, type Types } from '../fixtures.ts'
import { Random } from '../random.ts'
import type { Subject } from '../subject.ts'
import { absoluteLoad, callback, globalCall, localCall, memoryHelper } from './calls.ts'
import { PROGRAM_TYPES } from './context.ts'
import { branch, choice, earlyExit, loop } from './control.ts'
import { Emitter } from './emitter.ts'
import type { Held } from './held.ts'
import {
  mapLookup,
  memoryAccess,
  newMemory,
  pointerStep,
  pointerWalk,
  record,
  stackAccess,
  variableStackAccess,
} from './memory.ts'
import { arithmetic, extension, linked, newNumber } from './scalars.ts'
import { EXIT, type FunctionPlan, MOV, type Plan, Scene } from './scene.ts'

const T = BPF_PROG_TYPE
const TEST_STATE_FREQUENCY = 0x8
const TEST_INVARIANTS = 0x80
const SLEEPABLE = 0x10
const table = rows as readonly Row[]

type Statement = (s: Scene) => void

const branches: Statement = (s) => branch(s, block)
const loops: Statement = (s) => loop(s, block)

const STATEMENTS: readonly (readonly [number, Statement])[] = [
  [22, arithmetic],
  [3, extension],
  [10, newNumber],
  [6, linked],
  [16, stackAccess],
  [4, variableStackAccess],
  [12, memoryAccess],
  [5, newMemory],
  [3, mapLookup],
  [2, pointerStep],
  [3, pointerWalk],
  [2, record],
  [5, memoryHelper],
  [2, localCall],
  [2, globalCall],
  [2, callback],
  [2, absoluteLoad],
  [10, branches],
  [4, choice],
  [3, earlyExit],
  [4, loops],
  [1, anything],
]

function block(s: Scene, most: number): void {
  const count = s.random.between(1, most)
  for (let i = 0; i < count && s.plan.budget > 0; i++) {
    s.plan.budget--
    const statement = s.random.weighted(STATEMENTS)
    if (s.depth >= 3 && (statement === branches || statement === loops)) continue
    statement(s)
  }
}

/** An instruction without regard to what registers hold. */
function anything(s: Scene): void {
  const { random } = s
  if (random.chance(0.5)) return
  const row = random.pick(table)
  if (row.kind === 'wide' || row.imm === 'jump' || row.offset === 'jump' || row.kind === 'exit') return
  s.emit({
    opcode: row.opcode,
    dst: row.dst === 'reg' ? random.below(11) : 0,
    src: row.src === 'reg' ? random.below(11) : typeof row.src === 'number' ? row.src : 0,
    offset:
      typeof row.offset === 'number' ? row.offset : row.offset === 'offset' ? random.between(-24, 24) : 0,
    imm: typeof row.imm === 'number' ? row.imm : row.imm === 'imm' ? random.immediate() : 0,
  })
}

function writeFunction(plan: Plan, self: FunctionPlan): void {
  const { random, emitter } = plan
  emitter.place(self.label)
  const s = new Scene(plan, self)
  // The context, and what else is wanted for long, goes where calls leave it alone.
  self.takes.forEach((held, i) => {
    if (held.kind === 'nothing') return
    if (held.kind === 'context') {
      if (s.held(6).kind === 'nothing') s.move(6, i + 1)
      return
    }
    const kept = random.pick([7, 8, 9])
    if (random.chance(0.6) && s.held(kept).kind === 'nothing') s.move(kept, i + 1)
  })
  for (const [i, held] of self.takes.entries()) {
    if (held.kind === 'memoryOrNull' && random.chance(0.9)) nullCheck(s, i + 1, held)
  }
  if (random.chance(0.5)) newNumber(s)
  const own = self.kind === 'main' ? plan.budget : Math.min(plan.budget, 6)
  let left = random.between(Math.min(3, own), Math.max(own, 3))
  while (left-- > 0 && plan.budget > 0) {
    plan.budget--
    s.random.weighted(STATEMENTS)(s)
  }
  finish(s)
}

function nullCheck(s: Scene, register: number, held: Held & { kind: 'memoryOrNull' }): void {
  const go = s.emitter.label()
  s.emitter.jump(go, { opcode: 0x55, dst: register, imm: 0 })
  s.emit({ opcode: MOV, dst: 0, imm: 0 })
  s.emit({ opcode: EXIT })
  s.emitter.place(go)
  for (let i = 0; i < 10; i++) {
    if (s.held(i) === held) s.set(i, { kind: 'memory', bytes: held.bytes })
  }
}

/** r0 as the function's kind has it, and the end. */
function finish(s: Scene): void {
  const { random } = s
  const isNarrow = s.self.kind === 'callback' || s.plan.programType === T.BPF_PROG_TYPE_CGROUP_SKB
  const numbers = s.registersOf('scalar')
  if (numbers.length > 0 && random.chance(0.7)) {
    s.move(0, random.pick(numbers))
    if (isNarrow && random.chance(0.97)) s.emit({ opcode: random.pick([0x57, 0x54]), dst: 0, imm: 1 })
  } else s.emit({ opcode: MOV, dst: 0, imm: random.below(2) })
  s.emit({ opcode: EXIT })
}

/** Makes programs; the types that they share are made once. */
export class Generator {
  readonly #types = new Map<number, Types>()

  /** The types of all programs of one type. */
  typesOf(programType: number): Types {
    const known = this.#types.get(programType)
    if (known !== undefined) return known
    const types = makeTypes(programType)
    this.#types.set(programType, types)
    return types
  }

  /** Program number `index` of the seed. */
  generate(seed: number, index: number): Subject {
    const random = new Random(seed, index)
    const emitter = new Emitter()
    const programType = random.pick(PROGRAM_TYPES)
    const types = this.typesOf(programType)
    const usesBtf = random.chance(0.6)
    const functions: FunctionPlan[] = [{ label: emitter.label(), kind: 'main', takes: [{ kind: 'context' }] }]
    const plan: Plan = {
      random,
      emitter,
      programType,
      types,
      functions,
      usesBtf,
      budget: random.between(4, 45),
    }
    // Functions that are called are added while others are written.
    for (let i = 0; i < functions.length; i++) {
      if (i > 0) plan.budget = Math.max(plan.budget, random.between(2, 8))
      writeFunction(plan, functions[i] as FunctionPlan)
    }
    let locals = 0
    const typeIdOf = ({ global }: FunctionPlan): number =>
      global === undefined
        ? (types.local[locals++ % types.local.length] as number)
        : (types.global[global]?.id as number)
    return {
      instructions: emitter.finish(),
      programType,
      expectedAttachType: programType === T.BPF_PROG_TYPE_CGROUP_SKB ? random.below(2) : 0,
      flags:
        (programType === T.BPF_PROG_TYPE_SYSCALL ? SLEEPABLE : 0) |
        (random.chance(0.4) ? TEST_STATE_FREQUENCY : 0) |
        (random.chance(0.15) ? TEST_INVARIANTS : 0),
      license: 'GPL',
      name: 'fuzz',
      maps: PALETTE,
      descriptors: [],
      functions: usesBtf
        ? functions.map((f) => ({ instruction: emitter.slotOf(f.label), typeId: typeIdOf(f) }))
        : [],
      lines: [],
      logLevel: 0,
      ...(usesBtf ? { btf: types.btf } : {}),
    }
  }
}
