/** BTF that is being made loadable. */
import type { Btf } from './btf.ts'
import { BTF_KIND, BTF_LINKAGE } from './kinds.ts'
import type { BtfId } from './types.ts'

const HEADER_BYTES = 24
const TYPE_BYTES = 12
const SECINFO_BYTES = 12

/** A copy of a BTF that is being changed and may grow at its end. */
export class Draft {
  readonly #btf: Btf
  readonly #copy: Uint8Array
  readonly #view: DataView
  readonly #little: boolean
  readonly #typesOffset: number
  readonly #typesLength: number
  readonly #stringsOffset: number
  readonly #stringsLength: number
  readonly #newTypes: number[][] = []
  #newStrings = ''
  readonly #named = new Set<BtfId>()
  #fakeInt: number | undefined
  #fakeVariable: number | undefined

  constructor(btf: Btf) {
    this.#btf = btf
    this.#copy = btf.bytes.slice()
    this.#view = new DataView(this.#copy.buffer)
    this.#little = btf.byteOrder === 'little'
    const header = this.#get(4)
    this.#typesOffset = header + this.#get(8)
    this.#typesLength = this.#get(12)
    this.#stringsOffset = header + this.#get(16)
    this.#stringsLength = this.#get(20)
  }

  /** A word of a type, as it is now. */
  word(id: BtfId, word: number): number {
    return this.#get(this.#offsetOf(id) + word * 4)
  }

  /** Whether the string is an identifier of C, in which dots may be, of at most `most` bytes. Reads bytes: there are many. */
  isIdentifier(offset: number, most: number): boolean {
    const start = this.#stringsOffset + offset
    let at = start
    for (let byte = this.#copy[at]; byte !== undefined && byte !== 0; byte = this.#copy[++at]) {
      const letter = byte | 0x20
      const isDigit = byte >= 0x30 && byte <= 0x39
      const isFirst = (letter >= 0x61 && letter <= 0x7a) || byte === 0x5f || byte === 0x2e
      if (!isFirst && (!isDigit || at === start)) return false
    }
    return at > start && at - start <= most
  }

  #get(offset: number): number {
    return this.#view.getUint32(offset, this.#little)
  }

  #offsetOf(id: BtfId): number {
    const offset = this.#btf.offsetInSection(id)
    if (offset === undefined) throw new Error(`type ${id} is not in the section that is being changed`)
    return offset
  }

  setWord(id: BtfId, word: number, value: number): void {
    if (id < this.#btf.firstId) return
    this.#view.setUint32(this.#offsetOf(id) + word * 4, value, this.#little)
  }

  setVlen(id: BtfId, vlen: number): void {
    if (id < this.#btf.firstId) return
    const at = this.#offsetOf(id) + 4
    this.#view.setUint32(at, ((this.#get(at) & 0xffff_0000) | vlen) >>> 0, this.#little)
  }

  /** Writes the variables of a DATASEC by rising offset, as the kernel wants them. */
  setVariables(id: BtfId, variables: readonly { type: number; offset: number; size: number }[]): void {
    let at = this.#offsetOf(id) + TYPE_BYTES
    for (const { type, offset, size } of [...variables].sort((a, b) => a.offset - b.offset)) {
      this.#view.setUint32(at, type, this.#little)
      this.#view.setUint32(at + 4, offset, this.#little)
      this.#view.setUint32(at + 8, size, this.#little)
      at += SECINFO_BYTES
    }
  }

  /** Names the parameters of a FUNC's prototype that have no name; `name` says where one is. */
  nameParameters(prototypeId: BtfId, name: () => number): void {
    if (this.#named.has(prototypeId)) return
    this.#named.add(prototypeId)
    if (prototypeId < this.#btf.firstId || this.#btf.kindOf(prototypeId) !== BTF_KIND.FUNC_PROTO) return
    const count = this.word(prototypeId, 1) & 0xffff
    for (let i = 0, n = 3; i < count; i++, n += 2) {
      // Without a type, too, it is the dots.
      const isUnnamed = this.word(prototypeId, n) === 0 && this.word(prototypeId, n + 1) !== 0
      if (isUnnamed) this.setWord(prototypeId, n, name())
    }
  }

  /** Id of a 32-bit INT. */
  fakeInt(): number {
    if (this.#fakeInt === undefined) {
      for (const id of this.#btf.ids()) {
        const type = this.#btf.kindOf(id) === BTF_KIND.INT ? this.#btf.typeById(id) : undefined
        if (type?.kind === BTF_KIND.INT && type.bits === 32 && type.size === 4) {
          this.#fakeInt = id
          return id
        }
      }
      this.#fakeInt = this.#append([this.addString('fake_ksym_int'), BTF_KIND.INT << 24, 4, 32])
    }
    return this.#fakeInt
  }

  /** Id of a global 32-bit VAR. */
  fakeVariable(): number {
    this.#fakeVariable ??= this.#append([
      this.fakeName(),
      BTF_KIND.VAR << 24,
      this.fakeInt(),
      BTF_LINKAGE.GLOBAL,
    ])
    return this.#fakeVariable
  }

  #fakeNameOffset: number | undefined
  fakeName(): number {
    this.#fakeNameOffset ??= this.addString('fake_ksym')
    return this.#fakeNameOffset
  }

  addString(text: string): number {
    const offset = this.#btf.stringBytes + this.#newStrings.length
    this.#newStrings += `${text}\0`
    return offset
  }

  #append(words: number[]): number {
    return this.#btf.typeCount + this.#newTypes.push(words) - 1
  }

  bytes(): Uint8Array {
    const newTypes = this.#newTypes.flat()
    const typesLength = this.#typesLength + newTypes.length * 4
    const stringsLength = this.#stringsLength + this.#newStrings.length
    const out = new Uint8Array(HEADER_BYTES + typesLength + stringsLength)
    const view = new DataView(out.buffer)
    out.set(this.#copy.subarray(0, 4))
    const header = [HEADER_BYTES, 0, typesLength, typesLength, stringsLength]
    header.forEach((value, i) => {
      view.setUint32(4 + i * 4, value, this.#little)
    })
    out.set(this.#copy.subarray(this.#typesOffset, this.#typesOffset + this.#typesLength), HEADER_BYTES)
    newTypes.forEach((word, i) => {
      view.setUint32(HEADER_BYTES + this.#typesLength + i * 4, word, this.#little)
    })
    const strings = HEADER_BYTES + typesLength
    out.set(this.#copy.subarray(this.#stringsOffset, this.#stringsOffset + this.#stringsLength), strings)
    for (let i = 0; i < this.#newStrings.length; i++) {
      out[strings + this.#stringsLength + i] = this.#newStrings.charCodeAt(i)
    }
    return out
  }
}
