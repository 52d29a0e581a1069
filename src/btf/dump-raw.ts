/**
 * Types as a listing, one per line with its parts below, in the words of `bpftool btf dump file FILE format raw`.
 */
import type { Btf } from './btf.ts'
import { BTF_KIND } from './kinds.ts'
import type { BtfId, BtfInt, BtfType } from './types.ts'

/** The listing of all types that the BTF itself holds, a base's left out: lines without line ends. */
export function dumpRaw(btf: Btf): string[] {
  const lines: string[] = []
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    const type = btf.typeById(id as BtfId)
    lines.push(`[${id}] ${KIND_NAMES.get(type.kind)} ${quoted(type.name)}${attributes(type)}`)
    for (const part of parts(btf, type)) lines.push(`\t${part}`)
  }
  return lines
}

const KIND_NAMES = new Map<number, string>(Object.entries(BTF_KIND).map(([name, kind]) => [kind, name]))

const FUNCTION_LINKAGE = ['static', 'global', 'extern']
const VARIABLE_LINKAGE = ['static', 'global', 'extern']
const UNKNOWN = '(unknown)'

const quoted = (name: string): string => (name === '' ? "'(anon)'" : `'${name}'`)

/** What stands behind the name. */
function attributes(type: BtfType): string {
  switch (type.kind) {
    case BTF_KIND.UNKN:
      return ''
    case BTF_KIND.INT:
      return ` size=${type.size} bits_offset=${type.bitOffset} nr_bits=${type.bits} encoding=${encoding(type)}`
    case BTF_KIND.PTR:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
    case BTF_KIND.TYPE_TAG:
      return ` type_id=${type.type}`
    case BTF_KIND.ARRAY:
      return ` type_id=${type.element} index_type_id=${type.index} nr_elems=${type.count}`
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return ` size=${type.size} vlen=${type.members.length}`
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return ` encoding=${type.isSigned ? 'SIGNED' : 'UNSIGNED'} size=${type.size} vlen=${type.values.length}`
    case BTF_KIND.FWD:
      return ` fwd_kind=${type.isUnion ? 'union' : 'struct'}`
    case BTF_KIND.FUNC:
      return ` type_id=${type.type} linkage=${FUNCTION_LINKAGE[type.linkage] ?? UNKNOWN}`
    case BTF_KIND.FUNC_PROTO:
      return ` ret_type_id=${type.returns} vlen=${type.parameters.length + (type.isVariadic ? 1 : 0)}`
    case BTF_KIND.VAR:
      return ` type_id=${type.type}, linkage=${VARIABLE_LINKAGE[type.linkage] ?? UNKNOWN}`
    case BTF_KIND.DATASEC:
      return ` size=${type.size} vlen=${type.variables.length}`
    case BTF_KIND.FLOAT:
      return ` size=${type.size}`
    case BTF_KIND.DECL_TAG:
      return ` type_id=${type.type} component_idx=${type.component}`
    default: {
      const unreachable: never = type
      throw new Error(`no listing for ${JSON.stringify(unreachable)}`)
    }
  }
}

/** Members, constants, parameters, variables. */
function parts(btf: Btf, type: BtfType): readonly string[] {
  switch (type.kind) {
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return type.members.map(
        (member) =>
          `${quoted(member.name)} type_id=${member.type} bits_offset=${member.bitOffset}` +
          (member.bitSize > 0 ? ` bitfield_size=${member.bitSize}` : ''),
      )
    case BTF_KIND.ENUM:
      return type.values.map(({ name, value }) => `${quoted(name)} val=${value}`)
    case BTF_KIND.ENUM64:
      return type.values.map(
        ({ name, value }) => `${quoted(name)} val=${value}${type.isSigned ? 'LL' : 'ULL'}`,
      )
    case BTF_KIND.FUNC_PROTO: {
      const listed = type.parameters.map((one) => `${quoted(one.name)} type_id=${one.type}`)
      return type.isVariadic ? [...listed, `${quoted('')} type_id=0`] : listed
    }
    case BTF_KIND.DATASEC:
      return type.variables.map((one) => {
        const variable = btf.typeById(one.type)
        const what = NAMED_IN_SECTIONS.get(variable.kind)
        const name = what === undefined ? '' : ` (${what} '${variable.name}')`
        return `type_id=${one.type} offset=${one.offset} size=${one.size}${name}`
      })
    default:
      return []
  }
}

const NAMED_IN_SECTIONS = new Map<number, string>([
  [BTF_KIND.VAR, 'VAR'],
  [BTF_KIND.FUNC, 'FUNC'],
])

/** One of the kinds: of several at once, as GCC 12 writes for `char`, there is no name. */
function encoding({ isSigned, isChar, isBool }: BtfInt): string {
  if (Number(isSigned) + Number(isChar) + Number(isBool) > 1) return 'UNKN'
  return isSigned ? 'SIGNED' : isChar ? 'CHAR' : isBool ? 'BOOL' : '(none)'
}
