/** Work queues and task work. Source: kernel/bpf/helpers.c of Linux 6.18. */
import { EINVAL } from '../../abi/index.ts'
import { badMap, u32Of } from '../access.ts'
import { onField } from '../bodies/timer.ts'
import type { KfuncBody } from './row.ts'

const WORK_BYTES = 16
const TASK_WORK_BYTES = 8

export const wqInit: KfuncBody = (env, _call, r1, r2, r3) =>
  onField(env, r1, WORK_BYTES, (calls, field) => {
    const map = env.mapAt(r2)
    if (map === undefined) return badMap(2, r2)
    return u32Of(r3) === 0 ? calls.init(field, 'wq', map, 'monotonic') : -EINVAL
  })

export const wqSetCallback: KfuncBody = (env, _call, r1, r2, r3) =>
  onField(env, r1, WORK_BYTES, (calls, field) =>
    u32Of(r3) === 0 ? calls.setCallback(field, env.caller, r2) : -EINVAL,
  )

export const wqStart: KfuncBody = (env, _call, r1, r2) =>
  onField(env, r1, WORK_BYTES, (calls, field) => (u32Of(r2) === 0 ? calls.start(field, 0n, false) : -EINVAL))

/** The task is what runs now: it comes back to user space when what runs now has ended. */
export const taskWorkSchedule: KfuncBody = (env, _call, _r1, r2, r3, r4) =>
  onField(env, r2, TASK_WORK_BYTES, (calls, field) => {
    const map = env.mapAt(r3)
    return map === undefined ? badMap(3, r3) : calls.schedule(field, map, env.caller, r4)
  })
