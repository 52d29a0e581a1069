/** BPF_MAP_CREATE. Source: map_create() of kernel/bpf/syscall.c of Linux. */
import {
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_TOKEN_FD,
  BPF_F_VTYPE_BTF_OBJ_FD,
  BPF_F_WRONLY,
  BPF_MAP_TYPE,
  EACCES,
  EINVAL,
  ENOTSUPP,
  mapCreateAttr,
  type StructValue,
} from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import type { StructOpsMap } from '../../maps/index.ts'
import type { BtfObject } from '../btf-object.ts'
import type { KernelCore } from '../core.ts'
import { MapFile, type MapObject, type MapTypes } from '../map-object.ts'
import { mapSpec } from '../map-spec.ts'
import { objectName } from '../object-name.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import { connectFields, specialFieldsOf } from '../special-fields.ts'
import { spinLockOf } from '../spin-lock.ts'
import { StructOpsInstance } from '../struct-ops/instance.ts'
import type { KnownStructOps } from '../struct-ops/registry.ts'
import type { BpfCall } from './call.ts'
import { btfOf, mapFile, tokenError } from './descriptors.ts'
import { connectReferences } from './reference-arrays.ts'

type Attr = StructValue<typeof mapCreateAttr>

const NO_NUMA_NODE = 0xffff_ffff

export function mapCreate({ core, process, attr: bytes }: BpfCall): number {
  const attr = mapCreateAttr.view(bytes)
  const refusal = checkAttr(process, attr)
  if (refusal !== 0) return refusal
  const name = objectName(bytes, mapCreateAttr.offsets.map_name)
  const inner = innerMap(process, attr)
  const structOps = structOpsOf(core, process, attr)
  const definition = {
    type: attr.map_type,
    keySize: attr.key_size,
    valueSize: attr.value_size,
    maxEntries: attr.max_entries,
    flags: attr.map_flags,
    name: typeof name === 'string' ? name : '',
    extra: attr.map_extra,
    numaNode: attr.numa_node,
    hasTypes: attr.btf_key_type_id !== 0 && attr.btf_value_type_id !== 0,
    ...(structOps === undefined
      ? {}
      : { structOps: typeof structOps === 'number' ? structOps : structOps.layout }),
    ...(inner === undefined ? {} : { inner: typeof inner === 'number' ? inner : inner.map }),
  }
  // Linux makes the map first, so what is wrong with its definition is said before what is wrong with its name.
  const object = core.newMap(definition)
  if (typeof object === 'number') return object
  const types = typesOf(process, attr)
  const lock = typeof types === 'object' ? spinLockOf(types, attr) : undefined
  const failed = [name, types, lock].find((each) => typeof each === 'number')
  const error = typeof failed === 'number' ? failed : 0
  if (error !== 0) {
    object.put()
    return error
  }
  if (typeof types === 'object') object.describeWith(types)
  if (typeof inner === 'object') object.inner = mapSpec(inner)
  const fields = specialFieldsOf(core, mapSpec(object))
  if (typeof fields === 'number') {
    object.put()
    return fields
  }
  object.fields = fields
  const special = connectFields(core.objects, fields)
  if (special !== undefined) object.map.setSpecialFields?.(special)
  if (typeof lock === 'object') object.map.lockOffset = lock.offset
  connectReferences(core, object)
  if (typeof structOps === 'object') connectStructOps(core, object, structOps)
  const fd = process.install(new MapFile(object, attr.map_flags), true)
  object.put()
  return fd
}

function checkAttr(process: KernelProcess, attr: Attr): number {
  if (attr.btf_vmlinux_value_type_id !== 0) {
    if (attr.map_type !== BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS) return -EINVAL
    if (attr.btf_key_type_id !== 0 || attr.btf_value_type_id !== 0) return -EINVAL
  }
  if (attr.btf_key_type_id !== 0 && attr.btf_value_type_id === 0) return -EINVAL
  const both = BPF_F_RDONLY | BPF_F_WRONLY
  if ((attr.map_flags & both) === both) return -EINVAL
  const node = (attr.map_flags & BPF_F_NUMA_NODE) !== 0 ? attr.numa_node : NO_NUMA_NODE
  if (node !== NO_NUMA_NODE && node !== 0) return -EINVAL
  if (attr.map_ifindex !== 0) return -EINVAL
  // Maps for one signed program only are a later Linux's.
  if (attr.excl_prog_hash !== 0n || attr.excl_prog_hash_size !== 0) return -EINVAL
  return (attr.map_flags & BPF_F_TOKEN_FD) === 0 ? 0 : tokenError(process, attr.map_token_fd)
}

/** What a map of maps is made after; its reference is the descriptor's, and only what it is like is kept. */
function innerMap(process: KernelProcess, attr: Attr): MapObject | number | undefined {
  const { BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS } = BPF_MAP_TYPE
  const { map_type: type } = attr
  if (type !== BPF_MAP_TYPE_ARRAY_OF_MAPS && type !== BPF_MAP_TYPE_HASH_OF_MAPS) return undefined
  const file = mapFile(process, attr.inner_map_fd)
  return typeof file === 'number' ? file : file.object
}

/** The struct of functions that the map is for; undefined where none is named; or -errno. */
function structOpsOf(
  core: KernelCore,
  process: KernelProcess,
  attr: Attr,
): KnownStructOps | undefined | number {
  if (attr.btf_vmlinux_value_type_id === 0) return undefined
  if ((attr.map_flags & BPF_F_VTYPE_BTF_OBJ_FD) !== 0) {
    const types = btfOf(process, attr.value_type_btf_obj_fd)
    // There are no modules.
    return typeof types === 'number' ? types : -EINVAL
  }
  return core.structOps.byValueType(attr.btf_vmlinux_value_type_id) ?? -ENOTSUPP
}

function connectStructOps(core: KernelCore, object: MapObject, known: KnownStructOps): void {
  const map = object.map as StructOpsMap<ProgramObject>
  map.structOps = new StructOpsInstance(core, object, known)
  object.kernelValueType = { typeId: known.valueTypeId, btfId: core.kernelBtf?.id ?? 0 }
}

function typesOf(process: KernelProcess, attr: Attr): MapTypes | undefined | number {
  const isStructOps = attr.btf_vmlinux_value_type_id !== 0
  if (attr.btf_key_type_id === 0 && attr.btf_value_type_id === 0 && !isStructOps) return undefined
  const object = btfOf(process, attr.btf_fd)
  if (typeof object === 'number') return object
  if (object.isKernel) return -EACCES
  if (isStructOps) return { object, keyType: 0, valueType: 0 }
  if (!typesFit(object, attr)) return -EINVAL
  return { object, keyType: attr.btf_key_type_id, valueType: attr.btf_value_type_id }
}

const KEYLESS_ENTRIES = 1

/**
 * Key and value are as large as their types. Only the one value of an array that holds global data needs no key type.
 *
 * Source: map_check_btf() of kernel/bpf/syscall.c, array_map_check_btf() of kernel/bpf/arraymap.c of Linux.
 */
function typesFit(object: BtfObject, attr: Attr): boolean {
  const isArray = attr.map_type === BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY
  const types = object.types
  const value = types?.id(attr.btf_value_type_id)
  if (types === undefined || value === undefined) return false
  if (types.sizeOf(value) !== attr.value_size) return false
  if (attr.btf_key_type_id === 0) {
    if (attr.map_type === BPF_MAP_TYPE.BPF_MAP_TYPE_BLOOM_FILTER) return true
    return (
      isArray &&
      attr.max_entries === KEYLESS_ENTRIES &&
      types.kindOf(types.resolve(value)) === BTF_KIND.DATASEC
    )
  }
  const key = types.id(attr.btf_key_type_id)
  return key !== undefined && types.sizeOf(key) === attr.key_size
}
