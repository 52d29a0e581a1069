/** The programs of an object as this project fits them to a kernel's types, beside what libbpf makes of them. */
import { readFileSync } from 'node:fs'
import { type AppliedRelocation, type Btf, CoreError } from '../../src/btf/index.ts'
import { coreRelocator, relocateCore } from '../../src/client/core.ts'
import { LoadError } from '../../src/client/errors.ts'
import {
  type CollectionSpec,
  type LinkedProgram,
  linkProgram,
  openObject,
} from '../../src/client/spec/index.ts'
import type { LibbpfOracle } from './libbpf-oracle.ts'

export interface Comparison {
  programs: number
  instructions: number
  relocations: number
  poisoned: number
  /** Relocations by kind. */
  readonly kinds: Set<number>
  /** Programs that differ: the name, the first slot that does, and both. */
  readonly differences: string[]
}

/** libbpf does not load the object, whatever the kernel: it is too new for it, or too old. */
export class LibbpfRefuses extends Error {
  override readonly name = 'LibbpfRefuses'
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The object's name from its path: up to the first dot. */
export const nameOf = (path: string): string => (path.split('/').at(-1) as string).split('.')[0] as string

/** Instructions as hexadecimal, 8 bytes each; those that name a map's descriptor have it filled in, others masked. */
function slotsOf(
  instructions: Uint8Array,
  linked: LinkedProgram,
  fdOf: ((map: string) => number) | undefined,
): string[] {
  const bytes = instructions.slice()
  const view = new DataView(bytes.buffer)
  for (const reference of linked.references) {
    const at = reference.instruction * 8
    if (reference.kind === 'extern' || reference.kind === 'externCall') {
      bytes.fill(0, at + 1, at + (reference.kind === 'extern' ? 16 : 8))
    } else if (fdOf !== undefined) {
      view.setUint8(at + 1, (view.getUint8(at + 1) & 15) | ((reference.kind === 'map' ? 1 : 2) << 4))
      view.setInt32(at + 4, fdOf(reference.map), true)
      if (reference.kind === 'mapValue') view.setInt32(at + 12, reference.offset, true)
    }
  }
  return Array.from({ length: bytes.length / 8 }, (_, i) => hexOf(bytes.subarray(i * 8, i * 8 + 8)))
}

/**
 * Compares every instruction of every program of the object file; `btf` is the file with the kernel's types. Throws
 * where either side does not get so far.
 */
export function compareWithLibbpf(
  oracle: LibbpfOracle,
  object: string,
  target: Btf,
  btf?: string,
): Comparison {
  const answer = oracle.ask(btf === undefined ? { object } : { object, btf })
  const spec = openObject(new Uint8Array(readFileSync(object)), { name: nameOf(object) })
  if (!('programs' in spec)) throw new Error(spec.message)
  if (answer.errno !== 0) throw new LibbpfRefuses(answer.log.trimEnd().split('\n').at(-1) ?? '')
  const done: Comparison = {
    ...{ programs: 0, instructions: 0, relocations: 0, poisoned: 0 },
    kinds: new Set(),
    differences: [],
  }
  for (const [linked, applied] of relocated(spec, target)) {
    if (applied instanceof CoreError) throw new Error(`${linked.name}: ${applied.message}`)
    const theirs = answer.programs.get(linked.name)
    if (theirs === undefined) throw new Error(`libbpf has no program ${linked.name}`)
    const fdOf = (map: string): number => {
      const one = spec.maps.find(({ name }) => name === map) as CollectionSpec['maps'][number]
      return answer.maps.get(one.name) ?? answer.maps.get(one.kernelName) ?? -1
    }
    const [a, b] = [slotsOf(linked.instructions, linked, fdOf), slotsOf(theirs, linked, undefined)]
    const at = a.length === b.length ? a.findIndex((slot, i) => slot !== b[i]) : Math.min(a.length, b.length)
    if (at >= 0) done.differences.push(`${linked.name}, slot ${at}: ${a[at]}, libbpf ${b[at]}`)
    done.programs++
    done.instructions += a.length
    done.relocations += applied.length
    done.poisoned += applied.filter((one) => one.poisoned !== undefined).length
    for (const { kind } of linked.coreRelocations) done.kinds.add(kind)
  }
  return done
}

/** Every program, linked, and what was done to fit it to the types. */
export function* relocated(
  spec: CollectionSpec,
  target: Btf,
): Iterable<readonly [LinkedProgram, readonly AppliedRelocation[] | CoreError]> {
  const relocator = coreRelocator(spec, spec.programs, { types: () => target, allTypes: () => [target] })
  if (relocator instanceof LoadError) throw new Error(relocator.message)
  for (const { name } of spec.programs) {
    const linked = linkProgram(spec, name)
    if (!('instructions' in linked)) throw new Error(linked.message)
    yield [linked, relocator === undefined ? [] : relocateCore(linked, relocator)] as const
  }
}
