/**
 * Fields with a meaning to the kernel inside map values and allocated objects: locks, timers, lists, trees, pointers
 * to kernel objects. Programs reach them through helpers only.
 *
 * Source: btf_parse_fields, btf_find_field and btf_parse_struct_metas in kernel/bpf/btf.c of Linux 6.18.
 */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId, type BtfType } from '../../btf/index.ts'
import type { SpecialFieldKind } from '../../helpers/index.ts'
import { BASE, baseOf } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import type { MapSpec } from '../program.ts'
import { isAllocatedObject } from '../proof.ts'

export type FieldKind = SpecialFieldKind

/** A type that a field points to or holds. */
export interface Pointee {
  readonly btf: Btf
  readonly btfId: number
}

export interface RecordField {
  readonly kind: FieldKind
  readonly offset: number
  readonly size: number
  readonly pointee?: Pointee
  /** For a list or tree: where in the element its node is. */
  readonly nodeOffset?: number
}

export interface FieldRecord {
  /** By rising offset. */
  readonly fields: readonly RecordField[]
  /** -1: objects of the type are not reference counted. */
  readonly refcountOffset: number
}

export const FIELD_NAMES: Readonly<Record<FieldKind, string>> = {
  spin_lock: 'bpf_spin_lock',
  res_spin_lock: 'bpf_res_spin_lock',
  timer: 'bpf_timer',
  wq: 'bpf_wq',
  task_work: 'bpf_task_work',
  refcount: 'bpf_refcount',
  kptr_unref: 'kptr',
  kptr_ref: 'kptr',
  kptr_percpu: 'percpu_kptr',
  uptr: 'uptr',
  list_head: 'bpf_list_head',
  list_node: 'bpf_list_node',
  rb_root: 'bpf_rb_root',
  rb_node: 'bpf_rb_node',
}

const STRUCTS: Readonly<Record<string, readonly [FieldKind, number]>> = {
  bpf_spin_lock: ['spin_lock', 4],
  bpf_res_spin_lock: ['res_spin_lock', 4],
  bpf_timer: ['timer', 16],
  bpf_wq: ['wq', 16],
  bpf_task_work: ['task_work', 8],
  bpf_refcount: ['refcount', 4],
  bpf_list_head: ['list_head', 16],
  bpf_list_node: ['list_node', 24],
  bpf_rb_root: ['rb_root', 16],
  bpf_rb_node: ['rb_node', 32],
}

const KPTR_TAGS: Readonly<Record<string, FieldKind>> = {
  kptr_untrusted: 'kptr_unref',
  kptr: 'kptr_ref',
  percpu_kptr: 'kptr_percpu',
  uptr: 'uptr',
}

export const KPTR_KINDS: ReadonlySet<FieldKind> = new Set(['kptr_unref', 'kptr_ref', 'kptr_percpu'])
export const GRAPH_NODES: ReadonlySet<FieldKind> = new Set(['list_node', 'rb_node'])
const UPTR_MAPS: ReadonlySet<number> = new Set([BPF_MAP_TYPE.BPF_MAP_TYPE_TASK_STORAGE])

const MAX_FIELDS = 11
const MAX_DEPTH = 16

export class Records {
  readonly #kernel: Btf | undefined
  readonly #ofStruct = new Map<Btf, Map<number, FieldRecord | undefined>>()
  readonly #ofMap = new Map<MapSpec, FieldRecord | undefined>()
  readonly #containers = new Map<Btf, Map<string, string>>()

  /** A list or tree of what is no node was met: then the whole record is void. */
  #isMalformed = false

  constructor(kernel: Btf | undefined) {
    this.#kernel = kernel
  }

  /** Fields of the values of `map`. */
  ofMap(map: MapSpec): FieldRecord | undefined {
    if (this.#ofMap.has(map)) return this.#ofMap.get(map)
    let record: FieldRecord | undefined
    if (map.btf !== undefined && map.valueTypeId !== 0) {
      const id = map.btf.id(map.valueTypeId)
      if (id !== undefined) record = this.#parse(map.btf, id)
      if (record !== undefined && !UPTR_MAPS.has(map.type)) {
        record = without(record, 'uptr')
      }
    }
    this.#ofMap.set(map, record)
    return record
  }

  /** Fields of a struct that programs can allocate. */
  ofStruct(btf: Btf | undefined, btfId: number): FieldRecord | undefined {
    if (btf === undefined || btf === this.#kernel) return undefined
    let records = this.#ofStruct.get(btf)
    if (records === undefined) {
      records = new Map()
      this.#ofStruct.set(btf, records)
    }
    if (records.has(btfId)) return records.get(btfId)
    records.set(btfId, undefined)
    const id = btf.id(btfId)
    const kind = id === undefined ? undefined : btf.kindOf(id)
    const all = id !== undefined && kind === BTF_KIND.STRUCT ? this.#parse(btf, id) : undefined
    const record = all === undefined ? undefined : without(all, 'uptr')
    records.set(btfId, record)
    return record
  }

  /** Fields of what a register points to. */
  of(register: Register): FieldRecord | undefined {
    if (baseOf(register.kind) === BASE.MAP_VALUE && register.map !== undefined) {
      return this.ofMap(register.map)
    }
    if (isAllocatedObject(register.kind)) return this.ofStruct(register.btf, register.btfId)
    return undefined
  }

  mayHoldLock(register: Register): boolean {
    if (register.kind !== BASE.MAP_VALUE && !isAllocatedObject(register.kind)) return false
    return hasField(this.of(register), 'spin_lock', 'res_spin_lock')
  }

  /** Instances of the same inner map must be told apart. */
  needsMapUid(map: MapSpec): boolean {
    return hasField(this.ofMap(map), 'timer', 'wq', 'task_work')
  }

  #parse(btf: Btf, id: BtfId): FieldRecord | undefined {
    const fields: RecordField[] = []
    this.#isMalformed = false
    const type = btf.typeById(btf.resolve(id))
    if (type.kind === BTF_KIND.STRUCT) this.#collect(btf, type, 0, 0, fields)
    else if (type.kind === BTF_KIND.DATASEC) {
      for (const v of type.variables) {
        const variable = btf.typeById(v.type)
        if (variable.kind !== BTF_KIND.VAR) continue
        this.#collectOne(btf, variable.type, v.offset, 0, fields, variable.id)
      }
    }
    if (this.#isMalformed || fields.length === 0 || fields.length > MAX_FIELDS) return undefined
    fields.sort((a, b) => a.offset - b.offset)
    const hasGraph = fields.some((f) => f.kind === 'list_head' || f.kind === 'rb_root')
    const hasLock = fields.some((f) => f.kind === 'spin_lock' || f.kind === 'res_spin_lock')
    if (hasGraph && !hasLock) return undefined
    return { fields, refcountOffset: fields.find((f) => f.kind === 'refcount')?.offset ?? -1 }
  }

  #collect(btf: Btf, type: BtfType, base: number, depth: number, into: RecordField[]): void {
    if (type.kind !== BTF_KIND.STRUCT || depth > MAX_DEPTH) return
    type.members.forEach((member, i) => {
      if (member.bitOffset % 8 !== 0) return
      this.#collectOne(btf, member.type, base + member.bitOffset / 8, depth, into, type.id, i)
    })
  }

  #collectOne(
    btf: Btf,
    memberType: BtfId,
    offset: number,
    depth: number,
    into: RecordField[],
    owner: BtfId,
    component = -1,
  ): void {
    let type = btf.typeById(btf.resolve(memberType))
    let count = 1
    while (type.kind === BTF_KIND.ARRAY) {
      count *= type.count
      type = btf.typeById(btf.resolve(type.element))
    }
    if (count === 0) return
    if (type.kind === BTF_KIND.PTR) {
      const found = this.#pointerKind(btf, type)
      if (found === undefined) return
      for (let i = 0; i < count && into.length <= MAX_FIELDS; i++) {
        into.push({ ...found, offset: offset + i * 8, size: 8 })
      }
      return
    }
    if (type.kind !== BTF_KIND.STRUCT) return
    const known = STRUCTS[type.name]
    if (known === undefined) {
      for (let i = 0; i < count && into.length <= MAX_FIELDS; i++) {
        this.#collect(btf, type, offset + i * type.size, depth + 1, into)
      }
      return
    }
    const [kind, size] = known
    for (let i = 0; i < count && into.length <= MAX_FIELDS; i++) {
      const at = offset + i * size
      if (kind !== 'list_head' && kind !== 'rb_root') {
        into.push({ kind, offset: at, size })
        continue
      }
      const node = kind === 'list_head' ? 'bpf_list_node' : 'bpf_rb_node'
      const element = this.#element(btf, owner, component, node)
      if (element === undefined) this.#isMalformed = true
      else into.push({ kind, offset: at, size, ...element })
    }
  }

  #pointerKind(btf: Btf, type: BtfType): { kind: FieldKind; pointee: Pointee } | undefined {
    if (type.kind !== BTF_KIND.PTR) return undefined
    const tag = btf.typeById(type.type)
    if (tag.kind !== BTF_KIND.TYPE_TAG) return undefined
    const kind = KPTR_TAGS[tag.name]
    if (kind === undefined) return undefined
    const target = btf.typeById(btf.resolve(tag.type))
    const isComposite =
      target.kind === BTF_KIND.STRUCT || target.kind === BTF_KIND.UNION || target.kind === BTF_KIND.FWD
    if (!isComposite) return undefined
    if (kind === 'uptr') return { kind, pointee: { btf, btfId: target.id } }
    // A type of the kernel, by name; one that it does not have is the program's own.
    const wanted = target.kind === BTF_KIND.FWD ? BTF_KIND.STRUCT : target.kind
    const id = this.#kernel?.find(target.name, wanted)
    if (this.#kernel !== undefined && id !== undefined)
      return { kind, pointee: { btf: this.#kernel, btfId: id } }
    if (target.kind === BTF_KIND.FWD) return undefined
    return { kind, pointee: { btf, btfId: target.id } }
  }

  /** What a list or tree holds, from its tag `contains:type:member`. */
  #element(
    btf: Btf,
    owner: BtfId,
    component: number,
    nodeStruct: string,
  ): { pointee: Pointee; nodeOffset: number } | undefined {
    const tag = this.#tagsOf(btf).get(`${owner}:${component}`)
    if (tag === undefined) return undefined
    const [typeName = '', member = ''] = tag.split(':')
    const id = btf.find(typeName, BTF_KIND.STRUCT)
    if (id === undefined) return undefined
    const type = btf.typeById(id)
    if (type.kind !== BTF_KIND.STRUCT) return undefined
    const node = type.members.find((m) => m.name === member)
    if (node === undefined || btf.typeById(btf.resolve(node.type)).name !== nodeStruct) return undefined
    return { pointee: { btf, btfId: id }, nodeOffset: node.bitOffset / 8 }
  }

  #tagsOf(btf: Btf): Map<string, string> {
    const known = this.#containers.get(btf)
    if (known !== undefined) return known
    const tags = new Map<string, string>()
    for (const id of btf.ids()) {
      if (btf.kindOf(id) !== BTF_KIND.DECL_TAG) continue
      const tag = btf.typeById(id)
      if (tag.kind === BTF_KIND.DECL_TAG && tag.name.startsWith('contains:')) {
        tags.set(`${tag.type}:${tag.component}`, tag.name.slice('contains:'.length))
      }
    }
    this.#containers.set(btf, tags)
    return tags
  }
}

function without(record: FieldRecord, kind: FieldKind): FieldRecord | undefined {
  const fields = record.fields.filter((f) => f.kind !== kind)
  if (fields.length === record.fields.length) return record
  return fields.length === 0 ? undefined : { ...record, fields }
}

/** The field of one of these kinds that begins at `offset`. */
export const fieldAt = (
  record: FieldRecord | undefined,
  offset: number,
  kinds: ReadonlySet<FieldKind>,
): RecordField | undefined => record?.fields.find((f) => f.offset === offset && kinds.has(f.kind))

export const hasField = (record: FieldRecord | undefined, ...kinds: FieldKind[]): boolean =>
  record?.fields.some((f) => kinds.includes(f.kind)) ?? false
