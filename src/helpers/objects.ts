/**
 * What programs allocate (bpf_obj_new and its like) and what their map values hold: objects, counted where their type
 * says so, and the members in them that have a meaning to the kernel.
 *
 * Rules
 * - An object ends when its last owner lets go of it: what its members hold ends with it, and its memory when no run
 *   can see it any more.
 * - A pointer to something of the operating system's own is nobody's here: to let go of it does nothing.
 *
 * Source: bpf_obj_free_fields() of kernel/bpf/syscall.c, bpf_obj_new_impl() and its like of kernel/bpf/helpers.c of
 * Linux 6.18.
 */
import type { Arena, Grace } from '../memory/index.ts'
import { drainList } from './graph/list.ts'
import { drainTree } from './graph/tree.ts'
import type { ObjectType, SpecialField } from './object-type.ts'

const ALIGN = 8

/** What is in a value only as long as something waits for its time. */
export interface TimedFields {
  /** The timer, work queue or task work at an offset is no more. */
  end(offset: number): void
}

export class ObjectHeap {
  readonly #arena: Arena
  readonly #grace: Grace
  readonly #cpuCount: number
  readonly #cpuMaskBytes: () => number
  #cpuMask: ObjectType | undefined
  readonly #types = new Map<number, ObjectType>()
  /** Set by the kernel, which runs what waits. */
  timed: TimedFields | undefined

  /** `cpuMaskBytes`: the bits in `struct cpumask`, as the kernel's types have it. */
  constructor(arena: Arena, grace: Grace, cpuCount: number, cpuMaskBytes: () => number) {
    this.#arena = arena
    this.#grace = grace
    this.#cpuCount = cpuCount
    this.#cpuMaskBytes = cpuMaskBytes
  }

  get cpuCount(): number {
    return this.#cpuCount
  }

  /** A new set of CPUs, empty: `struct bpf_cpumask`. */
  createCpuMask(): bigint {
    this.#cpuMask ??= cpuMaskOf(this.#cpuMaskBytes())
    return this.create(this.#cpuMask)
  }

  /** How many objects there are. */
  get size(): number {
    return this.#types.size
  }

  /** Address of a new object, zeroed, with one owner; 0 where there is no memory. */
  create(type: ObjectType): bigint {
    const count = type.isPerCpu ? this.#cpuCount : 1
    const offset = this.#arena.allocate(strideOf(type) * count)
    if (offset === undefined) return 0n
    this.#types.set(offset, type)
    if (type.refcountOffset >= 0) this.#arena.view.setUint32(offset + type.refcountOffset, 1, true)
    return this.#arena.address(offset)
  }

  /** The type of the object at `address`; undefined where none begins there. */
  typeAt(address: bigint): ObjectType | undefined {
    return this.#types.get(this.#arena.offsetOf(address))
  }

  /** Where the part of a per-CPU object lies that belongs to `cpu`; 0: there is none. */
  partOf(address: bigint, cpu: number): bigint {
    const type = this.typeAt(address)
    if (type === undefined || !type.isPerCpu || cpu >= this.#cpuCount) return 0n
    return address + BigInt(cpu * strideOf(type))
  }

  /** One owner more; false where the object has none left. */
  acquire(address: bigint): boolean {
    const type = this.typeAt(address)
    if (type === undefined || type.refcountOffset < 0) return false
    const at = this.#arena.offsetOf(address) + type.refcountOffset
    const count = this.#arena.view.getUint32(at, true)
    if (count === 0) return false
    this.#arena.view.setUint32(at, count + 1, true)
    return true
  }

  /** One owner less. */
  release(address: bigint): void {
    const offset = this.#arena.offsetOf(address)
    const type = this.#types.get(offset)
    if (type === undefined) return
    if (type.refcountOffset >= 0) {
      const at = offset + type.refcountOffset
      const count = this.#arena.view.getUint32(at, true) - 1
      this.#arena.view.setUint32(at, count, true)
      if (count !== 0) return
    }
    this.releaseFields(offset, type.fields)
    this.#types.delete(offset)
    this.#grace.defer(() => this.#arena.free(offset))
  }

  /** Lets go of all that the members of what lies at `offset` hold, and empties them. */
  releaseFields(offset: number, fields: readonly SpecialField[]): void {
    for (const field of fields) {
      const at = offset + field.offset
      switch (field.kind) {
        case 'timer':
        case 'wq':
        case 'task_work':
          this.timed?.end(at)
          break
        case 'kptr_unref':
          this.#arena.view.setBigUint64(at, 0n, true)
          break
        case 'kptr_ref':
        case 'kptr_percpu': {
          const held = this.#arena.view.getBigUint64(at, true)
          this.#arena.view.setBigUint64(at, 0n, true)
          if (held !== 0n) this.release(held)
          break
        }
        case 'list_head':
          for (const node of drainList(this.#arena, at)) this.release(node - BigInt(field.nodeOffset ?? 0))
          break
        case 'rb_root':
          for (const node of drainTree(this.#arena, at)) this.release(node - BigInt(field.nodeOffset ?? 0))
          break
      }
    }
  }
}

const cpuMaskOf = (bytes: number): ObjectType => ({
  name: 'bpf_cpumask',
  sizeBytes: bytes + ALIGN,
  fields: [],
  refcountOffset: bytes,
  isPerCpu: false,
})

const strideOf = ({ sizeBytes, isPerCpu }: ObjectType): number =>
  isPerCpu ? Math.ceil(sizeBytes / ALIGN) * ALIGN : sizeBytes
