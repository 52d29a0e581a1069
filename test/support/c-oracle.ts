/** A program of C in this folder that links libbpf and prints lines of JSON, compiled where it is needed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class COracle implements Disposable {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** The oracle of `name.c`, or why there is none here. */
  static compile(name: string): COracle | string {
    const oracle = new COracle(mkdtempSync(join(tmpdir(), `${name}-`)))
    const source = join(import.meta.dirname, `${name}.c`)
    try {
      execFileSync('gcc', ['-O1', '-w', '-o', oracle.#program, source, '-lbpf'], { stdio: 'pipe' })
      return oracle
    } catch (error) {
      oracle[Symbol.dispose]()
      return `needs gcc and libbpf-dev: ${String(error).split('\n')[0]}`
    }
  }

  get #program(): string {
    return join(this.#directory, 'oracle')
  }

  /** What it prints, and what it says on standard error. Throws where it does not end well. */
  ask<Line>(args: readonly string[]): { readonly lines: readonly Line[]; readonly log: string } {
    const options = { encoding: 'utf8', maxBuffer: 2 ** 28 } as const
    const { stdout, stderr, status } = spawnSync(this.#program, args, options)
    if (status !== 0) {
      throw new Error(`the oracle ended with ${status} for ${args.join(' ')}:\n${stderr.slice(-2000)}`)
    }
    const lines = stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Line)
    return { lines, log: stderr }
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
