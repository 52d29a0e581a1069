/** What happens on a kernel, told so that two kernels can be compared: numbers, texts and lists of these. */
import type { Syscalls } from '../../../src/abi/index.ts'
import {
  AttachError,
  type AttachOptions,
  type Collection,
  type CollectionSpec,
  type Link,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  VerifierError,
} from '../../../src/client/index.ts'
import type { Devices } from './devices.ts'

export interface Stage {
  readonly syscalls: Syscalls
  /** Of `programs/NAME.bpf.c`. */
  readonly objects: ReadonlyMap<string, Uint8Array>
  readonly devices: Devices
}

export type Told = number | string | boolean | undefined | readonly Told[] | { readonly [name: string]: Told }

/** By their names. */
export type Scenes = Readonly<Record<string, (stage: Stage) => Told>>

export function specOf({ objects }: Stage, name: string): CollectionSpec {
  const spec = openObject(objects.get(name) as Uint8Array, { name })
  if (spec instanceof ObjectError) throw spec
  return spec
}

/** The collection, or why not: the error's number and what the verifier said first. */
export function tryLoad(stage: Stage, spec: CollectionSpec, options: LoadOptions): Collection | string {
  const loaded = load(spec, stage.syscalls, options)
  if (!(loaded instanceof LoadError)) return loaded
  const said = loaded instanceof VerifierError ? (loaded.log.split('\n')[0] ?? '') : ''
  // What kernels count differs.
  return `${loaded.errno}: ${said.startsWith('processed') ? 'processed' : said}`
}

export function loaded(stage: Stage, spec: CollectionSpec, options: LoadOptions): Collection {
  const collection = load(spec, stage.syscalls, options)
  if (collection instanceof LoadError) throw collection
  return collection
}

/** The link, or the error's number. */
export function tryAttach(collection: Collection, program: string, options?: AttachOptions): Link | number {
  const link = collection.program(program).attach(undefined, options)
  return link instanceof AttachError ? -(link.errno ?? 0) : link
}
