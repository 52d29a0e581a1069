/** A type in a line of C, with the spaces that bpftool has: `int hello(struct pt_regs * ctx)`. */
import { BTF_KIND, type Btf, type BtfId, type BtfPrototype } from '../../btf/index.ts'

const MAX_DEPTH = 32

/** The function's declaration, or undefined where the types do not tell. */
export function functionPrototype(btf: Btf, id: BtfId): string | undefined {
  const type = btf.typeById(id)
  if (type.kind !== BTF_KIND.FUNC) return undefined
  const prototype = btf.typeById(type.type)
  return prototype.kind === BTF_KIND.FUNC_PROTO ? declaration(btf, prototype, type.name, 0) : undefined
}

function declaration(btf: Btf, prototype: BtfPrototype, name: string, depth: number): string {
  const parameters = prototype.parameters.map((parameter) => {
    const type = typeText(btf, parameter.type, depth + 1)
    return parameter.name === '' ? type.replace(/ $/, '') : `${type}${parameter.name}`
  })
  if (prototype.isVariadic) parameters.push('...')
  return `${typeText(btf, prototype.returns, depth + 1)}${name}(${parameters.join(', ')})`
}

function typeText(btf: Btf, id: BtfId, depth: number): string {
  if (id === 0) return 'void '
  if (depth > MAX_DEPTH) return ''
  const type = btf.typeById(id)
  const inner = (of: BtfId) => typeText(btf, of, depth + 1)
  switch (type.kind) {
    case BTF_KIND.STRUCT:
      return `struct ${type.name} `
    case BTF_KIND.UNION:
      return `union ${type.name} `
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return `enum ${type.name} `
    case BTF_KIND.FWD:
      return `${type.isUnion ? 'union' : 'struct'} ${type.name} `
    case BTF_KIND.ARRAY:
      return `${inner(type.element)}[${type.count}]`
    case BTF_KIND.PTR:
      return `${inner(type.type)}* `
    case BTF_KIND.CONST:
      return `const ${inner(type.type)}`
    case BTF_KIND.VOLATILE:
      return `volatile ${inner(type.type)}`
    case BTF_KIND.RESTRICT:
      return `restrict ${inner(type.type)}`
    case BTF_KIND.TYPE_TAG:
      return inner(type.type)
    case BTF_KIND.FUNC_PROTO:
      return declaration(btf, type, '', depth + 1)
    default:
      return `${type.name} `
  }
}
