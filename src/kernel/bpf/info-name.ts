import { EFAULT, ENOSPC } from '../../abi/index.ts'
import type { UserAccess } from '../types.ts'

/** A name with its NUL; what is cut is -ENOSPC. */
export function writeName(memory: UserAccess, place: bigint, room: number, name: string): number {
  if (room === 0) return 0
  const bytes = new TextEncoder().encode(`${name}\0`)
  const shown = bytes.slice(0, Math.min(bytes.length, room))
  shown[shown.length - 1] = 0
  if (!memory.write(place, shown)) return -EFAULT
  return bytes.length > room ? -ENOSPC : 0
}
