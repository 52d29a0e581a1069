/**
 * The bpf_probe_read family: copies that may fail, from memory that is not the program's.
 *
 * Where a copy fails, the whole destination is zeroed, so that a program that does not look at the result
 * sees no bytes of before. Source: bpf-helpers(7); kernel/trace/bpf_trace.c of Linux.
 */
import { EPERM } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'
import { type ForeignRead, readAny, readKernel, readString, readUser } from '../foreign-memory.ts'

function probeRead(read: ForeignRead): HelperBody {
  return (env, r1, r2, r3) => {
    const size = u32Of(r2)
    const target = env.arena.check(r1, size, true)
    if (target < 0) return badMemory(1, r1, size, 'write')
    const into = env.arena.bytes.subarray(target, target + size)
    const status = size === 0 ? 0 : read(env, r3, into)
    if (status < 0) into.fill(0)
    return BigInt(status)
  }
}

/** Gives the length with the NUL. */
function probeReadString(read: ForeignRead): HelperBody {
  return (env, r1, r2, r3) => {
    const size = u32Of(r2)
    const target = env.arena.check(r1, size, true)
    if (target < 0) return badMemory(1, r1, size, 'write')
    const into = env.arena.bytes.subarray(target, target + size)
    const status = readString(env, read, r3, into)
    if (status < 0) into.fill(0)
    return BigInt(status)
  }
}

export const probeReadAny = probeRead(readAny)
export const probeReadKernel = probeRead(readKernel)
export const probeReadUser = probeRead(readUser)
export const probeReadAnyStr = probeReadString(readAny)
export const probeReadKernelStr = probeReadString(readKernel)
export const probeReadUserStr = probeReadString(readUser)

/** To the memory of the current task; a CPU that runs none is -EPERM. */
export const probeWriteUser: HelperBody = (env, r1, r2, r3) => {
  const size = u32Of(r3)
  const from = env.arena.check(r2, size, false)
  if (from < 0) return badMemory(2, r2, size, 'read')
  if (env.task() === undefined || env.writeUser === undefined) return failure(EPERM)
  return BigInt(env.writeUser(r1, env.arena.bytes.slice(from, from + size)))
}
