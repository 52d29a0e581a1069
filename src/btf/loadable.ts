/**
 * Types as the kernel takes them, from compilers that it was not made for.
 *
 * It wants identifiers of C, at most 511 bytes long, where types, members, values and parameters of functions have
 * names, and none where a type of C has none. Rust calls types `Option<u32>`, names its pointers, and leaves
 * parameters without. GCC 12 says of `char` that it is signed and a character, of which the kernel takes one, gives
 * forward declarations a size, and types of functions no name. Types are for people who look: what differs is changed
 * in what is loaded, and nowhere else.
 *
 * Source: kernel/bpf/btf.c (btf_name_valid_identifier, btf_int_check_meta, btf_fwd_check_meta, btf_func_check).
 */
import type { Btf } from './btf.ts'
import type { Draft } from './draft.ts'
import { BTF_INT, BTF_KIND, type BtfKind } from './kinds.ts'
import type { BtfId } from './types.ts'

const LONGEST_NAME = 511

const TYPE_WORDS = 3

/** Changes what the kernel would refuse, type by type. */
export function makeLoadable(btf: Btf, draft: Draft): void {
  const names = new Names(btf, draft)
  const { words } = draft
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    const at = draft.at(id as BtfId)
    const info = words[at + 1] as number
    switch (((info >>> 24) & 0x1f) as BtfKind) {
      case BTF_KIND.PTR:
      case BTF_KIND.ARRAY:
      case BTF_KIND.CONST:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.FUNC_PROTO:
        words[at] = 0
        break
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM64:
        names.fix(at)
        names.fixParts(at, info & 0xffff, 3)
        break
      case BTF_KIND.ENUM:
        names.fix(at)
        names.fixParts(at, info & 0xffff, 2)
        break
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VAR:
        names.fix(at)
        break
      case BTF_KIND.FWD:
        names.fix(at)
        words[at + 2] = 0
        break
      case BTF_KIND.FUNC:
        names.fix(at)
        if (words[at] === 0) words[at] = names.some()
        draft.nameParameters(words[at + 2] as BtfId, names.some)
        break
      case BTF_KIND.INT:
        words[at + 3] = encodingOf(words[at + 3] as number)
        break
    }
  }
}

/** Names of types and their parts, each of which begins with a word that says where its name is. */
class Names {
  readonly #btf: Btf
  readonly #draft: Draft
  /** What stands for names that the kernel does not take. */
  readonly #replaced = new Map<number, number>()
  #some: number | undefined

  constructor(btf: Btf, draft: Draft) {
    this.#btf = btf
    this.#draft = draft
  }

  /** A name for what has none. */
  readonly some = (): number => {
    this.#some ??= this.#draft.addString('_')
    return this.#some
  }

  fixParts(type: number, count: number, wordsEach: number): void {
    const end = type + TYPE_WORDS + count * wordsEach
    for (let part = type + TYPE_WORDS; part < end; part += wordsEach) this.fix(part)
  }

  fix(word: number): void {
    const { words } = this.#draft
    const offset = words[word] as number
    if (offset === 0 || this.#draft.isIdentifier(offset, LONGEST_NAME)) return
    let name = this.#replaced.get(offset)
    if (name === undefined) {
      name = this.#draft.addString(like(this.#btf.string(offset)))
      this.#replaced.set(offset, name)
    }
    words[word] = name
  }
}

/** An identifier of C that is like the name. */
function like(name: string): string {
  const identifier = name.replace(/[^\w.]+/g, '_').replace(/^(?=\d)/, '_')
  return identifier.slice(0, LONGEST_NAME) || '_'
}

/** | encoding (8) | bit offset (8) | (8) | bits (8) | */
function encodingOf(data: number): number {
  const both = (BTF_INT.SIGNED | BTF_INT.CHAR) << 24
  return (data & both) === both ? data & ~(BTF_INT.CHAR << 24) : data
}
