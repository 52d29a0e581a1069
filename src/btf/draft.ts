/** BTF that is being made loadable. */
import type { Btf } from './btf.ts'
import { identifierBytes } from './identifier.ts'
import { BTF_KIND, BTF_LINKAGE } from './kinds.ts'
import type { BtfId } from './types.ts'
import { isHostLittleEndian, wordsOf } from './words.ts'

const HEADER_BYTES = 24
const TYPE_WORDS = 3
const SECINFO_WORDS = 3

/** A copy of a BTF that is being changed and may grow at its end. */
export class Draft {
  /** The types, of which `at` says where they are. */
  readonly words: Uint32Array
  readonly #btf: Btf
  readonly #strings: Uint8Array
  readonly #little: boolean
  readonly #typesOffset: number
  readonly #newTypes: number[][] = []
  #newStrings = ''
  readonly #named = new Set<BtfId>()
  #fakeInt: number | undefined
  #fakeVariable: number | undefined

  constructor(btf: Btf) {
    const { bytes } = btf
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const little = btf.byteOrder === 'little'
    const header = view.getUint32(4, little)
    const stringsOffset = header + view.getUint32(16, little)
    this.#btf = btf
    this.#little = little
    this.#typesOffset = header + view.getUint32(8, little)
    this.#strings = bytes.subarray(stringsOffset, stringsOffset + view.getUint32(20, little))
    const typesLength = view.getUint32(12, little)
    this.words = wordsOf(bytes, this.#typesOffset, typesLength, little === isHostLittleEndian).slice()
  }

  /** Index in `words` of a type that is not of the base. */
  at(id: BtfId): number {
    const offset = this.#btf.offsetInSection(id)
    if (offset === undefined) throw new Error(`type ${id} is not in the section that is being changed`)
    return (offset - this.#typesOffset) / 4
  }

  /** A word of a type, as it is now. */
  word(id: BtfId, word: number): number {
    return this.words[this.at(id) + word] as number
  }

  /** Whether the string is an identifier of C, in which dots may be, of at most `most` bytes. */
  isIdentifier(offset: number, most: number): boolean {
    const length = identifierBytes(this.#strings, offset)
    return length > 0 && length <= most
  }

  setWord(id: BtfId, word: number, value: number): void {
    if (id >= this.#btf.firstId) this.words[this.at(id) + word] = value
  }

  setVlen(id: BtfId, vlen: number): void {
    this.setWord(id, 1, (this.word(id, 1) & 0xffff_0000) | vlen)
  }

  /** Writes the variables of a DATASEC by rising offset, as the kernel wants them; sorts the list. */
  setVariables(id: BtfId, variables: { type: number; offset: number; size: number }[]): void {
    let at = this.at(id) + TYPE_WORDS
    for (const { type, offset, size } of variables.sort((a, b) => a.offset - b.offset)) {
      this.words[at] = type
      this.words[at + 1] = offset
      this.words[at + 2] = size
      at += SECINFO_WORDS
    }
  }

  /** Names the parameters of a FUNC's prototype that have no name; `name` says where one is. */
  nameParameters(prototypeId: BtfId, name: () => number): void {
    if (this.#named.has(prototypeId)) return
    this.#named.add(prototypeId)
    if (prototypeId < this.#btf.firstId || this.#btf.kindOf(prototypeId) !== BTF_KIND.FUNC_PROTO) return
    const { words } = this
    const at = this.at(prototypeId)
    const end = at + TYPE_WORDS + 2 * ((words[at + 1] as number) & 0xffff)
    for (let parameter = at + TYPE_WORDS; parameter < end; parameter += 2) {
      // Without a type, too, it is the dots.
      if (words[parameter] === 0 && words[parameter + 1] !== 0) words[parameter] = name()
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
    const { words } = this
    const newTypes = this.#newTypes.flat()
    const typesLength = (words.length + newTypes.length) * 4
    const newStrings = this.#newStrings
    const stringsLength = this.#strings.length + newStrings.length
    const out = new Uint8Array(HEADER_BYTES + typesLength + stringsLength)
    out.set(this.#btf.bytes.subarray(0, 4))
    const head = [HEADER_BYTES, 0, typesLength, typesLength, stringsLength]
    this.#write(out, 4, head)
    if (this.#little === isHostLittleEndian) {
      out.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), HEADER_BYTES)
    } else this.#write(out, HEADER_BYTES, words)
    this.#write(out, HEADER_BYTES + words.byteLength, newTypes)
    const strings = HEADER_BYTES + typesLength
    out.set(this.#strings, strings)
    for (let i = 0; i < newStrings.length; i++) {
      out[strings + this.#strings.length + i] = newStrings.charCodeAt(i)
    }
    return out
  }

  #write(out: Uint8Array, offset: number, words: ArrayLike<number>): void {
    const view = new DataView(out.buffer)
    for (let i = 0; i < words.length; i++) view.setUint32(offset + i * 4, words[i] as number, this.#little)
  }
}
