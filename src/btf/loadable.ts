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
import { BTF_INT, BTF_KIND } from './kinds.ts'
import type { BtfId } from './types.ts'

const LONGEST_NAME = 511

/** Words of a part of a type, the first of which is its name; the parts begin at word 3. */
const WORDS_OF_PART: ReadonlyMap<number, number> = new Map([
  [BTF_KIND.STRUCT, 3],
  [BTF_KIND.UNION, 3],
  [BTF_KIND.ENUM, 2],
  [BTF_KIND.ENUM64, 3],
])
const FIRST_PART = 3

const NAMED: ReadonlySet<number> = new Set([
  ...WORDS_OF_PART.keys(),
  BTF_KIND.FWD,
  BTF_KIND.TYPEDEF,
  BTF_KIND.FUNC,
  BTF_KIND.VAR,
])

const NAMELESS: ReadonlySet<number> = new Set([
  BTF_KIND.PTR,
  BTF_KIND.ARRAY,
  BTF_KIND.CONST,
  BTF_KIND.VOLATILE,
  BTF_KIND.RESTRICT,
  BTF_KIND.FUNC_PROTO,
])

/** Changes what the kernel would refuse, type by type. */
export function makeLoadable(btf: Btf, draft: Draft): void {
  const names = new Map<number, number>()
  let unnamed: number | undefined
  const someName = (): number => {
    unnamed ??= draft.addString('_')
    return unnamed
  }
  const fix = (id: BtfId, word: number): void => {
    const offset = draft.word(id, word)
    let name = names.get(offset)
    if (name === undefined) {
      name = acceptable(btf, draft, offset)
      names.set(offset, name)
    }
    if (name !== offset) draft.setWord(id, word, name)
  }
  for (const id of btf.ids()) {
    if (id < btf.firstId) continue
    const kind = btf.kindOf(id)
    if (NAMELESS.has(kind)) draft.setWord(id, 0, 0)
    if (NAMED.has(kind)) fix(id, 0)
    if (kind === BTF_KIND.INT) fixEncoding(id, draft)
    if (kind === BTF_KIND.FWD) draft.setWord(id, 2, 0)
    if (kind === BTF_KIND.FUNC) {
      if (draft.word(id, 0) === 0) draft.setWord(id, 0, someName())
      draft.nameParameters(draft.word(id, 2) as BtfId, someName)
    }
    const words = WORDS_OF_PART.get(kind)
    if (words === undefined) continue
    const parts = draft.word(id, 1) & 0xffff
    for (let part = 0; part < parts; part++) fix(id, FIRST_PART + part * words)
  }
}

/** Where the name is, or one that is like it. */
function acceptable(btf: Btf, draft: Draft, offset: number): number {
  if (offset === 0 || draft.isIdentifier(offset, LONGEST_NAME)) return offset
  const like = btf
    .string(offset)
    .replace(/[^\w.]+/g, '_')
    .replace(/^(?=\d)/, '_')
  return draft.addString(like.slice(0, LONGEST_NAME) || '_')
}

/** | encoding (8) | bit offset (8) | (8) | bits (8) | */
function fixEncoding(id: BtfId, draft: Draft): void {
  const data = draft.word(id, 3)
  const both = (BTF_INT.SIGNED | BTF_INT.CHAR) << 24
  if ((data & both) === both) draft.setWord(id, 3, (data & ~(BTF_INT.CHAR << 24)) >>> 0)
}
