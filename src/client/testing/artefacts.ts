/** The repository's own objects. */
import { readFileSync } from 'node:fs'
import { type CollectionSpec, ObjectError, openObject } from '../spec/index.ts'

/** `bpf/<name>.bpf.o`, opened. */
export function openArtefact(name: string): CollectionSpec {
  const path = new URL(`../../../bpf/${name}.bpf.o`, import.meta.url)
  const spec = openObject(readFileSync(path), { name })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}
