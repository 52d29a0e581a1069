/**
 * Tasks of the operating system: found, and walked through. They are its own: to hold one keeps nothing alive, and what
 * is read of one that has ended is whatever lies there.
 *
 * Source: kernel/bpf/helpers.c, kernel/bpf/task_iter.c of Linux 6.18.
 */
import { EINVAL } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperEnvironment, HelperTask } from '../environment.ts'
import type { KfuncBody } from './row.ts'

const ITERATOR_BYTES = 24
const WALK = { processes: 0, threads: 1, ofProcess: 2 } as const

const known = (env: HelperEnvironment): readonly HelperTask[] => env.tasks?.() ?? []

export const acquire: KfuncBody = (_env, _call, r1) => r1
export const release: KfuncBody = () => 0n

export const fromPid: KfuncBody = (env, _call, r1) =>
  known(env).find(({ pid }) => pid === u32Of(r1))?.address ?? 0n

/** u32 least thread id that comes next | u32 which tasks | u64 the process. */
export const iterTaskNew: KfuncBody = (env, _call, r1, r2, r3) => {
  const at = env.arena.check(r1, ITERATOR_BYTES, true)
  if (at < 0) return badMemory(1, r1, ITERATOR_BYTES, 'write')
  const { view, bytes } = env.arena
  bytes.fill(0, at, at + ITERATOR_BYTES)
  const walk = u32Of(r3)
  const task = known(env).find(({ address }) => address === r2)
  if (walk > WALK.ofProcess || (walk === WALK.ofProcess && r2 === 0n)) {
    view.setUint32(at, 0xffff_ffff, true)
    return failure(EINVAL)
  }
  view.setUint32(at + 4, walk, true)
  view.setUint32(at + 8, task?.tgid ?? 0, true)
  return 0n
}

/** Tasks in the order of their thread ids. */
export const iterTaskNext: KfuncBody = (env, _call, r1) => {
  const at = env.arena.check(r1, ITERATOR_BYTES, true)
  if (at < 0) return badMemory(1, r1, ITERATOR_BYTES, 'write')
  const { view } = env.arena
  const [from, walk, group] = [0, 4, 8].map((offset) => view.getUint32(at + offset, true)) as [
    number,
    number,
    number,
  ]
  const belongs = ({ pid, tgid, address }: HelperTask) =>
    address !== undefined &&
    pid >= from &&
    (walk === WALK.threads || (walk === WALK.processes ? pid === tgid : tgid === group))
  const next = known(env)
    .filter(belongs)
    .reduce<HelperTask | undefined>(
      (least, task) => (least === undefined || task.pid < least.pid ? task : least),
      undefined,
    )
  view.setUint32(at, next === undefined ? 0xffff_ffff : next.pid + 1, true)
  return next?.address ?? 0n
}

export const iterTaskDestroy: KfuncBody = (env, _call, r1) => {
  const at = env.arena.check(r1, ITERATOR_BYTES, true)
  if (at < 0) return badMemory(1, r1, ITERATOR_BYTES, 'write')
  env.arena.bytes.fill(0, at, at + ITERATOR_BYTES)
  return 0n
}
