/** Object files: opened, linked, and written as a skeleton. */
import {
  generateSkeleton,
  linkProgram,
  ObjectError,
  openObject,
  SkeletonError,
} from '../../../src/client/index.ts'
import { checkObjectError, checkSkeletonError } from '../checks.ts'
import { btfWindow, codeWindow, elfWindow, extWindow, sectionWindow } from '../fields.ts'
import { mutated, type Window } from '../mutate.ts'
import type { Random } from '../random.ts'
import { Flaw, type Seed, type Target } from '../target.ts'

/** Of the whole file, its headers and tables above all; of its code, where calls are found by reading; of its types. */
export class ElfTarget implements Target {
  readonly name = 'elf'
  readonly runsBetweenSettling = 1
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #donors: readonly Uint8Array[]
  readonly #windows = new Map<Seed, readonly Window[]>()

  constructor(objects: readonly Seed[]) {
    this.seeds = objects
    this.#donors = objects.map(({ bytes }) => bytes)
  }

  mutate(random: Random, seed: Seed, bytes: Uint8Array): Uint8Array {
    let windows = this.#windows.get(seed)
    if (windows === undefined) {
      const types = sectionWindow(seed.bytes, '.BTF', btfWindow)
      windows = [elfWindow(seed.bytes), codeWindow(seed.bytes), ...(types === undefined ? [] : [types])]
      this.#windows.set(seed, windows)
    }
    return mutated(random, bytes, random.pick(windows), this.#donors)
  }

  run(bytes: Uint8Array): string {
    return openAndLink(bytes)
  }

  settle(): void {}
}

/** Records of `.BTF.ext`, read with the whole of the object that they belong to. */
export class ExtTarget implements Target {
  readonly name = 'ext'
  readonly runsBetweenSettling = 1
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #donors: readonly Uint8Array[]
  readonly #windows = new Map<Seed, Window>()

  constructor(objects: readonly Seed[]) {
    this.seeds = objects.filter(({ bytes }) => sectionWindow(bytes, '.BTF.ext', extWindow) !== undefined)
    this.#donors = objects.map(({ bytes }) => bytes)
  }

  mutate(random: Random, seed: Seed, bytes: Uint8Array): Uint8Array {
    const window = this.#windows.get(seed) ?? (sectionWindow(seed.bytes, '.BTF.ext', extWindow) as Window)
    this.#windows.set(seed, window)
    return mutated(random, bytes, window, this.#donors)
  }

  run(bytes: Uint8Array): string {
    return openAndLink(bytes)
  }

  settle(): void {}
}

/** Opens the object, links every program, and writes the skeleton of every fourth. */
export function openAndLink(bytes: Uint8Array): string {
  const copy = bytes.slice()
  const spec = openObject(bytes, { name: 'fuzzed', allowBigEndian: true })
  if (spec instanceof ObjectError) return checkObjectError(spec)
  for (const { name } of spec.programs) {
    const linked = linkProgram(spec, name)
    if (linked instanceof ObjectError) return checkObjectError(linked)
    if (linked.instructions.length === 0) throw new Flaw(`program '${name}' has no instructions`)
  }
  if ((bytes[bytes.length >>> 1] as number) % 4 === 0) {
    const text = generateSkeleton(bytes, { name: 'fuzzed', embed: false })
    if (text instanceof ObjectError) return checkObjectError(text)
    if (text instanceof SkeletonError) return checkSkeletonError(text)
  }
  if (Buffer.compare(copy, bytes) !== 0) throw new Flaw('opening changed the bytes of the file')
  return `accepted: ${spec.programs.length} programs, ${spec.maps.length} maps`
}
