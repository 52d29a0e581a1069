/** Finding members of structs by path, as a debugger would: `files[3].pos.x`. */
import type { Btf } from './btf.ts'
import { BTF_KIND } from './kinds.ts'
import type { BtfComposite, BtfId } from './types.ts'

/** Where a member lies. */
export interface MemberPlace {
  /** From the start of the outermost struct. */
  readonly bitOffset: number
  /** Bits of a bit field; 0 for an ordinary member. */
  readonly bitSize: number
  /** Bytes from the start of the outermost struct (of the byte that holds the first bit, for bit fields). */
  readonly offset: number
  /** Bytes; 0 where the type has no size (a flexible array has its declared 0). */
  readonly size: number
  readonly type: BtfId
}

/**
 * The struct or union called `name`, by tag or by typedef; forward declarations do not count.
 */
export function findComposite(btf: Btf, name: string): BtfId | undefined {
  let byTypedef: BtfId | undefined
  for (const id of btf.findAll(name)) {
    const kind = btf.kindOf(id)
    if (kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION) return id
    if (kind === BTF_KIND.TYPEDEF && byTypedef === undefined) {
      const resolved = btf.resolve(id)
      const under = btf.kindOf(resolved)
      if (under === BTF_KIND.STRUCT || under === BTF_KIND.UNION) byTypedef = resolved
    }
  }
  return byTypedef
}

/**
 * The member at `path` (`a.b[2].c`) of a struct, union or typedef of one. Members of anonymous structs and
 * unions are found under their own names, as in C. `undefined` where there is none.
 */
export function findMember(btf: Btf, container: BtfId, path: string): MemberPlace | undefined {
  let place: MemberPlace = {
    bitOffset: 0,
    bitSize: 0,
    offset: 0,
    size: btf.sizeOf(container) ?? 0,
    type: container,
  }
  for (const part of path.split('.')) {
    const match = /^([^[\]]+)((?:\[\d+\])*)$/.exec(part)
    if (match === null) return undefined
    const next = memberOf(btf, place.type, match[1] as string, place.bitOffset, new Set())
    if (next === undefined) return undefined
    place = next
    for (const [, index] of (match[2] as string).matchAll(/\[(\d+)\]/g)) {
      const element = elementOf(btf, place, Number(index))
      if (element === undefined) return undefined
      place = element
    }
  }
  return place
}

/**
 * Byte offset of a member: `offsetOf(btf, 'task', 'context.ra')`. `undefined` where the struct or the member is
 * missing, or where it is a bit field.
 */
export function offsetOf(btf: Btf, structName: string, path: string): number | undefined {
  const id = findComposite(btf, structName)
  const place = id === undefined ? undefined : findMember(btf, id, path)
  return place === undefined || place.bitSize !== 0 ? undefined : place.offset
}

function memberOf(
  btf: Btf,
  container: BtfId,
  name: string,
  baseBits: number,
  seen: Set<BtfId>,
): MemberPlace | undefined {
  const type = btf.typeById(btf.resolve(container))
  if (type.kind !== BTF_KIND.STRUCT && type.kind !== BTF_KIND.UNION) return undefined
  // A type that held no such member holds none the next time either.
  if (seen.has(type.id)) return undefined
  seen.add(type.id)
  for (const member of type.members) {
    const bitOffset = baseBits + member.bitOffset
    if (member.name === name) return { ...bitsOf(btf, member, bitOffset), type: member.type }
    if (member.name === '') {
      const inner = memberOf(btf, member.type, name, bitOffset, seen)
      if (inner !== undefined) return inner
    }
  }
  return undefined
}

function bitsOf(btf: Btf, member: BtfComposite['members'][number], bitOffset: number) {
  const size = btf.sizeOf(member.type) ?? 0
  const type = btf.typeById(btf.resolve(member.type))
  // Without the struct's flag, compilers before 2019 said in the INT that a member is a bit field.
  const isOldBitField =
    member.bitSize === 0 && type.kind === BTF_KIND.INT && (type.bits < type.size * 8 || type.bitOffset !== 0)
  const start = isOldBitField && type.kind === BTF_KIND.INT ? bitOffset + type.bitOffset : bitOffset
  const bitSize = isOldBitField && type.kind === BTF_KIND.INT && !type.isBool ? type.bits : member.bitSize
  return { bitOffset: start, bitSize, offset: Math.floor(start / 8), size }
}

function elementOf(btf: Btf, place: MemberPlace, index: number): MemberPlace | undefined {
  const array = btf.typeById(btf.resolve(place.type))
  if (array.kind !== BTF_KIND.ARRAY) return undefined
  // A flexible array is declared with no elements and may be indexed freely.
  if (array.count !== 0 && index >= array.count) return undefined
  const size = btf.sizeOf(array.element)
  if (size === undefined) return undefined
  const bitOffset = place.bitOffset + index * size * 8
  return { bitOffset, bitSize: 0, offset: bitOffset / 8, size, type: array.element }
}
