/**
 * The types that this kernel shows: the operating system's own, and behind them the contexts of programs and the
 * functions that they may call with what those take, each tagged `bpf_kfunc` as in Linux. What the operating system's types have already stays
 * theirs; a function that takes what only they could have (a task) is there only if they have it.
 */
import { appendTypes, BTF_KIND, Btf, BtfWriter, Declarations, declaredScalars } from '../btf/index.ts'
import { kfuncBodies, kfuncStructs as structsOfKfuncs } from '../helpers/index.ts'
import { kernelContextStructs } from './contexts/layout.ts'
import {
  iteratorContexts,
  iteratorEnums,
  iteratorFunctions,
  iteratorStructs,
} from './iterators/declarations.ts'

const structs: readonly string[] = [...structsOfKfuncs, ...kernelContextStructs, ...iteratorStructs]

const STRUCT = /struct \w+/g
/** Structs that are declared where the operating system has none. */
const known: ReadonlySet<string> = new Set(structs.flatMap((text) => text.match(/^struct \w+/) ?? []))

/** A section, and the types that were read from it; undefined where it holds none. */
export interface KernelTypes {
  readonly bytes: Uint8Array
  readonly types: Btf | undefined
  /** Names of structs that were declared, because the operating system has none. */
  readonly declared: ReadonlySet<string>
}

const NONE: ReadonlySet<string> = new Set()

/** Every word of the declarations: names of types and functions are among them. */
const declaredWords: ReadonlySet<string> = new Set(
  [
    ...structs,
    ...iteratorContexts,
    ...iteratorFunctions,
    ...[...kfuncBodies].map(([, { declaration }]) => declaration),
  ].flatMap((text) => text.match(/\w+/g) ?? []),
)

/** `own`: a `.BTF` section, or undefined where there is none. Types that do not parse are left as they are. */
export function kernelTypes(own: Uint8Array | undefined): KernelTypes {
  const base = own === undefined ? undefined : Btf.parse(own)
  if (own !== undefined && !(base instanceof Btf)) return { bytes: own, types: undefined, declared: NONE }
  const types = base instanceof Btf ? base : undefined
  types?.expectNames([...declaredWords, ...declaredScalars])
  const has = (struct: string) =>
    known.has(struct) || types?.find(struct.slice('struct '.length), BTF_KIND.STRUCT) !== undefined
  const missing = [...kfuncBodies].filter(
    ([name, { declaration }]) =>
      types?.find(name, BTF_KIND.FUNC) === undefined && (declaration.match(STRUCT) ?? []).every(has),
  )
  const walks = iteratorFunctions.flatMap((declaration, i) => {
    const isMissing = types?.find(/(\w+)\(/.exec(declaration)?.[1] ?? '', BTF_KIND.FUNC) === undefined
    const context = iteratorContexts[i] as string
    return isMissing && (declaration.match(STRUCT) ?? []).every(has) ? [{ declaration, context }] : []
  })
  if (own !== undefined && missing.length === 0 && walks.length === 0)
    return { bytes: own, types, declared: NONE }
  const writer = new BtfWriter(types === undefined ? {} : { base: types, sharesStrings: false })
  const declarations = new Declarations(writer, types, [...structs, ...iteratorContexts], iteratorEnums)
  // The verifier looks some of them up by name.
  const names = [...known].map((struct) => struct.slice('struct '.length))
  for (const name of names) declarations.struct(name)
  const declared = new Set(names.filter((name) => types?.find(name, BTF_KIND.STRUCT) === undefined))
  for (const [, { declaration }] of missing) {
    const type = declarations.function(declaration)
    writer.add({ kind: BTF_KIND.DECL_TAG, name: 'bpf_kfunc', type, component: -1 })
  }
  for (const { declaration, context } of walks) {
    declarations.struct(/^struct (\w+)/.exec(context)?.[1] ?? '')
    declarations.function(declaration)
  }
  const added = writer.finish()
  if (!(added instanceof Uint8Array)) throw added
  const bytes = own === undefined || types === undefined ? added : appendTypes(types, own, added)
  // Both parts have been checked: the one when it was read, the other as it was written.
  const joined = Btf.parseTrusted(bytes)
  if (!(joined instanceof Btf)) return { bytes, types: undefined, declared }
  // The names are read now, and not by the first program that is proved.
  joined.expectNames([...declaredWords])
  return { bytes, types: joined, declared }
}
