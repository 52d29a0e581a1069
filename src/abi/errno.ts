/**
 * Error numbers; a system call that fails returns the negative one.
 *
 * Source: include/uapi/asm-generic/errno-base.h and errno.h of Linux, and include/linux/errno.h for 512 up.
 */
export const EPERM = 1
export const ENOENT = 2
export const ESRCH = 3
export const EINTR = 4
export const EIO = 5
export const ENXIO = 6
export const E2BIG = 7
export const ENOEXEC = 8
export const EBADF = 9
export const ECHILD = 10
export const EAGAIN = 11
export const ENOMEM = 12
export const EACCES = 13
export const EFAULT = 14
export const EBUSY = 16
export const EEXIST = 17
export const EXDEV = 18
export const ENODEV = 19
export const ENOTDIR = 20
export const EISDIR = 21
export const EINVAL = 22
export const ENFILE = 23
export const EMFILE = 24
export const ENOTTY = 25
export const EFBIG = 27
export const ENOSPC = 28
export const EROFS = 30
export const EPIPE = 32
export const EDOM = 33
export const ERANGE = 34
export const EDEADLK = 35
export const ENAMETOOLONG = 36
export const ENOSYS = 38
export const ENOTEMPTY = 39
export const ELOOP = 40
export const ENODATA = 61
export const ENOLINK = 67
export const EPROTO = 71
export const EBADMSG = 74
export const EOVERFLOW = 75
export const EBADFD = 77
export const EILSEQ = 84
export const ENOTSOCK = 88
export const EMSGSIZE = 90
export const EOPNOTSUPP = 95
export const EAFNOSUPPORT = 97
export const EADDRNOTAVAIL = 99
export const ENETUNREACH = 101
export const EALREADY = 114
export const EINPROGRESS = 115
export const ENOTSUPP = 524

const names: Readonly<Record<number, string>> = {
  [EPERM]: 'EPERM',
  [ENOENT]: 'ENOENT',
  [ESRCH]: 'ESRCH',
  [EINTR]: 'EINTR',
  [EIO]: 'EIO',
  [ENXIO]: 'ENXIO',
  [E2BIG]: 'E2BIG',
  [ENOEXEC]: 'ENOEXEC',
  [EBADF]: 'EBADF',
  [ECHILD]: 'ECHILD',
  [EAGAIN]: 'EAGAIN',
  [ENOMEM]: 'ENOMEM',
  [EACCES]: 'EACCES',
  [EFAULT]: 'EFAULT',
  [EBUSY]: 'EBUSY',
  [EEXIST]: 'EEXIST',
  [ENODEV]: 'ENODEV',
  [ENOTDIR]: 'ENOTDIR',
  [EISDIR]: 'EISDIR',
  [EINVAL]: 'EINVAL',
  [ENFILE]: 'ENFILE',
  [EMFILE]: 'EMFILE',
  [ENOTTY]: 'ENOTTY',
  [EFBIG]: 'EFBIG',
  [ENOSPC]: 'ENOSPC',
  [EPIPE]: 'EPIPE',
  [EDOM]: 'EDOM',
  [ERANGE]: 'ERANGE',
  [EDEADLK]: 'EDEADLK',
  [ENAMETOOLONG]: 'ENAMETOOLONG',
  [ENOSYS]: 'ENOSYS',
  [ELOOP]: 'ELOOP',
  [EILSEQ]: 'EILSEQ',
  [EINPROGRESS]: 'EINPROGRESS',
  [EMSGSIZE]: 'EMSGSIZE',
  [EPROTO]: 'EPROTO',
  [EBADFD]: 'EBADFD',
  [ENODATA]: 'ENODATA',
  [EOVERFLOW]: 'EOVERFLOW',
  [ENOTSOCK]: 'ENOTSOCK',
  [EOPNOTSUPP]: 'EOPNOTSUPP',
  [EXDEV]: 'EXDEV',
  [ENOTEMPTY]: 'ENOTEMPTY',
  [ENOLINK]: 'ENOLINK',
  [EBADMSG]: 'EBADMSG',
  [EAFNOSUPPORT]: 'EAFNOSUPPORT',
  [EROFS]: 'EROFS',
  [EADDRNOTAVAIL]: 'EADDRNOTAVAIL',
  [ENETUNREACH]: 'ENETUNREACH',
  [EALREADY]: 'EALREADY',
  [ENOTSUPP]: 'ENOTSUPP',
}

/** The name of an error number of either sign, such as `EINVAL`; `errno 1234` where there is none. */
export function errnoName(errno: number): string {
  return names[Math.abs(errno)] ?? `errno ${Math.abs(errno)}`
}
