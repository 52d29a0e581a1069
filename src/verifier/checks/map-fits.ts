/**
 * May a program use a map at all?
 *
 * Source: check_map_prog_compatibility in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import type { MapSpec } from '../program.ts'
import type { Proof } from '../proof.ts'
import { hasField } from '../records/records.ts'
import { EBUSY, EINVAL } from '../refusal.ts'

const TRACING_TYPES: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE.BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE.BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
]

export const M = BPF_MAP_TYPE

const SLEEPABLE_MAPS: readonly number[] = [
  M.BPF_MAP_TYPE_HASH,
  M.BPF_MAP_TYPE_LRU_HASH,
  M.BPF_MAP_TYPE_ARRAY,
  M.BPF_MAP_TYPE_PERCPU_HASH,
  M.BPF_MAP_TYPE_PERCPU_ARRAY,
  M.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  M.BPF_MAP_TYPE_ARRAY_OF_MAPS,
  M.BPF_MAP_TYPE_HASH_OF_MAPS,
  M.BPF_MAP_TYPE_RINGBUF,
  M.BPF_MAP_TYPE_USER_RINGBUF,
  M.BPF_MAP_TYPE_INODE_STORAGE,
  M.BPF_MAP_TYPE_SK_STORAGE,
  M.BPF_MAP_TYPE_TASK_STORAGE,
  M.BPF_MAP_TYPE_CGRP_STORAGE,
  M.BPF_MAP_TYPE_QUEUE,
  M.BPF_MAP_TYPE_STACK,
  M.BPF_MAP_TYPE_ARENA,
]

const STORAGES: readonly number[] = [M.BPF_MAP_TYPE_CGROUP_STORAGE, M.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE]

/** May a program of this type use the map at all? */
export function checkMapFits(p: Proof, map: MapSpec): void {
  const record = p.records.ofMap(map)
  const { programType } = p.input
  const isTracing = TRACING_TYPES.includes(programType)
  if (isTracing && hasField(record, 'list_head', 'rb_root')) {
    throw p.refuse(EINVAL, 'tracing progs cannot use bpf_{list_head,rb_root} yet')
  }
  if (hasField(record, 'spin_lock', 'res_spin_lock')) {
    if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER) {
      throw p.refuse(EINVAL, 'socket filter progs cannot use bpf_spin_lock yet')
    }
    if (isTracing) throw p.refuse(EINVAL, 'tracing progs cannot use bpf_spin_lock yet')
  }
  if (isTracing && hasField(record, 'timer')) {
    throw p.refuse(EINVAL, 'tracing progs cannot use bpf_timer yet')
  }
  if (isTracing && hasField(record, 'wq')) throw p.refuse(EINVAL, 'tracing progs cannot use bpf_wq yet')
  if (map.type === M.BPF_MAP_TYPE_STRUCT_OPS) {
    throw p.refuse(EINVAL, 'bpf_struct_ops map cannot be used in prog')
  }
  if (p.isSleepable && !SLEEPABLE_MAPS.includes(map.type)) {
    throw p.refuse(EINVAL, 'Sleepable programs can only use array, hash, ringbuf and local storage maps')
  }
  if (STORAGES.includes(map.type) && [...p.usedMaps].some((used) => used.type === map.type)) {
    throw p.refuse(EBUSY, 'only one cgroup storage of each type is allowed')
  }
  if (map.type === M.BPF_MAP_TYPE_ARENA) {
    if (p.hasArena && !p.usedMaps.has(map)) throw p.refuse(16, 'Only one arena per program')
    p.hasArena = true
    if (map.userStart === 0n) {
      throw p.refuse(EINVAL, "arena's user address must be set via map_extra or mmap()")
    }
  }
}
