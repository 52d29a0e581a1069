/** The system's libbpf as an oracle: `libbpf-oracle.c` compiled where it is needed. */
import { COracle } from './c-oracle.ts'

/** What libbpf would send to a kernel. */
export interface LibbpfAnswer {
  /** Positive error number of a load that libbpf itself refuses; 0 where it goes through. */
  readonly errno: number
  /** Descriptors by the names that libbpf has for the maps. */
  readonly maps: ReadonlyMap<string, number>
  /** First values of the maps that have one. */
  readonly values: ReadonlyMap<string, Uint8Array>
  /** Instructions by program. */
  readonly programs: ReadonlyMap<string, Uint8Array>
  readonly log: string
}

export interface LibbpfQuestion {
  readonly object: string
  /** File with the types of the kernel; default: this machine's kernel. */
  readonly btf?: string
  /** Text of a kernel configuration, in addition to this machine's. */
  readonly kconfig?: string
}

type Line =
  | { readonly kind: 'failure'; readonly errno: number }
  | { readonly kind: 'map'; readonly name: string; readonly fd: number; readonly value: string }
  | { readonly kind: 'program'; readonly name: string; readonly instructions: string }

export class LibbpfOracle implements Disposable {
  readonly #program: COracle

  private constructor(program: COracle) {
    this.#program = program
  }

  /** The oracle, or why there is none here. */
  static open(): LibbpfOracle | string {
    if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64'
    const program = COracle.compile('libbpf-oracle')
    return typeof program === 'string' ? program : new LibbpfOracle(program)
  }

  ask({ object, btf = '-', kconfig = '' }: LibbpfQuestion): LibbpfAnswer {
    const { lines, log } = this.#program.ask<Line>([object, btf, kconfig])
    const maps = new Map<string, number>()
    const values = new Map<string, Uint8Array>()
    const programs = new Map<string, Uint8Array>()
    const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
    let errno = 0
    for (const line of lines) {
      if (line.kind === 'failure') errno = line.errno
      else if (line.kind === 'program') programs.set(line.name, bytesOf(line.instructions))
      else {
        maps.set(line.name, line.fd)
        if (line.value !== '') values.set(line.name, bytesOf(line.value))
      }
    }
    return { errno, maps, values, programs, log }
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]()
  }
}
