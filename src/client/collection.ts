/** What a kernel holds of an object: its maps and programs. */

import type { Syscalls } from '../abi/index.ts'
import type { BtfValue } from './btf-codec.ts'
import { AttachError, type SyscallError } from './errors.ts'
import type { Globals } from './globals.ts'
import type { Link } from './link.ts'
import type { BpfMap } from './map.ts'
import { Owner } from './owner.ts'
import { pinAll, type ToPin, unpinAll } from './pinned-collection.ts'
import { pinPath } from './pinned-maps.ts'
import type { Program } from './program.ts'
import type { CollectionSpec } from './spec/index.ts'
import type { StructOps } from './struct-ops.ts'

export interface CollectionParts {
  readonly spec: CollectionSpec
  readonly maps: ReadonlyMap<string, BpfMap>
  readonly programs: ReadonlyMap<string, Program>
  readonly structOps: ReadonlyMap<string, StructOps>
  readonly globals: Globals
  /** How many CPUs a per-CPU value has elements for; undefined where no map asked. */
  readonly cpuCount: number | undefined
  readonly syscalls: Syscalls
  /** Closes everything. */
  readonly owner: Owner
}

/** A loaded object. Disposing closes its maps and programs; what is attached stays until its `Link` is disposed. */
export class Collection implements Disposable {
  readonly spec: CollectionSpec
  /** By the variable's name; global data by section name (`.rodata`). */
  readonly maps: ReadonlyMap<string, BpfMap>
  /** By the function's name. */
  readonly programs: ReadonlyMap<string, Program>
  /** By the variable's name. */
  readonly structOps: ReadonlyMap<string, StructOps>
  readonly globals: Globals
  readonly cpuCount: number | undefined
  readonly #syscalls: Syscalls
  readonly #owner: Owner

  constructor(parts: CollectionParts) {
    this.spec = parts.spec
    this.maps = parts.maps
    this.programs = parts.programs
    this.structOps = parts.structOps
    this.globals = parts.globals
    this.cpuCount = parts.cpuCount
    this.#syscalls = parts.syscalls
    this.#owner = parts.owner
  }

  /**
   * A map with the types that the caller knows its codecs to give; `BpfMap.withCodecs` where they are not those of
   * the object's BTF. Throws for a name that the object does not have.
   */
  map<K = BtfValue, V = BtfValue>(name: string): BpfMap<K, V> {
    return named(this.maps, name, 'map') as unknown as BpfMap<K, V>
  }

  /** Throws for a name that the object does not have, or that was not loaded. */
  program(name: string): Program {
    return named(this.programs, name, 'program')
  }

  /**
   * Attaches every loaded program whose section says where, and registers every struct_ops; on failure nothing stays attached.
   *
   * Return probes go first: a call that is under way then is seen by neither half of a pair.
   */
  attach(): Links | AttachError {
    using owner = new Owner()
    const links: Link[] = []
    const targeted = [...this.programs.values()].filter(
      (program) => program.hasTarget && program.spec.definition.attach.kind !== 'structOps',
    )
    const order = (program: Program) => {
      const { attach } = program.spec.definition
      return 'isReturn' in attach && attach.isReturn ? 0 : 1
    }
    for (const program of targeted.sort((a, b) => order(a) - order(b))) {
      const link = program.attach()
      if (link instanceof AttachError) return link
      links.push(owner.own(link))
    }
    for (const each of this.structOps.values()) {
      const link = each.attach()
      if (link instanceof AttachError) return link
      links.push(owner.own(link))
    }
    return new Links(links, owner.release())
  }

  /**
   * Pins every map and program under its name in a folder of a BPF file system, which is made where it is missing: they
   * outlive this process, until `unpin`. Names have `_` where they had dots (`.rodata` is `_rodata`). On failure nothing
   * new stays pinned.
   */
  pin(folder: string): SyscallError | undefined {
    return pinAll(this.#syscalls, folder, this.#pins(folder))
  }

  /** Takes the names away that `pin` gave; what has no name there is none the worse for it. The folder stays. */
  unpin(folder: string): SyscallError | undefined {
    return unpinAll(this.#syscalls, this.#pins(folder))
  }

  #pins(folder: string): readonly ToPin[] {
    const all = [...this.maps.values(), ...this.programs.values()]
    return all.map((one) => ({
      fd: one.fd,
      path: pinPath(folder, one.name),
      mayBePinned: 'pinning' in one.spec && one.spec.pinning === 'by-name',
    }))
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]()
  }
}

/** Several links; disposing detaches them all, the last one first. */
export class Links implements Disposable {
  readonly all: readonly Link[]
  readonly #owner: Owner

  constructor(all: readonly Link[], owner: Owner) {
    this.all = all
    this.#owner = owner
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]()
  }
}

function named<T>(all: ReadonlyMap<string, T>, name: string, what: string): T {
  const found = all.get(name)
  if (found === undefined) {
    throw new RangeError(`no ${what} '${name}', only ${[...all.keys()].join(', ') || 'none'}`)
  }
  return found
}
