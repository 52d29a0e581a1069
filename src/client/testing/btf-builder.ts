/** Writes small BTF sections for tests, a type at a time; each call returns the new type's id. */
import { BTF_KIND } from '../../btf/index.ts'

export class BtfBuilder {
  readonly #types: number[] = []
  readonly #strings: number[] = [0]
  #count = 0

  /** `encoding`: signed 1, char 2, bool 4. */
  int(name: string, size: number, encoding = 0): number {
    return this.#type(name, BTF_KIND.INT, 0, size, [(encoding << 24) | (size * 8)])
  }

  pointer(type: number): number {
    return this.#type('', BTF_KIND.PTR, 0, type, [])
  }

  typedef(name: string, type: number): number {
    return this.#type(name, BTF_KIND.TYPEDEF, 0, type, [])
  }

  float(name: string, size: number): number {
    return this.#type(name, BTF_KIND.FLOAT, 0, size, [])
  }

  array(element: number, count: number): number {
    return this.#type('', BTF_KIND.ARRAY, 0, 0, [element, element, count])
  }

  enumeration(name: string, values: Record<string, number>, isSigned = false): number {
    const entries = Object.entries(values)
    const words = entries.flatMap(([value, number]) => [this.#string(value), number])
    return this.#type(name, BTF_KIND.ENUM, entries.length, 4, words, isSigned)
  }

  enumeration64(name: string, values: Record<string, bigint>): number {
    const entries = Object.entries(values)
    const words = entries.flatMap(([value, number]) => [
      this.#string(value),
      Number(number & 0xffff_ffffn),
      Number(BigInt.asUintN(32, number >> 32n)),
    ])
    return this.#type(name, BTF_KIND.ENUM64, entries.length, 8, words)
  }

  /** Members as [name, type, byte offset]; with a fourth number, a bit field of so many bits at a *bit* offset. */
  struct(
    name: string,
    size: number,
    members: readonly (readonly [string, number, number, number?])[],
  ): number {
    return this.#composite(BTF_KIND.STRUCT, name, size, members)
  }

  union(
    name: string,
    size: number,
    members: readonly (readonly [string, number, number, number?])[],
  ): number {
    return this.#composite(BTF_KIND.UNION, name, size, members)
  }

  forward(name: string): number {
    return this.#type(name, BTF_KIND.FWD, 0, 0, [])
  }

  variable(name: string, type: number, linkage = 1): number {
    return this.#type(name, BTF_KIND.VAR, 0, type, [linkage])
  }

  /** Variables as [VAR, offset, size]. */
  dataSection(name: string, size: number, variables: readonly (readonly [number, number, number])[]): number {
    return this.#type(name, BTF_KIND.DATASEC, variables.length, size, variables.flat())
  }

  build(): Uint8Array {
    const header = [0x0001_eb9f, 24, 0, this.#types.length * 4, this.#types.length * 4, this.#strings.length]
    const bytes = new Uint8Array(24 + this.#types.length * 4 + this.#strings.length)
    const view = new DataView(bytes.buffer)
    for (const [index, word] of [...header, ...this.#types].entries())
      view.setUint32(index * 4, word >>> 0, true)
    bytes.set(this.#strings, 24 + this.#types.length * 4)
    return bytes
  }

  #composite(
    kind: number,
    name: string,
    size: number,
    members: readonly (readonly [string, number, number, number?])[],
  ): number {
    const hasBitFields = members.some(([, , , bits]) => bits !== undefined)
    const words = members.flatMap(([member, type, offset, bits]) => [
      this.#string(member),
      type,
      bits === undefined ? offset * 8 : (bits << 24) | offset,
    ])
    return this.#type(name, kind, members.length, size, words, hasBitFields)
  }

  #type(
    name: string,
    kind: number,
    count: number,
    third: number,
    words: readonly number[],
    flag = false,
  ): number {
    this.#types.push(this.#string(name), (flag ? 0x8000_0000 : 0) | (kind << 24) | count, third, ...words)
    return ++this.#count
  }

  #string(text: string): number {
    if (text === '') return 0
    const offset = this.#strings.length
    this.#strings.push(...new TextEncoder().encode(text), 0)
    return offset
  }
}
