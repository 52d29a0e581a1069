/**
 * Which helpers take which maps.
 *
 * Source: check_map_func_compatibility in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_MAP_TYPE as M, BPF_PROG_TYPE as T } from '../../abi/index.ts'
import type { MapSpec } from '../program.ts'
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'

/** Map types that only these helpers may be given. */
const HELPERS_OF_MAP: Readonly<Record<number, readonly number[]>> = {
  [M.BPF_MAP_TYPE_PROG_ARRAY]: [12],
  [M.BPF_MAP_TYPE_PERF_EVENT_ARRAY]: [22, 25, 111, 55, 121],
  [M.BPF_MAP_TYPE_RINGBUF]: [130, 131, 134, 198, 199, 200],
  [M.BPF_MAP_TYPE_USER_RINGBUF]: [209],
  [M.BPF_MAP_TYPE_STACK_TRACE]: [27],
  [M.BPF_MAP_TYPE_CGROUP_ARRAY]: [33, 37],
  [M.BPF_MAP_TYPE_CGROUP_STORAGE]: [81],
  [M.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE]: [81],
  [M.BPF_MAP_TYPE_DEVMAP]: [51, 1],
  [M.BPF_MAP_TYPE_DEVMAP_HASH]: [51, 1],
  [M.BPF_MAP_TYPE_CPUMAP]: [51],
  [M.BPF_MAP_TYPE_XSKMAP]: [51, 1],
  [M.BPF_MAP_TYPE_ARRAY_OF_MAPS]: [1],
  [M.BPF_MAP_TYPE_HASH_OF_MAPS]: [1],
  [M.BPF_MAP_TYPE_SOCKMAP]: [52, 53, 60, 82, 1],
  [M.BPF_MAP_TYPE_SOCKHASH]: [72, 70, 71, 82, 1],
  [M.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY]: [82],
  [M.BPF_MAP_TYPE_QUEUE]: [89, 88, 87],
  [M.BPF_MAP_TYPE_STACK]: [89, 88, 87],
  [M.BPF_MAP_TYPE_SK_STORAGE]: [107, 108, 194],
  [M.BPF_MAP_TYPE_INODE_STORAGE]: [145, 146, 194],
  [M.BPF_MAP_TYPE_TASK_STORAGE]: [156, 157, 194],
  [M.BPF_MAP_TYPE_CGRP_STORAGE]: [210, 211, 194],
  [M.BPF_MAP_TYPE_BLOOM_FILTER]: [89, 87],
}

/** Helpers that take only these map types. */
const MAPS_OF_HELPER: Readonly<Record<number, readonly number[]>> = {
  12: [M.BPF_MAP_TYPE_PROG_ARRAY],
  22: [M.BPF_MAP_TYPE_PERF_EVENT_ARRAY],
  25: [M.BPF_MAP_TYPE_PERF_EVENT_ARRAY],
  55: [M.BPF_MAP_TYPE_PERF_EVENT_ARRAY],
  111: [M.BPF_MAP_TYPE_PERF_EVENT_ARRAY],
  121: [M.BPF_MAP_TYPE_PERF_EVENT_ARRAY],
  130: [M.BPF_MAP_TYPE_RINGBUF],
  131: [M.BPF_MAP_TYPE_RINGBUF],
  134: [M.BPF_MAP_TYPE_RINGBUF],
  198: [M.BPF_MAP_TYPE_RINGBUF],
  209: [M.BPF_MAP_TYPE_USER_RINGBUF],
  27: [M.BPF_MAP_TYPE_STACK_TRACE],
  33: [M.BPF_MAP_TYPE_CGROUP_ARRAY],
  37: [M.BPF_MAP_TYPE_CGROUP_ARRAY],
  51: [M.BPF_MAP_TYPE_DEVMAP, M.BPF_MAP_TYPE_DEVMAP_HASH, M.BPF_MAP_TYPE_CPUMAP, M.BPF_MAP_TYPE_XSKMAP],
  52: [M.BPF_MAP_TYPE_SOCKMAP],
  53: [M.BPF_MAP_TYPE_SOCKMAP],
  60: [M.BPF_MAP_TYPE_SOCKMAP],
  70: [M.BPF_MAP_TYPE_SOCKHASH],
  71: [M.BPF_MAP_TYPE_SOCKHASH],
  72: [M.BPF_MAP_TYPE_SOCKHASH],
  81: [M.BPF_MAP_TYPE_CGROUP_STORAGE, M.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE],
  82: [M.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, M.BPF_MAP_TYPE_SOCKMAP, M.BPF_MAP_TYPE_SOCKHASH],
  87: [M.BPF_MAP_TYPE_QUEUE, M.BPF_MAP_TYPE_STACK, M.BPF_MAP_TYPE_BLOOM_FILTER],
  88: [M.BPF_MAP_TYPE_QUEUE, M.BPF_MAP_TYPE_STACK],
  89: [M.BPF_MAP_TYPE_QUEUE, M.BPF_MAP_TYPE_STACK, M.BPF_MAP_TYPE_BLOOM_FILTER],
  195: [M.BPF_MAP_TYPE_PERCPU_ARRAY, M.BPF_MAP_TYPE_PERCPU_HASH, M.BPF_MAP_TYPE_LRU_PERCPU_HASH],
  107: [M.BPF_MAP_TYPE_SK_STORAGE],
  108: [M.BPF_MAP_TYPE_SK_STORAGE],
  145: [M.BPF_MAP_TYPE_INODE_STORAGE],
  146: [M.BPF_MAP_TYPE_INODE_STORAGE],
  156: [M.BPF_MAP_TYPE_TASK_STORAGE],
  157: [M.BPF_MAP_TYPE_TASK_STORAGE],
  210: [M.BPF_MAP_TYPE_CGRP_STORAGE],
  211: [M.BPF_MAP_TYPE_CGRP_STORAGE],
}

const UPDATES_SOCKMAP: readonly number[] = [
  T.BPF_PROG_TYPE_SOCKET_FILTER,
  T.BPF_PROG_TYPE_SCHED_CLS,
  T.BPF_PROG_TYPE_SCHED_ACT,
  T.BPF_PROG_TYPE_XDP,
  T.BPF_PROG_TYPE_SK_REUSEPORT,
  T.BPF_PROG_TYPE_FLOW_DISSECTOR,
  T.BPF_PROG_TYPE_SK_LOOKUP,
]

/** Contexts in which no socket of the map can be locked. */
function mayUpdateSockmap(p: Proof, id: number): boolean {
  if (id !== 2 && id !== 3) return false
  const { programType, expectedAttachType } = p.input
  if (UPDATES_SOCKMAP.includes(programType)) return true
  if (programType === T.BPF_PROG_TYPE_TRACING && expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER) {
    return true
  }
  if (programType === T.BPF_PROG_TYPE_SOCK_OPS && id === 3) return true
  p.say('cannot update sockmap in this context\n')
  return false
}

export function checkMapCompatibility(p: Proof, map: MapSpec | undefined, id: number): void {
  if (map === undefined) return
  const helpers = HELPERS_OF_MAP[map.type]
  const isSockmap = map.type === M.BPF_MAP_TYPE_SOCKMAP || map.type === M.BPF_MAP_TYPE_SOCKHASH
  const isFine =
    (helpers === undefined || helpers.includes(id) || (isSockmap && mayUpdateSockmap(p, id))) &&
    (MAPS_OF_HELPER[id]?.includes(map.type) ?? true)
  if (isFine) return
  throw p.refuse(EINVAL, `cannot pass map_type ${map.type} into func ${p.helperName(id)}#${id}`)
}
