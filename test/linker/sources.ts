/** Compiles the C files of test/data/link, in a directory that is gone afterwards. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LinkError, type LinkInput, linkObjects } from '../../src/linker/index.ts'

const folder = fileURLToPath(new URL('../data/link', import.meta.url))
const INCLUDES = ['-I', folder, '-I/usr/include/x86_64-linux-gnu']

/** Programs of several files. */
export const PROGRAMS = {
  functions: ['functions-1', 'functions-2'],
  variables: ['variables-1', 'variables-2', 'variables-3'],
  maps: ['maps-1', 'maps-2'],
  core: ['core-1', 'core-2'],
} as const

export class Workshop implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'anybpf-link-'))
  readonly #made = new Map<string, LinkInput>()

  /** Why nothing can be compiled here, or an empty text. */
  static get missing(): string {
    return spawnSync('clang-19', ['--version']).status === 0 ? '' : 'needs clang-19'
  }

  /** The object of `test/data/link/NAME.bpf.c`; its name is its path. */
  object(name: string, flags: readonly string[] = [], target: 'bpfel' | 'bpfeb' = 'bpfel'): LinkInput {
    return this.#compile(join(folder, `${name}.bpf.c`), name, flags, target)
  }

  /** The object of a text in C that may include `shared.h`. */
  text(name: string, text: string, flags: readonly string[] = []): LinkInput {
    const path = join(this.directory, `${name}.c`)
    writeFileSync(path, text)
    return this.#compile(path, name, flags, 'bpfel')
  }

  /** The objects of some files. */
  objects(names: readonly string[], target: 'bpfel' | 'bpfeb' = 'bpfel'): LinkInput[] {
    return names.map((name) => this.object(name, [], target))
  }

  /** A file in the directory with these bytes. */
  file(name: string, bytes: Uint8Array): LinkInput {
    const path = join(this.directory, name)
    writeFileSync(path, bytes)
    return { name: path, bytes }
  }

  #compile(source: string, name: string, flags: readonly string[], target: string): LinkInput {
    const key = [name, target, ...flags].join(' ')
    const known = this.#made.get(key)
    if (known !== undefined) return known
    const object = join(this.directory, `${name}-${this.#made.size}.bpf.o`)
    const options = ['-g', '-O2', '-mcpu=v3', '-w', '-target', target, ...INCLUDES, ...flags]
    execFileSync('clang-19', [...options, '-c', source, '-o', object], { stdio: 'pipe' })
    const made = { name: object, bytes: new Uint8Array(readFileSync(object)) }
    this.#made.set(key, made)
    return made
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true })
  }
}

/** The linked object, where the inputs are good. */
export function linked(inputs: readonly LinkInput[]): Uint8Array {
  const bytes = linkObjects(inputs)
  if (bytes instanceof LinkError) throw new Error(bytes.message)
  return bytes
}
