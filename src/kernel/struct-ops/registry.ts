/** The structs of functions that programs may implement here: those that the kernel's types describe. */
import { BTF_KIND, type Btf, type BtfId, type BtfMember } from '../../btf/index.ts'
import type { StructOpsLayout, StructOpsMember } from '../../maps/index.ts'
import { dummyOps } from './dummy-ops.ts'
import type { StructOpsType } from './types.ts'

const VALUE_PREFIX = 'bpf_struct_ops_'

/** A type with what the kernel's types say of it. */
export interface KnownStructOps {
  readonly type: StructOpsType
  /** Of the struct, and of the value of its maps. */
  readonly typeId: number
  readonly valueTypeId: number
  readonly layout: StructOpsLayout
}

export class StructOpsRegistry {
  readonly #known: readonly KnownStructOps[]

  constructor(types: Btf | undefined, given: readonly StructOpsType[]) {
    this.#known =
      types === undefined ? [] : [dummyOps, ...given].flatMap((type) => describe(types, type) ?? [])
  }

  byValueType(id: number): KnownStructOps | undefined {
    return this.#known.find(({ valueTypeId }) => valueTypeId === id)
  }

  byType(id: number): KnownStructOps | undefined {
    return this.#known.find(({ typeId }) => typeId === id)
  }

  get types(): readonly StructOpsType[] {
    return this.#known.map(({ type }) => type)
  }
}

function describe(types: Btf, type: StructOpsType): KnownStructOps | undefined {
  const typeId = types.find(type.name, BTF_KIND.STRUCT)
  const valueTypeId = types.find(`${VALUE_PREFIX}${type.name}`, BTF_KIND.STRUCT)
  if (typeId === undefined || valueTypeId === undefined) return undefined
  const [value, ops] = [types.typeById(valueTypeId), types.typeById(typeId)]
  if (value.kind !== BTF_KIND.STRUCT || ops.kind !== BTF_KIND.STRUCT) return undefined
  const data = value.members.find(({ name }) => name === 'data')
  if (data === undefined) return undefined
  const dataOffset = offsetOf(data)
  const layout: StructOpsLayout = {
    sizeBytes: value.size,
    dataOffset,
    members: ops.members.map((member, index) => describeMember(types, member, index)),
    holes: [...holesOf(types, value, 0), ...holesOf(types, ops, dataOffset)],
  }
  return { type, typeId, valueTypeId, layout }
}

function describeMember(types: Btf, member: BtfMember, index: number): StructOpsMember {
  const pointer = types.typeById(types.resolve(member.type))
  const isFunction =
    pointer.kind === BTF_KIND.PTR && types.kindOf(types.resolve(pointer.type)) === BTF_KIND.FUNC_PROTO
  const sizeBytes = types.sizeOf(member.type) ?? 0
  return { name: member.name, index, offset: offsetOf(member), sizeBytes, isFunction }
}

interface Composite {
  readonly size: number
  readonly members: readonly BtfMember[]
}

function holesOf(types: Btf, { size, members }: Composite, base: number): { start: number; end: number }[] {
  const holes: { start: number; end: number }[] = []
  let end = 0
  for (const member of members) {
    const start = offsetOf(member)
    if (start > end) holes.push({ start: base + end, end: base + start })
    end = start + (types.sizeOf(member.type as BtfId) ?? 0)
  }
  if (size > end) holes.push({ start: base + end, end: base + size })
  return holes
}

/** In bytes. */
const offsetOf = ({ bitOffset }: BtfMember): number => bitOffset >>> 3
