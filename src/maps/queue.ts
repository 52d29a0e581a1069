/**
 * BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK: values in a circle, taken out oldest or youngest first.
 *
 * With BPF_EXIST a push into a full map makes room by dropping the oldest value, in a stack too.
 *
 * Source: the behaviour of kernel/bpf/queue_stack_maps.c of Linux.
 */
import { BPF_EXIST, E2BIG, EINVAL, ENOENT } from '../abi/index.ts'
import { KeylessMap } from './keyless.ts'
import { mapHeader } from './layout.ts'
import type { MapDefinition, MapHost } from './map.ts'

const EXIST = BigInt(BPF_EXIST)
const COUNT = mapHeader.offsets.count

export class QueueMap extends KeylessMap {
  readonly memoryBytes: number
  readonly #isStack: boolean
  readonly #values: number
  /** Index of the oldest value. */
  #oldest = 0

  constructor(host: MapHost, definition: MapDefinition, isStack: boolean) {
    super(host, definition, false)
    this.#isStack = isStack
    this.#values = this.own(this.valueStride * definition.maxEntries)
    this.memoryBytes = this.ownedBytes
    this.writeHeader({ cpuCount: 1, elementSize: this.valueStride, data: this.#values, mask: 0, seed: 0 })
  }

  get count(): number {
    return this.host.arena.view.getUint32(this.header + COUNT, true)
  }

  push(value: number, flags: bigint): number {
    if (flags !== 0n && flags !== EXIST) return -EINVAL
    const { maxEntries, valueSize } = this.definition
    if (this.count === maxEntries) {
      if (flags !== EXIST) return -E2BIG
      this.#dropOldest()
    }
    this.host.arena.copy(this.#at(this.count), value, valueSize)
    this.#setCount(this.count + 1)
    return 0
  }

  /** Zeroes `value` where there is none. */
  pop(value: number): number {
    const status = this.peekInto(value)
    if (status < 0) return status
    if (this.#isStack) this.#setCount(this.count - 1)
    else this.#dropOldest()
    return 0
  }

  /** The value that `pop` would take; zeroes `value` where there is none. */
  peekInto(value: number): number {
    const { arena } = this.host
    const { valueSize } = this.definition
    if (this.count === 0) {
      arena.bytes.fill(0, value, value + valueSize)
      return -ENOENT
    }
    arena.copy(value, this.#at(this.#isStack ? this.count - 1 : 0), valueSize)
    return 0
  }

  /** Offset of the value that came in `age` after the oldest. */
  #at(age: number): number {
    return this.#values + ((this.#oldest + age) % this.definition.maxEntries) * this.valueStride
  }

  #dropOldest(): void {
    this.#oldest = (this.#oldest + 1) % this.definition.maxEntries
    this.#setCount(this.count - 1)
  }

  #setCount(count: number): void {
    this.host.arena.view.setUint32(this.header + COUNT, count, true)
  }
}
