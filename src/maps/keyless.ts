/**
 * What map types without keys share: values go in and come out by push, pop and peek alone, for programs through
 * bpf_map_{push,pop,peek}_elem and for user space through the element commands with no key.
 */
import { EINVAL, ENOENT } from '../abi/index.ts'
import { MapBase } from './map-base.ts'

export abstract class KeylessMap extends MapBase {
  /** Adds the value at offset `value`. 0 or -errno. */
  abstract push(value: number, flags: bigint): number
  /** Takes a value out, to offset `value`. 0 or -errno. */
  abstract pop(value: number): number
  /** Looks a value up without changing the map: 0 or -errno. What lies at `value` before and after is the type's. */
  abstract peekInto(value: number): number

  /** Programs have no pointers into these maps. */
  lookup(_key: number, _cpu: number): number {
    return 0
  }

  update(_key: number, _value: number, _flags: bigint, _cpu: number): number {
    return -EINVAL
  }

  delete(_key: number): number {
    return -EINVAL
  }

  forEach(_cpu: number, _visit: (key: number, value: number) => boolean): number {
    return -EINVAL
  }

  nextKey(_key: Uint8Array | undefined): Uint8Array | number {
    return -EINVAL
  }

  /** `given` is what the caller's buffer held, which a bloom filter is asked for. */
  override read(_key: Uint8Array, flags: bigint, given?: Uint8Array): Uint8Array | number {
    if (flags !== 0n) return -EINVAL
    const { arena } = this.host
    arena.bytes.fill(0, this.scratchValue, this.scratchValue + this.userValueSize)
    if (given !== undefined) arena.bytes.set(given.subarray(0, this.userValueSize), this.scratchValue)
    const status = this.peekInto(this.scratchValue)
    return status < 0 ? status : this.#scratch()
  }

  override readAndRemove(_key: Uint8Array, flags: bigint): Uint8Array | number {
    if (flags !== 0n) return -EINVAL
    const status = this.pop(this.scratchValue)
    return status < 0 ? status : this.#scratch()
  }

  protected peek(_key: number): number {
    return -ENOENT
  }

  protected updateFromUser(_key: number, value: number, flags: bigint): number {
    return this.push(value, flags)
  }

  #scratch(): Uint8Array {
    return this.host.arena.bytes.slice(this.scratchValue, this.scratchValue + this.userValueSize)
  }
}
