/**
 * Symbols that the object uses and others provide.
 *
 * An extern is an undefined, untyped, global or weak symbol. The DATASEC of its BTF says which kind it is:
 * `.kconfig` variables are laid out in a map (by falling alignment, rising size, name, as libbpf does), `.ksyms`
 * are the kernel's. Without BTF an undefined symbol can only be the kernel's.
 */
import { BTF_KIND, type Btf, type BtfDatasec, type BtfId, type BtfType } from '../../btf/index.ts'
import { SHN, STB, STT } from '../../elf/index.ts'
import { ObjectError } from './object-error.ts'
import type { ObjectFile } from './object-file.ts'
import type { ExternSpec, KconfigExtern, KsymExtern } from './types.ts'

export interface Externs {
  /** `.kconfig` ones in order of offset, then the kernel's in order of the symbol table. */
  readonly list: readonly ExternSpec[]
  readonly byName: ReadonlyMap<string, ExternSpec>
  /** Bytes of the `.kconfig` map; 0 where there is none. */
  readonly kconfigSize: number
}

export function collectExterns(file: ObjectFile): Externs | ObjectError {
  const kconfig: Omit<KconfigExtern, 'offset'>[] = []
  const ksyms: KsymExtern[] = []
  const seen = new Set<string>()
  const declared = file.btf === undefined ? new Map<string, Declaration>() : declaredExterns(file.btf)
  for (const symbol of file.symbols) {
    if (symbol.sectionIndex !== SHN.UNDEF || symbol.type !== STT.NOTYPE || symbol.binding === STB.LOCAL)
      continue
    const { name } = symbol
    if (name === '' || seen.has(name)) continue
    seen.add(name)
    const isWeak = symbol.binding === STB.WEAK
    const declaration = declared.get(name)
    if (declaration?.section === '.kconfig') {
      const one = kconfigExtern(file.btf as Btf, name, isWeak, declaration.type)
      if (one instanceof ObjectError) return one
      kconfig.push(one)
    } else {
      const isFunction = declaration?.type.kind === BTF_KIND.FUNC
      ksyms.push({ kind: 'ksym', name, isWeak, isFunction, type: declaration?.type.id })
    }
  }
  const align = (one: Omit<KconfigExtern, 'offset'>): number => file.btf?.alignOf(one.type) ?? 1
  kconfig.sort((a, b) => align(b) - align(a) || a.size - b.size || (a.name < b.name ? -1 : 1))
  let end = 0
  const placed = kconfig.map((one): KconfigExtern => {
    const offset = Math.ceil(end / align(one)) * align(one)
    end = offset + one.size
    return { ...one, offset }
  })
  const list: ExternSpec[] = [...placed, ...ksyms]
  return { list, byName: new Map(list.map((one) => [one.name, one])), kconfigSize: end }
}

interface Declaration {
  readonly section: string
  readonly type: BtfType
}

function declaredExterns(btf: Btf): Map<string, Declaration> {
  const found = new Map<string, Declaration>()
  for (const section of ['.kconfig', '.ksyms']) {
    const id = btf.find(section, BTF_KIND.DATASEC)
    if (id === undefined) continue
    for (const variable of (btf.typeById(id) as BtfDatasec).variables) {
      const type = btf.typeById(variable.type)
      if (type.kind === BTF_KIND.VAR || type.kind === BTF_KIND.FUNC) found.set(type.name, { section, type })
    }
  }
  return found
}

function kconfigExtern(
  btf: Btf,
  name: string,
  isWeak: boolean,
  variable: BtfType,
): Omit<KconfigExtern, 'offset'> | ObjectError {
  const bad = (reason: string): ObjectError =>
    new ObjectError('bad-extern', `kernel configuration variable '${name}': ${reason}`, {
      section: '.kconfig',
    })
  if (variable.kind !== BTF_KIND.VAR) return bad('expected a variable, found a function')
  const size = btf.sizeOf(variable.type)
  // The limit is generous (values are numbers and short strings) and keeps the map's size an honest one.
  if (size === undefined || size === 0 || size > 0x10_0000) return bad('expected a type with a size')
  const kind = valueKind(btf, variable.type)
  if (kind === undefined) return bad('expected bool, enum libbpf_tristate, an integer or an array of char')
  return { kind: 'kconfig', name, isWeak, type: variable.type, size, ...kind }
}

function valueKind(btf: Btf, id: BtfId): Pick<KconfigExtern, 'valueKind' | 'isSigned'> | undefined {
  const type = btf.typeById(btf.resolve(id))
  switch (type.kind) {
    case BTF_KIND.INT:
      if (type.isBool) return type.size === 1 ? { valueKind: 'bool', isSigned: false } : undefined
      if (type.size === 1) return { valueKind: 'char', isSigned: type.isSigned }
      return [2, 4, 8].includes(type.size) ? { valueKind: 'int', isSigned: type.isSigned } : undefined
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return type.name === 'libbpf_tristate' ? { valueKind: 'tristate', isSigned: false } : undefined
    case BTF_KIND.ARRAY: {
      const element = btf.typeById(btf.resolve(type.element))
      const isChar = element.kind === BTF_KIND.INT && element.size === 1 && !element.isBool
      return isChar && type.count > 0 ? { valueKind: 'char-array', isSigned: false } : undefined
    }
    default:
      return undefined
  }
}
