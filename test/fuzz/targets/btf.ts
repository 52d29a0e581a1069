/** `.BTF` sections: parsed, checked by the kernel, and used for all that types are used for. */
import { Btf, BtfError } from '../../../src/btf/index.ts'
import { checkBtf } from '../../../src/kernel/btf-check/check.ts'
import { checkBtfError } from '../checks.ts'
import { btfWindow } from '../fields.ts'
import { mutated, type Window } from '../mutate.ts'
import type { Random } from '../random.ts'
import { checkMessage, Flaw, type Seed, type Target } from '../target.ts'
import { codecs, dump, layOut, relocate, rewrite, useTypes } from '../use-types.ts'

/** Types whose relocations are tried, on each side. */
const RELOCATED = 12

export class BtfTarget implements Target {
  readonly name = 'btf'
  readonly runsBetweenSettling = 1
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #donors: readonly Uint8Array[]
  readonly #windows = new Map<Seed, Window>()
  readonly #good: Btf

  constructor(sections: readonly Seed[]) {
    this.seeds = sections
    this.#donors = sections.map(({ bytes }) => bytes)
    const good = Btf.parse((sections[0] as Seed).bytes)
    if (good instanceof BtfError) throw new Error(good.message)
    this.#good = good
  }

  mutate(random: Random, seed: Seed, bytes: Uint8Array): Uint8Array {
    const window = this.#windows.get(seed) ?? btfWindow(seed.bytes)
    this.#windows.set(seed, window)
    return mutated(random, bytes, window, this.#donors)
  }

  run(bytes: Uint8Array): string {
    const verdict = checkBtf(bytes, true)
    const btf = Btf.parse(bytes)
    if (btf instanceof BtfError) {
      if (verdict.errno === 0) throw new Flaw(`the kernel takes what does not parse: ${btf.message}`)
      return checkBtfError(btf)
    }
    const kernel = verdict.errno === 0 ? 'accepted by the kernel' : kernelSays(verdict.log)
    return `${kernel}; ${this.#use(btf, checksum(bytes))}`
  }

  /** One use, as all of them for each input would take most of the time. */
  #use(btf: Btf, choice: number): string {
    const ways = [useTypes, dump, codecs, rewrite, layOut]
    const turn = choice % (ways.length + 2)
    const way = ways[turn]
    if (way !== undefined) return way(btf)
    return turn === ways.length ? relocate(btf, this.#good, RELOCATED) : relocate(this.#good, btf, RELOCATED)
  }

  settle(): void {}
}

function kernelSays(log: string): string {
  const last = log.trimEnd().split('\n').at(-1) ?? ''
  return checkMessage('kernel', `${last} .....`)
}

/** Which of several things to do with an input: the same for the same bytes. */
function checksum(bytes: Uint8Array): number {
  let sum = bytes.length
  for (let i = 0; i < bytes.length; i += 3) sum = (Math.imul(sum, 31) + (bytes[i] as number)) | 0
  return (sum ^ (sum >>> 15)) >>> 0
}
