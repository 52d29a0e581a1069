/** Fitting the programs of an object to the types of the kernel that they go to (CO-RE). */
import { type AppliedRelocation, type Btf, CORE_KIND, CoreError, CoreRelocator } from '../btf/index.ts'
import { attachNames } from './attach-btf.ts'
import { LoadError } from './errors.ts'
import type { CollectionSpec, FunctionSpec, LinkedProgram, ProgramSpec } from './spec/index.ts'

/**
 * What relocates the object's programs; `undefined` where nothing in them is to be relocated. `programs` are those that
 * will be loaded: the records of others do not count.
 */
export function coreRelocator(
  spec: CollectionSpec,
  programs: readonly ProgramSpec[],
  kernel: { types(): Btf | LoadError; allTypes(): Iterable<Btf> },
): CoreRelocator | undefined | LoadError {
  const { btf, btfExt } = spec
  if (btf === undefined || btfExt === undefined) return undefined
  // In the order of the file: what one record rules out is out for those behind it.
  const isEntry = new Set<FunctionSpec>(spec.programs)
  const isLoaded = new Set<FunctionSpec>(programs)
  const records = btfExt.coreRelocations.flatMap(({ section }) =>
    spec.functions
      .filter((one) => one.section === section && (!isEntry.has(one) || isLoaded.has(one)))
      .flatMap((one) => one.coreRelocations),
  )
  if (records.length === 0) return undefined
  const relocator = new CoreRelocator(btf, () => kernel.allTypes())
  for (const record of records) relocator.announce(record)
  if (records.some(({ kind }) => kind !== CORE_KIND.TYPE_ID_LOCAL)) {
    const types = kernel.types()
    if (types instanceof LoadError) return needsTypes(spec.name, types)
    // In one pass with what the programs will be attached to.
    types.expectNames([...relocator.names, ...attachNames(programs)])
  }
  for (const record of records) relocator.prepare(record)
  return relocator
}

const needsTypes = (object: string, why: LoadError): LoadError =>
  new LoadError(
    why.code,
    object,
    `'${object}' is to be fitted to the kernel's types (CO-RE): ${why.message}`,
    why.errno,
  )

/** Patches the program in place; returns what was done, in order, or the first relocation that cannot be done. */
export function relocateCore(
  linked: LinkedProgram,
  relocator: CoreRelocator,
): readonly AppliedRelocation[] | CoreError {
  const applied: AppliedRelocation[] = []
  for (const record of linked.coreRelocations) {
    const one = relocator.apply(linked.instructions, record)
    if (one instanceof CoreError) return one
    applied.push(one)
  }
  return applied
}
