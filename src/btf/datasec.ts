/**
 * Making a compiler's BTF loadable.
 *
 * Compilers leave what only the linker or loader can know: DATASEC sizes and the offsets of variables in them are
 * 0, externs have a linkage that the kernel refuses, kernel functions stand where it wants variables; and types of
 * other compilers than clang are not as it wants them (`loadable.ts`). The result
 * is a new `.BTF` section (header, types, strings, nothing else) in the byte order of the file; the input stays
 * as it is, and type ids keep their meaning.
 *
 * Source: kernel/bpf/btf.c (btf_datasec_check_meta, btf_var_check_meta, btf_func_check), which say what is
 * accepted; libbpf documents the same conventions for `.ksyms` and `.kconfig`.
 */
import type { Btf } from './btf.ts'
import { Draft } from './draft.ts'
import { BTF_KIND, BTF_LINKAGE } from './kinds.ts'
import { makeLoadable } from './loadable.ts'
import type { BtfDatasec, BtfId } from './types.ts'

/** What the object file knows of its sections and symbols. */
export interface DatasecFacts {
  /** Bytes of a section, `.kconfig` included. */
  sectionSize(section: string): number | undefined
  /** Where a global variable or a `.kconfig` extern lies in its section, and whether it is hidden from other files. */
  variable(section: string, name: string): { readonly offset: number; readonly isHidden: boolean } | undefined
  /** Where a static variable lies in its section. */
  staticOffset?(section: string, name: string): number | undefined
  /** Global functions with hidden visibility: verified in the context of their callers, as static ones are. */
  readonly hiddenFunctions: ReadonlySet<string>
  /** Types of functions with local symbols; linkers of bitcode make some of which the type says that they are global. */
  readonly localFunctions?: ReadonlySet<BtfId>
}

/** The BTF with sizes, offsets and linkages filled in, as `BPF_BTF_LOAD` takes it. */
export function fixupDatasec(btf: Btf, facts: DatasecFacts): Uint8Array {
  const draft = new Draft(btf)
  for (let number = 1; number < btf.typeCount; number++) {
    const id = number as BtfId
    const kind = btf.kindOf(id)
    if (kind === BTF_KIND.DATASEC) {
      const section = btf.typeById(id) as BtfDatasec
      if (section.name === '.ksyms') fixKsyms(btf, draft, section)
      else fixSection(btf, draft, section, facts)
    } else if (kind === BTF_KIND.FUNC) {
      const isHidden = facts.hiddenFunctions.size > 0 && facts.hiddenFunctions.has(btf.nameOf(id))
      if (isHidden || facts.localFunctions?.has(id) === true) draft.setVlen(id, BTF_LINKAGE.STATIC)
    }
  }
  makeLoadable(btf, draft)
  return draft.bytes()
}

function fixSection(btf: Btf, draft: Draft, section: BtfDatasec, facts: DatasecFacts): void {
  const isKconfig = section.name === '.kconfig'
  const isBare = section.size === 0 || isKconfig
  const size = isBare ? facts.sectionSize(section.name) : section.size
  if (size !== undefined) draft.setWord(section.id, 2, size)
  const variables: { type: number; offset: number; size: number }[] = []
  for (const { type: id, offset, size } of section.variables) {
    const type = btf.typeById(id)
    let found: number | undefined
    if (type.kind === BTF_KIND.VAR && type.linkage === BTF_LINKAGE.STATIC) {
      // Clang says where they are. GCC does not, and would have them all at 0.
      if (isBare && offset === 0) found = facts.staticOffset?.(section.name, type.name)
    } else if (type.kind === BTF_KIND.VAR && (type.linkage !== BTF_LINKAGE.EXTERN || isKconfig)) {
      const fact = facts.variable(section.name, type.name)
      if (type.linkage === BTF_LINKAGE.EXTERN) draft.setWord(type.id, 3, BTF_LINKAGE.GLOBAL)
      else if (fact?.isHidden === true) draft.setWord(type.id, 3, BTF_LINKAGE.STATIC)
      if (isBare) found = fact?.offset
    }
    variables.push({ type: id, offset: found ?? offset, size })
  }
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
      draft.nameParameters(type.type, () => draft.fakeName())
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
