/** An object in four places: libbpf on Linux, this client on Linux, this kernel's interpreter, and its compiler. */
import { BPF_PROG_TYPE, type Syscalls } from '../../src/abi/index.ts'
import {
  bytesCodec,
  type CollectionSpec,
  LoadError,
  load,
  ObjectError,
  objectName,
  openObject,
  SyscallError,
} from '../../src/client/index.ts'
import { createKernel, type KernelOptions } from '../../src/kernel/index.ts'
import type { LibbpfOnLinux } from '../support/libbpf-linux.ts'
import type { Compiled } from './compilers.ts'

/** What came of an object somewhere. */
export interface Outcome {
  /** Why it was not loaded. */
  readonly refused: string | undefined
  /** `PROGRAM: returned N, packet` for each program that can be run, and each packet. */
  readonly runs: readonly string[]
  /** `KEY=VALUE` of the maps' elements afterwards, sorted, in hexadecimal. */
  readonly maps: Readonly<Record<string, readonly string[]>>
}

const TESTABLE: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_XDP,
  BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE.BPF_PROG_TYPE_SOCKET_FILTER,
]

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const runLine = (program: string, returned: number, out: string) => `${program}: returned ${returned}, ${out}`

/** Packets of which the first bytes say what programs do with them. */
export const PACKETS: readonly Uint8Array[] = Array.from({ length: 12 }, (_, i) =>
  Uint8Array.from({ length: 14 + i * 3 }, (_, at) =>
    at === 0 ? i * (i > 7 ? 21 : 1) : (at * 37 + i * 101) & 0xff,
  ),
)

export function opened({ bytes, path }: Compiled): CollectionSpec {
  const spec = openObject(bytes, { name: objectName(path) })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

/** Loads an object into a kernel, with all programs or some, and runs them on the packets. */
export function outcomeOn(syscalls: Syscalls, spec: CollectionSpec, programs?: readonly string[]): Outcome {
  const loaded = load(spec, syscalls, programs === undefined ? {} : { programs })
  if (loaded instanceof LoadError) return { refused: loaded.message, runs: [], maps: {} }
  using collection = loaded
  const runs: string[] = []
  for (const { name, definition } of spec.programs) {
    if (!TESTABLE.includes(definition.programType) || programs?.includes(name) === false) continue
    for (const data of PACKETS) {
      const done = collection.program(name).testRun({ data, dataOutBytes: 8192, repeat: 1 })
      if (done instanceof SyscallError) runs.push(`${name}: ${done.message}`)
      else runs.push(runLine(name, done.returnValue, hex(done.dataOut)))
    }
  }
  const maps: Record<string, readonly string[]> = {}
  for (const { name, keySize, valueSize, inner } of spec.maps) {
    if (inner !== undefined) continue
    const map = collection.map(name).withCodecs(bytesCodec(keySize), bytesCodec(valueSize))
    maps[name] = [...map.entries()].map(([key, value]) => `${hex(key)}=${hex(value)}`).sort()
  }
  return { refused: undefined, runs, maps }
}

/** What comes of it in this project's kernel. */
export function outcomeHere(
  spec: CollectionSpec,
  options: KernelOptions,
  programs?: readonly string[],
): Outcome {
  using kernel = createKernel(options)
  using client = kernel.openClient()
  return outcomeOn(client, spec, programs)
}

/** What libbpf makes of it with Linux: of the maps those of global data. */
export function outcomeOfLibbpf(oracle: LibbpfOnLinux, { path }: Compiled, spec: CollectionSpec): Outcome {
  const { refused, runs, values, log } = oracle.ask(path, PACKETS)
  if (refused !== undefined) return { refused: `${refused.at}: ${log.trimEnd()}`, runs: [], maps: {} }
  const maps: Record<string, readonly string[]> = {}
  for (const { name, kernelName } of spec.maps) {
    const value = values.get(name) ?? values.get(kernelName)
    if (value !== undefined) maps[name] = [`00000000=${value}`]
  }
  const lines = runs.map(({ program, errno, returned, out }) =>
    errno === 0 ? runLine(program, returned, out) : `${program}: errno ${errno}`,
  )
  return { refused: undefined, runs: lines, maps }
}
