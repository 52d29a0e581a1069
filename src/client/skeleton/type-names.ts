/**
 * TypeScript declarations of BTF types, agreeing with what `btfCodec` reads and writes by default.
 *
 * Rules: a struct, union or enum with a name (its own, or that of a typedef) is declared once and referred to; one
 * without is written where it stands. Names are those of C in PascalCase; where two would be one, the later one has
 * a number behind it. Members keep their names, as the codec's objects have them.
 */
import {
  BTF_KIND,
  type Btf,
  type BtfComposite,
  type BtfEnum,
  type BtfId,
  type BtfInt,
} from '../../btf/index.ts'

/** BTF itself cannot contain itself by value, a damaged one can. */
const MAX_DEPTH = 32

export class TypeNames {
  readonly #btf: Btf
  readonly #taken: Set<string>
  readonly #names = new Map<BtfId, string>()
  readonly #declarations: string[] = []

  /** `taken` are names that the module has for other things. */
  constructor(btf: Btf, taken: Iterable<string>) {
    this.#btf = btf
    this.#taken = new Set(taken)
  }

  /** Declarations of all types named so far, each after those that it uses. */
  get declarations(): readonly string[] {
    return this.#declarations
  }

  /** The type as an expression, or undefined where the codec has none for it. */
  typeOf(id: BtfId, indent = ''): string | undefined {
    return this.#typeOf(id, indent, 0)
  }

  /** A name nobody has yet, from a name of C. */
  claim(name: string): string {
    const base = pascalCase(name)
    let claimed = base
    for (let number = 2; this.#taken.has(claimed); number++) claimed = `${base}${number}`
    this.#taken.add(claimed)
    return claimed
  }

  #typeOf(id: BtfId, indent: string, depth: number): string | undefined {
    if (depth > MAX_DEPTH) return undefined
    const btf = this.#btf
    const resolved = btf.resolve(id)
    const type = btf.typeById(resolved)
    switch (type.kind) {
      case BTF_KIND.INT:
        return integer(type)
      case BTF_KIND.PTR:
        return 'bigint'
      case BTF_KIND.FLOAT:
        return type.size === 4 || type.size === 8 ? 'number' : undefined
      case BTF_KIND.VAR:
        return this.#typeOf(type.type, indent, depth + 1)
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
        return this.#enumeration(type, id)
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
        return this.#composite(type, id, indent, depth)
      case BTF_KIND.ARRAY: {
        const element = btf.typeById(btf.resolve(type.element))
        if (element.kind === BTF_KIND.INT && element.size === 1 && !element.isBool) {
          if (element.isChar || element.name === 'char') return 'string'
          if (!element.isSigned) return 'Uint8Array'
        }
        const inner = this.#typeOf(type.element, indent, depth + 1)
        return inner && `readonly ${/^[{]|^readonly /.test(inner) ? `(${inner})` : inner}[]`
      }
      default:
        return undefined
    }
  }

  #composite(type: BtfComposite, id: BtfId, indent: string, depth: number): string {
    const name = type.name || this.#typedefName(id)
    if (name === '') return `{\n${this.#members(type, `${indent}  `, depth)}${indent}}`
    const known = this.#names.get(type.id)
    if (known !== undefined) return known
    const claimed = this.claim(name)
    this.#names.set(type.id, claimed)
    const members = this.#members(type, '  ', depth)
    const kind = type.kind === BTF_KIND.STRUCT ? 'struct' : 'union'
    const what = type.name === '' ? name : `${kind} ${name}`
    this.#declarations.push(
      `/** \`${what}\`: ${type.size} bytes. */\nexport interface ${claimed} {\n${members}}\n`,
    )
    return claimed
  }

  #members(type: BtfComposite, indent: string, depth: number): string {
    let text = ''
    for (const member of type.members) {
      if (member.name === '') {
        const inner = this.#btf.typeById(this.#btf.resolve(member.type))
        // As C has it: the members of an anonymous member are the struct's own.
        if ((inner.kind === BTF_KIND.STRUCT || inner.kind === BTF_KIND.UNION) && depth < MAX_DEPTH) {
          text += this.#members(inner, indent, depth + 1)
        }
        continue
      }
      const expression = this.#typeOf(member.type, indent, depth + 1)
      if (expression !== undefined) text += `${indent}readonly ${propertyName(member.name)}: ${expression}\n`
    }
    return text
  }

  #enumeration(type: BtfEnum, id: BtfId): string {
    const isWide = type.size > 4
    const plain = isWide ? 'bigint' : 'number'
    const name = type.name || this.#typedefName(id)
    if (name === '' || type.values.length === 0) return plain
    const known = this.#names.get(type.id)
    if (known !== undefined) return known
    const claimed = this.claim(name)
    this.#names.set(type.id, claimed)
    const what = type.name === '' ? name : `enum ${name}`
    this.#declarations.push(
      `/** \`${what}\`: a value may be none of these. */\nexport type ${claimed} = ${plain}\n` +
        `export const ${claimed} = {\n${enumerators(type)}} as const\n`,
    )
    return claimed
  }

  /** Declares an enum that nothing refers to, for its constants. */
  declareEnum(id: BtfId): void {
    const type = this.#btf.typeById(this.#btf.resolve(id))
    if (type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64) this.#enumeration(type, id)
  }

  /** The last typedef on the way to the type that it is made of. */
  #typedefName(id: BtfId): string {
    let name = ''
    for (let step = 0, at = id; step < MAX_DEPTH; step++) {
      const type = this.#btf.typeById(at)
      if (type.kind === BTF_KIND.TYPEDEF) name = type.name
      if (!('type' in type) || type.kind === BTF_KIND.PTR) return name
      at = type.type
    }
    return name
  }
}

/** The members of an object literal, one line each. */
export function enumerators(type: BtfEnum): string {
  return type.values
    .map(({ name, value }) => `  ${propertyName(name)}: ${value}${type.size > 4 ? 'n' : ''},\n`)
    .join('')
}

function integer(type: BtfInt): string {
  if (type.isBool) return 'boolean'
  return type.size > 4 ? 'bigint' : 'number'
}

/** `call_stats` is `CallStats`. */
export function pascalCase(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const joined = words.map((word) => (word[0] as string).toUpperCase() + word.slice(1)).join('')
  return /^[A-Za-z]/.test(joined) ? joined : `T${joined}`
}

export const propertyName = (name: string): string =>
  /^[A-Za-z_$][\w$]*$/.test(name) && name !== '__proto__' ? name : `'${name.replace(/[\\']/g, '\\$&')}'`
