/** Kernel functions over dynptrs. Source: kernel/bpf/helpers.c, kernel/trace/bpf_trace.c of Linux 6.18. */
import { E2BIG, EFAULT, EINVAL, ERANGE } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import { isFault as isPacketFault, packetOf } from '../bodies/packet.ts'
import {
  DYNPTR,
  DYNPTR_BYTES,
  type Dynptr,
  isFault,
  isInside,
  NO_DYNPTR,
  pieceOf,
  placeDynptr,
  readDynptr,
  takeDynptr,
  writeDynptr,
} from '../dynptr.ts'
import type { HelperEnvironment, HelperFault } from '../environment.ts'
import { type ForeignRead, readKernel, readString, readUser } from '../foreign-memory.ts'
import type { KfuncBody } from './row.ts'

/** Address of the bytes where they lie in one piece; 0 where they do not, or are not inside. */
function piece(env: HelperEnvironment, dynptr: Dynptr, offset: number, length: number): bigint {
  if (dynptr.data === 0n || !isInside(dynptr, offset, length)) return 0n
  const at = pieceOf(env, dynptr, offset, length)
  return at < 0 ? 0n : env.arena.address(at)
}

/** A pointer to the bytes, in place or copied to the buffer; null where there is neither. */
const sliceOf =
  (isWritten: boolean): KfuncBody =>
  (env, _call, r1, r2, r3, r4) => {
    const dynptr = takeDynptr(env, 1, r1)
    if (isFault(dynptr)) return dynptr
    const [offset, length] = [u32Of(r2), u32Of(r4)]
    if (isWritten && dynptr.isReadOnly) return 0n
    const inPlace = piece(env, dynptr, offset, length)
    if (inPlace !== 0n || r3 === 0n || !isInside(dynptr, offset, length)) return inPlace
    const buffer = env.arena.check(r3, length, true)
    if (buffer < 0) return badMemory(3, r3, length, 'write')
    const bytes = readDynptr(env, dynptr, offset, length)
    if (typeof bytes === 'number') return 0n
    env.arena.bytes.set(bytes, buffer)
    return r3
  }

export const slice = sliceOf(false)
export const sliceRdwr = sliceOf(true)

/** Narrows it to the bytes from `r2` to `r3`. */
export const adjust: KfuncBody = (env, _call, r1, r2, r3) => {
  const dynptr = takeDynptr(env, 1, r1)
  if (isFault(dynptr)) return dynptr
  const [start, end] = [u32Of(r2), u32Of(r3)]
  if (dynptr.data === 0n || start > end) return failure(EINVAL)
  if (start > dynptr.size || end > dynptr.size) return failure(ERANGE)
  placeDynptr(env, dynptr.at, { ...dynptr, offset: dynptr.offset + start, size: end - start })
  return 0n
}

const about =
  (say: (dynptr: Dynptr) => bigint): KfuncBody =>
  (env, _call, r1) => {
    const dynptr = takeDynptr(env, 1, r1)
    return isFault(dynptr) ? dynptr : say(dynptr)
  }

export const isNull = about(({ data }) => (data === 0n ? 1n : 0n))
export const isRdonly = about(({ data, isReadOnly }) => (data !== 0n && isReadOnly ? 1n : 0n))
export const size = about(({ data, size: bytes }) =>
  BigInt.asUintN(32, data === 0n ? failure(EINVAL) : BigInt(bytes)),
)

export const clone: KfuncBody = (env, _call, r1, r2) => {
  const dynptr = takeDynptr(env, 1, r1)
  if (isFault(dynptr)) return dynptr
  const at = env.arena.check(r2, DYNPTR_BYTES, true)
  if (at < 0) return badMemory(2, r2, DYNPTR_BYTES, 'write')
  placeDynptr(env, at, dynptr.data === 0n ? NO_DYNPTR : dynptr)
  return failure(dynptr.data === 0n ? EINVAL : 0)
}

export const copy: KfuncBody = (env, _call, r1, r2, r3, r4, r5) => {
  const target = takeDynptr(env, 1, r1)
  if (isFault(target)) return target
  const source = takeDynptr(env, 3, r3)
  if (isFault(source)) return source
  const [to, from, length] = [u32Of(r2), u32Of(r4), u32Of(r5)]
  const isWhole =
    piece(env, source, from, length) !== 0n || (!target.isReadOnly && piece(env, target, to, length) !== 0n)
  if (!isWhole && !(isInside(target, to, length) && isInside(source, from, length))) return failure(E2BIG)
  const bytes = readDynptr(env, source, from, length)
  return BigInt(typeof bytes === 'number' ? bytes : writeDynptr(env, target, to, bytes))
}

export const memset: KfuncBody = (env, _call, r1, r2, r3, r4) => {
  const dynptr = takeDynptr(env, 1, r1)
  if (isFault(dynptr)) return dynptr
  const [offset, length] = [u32Of(r2), u32Of(r3)]
  if (dynptr.isReadOnly) return failure(EINVAL)
  if (!isInside(dynptr, offset, length)) return failure(E2BIG)
  return BigInt(writeDynptr(env, dynptr, offset, new Uint8Array(length).fill(u32Of(r4) & 0xff)))
}

const fromPacket =
  (kind: 'skb' | 'xdp'): KfuncBody =>
  (env, _call, r1, r2, r3) => {
    const at = env.arena.check(r3, DYNPTR_BYTES, true)
    if (at < 0) return badMemory(3, r3, DYNPTR_BYTES, 'write')
    const packet = packetOf(env, r1, kind)
    if (isPacketFault(packet)) return packet
    const { lengthBytes, isWritable } = packet
    const type = kind === 'skb' ? DYNPTR.SKB : DYNPTR.XDP
    const made = { data: r1, size: lengthBytes, type, isReadOnly: !isWritable }
    placeDynptr(env, at, r2 === 0n ? made : NO_DYNPTR)
    return failure(r2 === 0n ? 0 : EINVAL)
  }

export const fromSkb = fromPacket('skb')
export const fromXdp = fromPacket('xdp')

/** Copies bytes, or a string, from memory that is not the program's. */
const readInto =
  (read: ForeignRead, isString: boolean): KfuncBody =>
  (env, _call, r1, r2, r3, r4) => {
    const dynptr = takeDynptr(env, 1, r1)
    if (isFault(dynptr)) return dynptr
    const [offset, length] = [u32Of(r2), u32Of(r3)]
    if (dynptr.data === 0n || dynptr.isReadOnly) return failure(dynptr.data === 0n ? E2BIG : EINVAL)
    if (!isInside(dynptr, offset, length)) return failure(E2BIG)
    const bytes = new Uint8Array(length)
    const status = isString ? readString(env, read, r4, bytes) : read(env, r4, bytes)
    if (status < 0) return BigInt(status)
    const written = isString ? bytes.subarray(0, status) : bytes
    const result = writeDynptr(env, dynptr, offset, written)
    return BigInt(result < 0 || !isString ? result : status)
  }

export const probeReadKernel = readInto(readKernel, false)
export const probeReadKernelStr = readInto(readKernel, true)
export const probeReadUser = readInto(readUser, false)
export const probeReadUserStr = readInto(readUser, true)

const PAD_ZEROS = 1n

/** A string of user space, of which at most `r2` bytes with the NUL; their number. */
export const copyFromUserStr: KfuncBody = (env, _call, r1, r2, r3, r4): bigint | HelperFault => {
  const length = u32Of(r2)
  const at = env.arena.check(r1, length, true)
  if (at < 0) return badMemory(1, r1, length, 'write')
  if ((r4 & ~PAD_ZEROS) !== 0n) return failure(EINVAL)
  if (length === 0) return 0n
  const bytes = new Uint8Array(length)
  const count = readString(env, readUser, r3, bytes)
  const isPadded = (r4 & PAD_ZEROS) !== 0n
  if (count < 0) {
    if (isPadded) env.arena.bytes.fill(0, at, at + length)
    return failure(EFAULT)
  }
  env.arena.bytes.set(isPadded ? bytes : bytes.subarray(0, count), at)
  return BigInt(count)
}
