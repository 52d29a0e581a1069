/** The element commands of bpf(2) on bytes, with everything a caller can get wrong left to the caller. */
import {
  BPF_CMD,
  mapCreateAttr,
  mapElemAttr,
  mapNextKeyAttr,
  type StructValue,
  type Syscalls,
} from '../../src/abi/index.ts'

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** bpf(2) with a copy of `attr`; it is freed in any case. */
export function bpf(kernel: Syscalls, cmd: number, attr: Uint8Array): number {
  const { memory } = kernel
  const pointer = memory.allocate(attr.length)
  memory.view(pointer, attr.length).set(attr)
  const result = kernel.bpf(cmd, pointer, attr.length)
  attr.set(memory.view(pointer, attr.length))
  memory.free(pointer)
  return result
}

export const createRaw = (kernel: Syscalls, attr: Partial<StructValue<typeof mapCreateAttr>>): number =>
  bpf(kernel, BPF_CMD.BPF_MAP_CREATE, mapCreateAttr.encode(attr))

export class RawMap implements Disposable {
  readonly fd: number
  readonly #kernel: Syscalls
  readonly #valueBytes: number

  constructor(kernel: Syscalls, fd: number, valueBytes: number) {
    this.#kernel = kernel
    this.fd = fd
    this.#valueBytes = valueBytes
  }

  /** `-errno`, or the value in hexadecimal; `value` is what lies in the buffer before. */
  lookup(key: Uint8Array, { isTaken = false, value, flags = 0n }: LookupOptions = {}): string {
    const buffer = new Uint8Array(Math.max(this.#valueBytes, 8))
    if (value !== undefined) buffer.set(value)
    const cmd = isTaken ? BPF_CMD.BPF_MAP_LOOKUP_AND_DELETE_ELEM : BPF_CMD.BPF_MAP_LOOKUP_ELEM
    const result = this.#element(cmd, key, buffer, flags)
    return result < 0 ? `${result}` : hex(buffer.subarray(0, this.#valueBytes))
  }

  update(key: Uint8Array, value: Uint8Array, flags = 0n): number {
    const buffer = new Uint8Array(Math.max(this.#valueBytes, value.length))
    buffer.set(value)
    return this.#element(BPF_CMD.BPF_MAP_UPDATE_ELEM, key, buffer, flags)
  }

  delete(key: Uint8Array): number {
    return this.#element(BPF_CMD.BPF_MAP_DELETE_ELEM, key, undefined, 0n)
  }

  /** `-errno`, or the key in hexadecimal. */
  next(key: Uint8Array | undefined, keyBytes: number): string {
    const { memory } = this.#kernel
    const at = memory.allocate(16 + 2 * keyBytes)
    const next = at + BigInt(keyBytes)
    if (key !== undefined) memory.view(at, keyBytes).set(key)
    const attr = mapNextKeyAttr.encode({ map_fd: this.fd, key: key === undefined ? 0n : at, next_key: next })
    const result = bpf(this.#kernel, BPF_CMD.BPF_MAP_GET_NEXT_KEY, attr)
    const answer = result < 0 ? `${result}` : hex(memory.view(next, keyBytes))
    memory.free(at)
    return answer
  }

  /** All keys, sorted: two kernels need not have the same order. */
  keys(keyBytes: number): readonly string[] {
    const keys: string[] = []
    for (let key = this.next(undefined, keyBytes); ; ) {
      if (key.startsWith('-')) return [...keys.sort(), key]
      keys.push(key)
      key = this.next(Buffer.from(key, 'hex'), keyBytes)
    }
  }

  [Symbol.dispose](): void {
    this.#kernel.close(this.fd)
  }

  #element(cmd: number, key: Uint8Array, value: Uint8Array | undefined, flags: bigint): number {
    const { memory } = this.#kernel
    const keyAt = memory.allocate(key.length)
    memory.view(keyAt, key.length).set(key)
    const valueAt = value === undefined ? 0n : memory.allocate(value.length)
    if (value !== undefined) memory.view(valueAt, value.length).set(value)
    const keyPointer = key.length === 0 ? 0n : keyAt
    const attr = mapElemAttr.encode({ map_fd: this.fd, key: keyPointer, value: valueAt, flags })
    const result = bpf(this.#kernel, cmd, attr)
    if (value !== undefined) {
      value.set(memory.view(valueAt, value.length))
      memory.free(valueAt)
    }
    memory.free(keyAt)
    return result
  }
}

interface LookupOptions {
  readonly isTaken?: boolean
  readonly value?: Uint8Array
  readonly flags?: bigint
}
