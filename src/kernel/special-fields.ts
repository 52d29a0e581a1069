/**
 * Members with a meaning to the kernel in a map's values: which map types may have which, and what becomes of what
 * they hold.
 *
 * Source: map_check_btf() of kernel/bpf/syscall.c of Linux 6.18.
 */
import { BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, BPF_MAP_TYPE, EACCES, EOPNOTSUPP } from '../abi/index.ts'
import type { ObjectHeap, SpecialField, SpecialFieldKind } from '../helpers/index.ts'
import type { SpecialFields } from '../maps/index.ts'
import { type MapSpec, Records } from '../verifier/index.ts'
import type { KernelCore } from './core.ts'
import { specialFields } from './object-types.ts'

const T = BPF_MAP_TYPE

const tables: readonly number[] = [T.BPF_MAP_TYPE_HASH, T.BPF_MAP_TYPE_ARRAY]
const storages: readonly number[] = [
  T.BPF_MAP_TYPE_SK_STORAGE,
  T.BPF_MAP_TYPE_INODE_STORAGE,
  T.BPF_MAP_TYPE_TASK_STORAGE,
  T.BPF_MAP_TYPE_CGRP_STORAGE,
]
const lockMaps = [...tables, ...storages, T.BPF_MAP_TYPE_CGROUP_STORAGE]
const timerMaps = [...tables, T.BPF_MAP_TYPE_LRU_HASH]
const pointerMaps = [
  ...timerMaps,
  ...storages,
  T.BPF_MAP_TYPE_PERCPU_HASH,
  T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  T.BPF_MAP_TYPE_PERCPU_ARRAY,
]

/** Map types that may have a member of this kind; a kind that is not named may be anywhere, and means nothing there. */
const allowed: Readonly<Partial<Record<SpecialFieldKind, readonly number[]>>> = {
  spin_lock: lockMaps,
  res_spin_lock: lockMaps,
  timer: timerMaps,
  wq: timerMaps,
  task_work: timerMaps,
  refcount: pointerMaps,
  kptr_unref: pointerMaps,
  kptr_ref: pointerMaps,
  kptr_percpu: pointerMaps,
  uptr: [T.BPF_MAP_TYPE_TASK_STORAGE],
  list_head: timerMaps,
  rb_root: timerMaps,
}

/** The members, or -errno where the map may not have them. */
export function specialFieldsOf(core: KernelCore, spec: MapSpec): readonly SpecialField[] | number {
  if (spec.valueTypeId === 0) return []
  // Of a storage of tasks all members are told.
  const any = { ...spec, type: T.BPF_MAP_TYPE_TASK_STORAGE }
  const fields = specialFields(new Records(core.kernelBtf?.types).ofMap(any))
  if (fields.length === 0) return fields
  if ((spec.flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) !== 0) return -EACCES
  return fields.every(({ kind }) => allowed[kind]?.includes(spec.type) !== false) ? fields : -EOPNOTSUPP
}

/** What a map does with them; undefined where there are none but a lock, which holds nothing. */
export function connectFields(
  objects: ObjectHeap,
  fields: readonly SpecialField[],
): SpecialFields | undefined {
  if (fields.every(({ kind }) => kind === 'spin_lock')) return undefined
  const timed = fields.filter(({ kind }) => kind === 'timer' || kind === 'wq' || kind === 'task_work')
  return {
    ranges: fields,
    release: (value) => objects.releaseFields(value, fields),
    cancel: (value) => objects.releaseFields(value, timed),
  }
}
