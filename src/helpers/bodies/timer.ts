/** Source: bpf-helpers(7); bpf_timer_init() and its like of kernel/bpf/helpers.c of Linux 6.18. */
import { EINVAL } from '../../abi/index.ts'
import { badMap, badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperFault } from '../environment.ts'
import type { TimedCalls } from '../timed.ts'

const TIMER_BYTES = 16
/** CLOCK_* numbers. */
const clocks: ReadonlyMap<bigint, 'monotonic' | 'boot'> = new Map([
  [0n, 'monotonic'],
  [1n, 'monotonic'],
  [7n, 'boot'],
])
const ABSOLUTE = 1n
const CPU_PIN = 2n

/** Does what a call asks of the member that r1 points to. */
export function onField(
  env: HelperEnvironment,
  r1: bigint,
  bytes: number,
  perform: (calls: TimedCalls, field: number) => number | HelperFault,
): bigint | HelperFault {
  const field = env.arena.check(r1, bytes, true)
  if (field < 0) return badMemory(1, r1, bytes, 'write')
  if (env.timed === undefined) return failure(EINVAL)
  const result = perform(env.timed, field)
  return typeof result === 'number' ? BigInt(result) : result
}

export const timerInit: HelperBody = (env, r1, r2, r3) =>
  onField(env, r1, TIMER_BYTES, (calls, field) => {
    const clock = clocks.get(r3)
    const map = env.mapAt(r2)
    if (map === undefined) return badMap(2, r2)
    return clock === undefined ? -EINVAL : calls.init(field, 'timer', map, clock)
  })

export const timerSetCallback: HelperBody = (env, r1, r2) =>
  onField(env, r1, TIMER_BYTES, (calls, field) => calls.setCallback(field, env.caller, r2))

export const timerStart: HelperBody = (env, r1, r2, r3) =>
  onField(env, r1, TIMER_BYTES, (calls, field) => {
    if ((r3 & ~(ABSOLUTE | CPU_PIN)) !== 0n) return -EINVAL
    return calls.start(field, r2, (BigInt(u32Of(r3)) & ABSOLUTE) !== 0n)
  })

export const timerCancel: HelperBody = (env, r1) =>
  onField(env, r1, TIMER_BYTES, (calls, field) => calls.cancel(field))
