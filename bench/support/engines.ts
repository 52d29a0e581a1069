/** The engines of this project on one program of an object. */

import { describeFault, helperBodies } from '../../src/helpers/index.ts'
import { Interpreter, prepare } from '../../src/interpreter/index.ts'
import { type Instruction, wideInstruction } from '../../src/isa/index.ts'
import { Jit, type JitHelper } from '../../src/jit/index.ts'
import { contextLayout } from '../../src/kernel/contexts/layout.ts'
import { translateContext } from '../../src/kernel/contexts/translate.ts'
import type { RunEnvironment } from '../../src/kernel/engine.ts'
import { type ArrayMap, type BpfMap, createMap } from '../../src/maps/index.ts'
import { Arena, Grace } from '../../src/memory/index.ts'
import { type BenchObject, readBenchObject } from './bench-object.ts'

/** One of those that are compared on a program. */
export interface Contestant {
  /** What the program returned. */
  readonly result: number
  /** From the object's bytes to the first result: by the clock or in CPU time, whichever is less. */
  readonly loadNs: number
  /** Nanoseconds of a run, from one round of many. */
  round(): Promise<number>
}

/** Runs that often; gives the last result. */
type Repeat = (count: number) => number

/** Runs within one grace period, as Linux's BPF_PROG_TEST_RUN makes them within one RCU read section. */
const CHUNK = 64

/** A kernel in small: arena, maps, helpers. */
class World {
  readonly arena = new Arena()
  readonly grace = new Grace()
  readonly maps: BpfMap[]
  program: Instruction[]
  readonly environment: RunEnvironment
  readonly byAddress: Map<bigint, BpfMap>

  constructor(object: BenchObject, packet: Uint8Array) {
    let seed = 12345
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0)
    const host = { arena: this.arena, grace: this.grace, cpuCount: 2, random }
    this.maps = object.maps.map((spec) => {
      const { type, keySize, valueSize, maxEntries, flags, kernelName } = spec
      const map = createMap(host, { type, keySize, valueSize, maxEntries, flags, name: kernelName })
      if (typeof map === 'number') throw new Error(`map ${spec.name}: errno ${-map}`)
      if (spec.initialValue !== undefined) map.write(new Uint8Array(4), spec.initialValue, 0n)
      return map
    })
    this.byAddress = new Map(this.maps.map((map) => [map.address, map]))
    this.program = [...object.instructions]
    for (const at of object.mapLoads) {
      const first = this.program[at] as Instruction
      const map = this.maps[first.imm] as BpfMap
      const offset = (this.program[at + 1] as Instruction).imm
      const value =
        first.src === 2 ? this.arena.address((map as ArrayMap).valuesOffset + offset) : map.address
      const [low, high] = wideInstruction(first.dst, first.src, value)
      this.program[at] = low
      this.program[at + 1] = high
    }
    const layout = contextLayout(object.programType)
    if (layout !== undefined) this.program = [...translateContext(this.program, layout)]
    // Pointers to the data, its end and its metadata follow the struct.
    const structBytes = layout?.sizeBytes ?? 192
    const context = this.arena.allocate(structBytes + 24) as number
    const data = (this.arena.allocate(packet.length + 512) as number) + 256
    this.arena.bytes.set(packet, data)
    for (const [n, at] of [data, data + packet.length, data].entries()) {
      this.arena.view.setBigUint64(context + structBytes + 8 * n, this.arena.address(at), true)
    }
    this.environment = {
      arena: this.arena,
      cpu: 0,
      context: this.arena.address(context),
      packet,
      mapAt: (address: bigint) => this.byAddress.get(address),
      monotonicNs: () => process.hrtime.bigint(),
      bootNs: () => process.hrtime.bigint(),
      task: () => ({ pid: 1, tgid: 1, uid: 0, gid: 0, comm: 'bench' }),
      random,
      readKernel: () => -14,
      readUser: () => -14,
      tracePrint: () => {},
      callback: () => undefined,
      probedAddress: () => 0n,
      attachCookie: () => 0n,
    } as unknown as RunEnvironment
  }
}

export class Engines {
  readonly #bytes: Uint8Array
  readonly #object: BenchObject
  readonly #packet: Uint8Array

  constructor(bytes: Uint8Array, object: BenchObject, packet: Uint8Array) {
    this.#bytes = bytes
    this.#object = object
    this.#packet = packet
  }

  /** Warm, and ready for rounds. */
  async prepare(roundNs: number): Promise<Record<'interpreter' | 'checked' | 'jit', Contestant>> {
    return {
      interpreter: await this.#prepare(roundNs, (world) => interpreterOn(world)),
      checked: await this.#prepare(roundNs, (world) => jitOn(world, false)),
      jit: await this.#prepare(roundNs, (world) => jitOn(world, true)),
    }
  }

  /** One load and the first run, ns: what a process that has compiled nothing yet takes. */
  load(): number {
    return this.#load((world) => jitOn(world, true))
  }

  #load(make: (world: World) => Repeat): number {
    const start = process.hrtime.bigint()
    const cpuStart = process.cpuUsage()
    const world = new World(readBenchObject(this.#bytes, this.#object.name), this.#packet)
    make(world)(1)
    const { user, system } = process.cpuUsage(cpuStart)
    // CPU time counts V8's other threads, the clock counts what other processes do.
    return Math.min(Number(process.hrtime.bigint() - start), (user + system) * 1000)
  }

  async #prepare(roundNs: number, make: (world: World) => Repeat): Promise<Contestant> {
    const loads = Array.from({ length: 7 }, () => this.#load(make))
    const world = new World(this.#object, this.#packet)
    const once = make(world)
    const { grace } = world
    const result = guardedRun(grace, once)
    // CPU time: Linux's own figure leaves out the time in which others run, too.
    const time = (repeat: number) => {
      const start = process.cpuUsage()
      for (let left = repeat; left > 0; left -= CHUNK) {
        grace.enter()
        once(Math.min(left, CHUNK))
        grace.leave()
      }
      const { user, system } = process.cpuUsage(start)
      return Math.max(1, (user + system) * 1000) / repeat
    }
    const times = (each: number) => Math.max(5, Math.min(1_000_000, Math.floor(roundNs / each)))
    const repeat = times(time(20))
    // V8 counts what a function has done; its optimized code arrives on another thread.
    let best = Number.POSITIVE_INFINITY
    for (let idle = 0; idle < 15; idle++) {
      const now = time(repeat)
      if (now < best * 0.95) idle = 0
      best = Math.min(best, now)
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
    const steady = times(time(repeat))
    loads.sort((a, b) => a - b)
    return { result, loadNs: loads[3] as number, round: async () => time(steady) }
  }
}

function guardedRun(grace: Grace, once: Repeat): number {
  grace.enter()
  try {
    return once(1)
  } finally {
    grace.leave()
  }
}

function interpreterOn({ arena, environment, program }: World): Repeat {
  const interpreter = new Interpreter(arena, {
    helper: (id) => {
      const body = helperBodies.get(id)
      if (body === undefined) return undefined
      return (r1, r2, r3, r4, r5, context) => {
        environment.callback = (address, a, b, c, d) => context.callback(address, a, b, c, d)
        return body(environment, r1, r2, r3, r4, r5) as bigint
      }
    },
  })
  const prepared = prepare(program)
  return (count) => {
    let last = 0
    for (let n = 0; n < count; n++) {
      const result = interpreter.run(prepared, environment.context)
      if (!result.ok) throw new Error(describeFault(result.fault))
      last = Number(BigInt.asUintN(32, result.value))
    }
    return last
  }
}

function jitOn({ arena, environment, program, byAddress }: World, isProved: boolean): Repeat {
  const helpers = new Map<number, JitHelper>()
  for (const [id, body] of helperBodies) {
    helpers.set(id, (r1, r2, r3, r4, r5, context) => {
      environment.callback = (address, a, b, c, d) => context.callback(address, a, b, c, d)
      return body(environment, r1, r2, r3, r4, r5) as bigint
    })
  }
  const jit = new Jit(arena, {
    helper: (id) => helpers.get(id),
    mapAt: (address) => byAddress.get(address),
    inlinesHelpers: true,
  })
  const run = jit.open(jit.compile(program, { isProved }), environment.context)
  if (run === undefined) throw new Error('no memory')
  return (count) => {
    const result = run.repeat(count)
    if (result < 0) throw new Error(JSON.stringify(run.fault, (_, value) => `${value}`))
    return result
  }
}
