/** Values printed by their types. Source: bpf_btf_printf_prepare() and what calls it, kernel/trace/bpf_trace.c of Linux. */
import { EINVAL, ENOENT } from '../../abi/index.ts'
import type { Btf, BtfId } from '../../btf/index.ts'
import { badMemory, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment, HelperFault } from '../environment.ts'
import { readKernel } from '../foreign-memory.ts'
import { shownPointer } from '../format.ts'
import { printTyped, TYPED_TEXT_FLAGS } from '../typed-text.ts'

/** struct btf_ptr: u64 ptr, u32 type_id, u32 flags. */
const BTF_PTR_BYTES = 16

interface TypedPointer {
  readonly types: Btf
  readonly type: BtfId
  readonly address: bigint
}

/** What a `struct btf_ptr` in register `argument` points to, -errno, or a fault. */
function typedPointer(
  env: HelperEnvironment,
  argument: number,
  pointer: bigint,
  sizeBytes: number,
  flags: bigint,
): TypedPointer | number | HelperFault {
  const at = env.arena.check(pointer, sizeBytes, false)
  if (at < 0) return badMemory(argument, pointer, sizeBytes, 'read')
  const types = env.kernelTypes?.()
  if ((flags & ~TYPED_TEXT_FLAGS) !== 0n || sizeBytes !== BTF_PTR_BYTES || types === undefined) return -EINVAL
  const number = env.arena.view.getUint32(at + 8, true)
  if (number === 0) return -EINVAL
  const type = types.id(number)
  return type === undefined ? -ENOENT : { types, type, address: env.arena.view.getBigUint64(at, true) }
}

/** Prints the value that a `struct btf_ptr` in register `argument` points to: 0, -errno, or a fault. */
export function printPointed(
  env: HelperEnvironment,
  [argument, pointer, sizeBytes]: readonly [number, bigint, number],
  flags: bigint,
  print: (text: string) => void,
): number | HelperFault {
  const pointed = typedPointer(env, argument, pointer, sizeBytes, flags)
  if (typeof pointed === 'number' || 'kind' in pointed) return pointed
  const host = {
    types: pointed.types,
    flags: Number(flags),
    read: (address: bigint, into: Uint8Array) => readKernel(env, address, into),
    disguise: (value: bigint) => shownPointer(value).toString(16).padStart(16, '0'),
    print,
  }
  return printTyped(host, pointed.type, pointed.address)
}

/** Gives the length of the whole text without its NUL, also where it was cut. */
export const snprintfBtf: HelperBody = (env, r1, r2, r3, r4, r5) => {
  const room = u32Of(r2)
  const target = env.arena.check(r1, room, true)
  if (target < 0) return badMemory(1, r1, room, 'write')
  let length = 0
  const status = printPointed(env, [3, r3, u32Of(r4)], r5, (text) => {
    const { bytes } = env.arena
    for (let i = 0; i < text.length && length + i < room - 1; i++)
      bytes[target + length + i] = text.charCodeAt(i)
    length += text.length
    if (room > 0) bytes[target + Math.min(length, room - 1)] = 0
  })
  if (typeof status === 'object') return status
  return BigInt(status === 0 ? length : status)
}
