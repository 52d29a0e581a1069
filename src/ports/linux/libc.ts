/**
 * The C library's system calls as functions, through koffi.
 *
 * Rules: addresses are numbers, which is exact, as user space ends below 2^53 on every architecture here (57-bit
 * addresses are only handed out to who asks for them). A failed call returns -errno; koffi keeps errno from the
 * call to its own `errno()`, and nothing is called in between.
 */
import type { SystemCallNumbers } from './system-calls.ts'

type NativeFunction = (...args: readonly (number | bigint | string)[]) => number

/** A wait for a descriptor in the event loop; `close` ends it. */
export interface EventLoopWait {
  close(): void
}

/** What is used of koffi; declared here, so that the types of an optional package are not needed to compile. */
export interface Koffi {
  load(path: null): { func(name: string, result: string, args: readonly string[]): NativeFunction }
  errno(): number
  address(value: ArrayBuffer): bigint
  view(address: bigint, sizeBytes: number): ArrayBuffer
  readonly node: { poll(fd: number, callback: () => void): EventLoopWait }
}

/** Each returns what the call returns, or -errno. */
export interface Libc {
  bpf(cmd: number, attr: number, sizeBytes: number): number
  perfEventOpen(attr: number, pid: number, cpu: number, groupFd: number, flags: bigint): number
  ioctl(fd: number, request: number, argument: bigint): number
  mmap(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number
  munmap(address: number, length: number): number
  poll(fds: number, count: number, timeoutMs: number): number
  openat(directory: number, path: string, flags: number, mode: number): number
  mkdirat(directory: number, path: string, mode: number): number
  unlinkat(directory: number, path: string, flags: number): number
  read(fd: number, buffer: number, length: number): number
  close(fd: number): number
  epollCreate(flags: number): number
  epollControl(epoll: number, operation: number, fd: number, event: number): number
  /** Where the bytes lie; an ArrayBuffer stays there for as long as it is reachable. */
  addressOf(buffer: ArrayBuffer): number
  /** Memory of this process as it is, not copied. */
  view(address: number, sizeBytes: number): ArrayBuffer
  /** Calls back from the event loop whenever the descriptor is readable. */
  whenReadable(fd: number, callback: () => void): EventLoopWait
}

/** Binds the functions; throws what koffi throws where one does not exist. */
export function bindLibc(koffi: Koffi, numbers: SystemCallNumbers): Libc {
  const library = koffi.load(null)
  const orErrno = (result: number) => (result === -1 ? -koffi.errno() : result)
  const bind = (result: string, name: string, args: readonly string[]) => {
    const call = library.func(name, result, args)
    return (...values: (number | bigint | string)[]) => orErrno(call(...values))
  }
  // `syscall` is variadic, but takes its arguments from the registers of any call.
  const bpf = library.func('syscall', 'long', ['long', 'long', 'uint64', 'ulong'])
  const perfEventOpen = library.func('syscall', 'long', ['long', 'uint64', 'long', 'long', 'long', 'uint64'])
  return {
    bpf: (cmd, attr, sizeBytes) => orErrno(bpf(numbers.bpf, cmd, attr, sizeBytes)),
    perfEventOpen: (attr, pid, cpu, groupFd, flags) =>
      orErrno(perfEventOpen(numbers.perfEventOpen, attr, pid, cpu, groupFd, flags)),
    ioctl: bind('int', 'ioctl', ['int', 'ulong', 'uint64']),
    mmap: bind('long', 'mmap', ['uint64', 'size_t', 'int', 'int', 'int', 'int64']),
    munmap: bind('int', 'munmap', ['uint64', 'size_t']),
    poll: bind('int', 'poll', ['uint64', 'ulong', 'int']),
    openat: bind('int', 'openat', ['int', 'str', 'int', 'int']),
    mkdirat: bind('int', 'mkdirat', ['int', 'str', 'int']),
    unlinkat: bind('int', 'unlinkat', ['int', 'str', 'int']),
    read: bind('long', 'read', ['int', 'uint64', 'size_t']),
    close: bind('int', 'close', ['int']),
    epollCreate: bind('int', 'epoll_create1', ['int']),
    epollControl: bind('int', 'epoll_ctl', ['int', 'int', 'int', 'uint64']),
    addressOf: (buffer) => Number(koffi.address(buffer)),
    view: (address, sizeBytes) => koffi.view(BigInt(address), sizeBytes),
    whenReadable: (fd, callback) => koffi.node.poll(fd, callback),
  }
}
