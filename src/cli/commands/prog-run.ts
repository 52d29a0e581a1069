/** `anybpf prog run OBJECT`: a program on an input, as `bpftool prog run` does, on any engine or on Linux itself. */
import { BPF_PROG_TYPE, type Syscalls } from '../../abi/index.ts'
import {
  type CollectionSpec,
  LoadError,
  load,
  ObjectError,
  objectName,
  openObject,
} from '../../client/index.ts'
import { closestNames } from '../../elf/index.ts'
import { createKernel } from '../../kernel/index.ts'
import { CliFailure, EXIT_OK, explain, isClientError } from '../failure.ts'
import type { Host } from '../host.ts'
import { idlePort } from '../idle-port.ts'

export type RunEngine = 'jit' | 'interpreter' | 'linux'

export interface ProgRunArguments {
  readonly path: string
  /** Default: the object's only program. */
  readonly program: string | undefined
  readonly dataPath: string | undefined
  readonly contextPath: string | undefined
  readonly repeat: number
  readonly engine: RunEngine
}

const T = BPF_PROG_TYPE
/** Linux runs these on a packet only; without one given they get 64 bytes of zeroes. */
const takesPacket: readonly number[] = [
  T.BPF_PROG_TYPE_XDP,
  T.BPF_PROG_TYPE_SOCKET_FILTER,
  T.BPF_PROG_TYPE_SCHED_CLS,
  T.BPF_PROG_TYPE_SCHED_ACT,
  T.BPF_PROG_TYPE_CGROUP_SKB,
]
const EMPTY_PACKET_BYTES = 64
/** More than any packet that a test run takes. */
const OUTPUT_BYTES = 1 << 17

export async function runProgRun(host: Host, options: ProgRunArguments): Promise<number | CliFailure> {
  const { path } = options
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  const spec = openObject(bytes, { name: objectName(path) })
  if (spec instanceof ObjectError) return explain(spec, { path })
  const name = programName(spec, options)
  if (name instanceof CliFailure) return name
  const data = options.dataPath === undefined ? undefined : host.readFile(options.dataPath)
  if (data instanceof CliFailure) return data
  const context = options.contextPath === undefined ? undefined : host.readFile(options.contextPath)
  if (context instanceof CliFailure) return context
  const kernel = await openKernel(options.engine)
  if (kernel instanceof CliFailure) return kernel

  const collection = load(spec, kernel.syscalls, { programs: [name] })
  if (collection instanceof LoadError) return explain(collection, { path })
  using loaded = collection
  const program = loaded.programs.get(name)
  if (program === undefined) throw new Error(`${name} was not loaded`)
  const isPacket = takesPacket.includes(program.spec.definition.programType)
  const input = data ?? (isPacket ? new Uint8Array(EMPTY_PACKET_BYTES) : undefined)
  const result = program.testRun({
    ...(input === undefined ? {} : { data: input, dataOutBytes: OUTPUT_BYTES }),
    ...(context === undefined ? {} : { context }),
    ...(options.repeat > 1 ? { repeat: options.repeat } : {}),
  })
  if (isClientError(result)) {
    const faults = kernel.faults()
    return faults.length === 0
      ? explain(result, { path })
      : new CliFailure(`${path}: program '${name}': ${faults.at(-1)}`)
  }
  const { returnValue, durationNs, dataOut } = result
  // bpftool's words.
  if (input !== undefined && dataOut.length > 0) {
    host.stdout.write(`data (${dataOut.length} bytes):\n${hexDump(dataOut)}`)
  }
  host.stdout.write(
    `Return value: ${returnValue}, duration${options.repeat > 1 ? ' (average)' : ''}: ${durationNs}ns\n`,
  )
  return EXIT_OK
}

function programName(spec: CollectionSpec, { path, program }: ProgRunArguments): string | CliFailure {
  const names = spec.programs.map(({ name }) => name)
  if (program === undefined && names.length === 1) return names[0] as string
  if (program !== undefined && names.includes(program)) return program
  const message =
    names.length === 0
      ? `${path}: it has no programs`
      : program === undefined
        ? `${path}: it has ${names.length} programs; say which with --program`
        : `${path}: there is no program '${program}'`
  const near = program === undefined ? names : closestNames(program, names, 3)
  return new CliFailure(message, {
    advice: names.length === 0 ? [] : [`there are ${(near.length > 0 ? near : names).join(', ')}`],
  })
}

interface OpenKernel {
  readonly syscalls: Syscalls
  /** Run-time errors, in words. */
  faults(): string[]
}

async function openKernel(engine: RunEngine): Promise<OpenKernel | CliFailure> {
  if (engine === 'linux') {
    const { LinuxUnavailable, openLinux } = await import('../../ports/linux/index.ts')
    const linux = openLinux()
    if (linux instanceof LinuxUnavailable) return new CliFailure(`the machine's own kernel: ${linux.message}`)
    return { syscalls: linux, faults: () => [] }
  }
  const now = () => process.hrtime.bigint()
  const kernel = createKernel({ port: idlePort(now), engine, profilingClockNs: now })
  return { syscalls: kernel.openClient(), faults: () => kernel.faults().map(({ message }) => message) }
}

function hexDump(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)]
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const shown = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    text += `${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${shown}\n`
  }
  return text
}
