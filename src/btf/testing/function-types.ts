/** Types of functions from lines of C, for tests. */
import { BTF_KIND, BTF_LINKAGE, Btf, type BtfId, BtfWriter } from '../index.ts'

/**
 * Functions, global unless they begin with `static`, of `int`, `u64`, pointers to `int` and to structs that have one
 * pointer as their member.
 */
export function functionTypeBytes(...declarations: readonly string[]): Uint8Array {
  const writer = new BtfWriter()
  const known = new Map<string, BtfId>([['void', 0 as BtfId]])
  const integer = (name: string, size: number, isSigned: boolean) => {
    const form = { isSigned, isChar: false, isBool: false, bits: size * 8, bitOffset: 0 }
    return writer.add({ kind: BTF_KIND.INT, name, size, ...form })
  }
  known.set('int', integer('int', 4, true))
  known.set('u64', integer('u64', 8, false))
  const typeOf = (name: string): BtfId => {
    const id = known.get(name)
    if (id !== undefined) return id
    const made = name.endsWith(' *')
      ? writer.add({ kind: BTF_KIND.PTR, name: '', type: typeOf(name.slice(0, -2)) })
      : writer.add({
          kind: BTF_KIND.STRUCT,
          name: name.replace('struct ', ''),
          size: 8,
          members: [{ name: 'data', type: typeOf('void *'), bitOffset: 0, bitSize: 0 }],
        })
    known.set(name, made)
    return made
  }
  for (const declaration of declarations) {
    const [, isStatic, returns, name, list] = /^(static )?(\w+) (\w+)\((.*)\)$/.exec(declaration) ?? []
    const parameters = (list as string).split(', ').map((text) => {
      const [, type, parameter] = /^(.*?\*?)\s?(\w+)$/.exec(text) ?? []
      return { name: parameter as string, type: typeOf((type as string).trim()) }
    })
    const form = { returns: typeOf(returns as string), parameters, isVariadic: false }
    const type = writer.add({ kind: BTF_KIND.FUNC_PROTO, name: '', ...form })
    const linkage = isStatic === undefined ? BTF_LINKAGE.GLOBAL : BTF_LINKAGE.STATIC
    writer.add({ kind: BTF_KIND.FUNC, name: name as string, type, linkage })
  }
  const bytes = writer.finish()
  if (!(bytes instanceof Uint8Array)) throw bytes
  return bytes
}

/** The same, parsed. */
export function functionTypes(...declarations: readonly string[]): Btf {
  const parsed = Btf.parse(functionTypeBytes(...declarations))
  if (!(parsed instanceof Btf)) throw parsed
  return parsed
}
