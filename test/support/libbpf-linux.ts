/** The system's libbpf with the running kernel, as an oracle: `libbpf-linux.c` compiled where it is needed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

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
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** The oracle, or why there is none here. */
  static open(): LibbpfOnLinux | string {
    if (process.platform !== 'linux') return 'needs Linux'
    if (process.getuid?.() !== 0) return 'needs root, for bpf(2)'
    const directory = mkdtempSync(join(tmpdir(), 'libbpf-linux-'))
    const oracle = new LibbpfOnLinux(directory)
    const source = fileURLToPath(new URL('./libbpf-linux.c', import.meta.url))
    try {
      execFileSync('gcc', ['-O1', '-w', '-o', join(directory, 'oracle'), source, '-lbpf'], { stdio: 'pipe' })
      return oracle
    } catch (error) {
      oracle[Symbol.dispose]()
      return `needs gcc and libbpf-dev: ${String(error).split('\n')[0]}`
    }
  }

  ask(object: string, packets: readonly Uint8Array[]): LibbpfOutcome {
    const hex = packets.map((packet) => Buffer.from(packet).toString('hex'))
    const options = { encoding: 'utf8', maxBuffer: 2 ** 28 } as const
    const { stdout, stderr, status } = spawnSync(join(this.#directory, 'oracle'), [object, ...hex], options)
    if (status !== 0) throw new Error(`the oracle ended with ${status}:\n${stderr.slice(-2000)}`)
    const lines = stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Line)
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
    return { refused, runs, values, log: stderr }
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
