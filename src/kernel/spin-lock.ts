/**
 * The bpf_spin_lock in a map's values: a member of the value's struct, found by its type. (Linux refuses types with two
 * locks, or with one across words, when they are loaded; here that is found when a map is made with them.)
 *
 * Source: btf_parse_fields() of kernel/bpf/btf.c, map_check_btf() of kernel/bpf/syscall.c of Linux.
 */
import {
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_MAP_TYPE,
  E2BIG,
  EACCES,
  EINVAL,
  EOPNOTSUPP,
} from '../abi/index.ts'
import { BTF_KIND } from '../btf/index.ts'
import type { MapTypes } from './map-object.ts'

const LOCK_BYTES = 4
const LOCK_TYPE = 'bpf_spin_lock'

const TYPES_WITH_LOCKS: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_SK_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_INODE_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_TASK_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_CGRP_STORAGE,
]

/** Where the lock is; undefined where there is none; or -errno: more than one, or none allowed here. */
export function spinLockOf(
  { object, valueType }: MapTypes,
  attr: { readonly map_type: number; readonly map_flags: number },
): { readonly offset: number } | number | undefined {
  const { types } = object
  const id = types?.id(valueType)
  if (types === undefined || id === undefined) return undefined
  const value = types.typeById(types.resolve(id))
  if (value.kind !== BTF_KIND.STRUCT) return undefined
  const locks = value.members.filter(
    ({ type }) => types.kindOf(type) === BTF_KIND.STRUCT && types.nameOf(type) === LOCK_TYPE,
  )
  const [lock] = locks
  if (lock === undefined) return undefined
  if (locks.some(({ type, bitOffset }) => types.sizeOf(type) !== LOCK_BYTES || bitOffset % 32 !== 0)) {
    return -EINVAL
  }
  if (locks.length > 1) return -E2BIG
  if ((attr.map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) !== 0) return -EACCES
  return TYPES_WITH_LOCKS.includes(attr.map_type) ? { offset: lock.bitOffset / 8 } : -EOPNOTSUPP
}
