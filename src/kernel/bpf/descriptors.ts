/** Descriptors in attributes, as the objects that they must name. */
import { EBADF, EINVAL } from '../../abi/index.ts'
import { BtfFile, type BtfObject } from '../btf-object.ts'
import { LinkFile, type LinkObject } from '../link-object.ts'
import { MapFile } from '../map-object.ts'
import type { KernelProcess } from '../process.ts'
import { ProgramFile, type ProgramObject } from '../program-object.ts'

/** -EBADF where the descriptor is not open, -EINVAL where it is something else. */
export function mapFile(process: KernelProcess, fd: number): MapFile | number {
  const file = process.file(fd | 0)
  if (file === undefined) return -EBADF
  return file instanceof MapFile ? file : -EINVAL
}

export function programOf(process: KernelProcess, fd: number): ProgramObject | number {
  const file = process.file(fd | 0)
  if (file === undefined) return -EBADF
  return file instanceof ProgramFile ? file.object : -EINVAL
}

export function btfOf(process: KernelProcess, fd: number): BtfObject | number {
  const file = process.file(fd | 0)
  if (file === undefined) return -EBADF
  return file instanceof BtfFile ? file.object : -EINVAL
}

/** There are no tokens: why the descriptor of one is refused. */
export function tokenError(process: KernelProcess, fd: number): number {
  return process.file(fd | 0) === undefined ? -EBADF : -EINVAL
}

export function linkOf(process: KernelProcess, fd: number): LinkObject | number {
  const file = process.file(fd | 0)
  if (file === undefined) return -EBADF
  return file instanceof LinkFile ? file.object : -EINVAL
}
