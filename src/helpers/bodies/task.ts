/** Helpers that know the current task as an object of the operating system. Source: bpf-helpers(7). */
import { E2BIG, EAGAIN, EINVAL, ENOENT } from '../../abi/index.ts'
import { OwnerStorage, ReferenceArray } from '../../maps/index.ts'
import { badMap, badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'

const GET_F_CREATE = 1n
/** struct bpf_pidns_info. */
const PID_BYTES = 8
/** The hierarchy that every task is in where there are no cgroups: its root. */
const ROOT_CGROUP = 1n
const NOT_TASK_STORAGE = 'which is no task storage'
/** From so many values on, those of tasks that have ended are looked for. */
const SWEEP_FROM = 64

/** Address of the operating system's own structure; 0 where it does not say. */
export const getCurrentTask: HelperBody = (env) => env.task()?.address ?? 0n

/** The value of the task, or null; made with BPF_LOCAL_STORAGE_GET_F_CREATE. Only the current task has values. */
export const taskStorageGet: HelperBody = (env, r1, r2, r3, r4) => {
  const storage = env.mapAt(r1)
  if (!(storage instanceof OwnerStorage)) return badMap(1, r1, NOT_TASK_STORAGE)
  const { valueSize } = storage.definition
  const initial = r3 === 0n ? 0 : env.arena.check(r3, valueSize, false)
  if (initial < 0) return badMemory(3, r3, valueSize, 'read')
  const owner = currentOwner(env, r2)
  if ((r4 & ~GET_F_CREATE) !== 0n || owner === undefined) return 0n
  let value = storage.find(owner)
  if (value === 0 && (r4 & GET_F_CREATE) !== 0n) {
    forgetEnded(env, storage)
    value = storage.findOrCreate(owner, initial)
  }
  return value === 0 ? 0n : env.arena.address(value)
}

export const taskStorageDelete: HelperBody = (env, r1, r2) => {
  const storage = env.mapAt(r1)
  if (!(storage instanceof OwnerStorage)) return badMap(1, r1, NOT_TASK_STORAGE)
  if (r2 === 0n) return failure(EINVAL)
  const owner = currentOwner(env, r2)
  return owner === undefined ? failure(ENOENT) : BigInt(storage.removeOwner(owner))
}

/** There are no cgroups, so no entry can be one. */
export const currentTaskUnderCgroup: HelperBody = (env, r1, r2) => {
  const map = env.mapAt(r1)
  if (!(map instanceof ReferenceArray)) return badMap(1, r1, 'which is no cgroup array')
  return failure(u32Of(r2) >= map.definition.maxEntries ? E2BIG : EAGAIN)
}

export const getCurrentCgroupId: HelperBody = () => ROOT_CGROUP

export const getCurrentAncestorCgroupId: HelperBody = (_env, r1) =>
  BigInt.asIntN(32, r1) === 0n ? ROOT_CGROUP : 0n

/** There are no namespaces that a program could name; what it asked for is zeroed. */
export const getNsCurrentPidTgid: HelperBody = (env, _r1, _r2, r3, r4) => {
  const size = u32Of(r4)
  const info = env.arena.check(r3, size, true)
  if (info < 0) return badMemory(3, r3, size, 'write')
  env.arena.bytes.fill(0, info, info + Math.min(size, PID_BYTES))
  return failure(EINVAL)
}

/** The thread id, by which a task is known as long as it lives. */
function currentOwner(env: HelperEnvironment, task: bigint): bigint | undefined {
  const current = env.task()
  return task !== 0n && current?.address === task ? BigInt(current.pid) : undefined
}

function forgetEnded(env: HelperEnvironment, storage: OwnerStorage): void {
  const { count } = storage
  const isTime = count >= SWEEP_FROM && (count & (count - 1)) === 0
  if (!isTime || env.taskExists === undefined) return
  for (const owner of [...storage.owners]) if (!env.taskExists(Number(owner))) storage.forget(owner)
}
