/** Whole objects: opened, fitted to a kernel's types, loaded into a kernel, and run. */
import { Btf, BtfError } from '../../../src/btf/index.ts'
import { type Collection, LoadError, load, ObjectError, openObject } from '../../../src/client/index.ts'
import { createKernel } from '../../../src/kernel/kernel.ts'
import { TinyPort } from '../../../src/kernel/testing/tiny-port.ts'
import type { Client, Kernel } from '../../../src/kernel/types.ts'
import { checkLoadError, checkObjectError } from '../checks.ts'
import { btfWindow, codeWindow, elfWindow, extWindow, sectionWindow } from '../fields.ts'
import { mutated, type Window } from '../mutate.ts'
import type { Random } from '../random.ts'
import { Flaw, type Seed, type Target } from '../target.ts'

const ARENA_BYTES = 64 << 20
const BUDGET = 200_000
const PACKET = new Uint8Array(64).fill(0x45)
/** Configuration of the externs that the objects ask for. */
const KCONFIG = { LINUX_KERNEL_VERSION: 0x06_12_00, CONFIG_HZ: 250 }

interface World {
  readonly kernel: Kernel
  readonly client: Client
}

export class LoadTarget implements Target {
  readonly name = 'load'
  readonly runsBetweenSettling = 100
  readonly runMs = 20_000
  /** 8,192 branches may wait to be walked, as in Linux, each with its registers and its stack. */
  readonly runBytes = 256 << 20
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #donors: readonly Uint8Array[]
  readonly #windows = new Map<Seed, readonly Window[]>()
  readonly #types: Btf | undefined
  #world: World | undefined

  /** `kernelTypes`: a `.BTF` section, for what is fitted to types. */
  constructor(objects: readonly Seed[], kernelTypes: Uint8Array | undefined) {
    this.seeds = objects
    this.#donors = objects.map(({ bytes }) => bytes)
    const types = kernelTypes === undefined ? undefined : Btf.parse(kernelTypes)
    if (types instanceof BtfError) throw new Error(types.message)
    this.#types = types
  }

  mutate(random: Random, seed: Seed, bytes: Uint8Array): Uint8Array {
    let windows = this.#windows.get(seed)
    if (windows === undefined) {
      const sections = [
        sectionWindow(seed.bytes, '.BTF', btfWindow),
        sectionWindow(seed.bytes, '.BTF.ext', extWindow),
      ].filter((window) => window !== undefined)
      windows = [elfWindow(seed.bytes), codeWindow(seed.bytes), codeWindow(seed.bytes), ...sections]
      this.#windows.set(seed, windows)
    }
    return mutated(random, bytes, random.pick(windows), this.#donors)
  }

  run(bytes: Uint8Array): string {
    const spec = openObject(bytes, { name: 'fuzzed' })
    if (spec instanceof ObjectError) return checkObjectError(spec)
    const { kernel, client } = this.#open()
    const before = countsOf(kernel)
    const options = { kconfig: KCONFIG, ...(this.#types === undefined ? {} : { targetBtf: this.#types }) }
    const loaded = load(spec, client, options)
    let way: string
    if (loaded instanceof LoadError) way = checkLoadError(loaded)
    else {
      using collection = loaded
      way = this.#exercise(kernel, collection)
    }
    const after = countsOf(kernel)
    if (after !== before) throw new Flaw(`left in the kernel: before ${before}, behind ${after}`)
    return way
  }

  /** Runs what can be run without being attached. */
  #exercise(kernel: Kernel, collection: Collection): string {
    const { faults } = kernel.stats()
    let ran = 0
    for (const program of collection.programs.values()) {
      const result = program.testRun({ data: PACKET, repeat: 2 })
      if (!('message' in result)) ran++
    }
    const more = kernel.stats().faults - faults
    this.#count('accepted programs', collection.programs.size)
    this.#count('accepted programs run', ran)
    this.#count('faults of accepted programs', more)
    return `accepted: ${collection.programs.size} programs, ${ran} run`
  }

  #count(what: string, number: number): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + number)
  }

  settle(): void {
    const world = this.#world
    this.#world = undefined
    if (world === undefined) return
    world.client[Symbol.dispose]()
    const left = countsOf(world.kernel)
    world.kernel[Symbol.dispose]()
    if (left !== countsOf(world.kernel)) throw new Flaw(`left in the kernel: ${left}`)
  }

  #open(): World {
    if (this.#world === undefined) {
      const kernel = createKernel({
        port: new TinyPort({ cpuCount: 2 }),
        arenaBytes: ARENA_BYTES,
        instructionBudget: BUDGET,
      })
      this.#world = { kernel, client: kernel.openClient() }
    }
    return this.#world
  }
}

/** What a load must not change for good. */
function countsOf(kernel: Kernel): string {
  const { maps, programs, links, btfs, probes, descriptors } = kernel.stats()
  return `${maps} maps, ${programs} programs, ${links} links, ${btfs} BTFs, ${probes} probes, ${descriptors} descriptors`
}
