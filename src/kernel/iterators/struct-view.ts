import { BTF_KIND, type Btf, type BtfId, findMember, type MemberPlace } from '../../btf/index.ts'
import type { Arena } from '../../memory/index.ts'

/** A struct of the kernel's types in memory that programs may read, written member by member; unknown ones are left out. */
export class StructView implements Disposable {
  readonly #arena: Arena
  readonly #types: Btf
  readonly #id: BtfId
  readonly #offset: number
  readonly #places = new Map<string, MemberPlace | undefined>()

  private constructor(arena: Arena, types: Btf, id: BtfId, offset: number) {
    this.#arena = arena
    this.#types = types
    this.#id = id
    this.#offset = offset
  }

  /** Undefined: there is no such struct, or no memory. */
  static make(arena: Arena, types: Btf, name: string): StructView | undefined {
    const id = types.find(name, BTF_KIND.STRUCT)
    const sizeBytes = id === undefined ? undefined : types.sizeOf(id)
    if (id === undefined || sizeBytes === undefined) return undefined
    const offset = arena.allocate(sizeBytes, { access: 'read' })
    return offset === undefined ? undefined : new StructView(arena, types, id, offset)
  }

  get address(): bigint {
    return this.#arena.address(this.#offset)
  }

  set(members: Readonly<Record<string, bigint | number | boolean | string | Uint8Array>>): this {
    for (const [path, value] of Object.entries(members)) {
      const place = this.#place(path)
      if (place === undefined || place.bitSize !== 0) continue
      const at = this.#offset + place.offset
      this.#arena.bytes.set(bytesOf(value, place.size), at)
    }
    return this
  }

  #place(path: string): MemberPlace | undefined {
    if (!this.#places.has(path)) this.#places.set(path, findMember(this.#types, this.#id, path))
    return this.#places.get(path)
  }

  [Symbol.dispose](): void {
    this.#arena.free(this.#offset)
  }
}

/** `size` bytes: a number, little-endian; a text, cut, with its NUL. */
function bytesOf(value: bigint | number | boolean | string | Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  if (value instanceof Uint8Array) bytes.set(value.subarray(0, size))
  else if (typeof value === 'string') {
    bytes.set(new TextEncoder().encode(value).subarray(0, Math.max(size - 1, 0)))
  } else {
    let rest = BigInt.asUintN(64, BigInt(value))
    for (let i = 0; i < Math.min(size, 8); i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn)
  }
  return bytes
}
