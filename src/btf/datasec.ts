/**
 * Making clang's BTF loadable.
 *
 * Clang leaves what only the linker or loader can know: DATASEC sizes and the offsets of variables in them are
 * 0, externs have a linkage that the kernel refuses, kernel functions stand where it wants variables. The result
 * is a new `.BTF` section (header, types, strings, nothing else) in the byte order of the file; the input stays
 * as it is, and type ids keep their meaning.
 *
 * Source: kernel/bpf/btf.c (btf_datasec_check_meta, btf_var_check_meta, btf_func_check), which say what is
 * accepted; libbpf documents the same conventions for `.ksyms` and `.kconfig`.
 */
import type { Btf } from './btf.ts'
import { BTF_KIND, BTF_LINKAGE } from './kinds.ts'
import type { BtfDatasec, BtfId } from './types.ts'

const HEADER_BYTES = 24
const TYPE_BYTES = 12
const SECINFO_BYTES = 12

/** What the object file knows of its sections and symbols. */
export interface DatasecFacts {
  /** Bytes of a section, `.kconfig` included. */
  sectionSize(section: string): number | undefined
  /** Where a global variable or a `.kconfig` extern lies in its section, and whether it is hidden from other files. */
  variable(section: string, name: string): { readonly offset: number; readonly isHidden: boolean } | undefined
  /** Global functions with hidden visibility: verified in the context of their callers, as static ones are. */
  readonly hiddenFunctions: ReadonlySet<string>
}

/** The BTF with sizes, offsets and linkages filled in, as `BPF_BTF_LOAD` takes it. */
export function fixupDatasec(btf: Btf, facts: DatasecFacts): Uint8Array {
  const draft = new Draft(btf)
  for (const id of btf.ids()) {
    const kind = btf.kindOf(id)
    if (kind === BTF_KIND.DATASEC) {
      const section = btf.typeById(id) as BtfDatasec
      if (section.name === '.ksyms') fixKsyms(btf, draft, section)
      else fixSection(btf, draft, section, facts)
    } else if (kind === BTF_KIND.FUNC && facts.hiddenFunctions.size > 0) {
      if (facts.hiddenFunctions.has(btf.nameOf(id))) draft.setVlen(id, BTF_LINKAGE.STATIC)
    } else if (kind === BTF_KIND.PTR) {
      // Rust compilers name pointer types; the kernel refuses that.
      draft.setWord(id, 0, 0)
    }
  }
  return draft.bytes()
}

function fixSection(btf: Btf, draft: Draft, section: BtfDatasec, facts: DatasecFacts): void {
  const isKconfig = section.name === '.kconfig'
  const isBare = section.size === 0 || isKconfig
  const size = isBare ? facts.sectionSize(section.name) : section.size
  if (size !== undefined) draft.setWord(section.id, 2, size)
  const variables = section.variables.map((variable) => {
    const type = btf.typeById(variable.type)
    if (type.kind !== BTF_KIND.VAR || type.linkage === BTF_LINKAGE.STATIC) return variable
    if (type.linkage === BTF_LINKAGE.EXTERN && !isKconfig) return variable
    const fact = facts.variable(section.name, type.name)
    if (type.linkage === BTF_LINKAGE.EXTERN) draft.setWord(type.id, 3, BTF_LINKAGE.GLOBAL)
    else if (fact?.isHidden === true) draft.setWord(type.id, 3, BTF_LINKAGE.STATIC)
    return isBare && fact !== undefined ? { ...variable, offset: fact.offset } : variable
  })
  draft.setVariables(section.id, variables)
}

/** The kernel takes neither functions nor untyped symbols in a DATASEC: each becomes a fake four-byte variable. */
function fixKsyms(btf: Btf, draft: Draft, section: BtfDatasec): void {
  const fakeBytes = 4
  const variables = section.variables.map((variable, i) => {
    const type = btf.typeById(variable.type)
    const place = { offset: i * fakeBytes, size: fakeBytes }
    if (type.kind === BTF_KIND.FUNC) {
      draft.setVlen(type.id, BTF_LINKAGE.GLOBAL)
      draft.nameParameters(type.type)
      return { type: draft.fakeVariable(), ...place }
    }
    if (type.kind === BTF_KIND.VAR) {
      draft.setWord(type.id, 2, draft.fakeInt())
      draft.setWord(type.id, 3, BTF_LINKAGE.GLOBAL)
    }
    return { type: variable.type, ...place }
  })
  draft.setWord(section.id, 2, section.variables.length * fakeBytes)
  draft.setVariables(section.id, variables)
}

/** A copy of a BTF that is being changed and may grow at its end. */
class Draft {
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

  /** Parameters of a FUNC's prototype must have names. */
  nameParameters(prototypeId: BtfId): void {
    if (this.#named.has(prototypeId)) return
    this.#named.add(prototypeId)
    const prototype = this.#btf.typeById(prototypeId)
    if (prototype.kind !== BTF_KIND.FUNC_PROTO) return
    prototype.parameters.forEach((parameter, i) => {
      if (parameter.name === '') this.setWord(prototypeId, 3 + i * 2, this.#fakeName())
    })
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
      this.#fakeInt = this.#append([this.#addString('fake_ksym_int'), BTF_KIND.INT << 24, 4, 32])
    }
    return this.#fakeInt
  }

  /** Id of a global 32-bit VAR. */
  fakeVariable(): number {
    this.#fakeVariable ??= this.#append([
      this.#fakeName(),
      BTF_KIND.VAR << 24,
      this.fakeInt(),
      BTF_LINKAGE.GLOBAL,
    ])
    return this.#fakeVariable
  }

  #fakeNameOffset: number | undefined
  #fakeName(): number {
    this.#fakeNameOffset ??= this.#addString('fake_ksym')
    return this.#fakeNameOffset
  }

  #addString(text: string): number {
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
