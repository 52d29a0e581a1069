/** The system's libbpf with the running kernel, as an oracle: `libbpf-linux.c` compiled where it is needed. */
import { COracle } from './c-oracle.ts'

export interface LibbpfRun {
  readonly program: string
  /** Positive; 0 where it ran. */
  readonly errno: number
  readonly returned: number
  /** The packet afterwards. */
  readonly out: string
}

/** What came of an object. */
export interface LibbpfOutcome {
  /** Where libbpf or the kernel refused it: `open` or `load`, and the last words of the log. */
  readonly refused: { readonly at: string; readonly errno: number } | undefined
  /** Test runs by program, in the order of the packets. */
  readonly runs: readonly LibbpfRun[]
  /** Values of global data afterwards, in hexadecimal, by the names that libbpf has for the maps. */
  readonly values: ReadonlyMap<string, string>
  readonly log: string
}

type Line =
  | { readonly kind: 'refused'; readonly at: string; readonly errno: number }
  | { readonly kind: 'program'; readonly name: string }
  | {
      readonly kind: 'run'
      readonly name: string
      readonly errno: number
      readonly returned: number
      readonly out: string
    }
  | { readonly kind: 'map'; readonly name: string; readonly value: string }

export class LibbpfOnLinux implements Disposable {
  readonly #program: COracle

  private constructor(program: COracle) {
    this.#program = program
  }

  /** The oracle, or why there is none here. */
  static open(): LibbpfOnLinux | string {
    if (process.platform !== 'linux') return 'needs Linux'
    if (process.getuid?.() !== 0) return 'needs root, for bpf(2)'
    const program = COracle.compile('libbpf-linux')
    return typeof program === 'string' ? program : new LibbpfOnLinux(program)
  }

  ask(object: string, packets: readonly Uint8Array[]): LibbpfOutcome {
    const hex = packets.map((packet) => Buffer.from(packet).toString('hex'))
    const { lines, log } = this.#program.ask<Line>([object, ...hex])
    const values = new Map<string, string>()
    const runs: LibbpfRun[] = []
    let refused: LibbpfOutcome['refused']
    for (const line of lines) {
      if (line.kind === 'refused') refused = { at: line.at, errno: line.errno }
      else if (line.kind === 'run') {
        const { name: program, errno, returned, out } = line
        runs.push({ program, errno, returned, out })
      } else if (line.kind === 'map' && line.value !== '') values.set(line.name, line.value)
    }
    return { refused, runs, values, log }
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]()
  }
}
