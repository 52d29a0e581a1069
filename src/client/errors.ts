/**
 * What can go wrong between an object file and an attached program. All are values: returned, not thrown
 * (`SyscallError` alone is also thrown, by calls that fail only through a mistake of their caller).
 */
import { errnoName } from '../abi/index.ts'
import type { CoreError } from '../btf/index.ts'
import { parseVerifierLog, type SourceLine, type VerifierReport } from './verifier-report.ts'

/** A system call failed. */
export class SyscallError extends Error {
  override readonly name = 'SyscallError'
  /** The call, such as `BPF_MAP_UPDATE_ELEM`. */
  readonly call: string
  /** Positive error number. */
  readonly errno: number

  /** `result` is what the call returned, -errno; `detail` ends the message. */
  constructor(call: string, result: number, detail = '') {
    super(`${call}: ${errnoName(result)}${detail && `: ${detail}`}`)
    this.call = call
    this.errno = Math.abs(result)
  }
}

export type LoadErrorCode =
  /** A map could not be created, filled or frozen. */
  | 'map'
  /** A map that is to be pinned by name is another one than is pinned already. */
  | 'pinned-map'
  /** The kernel refused a program. */
  | 'verifier'
  /** The kernel refused a program without saying why: permission, size, an unknown type. */
  | 'program'
  /** The object has no program, or none of the names asked for. */
  | 'no-program'
  /** A name in the options that the object does not have. */
  | 'unknown-name'
  /** A value in the options that does not fit the variable's type. */
  | 'bad-value'
  /** `SEC()` names that say no program type. */
  | 'unknown-section'
  /** A CO-RE relocation cannot be done (a `RelocationError`). */
  | 'relocation'
  /** The kernel has no function or tracepoint of the name that a section gives. */
  | 'unknown-target'
  /** An extern that nothing defines. */
  | 'unresolved-extern'
  /** The object wants what this client does not do. */
  | 'unsupported'
  /** What a load needs to know of the kernel could not be read. */
  | 'environment'

/** Loading stopped: nothing of it is left in the kernel. */
export class LoadError {
  readonly code: LoadErrorCode
  /** The map, program or variable that the error is about; empty for the object as a whole. */
  readonly subject: string
  /** Positive error number where a system call failed. */
  readonly errno: number | undefined
  /** One line for people. */
  readonly message: string

  constructor(code: LoadErrorCode, subject: string, message: string, errno?: number) {
    this.code = code
    this.subject = subject
    this.message = message
    this.errno = errno
  }

  toString(): string {
    return `LoadError(${this.code}): ${this.message}`
  }
}

/** The verifier refused a program, and said why. */
export class VerifierError extends LoadError {
  /** The program's section. */
  readonly section: string
  /** The kernel's log, as it wrote it. */
  readonly log: string
  /** The log did not fit the largest buffer, and what is missing is its middle or its end. */
  readonly isTruncated: boolean
  /** The log in parts: where it happened, and what was known there. */
  readonly report: VerifierReport

  /** `reason` is one line, where more is known than the log says. */
  constructor(
    program: string,
    section: string,
    errno: number,
    log: string,
    isTruncated: boolean,
    reason?: string,
    sourceOf?: (instruction: number) => SourceLine | undefined,
  ) {
    const report = parseVerifierLog(log, sourceOf)
    const why = reason ?? report.reason
    super(
      'verifier',
      program,
      `program '${program}' (${section}) was refused: ${errnoName(errno)}${why && `: ${why}`}`,
      errno,
    )
    this.section = section
    this.log = log
    this.isTruncated = isTruncated
    this.report = report
  }
}

/** The program cannot be fitted to the kernel's types. */
export class RelocationError extends LoadError {
  /** Which relocation, at which instruction of the linked program. */
  readonly cause: CoreError

  constructor(program: string, section: string, cause: CoreError) {
    super('relocation', program, `program '${program}' (${section}): ${cause.message}`)
    this.cause = cause
  }
}

export type AttachErrorCode =
  /** The section's name says nothing of where to attach. */
  | 'no-target'
  /** The section's name is malformed. */
  | 'bad-target'
  /** This client does not attach what is asked for: arguments of a USDT that it cannot read. */
  | 'unsupported'
  /** The kernel or the executable has no such function. */
  | 'unknown-symbol'
  /** The kernel offers no kprobes. */
  | 'no-kprobes'
  /** The kernel offers no uprobes. */
  | 'no-uprobes'
  /** The executable to probe cannot be read, or is none. */
  | 'bad-file'
  /** The kernel has no such tracepoint, or its list of them is not mounted. */
  | 'no-tracepoint'
  /** The kernel refused. */
  | 'refused'

/** A program could not be attached. */
export class AttachError {
  readonly code: AttachErrorCode
  readonly program: string
  /** The function, path or event, as the section's name has it. */
  readonly target: string
  readonly errno: number | undefined
  readonly message: string

  constructor(code: AttachErrorCode, program: string, target: string, message: string, errno?: number) {
    this.code = code
    this.program = program
    this.target = target
    this.message = message
    this.errno = errno
  }

  toString(): string {
    return `AttachError(${this.code}): ${this.message}`
  }
}
