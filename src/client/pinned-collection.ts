/** Names in a BPF file system for all that a collection holds. */
import { EEXIST, ENOENT, ENOSYS, type Syscalls } from '../abi/index.ts'
import { SyscallError } from './errors.ts'
import { mapInfo, openPinned, pinObject } from './kernel-objects.ts'

export interface ToPin {
  readonly fd: number
  readonly path: string
  /** A map that was pinned when it was loaded, perhaps under this very name. */
  readonly mayBePinned: boolean
}

/** Pins all, or nothing. The folder is made where it is missing, and then stays. */
export function pinAll(
  syscalls: Syscalls,
  folder: string,
  objects: readonly ToPin[],
): SyscallError | undefined {
  // Without a way back, nothing is begun.
  if (syscalls.unlink === undefined) return new SyscallError('unlink', -ENOSYS, folder)
  const made = syscalls.mkdir?.(folder) ?? -ENOSYS
  if (made < 0 && made !== -EEXIST) return new SyscallError('mkdir', made, folder)
  const pinned: string[] = []
  for (const object of objects) {
    const failure = pinObject(syscalls, object.fd, object.path)
    if (failure === undefined) {
      pinned.push(object.path)
    } else if (failure.errno !== EEXIST || !object.mayBePinned || !isPinnedAt(syscalls, object)) {
      for (const path of pinned) syscalls.unlink(path)
      return failure
    }
  }
  return undefined
}

/** Whether what is pinned there is this map. */
function isPinnedAt(syscalls: Syscalls, { fd, path }: ToPin): boolean {
  const there = openPinned(syscalls, path)
  if (there instanceof SyscallError) return false
  using descriptor = there
  const [ours, theirs] = [mapInfo(syscalls, fd), mapInfo(syscalls, descriptor.fd)]
  return !(ours instanceof SyscallError) && !(theirs instanceof SyscallError) && ours.id === theirs.id
}

/** Unlinks all that has a name; the first that could not be is returned. */
export function unpinAll(syscalls: Syscalls, objects: readonly ToPin[]): SyscallError | undefined {
  if (syscalls.unlink === undefined) return new SyscallError('unlink', -ENOSYS)
  let failure: SyscallError | undefined
  for (const { path } of objects) {
    const result = syscalls.unlink(path)
    if (result < 0 && result !== -ENOENT) failure ??= new SyscallError('unlink', result, path)
  }
  return failure
}
