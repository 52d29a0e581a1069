/** Errors as people meet them: what went wrong, what to do, and the exit code. */
import { AttachError, LoadError, ObjectError, SyscallError, VerifierError } from '../client/index.ts'

/** Exit codes: 0 well, 1 it failed, 2 the command line was wrong. */
export const EXIT_OK = 0
export const EXIT_FAILURE = 1
export const EXIT_USAGE = 2

/** Lines of a verifier's log that are shown: the end is where the reason stands. */
const LOG_LINES = 40

export class CliFailure {
  /** One line. */
  readonly message: string
  /** What to do about it, a line each. */
  readonly advice: readonly string[]
  /** What belongs to the error but takes more lines: a log, a register dump. */
  readonly details: string
  readonly exitCode: number

  constructor(
    message: string,
    more: { advice?: readonly string[]; details?: string; exitCode?: number } = {},
  ) {
    this.message = message
    this.advice = more.advice ?? []
    this.details = more.details ?? ''
    this.exitCode = more.exitCode ?? EXIT_FAILURE
  }

  /** As it goes to standard error. */
  toString(): string {
    const lines = [`anybpf: ${this.message}`, ...this.advice.map((line) => `  ${line}`)]
    return `${this.details && `${this.details.trimEnd()}\n`}${lines.join('\n')}\n`
  }
}

export type ClientError = ObjectError | LoadError | AttachError | SyscallError

export const isClientError = (value: unknown): value is ClientError =>
  value instanceof ObjectError ||
  value instanceof LoadError ||
  value instanceof AttachError ||
  value instanceof SyscallError

/** An error of the client's, in the words of the command line. */
export function explain(
  error: ClientError,
  context: {
    /** The object's path. */
    readonly path: string
    /** Names of kernel functions near a given one. */
    readonly suggestFunctions?: (name: string) => readonly string[]
  },
): CliFailure {
  const { path } = context
  if (error instanceof AttachError) {
    if (error.code !== 'unknown-symbol') return new CliFailure(`${path}: ${error.message}`)
    const near = context.suggestFunctions?.(error.target) ?? []
    const hint = near.length > 0 ? `did you mean ${listOf(near)}?` : 'no function has a name like it'
    return new CliFailure(`${path}: program '${error.program}': ${error.message}`, {
      advice: [hint, 'anybpf kernel symbols PATTERN lists what there is'],
    })
  }
  if (error instanceof VerifierError) {
    const lines = error.log.trimEnd().split('\n')
    const shown = lines.slice(-LOG_LINES)
    const cut = lines.length > shown.length ? [`... ${lines.length - shown.length} lines above`] : []
    const { instruction, source } = error.report
    const place = source === undefined ? '' : `, ${source.file}:${source.line}: ${source.text}`
    return new CliFailure(`${path}: ${error.message}`, {
      details: [...cut, ...shown].join('\n'),
      advice: instruction === undefined ? [] : [`at instruction ${instruction}${place}`],
    })
  }
  if (error instanceof ObjectError) {
    return new CliFailure(`${path}: ${error.message}`, { advice: adviceOn(error) })
  }
  if (error instanceof LoadError && error.code === 'no-program') {
    return new CliFailure(`${path}: ${error.message}`, { advice: noPrograms })
  }
  return new CliFailure(`${path}: ${error.message}`)
}

const compile = 'compile it with clang -target bpf -O2 -g -c FILE.c -o FILE.o'
const noPrograms = ['a program is a function with a section of its own, such as SEC("kprobe/sys_openat")']

function adviceOn(error: ObjectError): readonly string[] {
  switch (error.code) {
    case 'not-elf':
    case 'wrong-machine':
      return [`this takes eBPF objects: ${compile}`]
    case 'not-relocatable':
      return ['give the object as clang -c writes it, before any linker']
    case 'no-programs':
      return noPrograms
    case 'stripped':
      return ['strip only the debug information: llvm-strip -g FILE.o']
    case 'truncated':
      return ['the file is not whole; copy or compile it again']
    default:
      return []
  }
}

function listOf(names: readonly string[]): string {
  if (names.length < 2) return names.join('')
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}
