/** Maps without keys seen as what they are: queues, stacks and bloom filters. */
import { BPF_ANY, BPF_CMD, BPF_EXIST, BPF_MAP_TYPE, ENOENT, mapElemAttr } from '../abi/index.ts'
import { decodeWith, encodeWith } from './codec.ts'
import { SyscallError } from './errors.ts'
import type { BpfMap } from './map.ts'
import { UserBuffer } from './owner.ts'

const NO_KEY = new Uint8Array(0)

function checkType(map: Pick<BpfMap, 'spec'>, types: readonly number[], what: string): void {
  if (!types.includes(map.spec.type)) throw new TypeError(`map '${map.spec.name}' is no ${what}`)
}

/** A BPF_MAP_TYPE_QUEUE or BPF_MAP_TYPE_STACK; it shares the map, which stays its owner. */
export class BpfQueue<V> {
  readonly map: BpfMap<unknown, V>

  constructor(map: BpfMap<unknown, V>) {
    checkType(map, [BPF_MAP_TYPE.BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE.BPF_MAP_TYPE_STACK], 'queue or stack')
    this.map = map
  }

  /** Adds a value; the error tells that the map is full (E2BIG), unless the oldest is to make room. */
  push(value: V, options: { readonly dropsOldest?: boolean } = {}): SyscallError | undefined {
    const { handle, valueCodec, name } = this.map
    const flags = options.dropsOldest === true ? BPF_EXIST : BPF_ANY
    const result = handle.update(NO_KEY, encodeWith(valueCodec, value), flags)
    return result < 0 ? new SyscallError('BPF_MAP_UPDATE_ELEM', result, `map '${name}'`) : undefined
  }

  /** Takes the oldest value of a queue, the youngest of a stack; undefined where there is none. */
  pop(): V | undefined {
    return this.#ask('BPF_MAP_LOOKUP_AND_DELETE_ELEM')
  }

  /** What `pop` would take. */
  peek(): V | undefined {
    return this.#ask('BPF_MAP_LOOKUP_ELEM')
  }

  /** Takes values until there are none. */
  *drain(): Generator<V, void> {
    for (let value = this.pop(); value !== undefined; value = this.pop()) yield value
  }

  #ask(cmd: 'BPF_MAP_LOOKUP_ELEM' | 'BPF_MAP_LOOKUP_AND_DELETE_ELEM'): V | undefined {
    const { handle, valueCodec, name } = this.map
    const value = handle.lookup(NO_KEY, BPF_CMD[cmd])
    if (typeof value !== 'number') return decodeWith(valueCodec, value)
    if (value === -ENOENT) return undefined
    throw new SyscallError(cmd, value, `map '${name}'`)
  }
}

/** A BPF_MAP_TYPE_BLOOM_FILTER; it shares the map, which stays its owner. */
export class BpfBloomFilter<V> {
  readonly map: BpfMap<unknown, V>

  constructor(map: BpfMap<unknown, V>) {
    checkType(map, [BPF_MAP_TYPE.BPF_MAP_TYPE_BLOOM_FILTER], 'bloom filter')
    this.map = map
  }

  add(value: V): SyscallError | undefined {
    const { handle, valueCodec, name } = this.map
    const result = handle.update(NO_KEY, encodeWith(valueCodec, value), BPF_ANY)
    return result < 0 ? new SyscallError('BPF_MAP_UPDATE_ELEM', result, `map '${name}'`) : undefined
  }

  /** False: the value was never added. True: it probably was. */
  has(value: V): boolean {
    const { handle, valueCodec, name } = this.map
    if (!handle.descriptor.isOpen) throw new Error('this map has been closed')
    const { syscalls } = handle
    using asked = UserBuffer.of(syscalls.memory, encodeWith(valueCodec, value))
    using attr = UserBuffer.of(
      syscalls.memory,
      mapElemAttr.encode({ map_fd: handle.fd, value: asked.pointer }),
    )
    const result = syscalls.bpf(BPF_CMD.BPF_MAP_LOOKUP_ELEM, attr.pointer, mapElemAttr.size)
    if (result < 0 && result !== -ENOENT) {
      throw new SyscallError('BPF_MAP_LOOKUP_ELEM', result, `map '${name}'`)
    }
    return result >= 0
  }
}
