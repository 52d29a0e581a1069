/** `anybpf verify OBJECT...`: is each program safe, and if not, why, where, and what to do. Needs no kernel. */
import { Btf, BtfError } from '../../btf/index.ts'
import {
  type CollectionSpec,
  ObjectError,
  type OfflineKernel,
  objectName,
  openObject,
} from '../../client/index.ts'
import { explainRejection, prove } from '../../verifier/index.ts'
import { coloursFor } from '../colours.ts'
import { CliFailure, EXIT_FAILURE, EXIT_OK, explain } from '../failure.ts'
import type { Host } from '../host.ts'
import { inputOf } from '../verify/input.ts'
import { rejectionText } from '../verify/rejection.ts'
import { type StatisticsRow, statisticsTable } from '../verify/table.ts'

export interface VerifyArguments {
  readonly paths: readonly string[]
  readonly program: string | undefined
  /** Path of a kernel's types. */
  readonly btf: string | undefined
  /** Path of a kernel's configuration. */
  readonly kconfig: string | undefined
  readonly json: boolean
  readonly states: boolean
  readonly stats: boolean
}

/** 0: all programs are safe; 1: some are not, or could not be read. */
export function runVerify(host: Host, options: VerifyArguments): number | CliFailure {
  let kernelTypes: Btf | undefined
  if (options.btf !== undefined) {
    const types = host.readFile(options.btf)
    if (types instanceof CliFailure) return types
    const parsed = Btf.parse(types)
    if (parsed instanceof BtfError) return new CliFailure(`${options.btf}: ${parsed.message}`)
    kernelTypes = parsed
  }
  const configuration = options.kconfig === undefined ? undefined : host.readFile(options.kconfig)
  if (configuration instanceof CliFailure) return configuration
  const kernel = { types: kernelTypes, configuration }
  const rows: StatisticsRow[] = []
  let failed = 0
  let found = 0
  const fail = (failure: CliFailure): void => {
    failed++
    if (options.paths.length > 1 || found > 0) host.stderr.write(failure.toString())
  }
  let only: CliFailure | undefined
  for (const path of options.paths) {
    const spec = readObject(host, path)
    if (spec instanceof CliFailure) {
      only = spec
      fail(spec)
      continue
    }
    const names = spec.programs
      .map(({ name }) => name)
      .filter((name) => options.program === undefined || name === options.program)
    for (const name of names) {
      const row = verifyProgram(host, options, { path, spec, name, kernel })
      found++
      if (row instanceof CliFailure) {
        host.stderr.write(row.toString())
        failed++
        continue
      }
      rows.push(row)
    }
    if (names.length > 0 || (options.program !== undefined && options.paths.length > 1)) continue
    only = new CliFailure(`${path}: there is no program${options.program ? ` '${options.program}'` : ''}`)
    fail(only)
  }
  if (options.paths.length === 1 && only !== undefined) return only
  if (found === 0 && options.program !== undefined && failed === 0) {
    return new CliFailure(`there is no program '${options.program}' in these objects`)
  }
  if (options.stats && !options.json) host.stdout.write(statisticsTable(rows))
  return failed > 0 || rows.some(({ accepted }) => !accepted) ? EXIT_FAILURE : EXIT_OK
}

function readObject(host: Host, path: string): CollectionSpec | CliFailure {
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  const spec = openObject(bytes, { name: objectName(path) })
  return spec instanceof ObjectError ? explain(spec, { path }) : spec
}

/** What the verifier wrote about its own work: not about the program. */
const OWN_WORK =
  /^(mark_precise|force_precise|frame \d+: propagating|SCC |\([\d,]+\) |Live regs before|\s+\d+: [.\d]{10} |\s+\d+\s+\d+: [.\d]{10} )/

const statesOf = (log: string): string =>
  log
    .split('\n')
    .filter((line) => !OWN_WORK.test(line))
    .join('\n')

const TYPES_ADVICE =
  '--btf FILE gives the types of a kernel; those of a running Linux are in /sys/kernel/btf/vmlinux'

interface Subject {
  readonly path: string
  readonly spec: CollectionSpec
  readonly name: string
  readonly kernel: OfflineKernel
}

/** Verifies one program and prints what it came to; a failure where it could not be made ready. */
function verifyProgram(
  host: Host,
  options: VerifyArguments,
  { path, spec, name, kernel }: Subject,
): StatisticsRow | CliFailure {
  const section = spec.programs.find((one) => one.name === name)?.section ?? ''
  const input = inputOf(spec, name, kernel)
  if (input instanceof CliFailure) return input
  if ('code' in input) {
    if (input.code !== 'environment') return explain(input, { path })
    return new CliFailure(`${path}: ${input.message}`, { advice: [TYPES_ADVICE] })
  }
  const start = host.monotonicMs()
  const verdict = prove({ ...input, logLevel: options.states ? 2 : 0 })
  const row: StatisticsRow = {
    object: path,
    program: name,
    accepted: verdict.accepted,
    milliseconds: host.monotonicMs() - start,
    size: input.instructions.length,
    statistics: verdict.statistics,
  }
  const report = verdict.accepted ? undefined : explainRejection(input, verdict)
  if (options.json) {
    host.stdout.write(`${JSON.stringify({ ...row, section, ...report })}\n`)
    return row
  }
  const colours = coloursFor(host.hasColours)
  if (options.states) host.stdout.write(statesOf(verdict.log))
  host.stdout.write(
    report === undefined
      ? `${colours.green('accepted')} ${colours.bold(name)} (${section})\n`
      : rejectionText(name, section, report, colours),
  )
  return row
}
