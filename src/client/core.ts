/** Fitting the programs of an object to the types of the kernel that they go to (CO-RE). */
import { type AppliedRelocation, type Btf, CoreError, CoreRelocator } from '../btf/index.ts'
import type { CollectionSpec, FunctionSpec, LinkedProgram } from './spec/index.ts'

/**
 * What relocates the object's programs. `targets` gives the kernel's types and those of its modules, when first
 * needed. `programs` are the names of those that will be loaded: the records of others do not count.
 */
export function coreRelocator(
  spec: CollectionSpec,
  programs: ReadonlySet<string>,
  targets: () => Iterable<Btf>,
): CoreRelocator | undefined {
  if (spec.btf === undefined || spec.btfExt === undefined) return undefined
  const relocator = new CoreRelocator(spec.btf, targets)
  // In the order of the file: what one record rules out is out for those behind it.
  const isEntry = new Set<FunctionSpec>(spec.programs)
  for (const { section } of spec.btfExt.coreRelocations) {
    for (const one of spec.functions) {
      if (one.section !== section || (isEntry.has(one) && !programs.has(one.name))) continue
      for (const record of one.coreRelocations) relocator.prepare(record)
    }
  }
  return relocator
}

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
