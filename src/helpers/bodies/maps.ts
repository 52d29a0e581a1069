/** Helpers over maps. Source: bpf-helpers(7). */
import { BPF_F_RDONLY_PROG, EINVAL } from '../../abi/index.ts'
import type { BpfMap } from '../../maps/index.ts'
import { badMap, badMemory, failedCallback, failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'

const isReadOnly = (map: BpfMap) => (map.definition.flags & BPF_F_RDONLY_PROG) !== 0
const READ_ONLY = 'a map that programs may only read'

export const mapLookupElem: HelperBody = (env, r1, r2) => {
  const map = env.mapAt(r1)
  if (map === undefined) return badMap(1, r1)
  const key = env.arena.check(r2, map.definition.keySize, false)
  if (key < 0) return badMemory(2, r2, map.definition.keySize, 'read')
  const value = map.lookup(key, env.cpu)
  return value === 0 ? 0n : env.arena.address(value)
}

export const mapUpdateElem: HelperBody = (env, r1, r2, r3, r4) => {
  const map = env.mapAt(r1)
  if (map === undefined) return badMap(1, r1)
  if (isReadOnly(map)) return badMap(1, r1, READ_ONLY)
  const { keySize, valueSize } = map.definition
  const key = env.arena.check(r2, keySize, false)
  if (key < 0) return badMemory(2, r2, keySize, 'read')
  const value = env.arena.check(r3, valueSize, false)
  if (value < 0) return badMemory(3, r3, valueSize, 'read')
  return BigInt(map.update(key, value, r4, env.cpu))
}

export const mapDeleteElem: HelperBody = (env, r1, r2) => {
  const map = env.mapAt(r1)
  if (map === undefined) return badMap(1, r1)
  if (isReadOnly(map)) return badMap(1, r1, READ_ONLY)
  const key = env.arena.check(r2, map.definition.keySize, false)
  if (key < 0) return badMemory(2, r2, map.definition.keySize, 'read')
  return BigInt(map.delete(key))
}

export const mapLookupPercpuElem: HelperBody = (env, r1, r2, r3) => {
  const map = env.mapAt(r1)
  if (map === undefined) return badMap(1, r1)
  const key = env.arena.check(r2, map.definition.keySize, false)
  if (key < 0) return badMemory(2, r2, map.definition.keySize, 'read')
  const value = map.lookupOfCpu(key, u32Of(r3))
  return value === 0 ? 0n : env.arena.address(value)
}

/** The callback gets map, key, value and its context, and ends the walk with a value other than 0. */
export const forEachMapElem: HelperBody = (env, r1, r2, r3, r4) => {
  const map = env.mapAt(r1)
  if (map === undefined) return badMap(1, r1)
  if (r4 !== 0n) return failure(EINVAL)
  let isAborted = false
  const visited = map.forEach(env.cpu, (key, value) => {
    const result = env.callback(r2, r1, env.arena.address(key), env.arena.address(value), r3)
    isAborted = result === undefined
    return result !== 0n
  })
  return isAborted ? failedCallback(2, r2) : BigInt(visited)
}
