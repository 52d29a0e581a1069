/** BPF_OBJ_PIN and BPF_OBJ_GET. Source: kernel/bpf/syscall.c, kernel/bpf/inode.c of Linux. */
import {
  BPF_F_PATH_FD,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  E2BIG,
  EBADF,
  EINVAL,
  ENAMETOOLONG,
  ENOTDIR,
  objPinAttr,
  type StructValue,
} from '../../abi/index.ts'
import { type Directory, DirectoryFile, type Pinned } from '../bpffs.ts'
import { LinkFile } from '../link-object.ts'
import { MapFile } from '../map-object.ts'
import type { OpenFile } from '../open-file.ts'
import type { KernelProcess } from '../process.ts'
import { ProgramFile } from '../program-object.ts'
import { readString } from '../user-copy.ts'
import type { BpfCall } from './call.ts'

type Attr = StructValue<typeof objPinAttr>

const PATH_MAX = 4096
const ONE_DIRECTION = BPF_F_RDONLY | BPF_F_WRONLY

export function pinObject({ core, process, attr: bytes }: BpfCall): number {
  const attr = objPinAttr.read(bytes)
  if ((attr.file_flags & ~BPF_F_PATH_FD) !== 0 || !isPathFdMeant(attr)) return -EINVAL
  const pinned = pinnable(process.file(attr.bpf_fd | 0))
  if (pinned === undefined) return -EINVAL
  const place = pathOf(process, attr)
  return typeof place === 'number' ? place : core.files.pin(place.path, place.from, pinned)
}

export function getObject({ core, process, attr: bytes }: BpfCall): number {
  const attr = objPinAttr.read(bytes)
  if (attr.bpf_fd !== 0 || (attr.file_flags & ~(ONE_DIRECTION | BPF_F_PATH_FD)) !== 0) return -EINVAL
  if (!isPathFdMeant(attr)) return -EINVAL
  const direction = attr.file_flags & ONE_DIRECTION
  if (direction === ONE_DIRECTION) return -EINVAL
  const place = pathOf(process, attr)
  if (typeof place === 'number') return place
  const pinned = core.files.get(place.path, place.from)
  if (typeof pinned === 'number') return pinned
  switch (pinned.kind) {
    case 'map':
      return process.install(new MapFile(pinned.object, direction), true)
    case 'program':
      return process.install(new ProgramFile(pinned.object), true)
    case 'link':
      return direction === 0 ? process.install(new LinkFile(pinned.object), true) : -EINVAL
  }
}

/** A directory's descriptor comes with the flag that says so. */
const isPathFdMeant = (attr: Attr): boolean => (attr.file_flags & BPF_F_PATH_FD) !== 0 || attr.path_fd === 0

function pinnable(file: OpenFile | undefined): Pinned | undefined {
  if (file instanceof MapFile) return { kind: 'map', object: file.object }
  if (file instanceof ProgramFile) return { kind: 'program', object: file.object }
  if (file instanceof LinkFile) return { kind: 'link', object: file.object }
  return undefined
}

/** The path, and the directory that it starts from if it is not absolute. */
function pathOf(
  process: KernelProcess,
  attr: Attr,
): { readonly path: string; readonly from: Directory | undefined } | number {
  const path = readString(process.memory, attr.pathname, PATH_MAX)
  if (typeof path === 'number') return path === -E2BIG ? -ENAMETOOLONG : path
  if ((attr.file_flags & BPF_F_PATH_FD) === 0 || path.startsWith('/')) return { path, from: undefined }
  const from = directoryOf(process, attr.path_fd)
  return typeof from === 'number' ? from : { path, from }
}

/** AT_FDCWD: the root, since processes have no other directory here. */
const AT_FDCWD = -100

export function directoryOf(process: KernelProcess, fd: number): Directory | undefined | number {
  if (fd === AT_FDCWD) return undefined
  const file = process.file(fd)
  if (file === undefined) return -EBADF
  return file instanceof DirectoryFile ? file.directory : -ENOTDIR
}
