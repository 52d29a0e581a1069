/**
 * The part of a kernel's types that the CO-RE relocations of objects look at, as a BTF of its own.
 *
 * It keeps every candidate in which an access is found, with the members on the way; what is only pointed to becomes
 * void. Objects are fitted by it as by the whole, but for the ids of target types, which are its own. Of split BTF only
 * the module's own types are written, to continue the same base, as bpftool's -B has it.
 */
import type { Btf } from '../btf.ts'
import type { BtfError } from '../error.ts'
import { BTF_KIND } from '../kinds.ts'
import type { BtfExtSection, BtfId, CoreRelocation } from '../types.ts'
import { BtfWriter, type NewBtfType } from '../writer.ts'
import { type Access, formatAccess, formatRecord, parseAccess } from './access.ts'
import { CoreError, type CoreErrorCode } from './error.ts'
import { CORE_KIND, coreKind } from './kinds.ts'
import { locate } from './locate.ts'
import { areKindsCompatible, essentialName, NAMELESS } from './names.ts'

/** The types of an object and, by section, the records that refer to them: `parseBtfExt(...).coreRelocations`. */
export interface CoreObject {
  readonly btf: Btf
  readonly relocations: Iterable<BtfExtSection<CoreRelocation>>
}

/** The section `.BTF` with what `objects` need of `target`, or the first record that cannot be told what it needs. */
export function minimalTypes(target: Btf, objects: Iterable<CoreObject>): Uint8Array | BtfError | CoreError {
  const kept = new KeptTypes(target)
  const byName = idsByEssentialName(target)
  let object = 0
  for (const { btf, relocations } of objects) {
    for (const { section, records } of relocations) {
      for (const [record, relocation] of records.entries()) {
        const found = accessesIn(target, byName, btf, relocation)
        if ('reason' in found) {
          const { code, text, reason } = found
          return new CoreError(code, text, relocation.instructionOffset, reason, { object, section, record })
        }
        for (const access of found) kept.keepAccess(access)
      }
    }
    object++
  }
  return kept.write()
}

interface BadRecord {
  readonly code: CoreErrorCode
  readonly text: string
  readonly reason: string
}

/** What a record means in every type of the target that it may be about. */
function accessesIn(
  target: Btf,
  byName: ReadonlyMap<string, readonly BtfId[]>,
  btf: Btf,
  relocation: CoreRelocation,
): readonly Access[] | BadRecord {
  const access = parseAccess(btf, relocation)
  if (typeof access === 'string') {
    return { code: 'bad-record', text: formatRecord(btf, relocation), reason: access }
  }
  if (relocation.kind === CORE_KIND.TYPE_ID_LOCAL) return []
  const text = formatAccess(access)
  const name = access.root === 0 ? '' : btf.nameOf(access.root)
  if (name === '') return { code: 'anonymous-type', text, reason: NAMELESS }
  const accesses: Access[] = []
  for (const id of byName.get(essentialName(name)) ?? []) {
    if (!areKindsCompatible(target.kindOf(id), btf.kindOf(access.root))) continue
    const found = locate(access, target, id)
    if (found.kind === 'error') return { code: 'unsatisfiable', text, reason: found.reason }
    if (found.kind === 'found') accesses.push(found.access)
  }
  return accesses
}

function idsByEssentialName(btf: Btf): Map<string, BtfId[]> {
  const byName = new Map<string, BtfId[]>()
  for (let id = 1; id < btf.typeCount; id++) {
    const name = essentialName(btf.nameOf(id as BtfId))
    if (name === '') continue
    const ids = byName.get(name)
    if (ids === undefined) byName.set(name, [id as BtfId])
    else ids.push(id as BtfId)
  }
  return byName
}

/** How much of what a type refers to is kept with it. */
type Depth = 'value' | 'pointees' | 'members'

class KeptTypes {
  readonly #btf: Btf
  readonly #ids = new Set<BtfId>()
  readonly #members = new Map<BtfId, Set<number>>()
  readonly #visited = new Set<string>()

  constructor(btf: Btf) {
    this.#btf = btf
  }

  keepAccess(access: Access): void {
    if (coreKind(access.relocation)?.subject === 'type') {
      this.#keep(access.root, access.relocation === CORE_KIND.TYPE_MATCHES ? 'members' : 'pointees')
      return
    }
    this.#keep(access.root, 'value')
    if (coreKind(access.relocation)?.subject !== 'field') return
    let at = access.root
    for (const index of access.indexes.slice(1)) {
      const type = this.#btf.typeById(this.#btf.resolve(at))
      if (type.kind === BTF_KIND.ARRAY) at = type.element
      else if (type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION)
        at = this.#keepMember(type.id, index)
      this.#keep(at, 'value')
    }
  }

  write(): Uint8Array | BtfError {
    const { base, byteOrder, firstId } = this.#btf
    const ids = [...this.#ids].filter((id) => id >= firstId).sort((a, b) => a - b)
    const renumbered = new Map(ids.map((id, i) => [id, (firstId + i) as BtfId]))
    const idOf = (id: BtfId): BtfId => (id < firstId ? id : (renumbered.get(id) ?? (0 as BtfId)))
    const writer = new BtfWriter(base === undefined ? { byteOrder } : { base, byteOrder })
    for (const id of ids) writer.add(this.#rewritten(id, idOf))
    return writer.finish()
  }

  #rewritten(id: BtfId, idOf: (id: BtfId) => BtfId): NewBtfType {
    const type = this.#btf.typeById(id)
    switch (type.kind) {
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION: {
        const members = type.members.filter((_, i) => this.#members.get(id)?.has(i))
        return { ...type, members: members.map((member) => ({ ...member, type: idOf(member.type) })) }
      }
      case BTF_KIND.ARRAY:
        return { ...type, element: idOf(type.element), index: idOf(type.index) }
      case BTF_KIND.FUNC_PROTO: {
        const parameters = type.parameters.map((one) => ({ ...one, type: idOf(one.type) }))
        return { ...type, returns: idOf(type.returns), parameters }
      }
      case BTF_KIND.PTR:
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
        return { ...type, type: idOf(type.type) }
      default:
        return type as NewBtfType
    }
  }

  #keepMember(id: BtfId, index: number): BtfId {
    const type = this.#btf.typeById(id)
    if (type.kind !== BTF_KIND.STRUCT && type.kind !== BTF_KIND.UNION) return 0 as BtfId
    const members = this.#members.get(id) ?? new Set()
    this.#members.set(id, members.add(index))
    return type.members[index]?.type ?? (0 as BtfId)
  }

  #keep(root: BtfId, rootDepth: Depth): void {
    const pending: (readonly [BtfId, Depth])[] = [[root, rootDepth]]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const [id, depth] = next
      const key = `${id} ${depth}`
      if (id === 0 || this.#visited.has(key)) continue
      this.#visited.add(key)
      this.#ids.add(id)
      const type = this.#btf.typeById(id)
      switch (type.kind) {
        case BTF_KIND.PTR:
          if (depth !== 'value') pending.push([type.type, 'pointees'])
          break
        case BTF_KIND.TYPEDEF:
        case BTF_KIND.VOLATILE:
        case BTF_KIND.CONST:
        case BTF_KIND.RESTRICT:
        case BTF_KIND.TYPE_TAG:
          pending.push([type.type, depth])
          break
        case BTF_KIND.ARRAY:
          pending.push([type.element, depth], [type.index, 'value'])
          break
        case BTF_KIND.FUNC_PROTO:
          pending.push([type.returns, depth])
          for (const parameter of type.parameters) pending.push([parameter.type, depth])
          break
        case BTF_KIND.STRUCT:
        case BTF_KIND.UNION:
          if (depth !== 'members') break
          for (const index of type.members.keys()) pending.push([this.#keepMember(id, index), depth])
          break
      }
    }
  }
}
