/**
 * The system calls that this kernel answers, by their number on riscv64 and other generic-table architectures.
 *
 * Arguments come as 64-bit registers, whose upper halves a C caller leaves as they were for an `int`.
 *
 * Source: include/uapi/asm-generic/unistd.h of Linux.
 */
import {
  E2BIG,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  ENODEV,
  ENOMEM,
  ENOSYS,
  ENOTDIR,
  MAP_SHARED,
  O_CLOEXEC,
  PAGE_SIZE,
  POLLFD_SIZE,
  POLLNVAL,
  PROT_WRITE,
} from '../abi/index.ts'
import { bpf } from './bpf/dispatch.ts'
import { directoryOf } from './bpf/pins.ts'
import { type Directory, DirectoryFile } from './bpffs.ts'
import { listDirectory } from './directory-listing.ts'
import { openFile } from './files.ts'
import { perfEventOpen } from './perf-event-open.ts'
import type { KernelProcess } from './process.ts'
import { readBytes, readString } from './user-copy.ts'

type Arguments = readonly [bigint, bigint, bigint, bigint, bigint, bigint]

interface SyscallRow {
  readonly nr: number
  readonly name: string
  readonly run: (process: KernelProcess, args: Arguments) => number | bigint
}

const PATH_MAX = 4096
const MAP_TYPE_MASK = 0xf
const MAP_FIXED = 0x10
/** TASK_SIZE of most 64-bit machines. */
const LARGEST_MAPPING = 2n ** 47n
const MAP_SHARED_VALIDATE = 3
/** A read takes at most this much at once. */
const LARGEST_READ = 1 << 20
const MOST_POLLED = 65_536

const F_DUPFD = 0
const F_GETFD = 1
const F_SETFD = 2
const F_GETFL = 3
const F_SETFL = 4
const F_DUPFD_CLOEXEC = 1030
const FD_CLOEXEC = 1
const O_RDWR = 2
const AT_REMOVEDIR = 0x200

export const syscallTable: readonly SyscallRow[] = [
  { nr: 23, name: 'dup', run: (process, [fd]) => process.table.duplicate(int(fd), false) },
  { nr: 24, name: 'dup3', run: dup3 },
  { nr: 25, name: 'fcntl', run: fcntl },
  { nr: 29, name: 'ioctl', run: ioctl },
  { nr: 34, name: 'mkdirat', run: mkdirat },
  { nr: 35, name: 'unlinkat', run: unlinkat },
  { nr: 56, name: 'openat', run: openat },
  { nr: 57, name: 'close', run: (process, [fd]) => process.table.close(int(fd)) },
  { nr: 61, name: 'getdents64', run: getdents64 },
  { nr: 63, name: 'read', run: read },
  { nr: 73, name: 'ppoll', run: (process, [fds, count]) => poll(process, fds, uint(count)) },
  { nr: 215, name: 'munmap', run: (process, [address, length]) => munmap(process, address, length) },
  { nr: 222, name: 'mmap', run: mmap },
  {
    nr: 241,
    name: 'perf_event_open',
    run: (process, [attr, pid, cpu, group, flags]) =>
      perfEventOpen(process.core, process, attr, int(pid), int(cpu), int(group), flags),
  },
  { nr: 280, name: 'bpf', run: (process, [cmd, attr, size]) => bpf(process, int(cmd), attr, uint(size)) },
]

const rowsByNumber: ReadonlyMap<number, SyscallRow> = new Map(syscallTable.map((row) => [row.nr, row]))

export function dispatch(process: KernelProcess, nr: number, args: Arguments): bigint {
  const row = rowsByNumber.get(nr)
  if (row === undefined) return BigInt(-ENOSYS)
  const unsigned = args.map((arg) => BigInt.asUintN(64, arg)) as unknown as Arguments
  return BigInt(row.run(process, unsigned))
}

const int = (register: bigint): number => Number(BigInt.asIntN(32, register))
const uint = (register: bigint): number => Number(BigInt.asUintN(32, register))

function dup3(process: KernelProcess, [fd, to, flags]: Arguments): number {
  if ((uint(flags) & ~O_CLOEXEC) !== 0) return -EINVAL
  return process.table.duplicateTo(int(fd), int(to), uint(flags) !== 0)
}

function fcntl(process: KernelProcess, [fdRegister, command, argument]: Arguments): number {
  const fd = int(fdRegister)
  const { table } = process
  if (table.get(fd) === undefined) return -EBADF
  switch (int(command)) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: {
      const lowest = int(argument)
      return lowest < 0 ? -EINVAL : table.duplicate(fd, int(command) === F_DUPFD_CLOEXEC, lowest)
    }
    case F_GETFD:
      return table.closeOnExec(fd) === true ? FD_CLOEXEC : 0
    case F_SETFD:
      return table.setCloseOnExec(fd, (uint(argument) & FD_CLOEXEC) !== 0)
    case F_GETFL:
      return O_RDWR
    case F_SETFL:
      return 0
    default:
      return -EINVAL
  }
}

function ioctl(process: KernelProcess, [fd, request, argument]: Arguments): number {
  return process.file(int(fd))?.ioctl(process, uint(request), argument) ?? -EBADF
}

/** A path of the caller's with the directory that it starts from; -errno. */
function pathAt(
  process: KernelProcess,
  fd: bigint,
  pointer: bigint,
): { readonly path: string; readonly from: Directory | undefined } | number {
  const path = readString(process.memory, pointer, PATH_MAX)
  if (typeof path === 'number') return path === -E2BIG ? -ENAMETOOLONG : path
  const from = path.startsWith('/') ? undefined : directoryOf(process, int(fd))
  return typeof from === 'number' ? from : { path, from }
}

function openat(process: KernelProcess, [directory, pointer, flags]: Arguments): number {
  const place = pathAt(process, directory, pointer)
  if (typeof place === 'number') return place
  const file = openFile(process, place.path, uint(flags), place.from)
  return typeof file === 'number' ? file : process.install(file, (uint(flags) & O_CLOEXEC) !== 0)
}

function mkdirat(process: KernelProcess, [directory, pointer]: Arguments): number {
  const place = pathAt(process, directory, pointer)
  return typeof place === 'number' ? place : process.core.files.makeDirectory(place.path, place.from)
}

function unlinkat(process: KernelProcess, [directory, pointer, flags]: Arguments): number {
  if ((uint(flags) & ~AT_REMOVEDIR) !== 0) return -EINVAL
  const place = pathAt(process, directory, pointer)
  if (typeof place === 'number') return place
  const { files } = process.core
  return uint(flags) === AT_REMOVEDIR
    ? files.removeDirectory(place.path, place.from)
    : files.unlink(place.path, place.from)
}

/** struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, the name. */
function getdents64(process: KernelProcess, [fd, buffer, length]: Arguments): number {
  const file = process.file(int(fd))
  if (file === undefined) return -EBADF
  if (!(file instanceof DirectoryFile)) return -ENOTDIR
  const room = Math.min(uint(length), LARGEST_READ)
  const { bytes, entries } = listDirectory(file.directory, file.position, room)
  if (entries > 0 && bytes.length === 0) return -EINVAL
  if (!process.memory.write(buffer, bytes)) return -EFAULT
  file.position += entries
  return bytes.length
}

function read(process: KernelProcess, [fd, buffer, length]: Arguments): number {
  const file = process.file(int(fd))
  if (file === undefined) return -EBADF
  const limit = length > BigInt(LARGEST_READ) ? LARGEST_READ : Number(length)
  // The buffer is tried first, with what it holds: what is taken from a pipe is gone.
  const held = readBytes(process.memory, buffer, limit)
  if (held === undefined || !process.memory.write(buffer, held)) return -EFAULT
  const bytes = file.read(limit)
  if (typeof bytes === 'number') return bytes
  return process.memory.write(buffer, bytes) ? bytes.length : -EFAULT
}

/** struct pollfd: int fd, short events, short revents. Answers what is ready now. */
export function poll(process: KernelProcess, pointer: bigint, count: number): number {
  if (count > MOST_POLLED) return -EINVAL
  const bytes = new Uint8Array(count * POLLFD_SIZE)
  if (!process.memory.read(pointer, bytes)) return -EFAULT
  const view = new DataView(bytes.buffer)
  let ready = 0
  for (let at = 0; at < bytes.length; at += POLLFD_SIZE) {
    const events = pollOne(process, view.getInt32(at, true), view.getUint16(at + 4, true))
    view.setUint16(at + 6, events, true)
    if (events !== 0) ready++
  }
  return process.memory.write(pointer, bytes) ? ready : -EFAULT
}

/** POLLERR, POLLHUP and POLLNVAL are reported whether asked for or not. */
const ALWAYS_REPORTED = 0x38

function pollOne(process: KernelProcess, fd: number, events: number): number {
  if (fd < 0) return 0
  const file = process.file(fd)
  return file === undefined ? POLLNVAL : file.poll() & (events | ALWAYS_REPORTED)
}

function mmap(process: KernelProcess, [at, length, prot, flags, fd, offset]: Arguments): number | bigint {
  const file = process.file(int(fd))
  if (file === undefined) return -EBADF
  if (offset % BigInt(PAGE_SIZE) !== 0n || length === 0n) return -EINVAL
  if (length > LARGEST_MAPPING || offset > LARGEST_MAPPING) return -ENOMEM
  const { memory } = process
  if (memory.map === undefined) return -ENODEV
  const sharing = uint(flags) & MAP_TYPE_MASK
  const isFixed = (uint(flags) & MAP_FIXED) !== 0
  if (isFixed && at % BigInt(PAGE_SIZE) !== 0n) return -EINVAL
  const mapping = file.mmap({
    lengthBytes: Math.ceil(Number(length) / PAGE_SIZE) * PAGE_SIZE,
    writable: (uint(prot) & PROT_WRITE) !== 0,
    shared: sharing === MAP_SHARED || sharing === MAP_SHARED_VALIDATE,
    offsetBytes: Number(offset),
    address: at - (at % BigInt(PAGE_SIZE)),
    isFixed,
  })
  if (typeof mapping === 'number') return mapping
  const address = memory.map(mapping)
  if (address !== undefined) {
    mapping.opened?.(address)
    return address
  }
  mapping.close()
  // What lies there stays there, as under MAP_FIXED_NOREPLACE.
  return mapping.place?.isRequired === true ? -EEXIST : -ENOMEM
}

function munmap(process: KernelProcess, address: bigint, length: bigint): number {
  if (address % BigInt(PAGE_SIZE) !== 0n || length === 0n || length > LARGEST_MAPPING) return -EINVAL
  return process.memory.unmap?.(address, Number(length)) === true ? 0 : -EINVAL
}
