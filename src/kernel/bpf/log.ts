/**
 * The log that a verifier writes for user space.
 *
 * Without BPF_LOG_FIXED a buffer that is too small holds the end of the text, with it the beginning; in both cases
 * the call says -ENOSPC and how much room the whole would take.
 *
 * Source: kernel/bpf/log.c of Linux.
 */
import { BPF_LOG_FIXED, EFAULT, EINVAL, ENOSPC } from '../../abi/index.ts'
import type { UserAccess } from '../types.ts'

export interface LogRequest {
  readonly level: number
  readonly sizeBytes: number
  readonly pointer: bigint
}

const ALL_LEVELS = 0xf
const LARGEST_LOG = 0xffff_ffff >>> 2

/** Whether level, size and pointer go together; else the call is -EINVAL. */
export function isValidLogRequest({ level, sizeBytes, pointer }: LogRequest): boolean {
  if ((pointer !== 0n) !== (sizeBytes !== 0)) return false
  if (pointer !== 0n && level === 0) return false
  return (level & ~ALL_LEVELS) === 0 && sizeBytes <= LARGEST_LOG
}

/** Hands the log over: 0, -EINVAL for a bad request, -EFAULT, -ENOSPC; and the room that the whole takes. */
export function writeLog(
  memory: UserAccess,
  request: LogRequest,
  text: string,
): { readonly errno: number; readonly trueSize: number } {
  if (!isValidLogRequest(request)) return { errno: -EINVAL, trueSize: 0 }
  if (request.level === 0) return { errno: 0, trueSize: 0 }
  const encoded = new TextEncoder().encode(`${text}\0`)
  const trueSize = encoded.length
  if (request.pointer === 0n) return { errno: 0, trueSize }
  const room = request.sizeBytes
  let shown = encoded
  if (trueSize > room && (request.level & BPF_LOG_FIXED) !== 0) {
    shown = encoded.slice(0, room)
    shown[room - 1] = 0
  } else if (trueSize > room) shown = encoded.slice(trueSize - room)
  if (!memory.write(request.pointer, shown)) return { errno: -EFAULT, trueSize }
  return { errno: trueSize > room ? -ENOSPC : 0, trueSize }
}
