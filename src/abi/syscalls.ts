/**
 * The first waist: the system calls of Linux, byte for byte, as a client sees them.
 *
 * A client knows a kernel only through `Syscalls`. Pointers are numbers that point into the caller's
 * `UserMemory`; results are what the kernel returns: a value, or a negative error number.
 */

declare const userPointer: unique symbol
/** An address in a process's user memory; 0n is NULL. A claim until a kernel has checked it. */
export type UserPointer = bigint & { readonly [userPointer]?: true }

/** A process's memory as the process itself sees it. */
export interface UserMemory {
  /** A zeroed allocation of `sizeBytes`, 8-byte aligned, that lives until `free`. */
  allocate(sizeBytes: number): UserPointer
  free(pointer: UserPointer): void
  /**
   * The bytes at `pointer`, shared with the kernel, not copied. Throws where the range is not mapped: a
   * process that touches what it does not own is our own bug. The view is good until memory is next
   * allocated, mapped or unmapped.
   */
  view(pointer: UserPointer, sizeBytes: number): Uint8Array
}

export interface Syscalls {
  readonly memory: UserMemory
  /** Source: bpf(2). Returns a descriptor, 0 or another count, or -errno. */
  bpf(cmd: number, attr: UserPointer, sizeBytes: number): number
  /** Source: perf_event_open(2). */
  perfEventOpen(attr: UserPointer, pid: number, cpu: number, groupFd: number, flags: bigint): number
  /** Source: ioctl(2). `argument` is a number or a pointer, as the request says. */
  ioctl(fd: number, request: number, argument: bigint): number
  /** Source: mmap(2). Returns an address, or -errno as a negative bigint. `offset` in bytes. */
  mmap(address: UserPointer, length: number, prot: number, flags: number, fd: number, offset: number): bigint
  munmap(address: UserPointer, length: number): number
  /**
   * Source: poll(2). `fds` points to `count` times struct pollfd. The one call that can block, hence the
   * promise; a timeout of 0 answers at once, a negative one waits without end.
   */
  poll(fds: UserPointer, count: number, timeoutMs: number): Promise<number>
  /** Source: openat(2) with AT_FDCWD. For what a client reads of a kernel: PMU types, tracepoint ids, symbols. */
  open(path: string, flags: number): number
  /** Source: read(2). -EAGAIN where a descriptor without data would block. */
  read(fd: number, buffer: UserPointer, length: number): number
  close(fd: number): number
  /** Source: mkdir(2), for folders of a BPF file system. Absent where the caller cannot change names. */
  mkdir?(path: string): number
  /** Source: unlink(2), for the names of pinned objects. Absent where the caller cannot change names. */
  unlink?(path: string): number
}

/** `prot` and `flags` of mmap(2). */
export const PROT_READ = 1
export const PROT_WRITE = 2
export const MAP_SHARED = 1
export const MAP_PRIVATE = 2

export const O_RDONLY = 0
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000

export const POLLIN = 1
export const POLLOUT = 4
export const POLLERR = 8
export const POLLHUP = 16
export const POLLNVAL = 32
/** struct pollfd: `int fd; short events; short revents`. */
export const POLLFD_SIZE = 8

export const PAGE_SIZE = 4096
