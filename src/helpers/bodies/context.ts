/** Helpers that say when, where and for whom a program runs. Source: bpf-helpers(7). */
import { badMemory, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'

/** HZ is 250. */
const NS_PER_JIFFY = 4_000_000n
const FIRST_JIFFY = (1n << 32n) - 300n * 250n

export const ktimeGetNs: HelperBody = (env) => env.monotonicNs()

export const ktimeGetBootNs: HelperBody = (env) => env.bootNs()

/** Linux gives the time of the last tick; any time up to now is right. */
export const ktimeGetCoarseNs: HelperBody = (env) => env.monotonicNs()

/** Ticks of 4 ms; the count began 5 minutes before it overflows 32 bits. */
export const jiffies64: HelperBody = (env) => FIRST_JIFFY + env.monotonicNs() / NS_PER_JIFFY

export const getSmpProcessorId: HelperBody = (env) => BigInt(env.cpu)

/** There is one node. */
export const getNumaNodeId: HelperBody = () => 0n

export const getPrandomU32: HelperBody = (env) => BigInt(env.random() >>> 0)

export const getCurrentPidTgid: HelperBody = (env) => {
  const task = env.task()
  return task === undefined ? 0n : pair(task.tgid, task.pid)
}

export const getCurrentUidGid: HelperBody = (env) => {
  const task = env.task()
  return task === undefined ? 0n : pair(task.gid, task.uid)
}

/** Cut to what fits with its NUL, the rest of the buffer zeroed. */
export const getCurrentComm: HelperBody = (env, r1, r2) => {
  const size = u32Of(r2)
  const buffer = env.arena.check(r1, size, true)
  if (buffer < 0) return badMemory(1, r1, size, 'write')
  if (size === 0) return 0n
  const comm = new TextEncoder().encode(commOf(env)).subarray(0, size - 1)
  env.arena.bytes.fill(0, buffer, buffer + size)
  env.arena.bytes.set(comm, buffer)
  return 0n
}

export const getFuncIp: HelperBody = (env) => env.probedAddress()

export const getAttachCookie: HelperBody = (env) => env.attachCookie()

/** A CPU without a task runs its idle task, which Linux names so. */
function commOf(env: HelperEnvironment): string {
  return env.task()?.comm ?? `swapper/${env.cpu}`
}

function pair(high: number, low: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}
