/**
 * A rejection on its way from the check that failed to the verdict.
 *
 * It is thrown, and caught in one place (`verify`): a check sits up to twenty calls deep, and every caller in between
 * would only pass the value on. It never leaves the verifier, and is no `Error`: some are made where a proof goes on, and
 * nobody asks for the stack that an `Error` would write down.
 */
export class Refusal {
  /** Positive errno that PROG_LOAD answers. */
  readonly errno: number
  readonly message: string

  constructor(errno: number, message: string) {
    this.errno = errno
    this.message = message
  }
}

export const EPERM = 1
export const ENOENT = 2
export const E2BIG = 7
export const EBADF = 9
export const EACCES = 13
export const EBUSY = 16
export const EFAULT = 14
export const EINVAL = 22
export const ENOSPC = 28
export const ERANGE = 34
export const EPROTO = 71
export const EOPNOTSUPP = 95
export const ENOTSUPP = 524
