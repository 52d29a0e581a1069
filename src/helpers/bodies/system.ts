/**
 * Helpers of programs that make system calls themselves, as loaders do, and that look names up.
 *
 * Source: kernel/bpf/syscall.c, kernel/bpf/btf.c of Linux 6.18.
 */
import { BPF_CMD, EINVAL, ENOENT } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperFault } from '../environment.ts'

const callable: ReadonlySet<number> = new Set([
  BPF_CMD.BPF_MAP_CREATE,
  BPF_CMD.BPF_MAP_DELETE_ELEM,
  BPF_CMD.BPF_MAP_UPDATE_ELEM,
  BPF_CMD.BPF_MAP_FREEZE,
  BPF_CMD.BPF_MAP_GET_FD_BY_ID,
  BPF_CMD.BPF_PROG_LOAD,
  BPF_CMD.BPF_BTF_LOAD,
  BPF_CMD.BPF_LINK_CREATE,
  BPF_CMD.BPF_RAW_TRACEPOINT_OPEN,
])

/** bpf(2), with pointers to the program's own memory. */
export const sysBpf: HelperBody = (env, r1, r2, r3) => {
  const [command, size] = [u32Of(r1), u32Of(r3)]
  if (env.arena.check(r2, size, false) < 0) return badMemory(2, r2, size, 'read')
  if (!callable.has(command) || env.system === undefined) return failure(EINVAL)
  return BigInt(env.system.bpf(command, r2, size))
}

export const sysClose: HelperBody = (env, r1) => BigInt(env.system?.close(u32Of(r1)) ?? -EINVAL)

/** A name with its NUL; -errno where it has none, or is empty. */
function nameAt(env: HelperEnvironment, address: bigint, size: number): string | number | HelperFault {
  const at = env.arena.check(address, Math.max(size, 0), false)
  if (at < 0) return badMemory(1, address, size, 'read')
  if (size <= 1 || env.arena.bytes[at + size - 1] !== 0) return -EINVAL
  const bytes = env.arena.bytes.slice(at, at + size)
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)))
}

/** Id of a type of the kernel. */
export const findType: HelperBody = (env, r1, r2, r3, r4) => {
  if (u32Of(r4) !== 0) return failure(EINVAL)
  const name = nameAt(env, r1, Number(BigInt.asIntN(32, r2)))
  if (typeof name === 'object') return name
  if (typeof name === 'number') return BigInt(name)
  return BigInt(env.typeId?.(name, u32Of(r3)) ?? -ENOENT)
}

/** Address of a symbol of the kernel. */
export const lookupSymbol: HelperBody = (env, r1, r2, r3, r4) => {
  const to = env.arena.check(r4, 8, true)
  if (to < 0) return badMemory(4, r4, 8, 'write')
  env.arena.view.setBigUint64(to, 0n, true)
  if (u32Of(r3) !== 0) return failure(EINVAL)
  const name = nameAt(env, r1, Number(BigInt.asIntN(32, r2)))
  if (typeof name === 'object') return name
  if (typeof name === 'number') return BigInt(name)
  const address = env.symbolAddress?.(name) ?? 0n
  env.arena.view.setBigUint64(to, address, true)
  return failure(address === 0n ? ENOENT : 0)
}
