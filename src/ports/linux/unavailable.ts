/** Why there is no Linux to call. */
export type LinuxUnavailableCode =
  /** Another operating system. */
  | 'not-linux'
  /** An architecture whose system call numbers are not known here. */
  | 'architecture'
  /** The optional package that calls foreign functions is not installed, or does not load here. */
  | 'no-koffi'
  /** The C library lacks a function that is needed. */
  | 'no-libc'
  /** The kernel has no bpf(2), or one that is too old. */
  | 'no-bpf'
  /** The right to use bpf(2) is missing. */
  | 'not-permitted'

/** The running Linux cannot be used from here; a value, as tools and tests go on without it. */
export class LinuxUnavailable {
  readonly code: LinuxUnavailableCode
  /** One line for people, which says what to do where there is something. */
  readonly message: string
  /** Positive error number where a system call failed. */
  readonly errno: number | undefined

  constructor(code: LinuxUnavailableCode, message: string, errno?: number) {
    this.code = code
    this.message = message
    this.errno = errno
  }

  toString(): string {
    return `LinuxUnavailable(${this.code}): ${this.message}`
  }
}
