/**
 * What programs with `bpf/usdt.bpf.h` know of their arguments: an array of specs, whose index is the cookie of a uprobe;
 * or, where the kernel has no cookies, what a hash says of the instruction's address.
 *
 *   struct __bpf_usdt_spec: 12 arguments of 16 bytes | u64 usdt_cookie | s16 arg_cnt
 *   an argument: u64 val_off | u8 arg_type | u12 idx_reg_off, u4 scale_bitshift, u8 0 (all 0 before libbpf 1.7) |
 *                s16 reg_off | bool arg_signed | s8 arg_bitshift
 *
 * Source: bpf/usdt.bpf.h of libbpf.
 */
import { BTF_KIND, type Btf } from '../../btf/index.ts'
import type { BpfMap } from '../map.ts'
import { MOST_ARGUMENTS, type UsdtArgument } from './arguments.ts'

const ARGUMENT_BYTES = 16
const SPEC_BYTES = 208
const COOKIE = MOST_ARGUMENTS * ARGUMENT_BYTES
const COUNT = COOKIE + 8

const TYPE = { constant: 0, register: 1, memory: 2, indexed: 3 } as const

/** The bytes of one spec. */
export function encodeUsdtSpec(all: readonly UsdtArgument[], cookie: bigint): Uint8Array {
  const bytes = new Uint8Array(SPEC_BYTES)
  const view = new DataView(bytes.buffer)
  all.forEach((argument, number) => {
    const at = number * ARGUMENT_BYTES
    if (argument.kind !== 'register') view.setBigInt64(at, argument.value, true)
    const index = argument.kind === 'indexed' ? (argument.index << 8) | (argument.scaleBits << 20) : 0
    view.setUint32(at + 8, TYPE[argument.kind] | index, true)
    if (argument.kind !== 'constant') view.setInt16(at + 12, argument.register, true)
    view.setUint8(at + 14, argument.isSigned ? 1 : 0)
    view.setInt8(at + 15, 64 - 8 * argument.sizeBytes)
  })
  view.setBigUint64(COOKIE, cookie, true)
  view.setInt16(COUNT, all.length, true)
  return bytes
}

/** The specs of a loaded object, and which of them are in use. */
export class UsdtSpecs {
  readonly #specs: BpfMap
  readonly #byAddress: BpfMap
  /** Whether its programs know of operands with an index. */
  readonly knowsIndexed: boolean
  readonly #used = new Set<number>()

  private constructor(specs: BpfMap, byAddress: BpfMap, knowsIndexed: boolean) {
    this.#specs = specs
    this.#byAddress = byAddress
    this.knowsIndexed = knowsIndexed
  }

  /** Undefined where the object has no such maps, or none that are known. */
  static of(maps: ReadonlyMap<string, BpfMap>, btf: Btf | undefined): UsdtSpecs | undefined {
    const specs = maps.get('__bpf_usdt_specs')
    const byAddress = maps.get('__bpf_usdt_ip_to_spec_id')
    if (specs?.handle.valueBytes !== SPEC_BYTES || byAddress === undefined) return undefined
    const id = btf?.find('__bpf_usdt_arg_spec', BTF_KIND.STRUCT)
    const type = id === undefined ? undefined : btf?.typeById(id)
    const knowsIndexed =
      type?.kind === BTF_KIND.STRUCT && type.members.some(({ name }) => name === 'idx_reg_off')
    return new UsdtSpecs(specs, byAddress, knowsIndexed)
  }

  /** Enters a spec: its number, or -errno; undefined where all are in use. */
  add(bytes: Uint8Array): number | undefined {
    for (let id = 0; id < this.#specs.maxEntries; id++) {
      if (this.#used.has(id)) continue
      const result = this.#specs.handle.update(word(id), bytes, 0)
      if (result < 0) return result
      this.#used.add(id)
      return id
    }
    return undefined
  }

  remove(id: number): void {
    this.#used.delete(id)
  }

  /** Says which spec holds at an address: 0, or -errno. */
  setAt(address: bigint, id: number): number {
    return this.#byAddress.handle.update(long(address), word(id), 0)
  }

  removeAt(address: bigint): void {
    this.#byAddress.handle.remove(long(address))
  }
}

const word = (value: number) => new Uint8Array(Uint32Array.of(value).buffer)
const long = (value: bigint) => new Uint8Array(BigUint64Array.of(value).buffer)
