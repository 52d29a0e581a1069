/**
 * The compilers besides clang, with the command lines that docs/compilers.md tells users: GCC for BPF, and Rust with
 * the `core` of Debian's package for BPF.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a compiler made of a source, in a file that is there as long as the compiler. */
export interface Compiled {
  readonly name: string
  readonly path: string
  readonly bytes: Uint8Array
}

const run = (tool: string, args: readonly string[]): void => {
  execFileSync(tool, args, { stdio: 'pipe' })
}
const answers = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const words = (tool: string, args: readonly string[]): string =>
  spawnSync(tool, args, { encoding: 'utf8' }).stdout ?? ''

abstract class Compiler implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'anybpf-compilers-'));

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** An object that was made of others, in a file beside them. */
  written(name: string, bytes: Uint8Array): Compiled {
    writeFileSync(this.path(name), bytes)
    return this.compiled(name)
  }

  protected compiled(name: string): Compiled {
    const path = this.path(name)
    return { name, path, bytes: new Uint8Array(readFileSync(path)) }
  }

  protected path(name: string, suffix = 'bpf.o'): string {
    return join(this.directory, `${name}.${suffix}`)
  }
}

/**
 * Helpers of libbpf's headers are constant pointers to functions. GCC 12 keeps one that is used twice in a register,
 * and refuses the call; without these passes it does not.
 */
const NO_CSE = ['-fdisable-rtl-cse1', '-fdisable-rtl-cse2']

/** `bpf-gcc` of Debian's gcc-bpf. */
export class Gcc extends Compiler {
  static open(): Gcc | string {
    if (!answers('bpf-gcc')) return 'needs gcc-bpf'
    return existsSync('/usr/include/bpf/bpf_helpers.h') ? new Gcc() : 'needs libbpf-dev'
  }

  /** Compiles `gcc/SOURCE.bpf.c`. */
  compile(source: string, flags: readonly string[] = [], name = source): Compiled {
    const machine = words('gcc', ['-print-multiarch']).trim()
    const headers = ['/usr/include', `/usr/include/${machine}`].flatMap((one) => ['-idirafter', one])
    const file = join(import.meta.dirname, 'gcc', `${source}.bpf.c`)
    run('bpf-gcc', ['-O2', '-gbtf', ...NO_CSE, ...flags, ...headers, '-c', file, '-o', this.path(name)])
    return this.compiled(name)
  }
}

export interface RustOptions {
  /** Further ones for rustc. */
  readonly flags?: readonly string[]
  /** Version of the instruction set. Default: v3. */
  readonly cpu?: string
  /** Of the object. Default: that of the source. */
  readonly name?: string
}

/** A `rustc` with `core` for BPF, and the LLVM that it was built with. */
export class Rust extends Compiler {
  readonly #rustc: string
  readonly #core: string
  readonly #llvm: string

  private constructor(rustc: string, core: string, llvm: string) {
    super()
    this.#rustc = rustc
    this.#core = core
    this.#llvm = llvm
  }

  static open(): Rust | string {
    // A rustc of another origin may come first in the path, without the target.
    for (const rustc of ['rustc', '/usr/bin/rustc']) {
      const folder = words(rustc, ['--print', 'target-libdir', '--target', 'bpfel-unknown-none']).trim()
      if (folder === '' || !existsSync(folder)) continue
      const core = readdirSync(folder).find((file) => /^libcore-.*\.rlib$/.test(file))
      const llvm = /LLVM version: (\d+)/.exec(words(rustc, ['-vV']))?.[1]
      if (core === undefined || llvm === undefined) continue
      if (!answers(`llc-${llvm}`)) return `needs llvm-${llvm}`
      return new Rust(rustc, join(folder, core), llvm)
    }
    return 'needs rustc-web and libstd-rust-web-dev-bpf'
  }

  /** Compiles `rust/SOURCE.rs` as a crate of its own: calls of what is not inlined from `core` stay open. */
  crate(source: string, { flags = [], cpu = 'v3', name = source }: RustOptions = {}): Compiled {
    this.#bitcode(source, name, flags)
    const code = this.path(name, 'bc')
    this.#emit(code, name, ['-function-sections', '-data-sections', `-mcpu=${cpu}`])
    return this.compiled(name)
  }

  /** Compiles `rust/SOURCE.rs` and links it with `core`; what a program does not reach is left out. */
  linked(source: string, { flags = [], cpu = 'v3', name = source }: RustOptions = {}): Compiled {
    this.#bitcode(source, name, flags)
    const [crate, all, code] = ['bc', 'all.bc', 'opt.bc'].map((suffix) => this.path(name, suffix)) as [
      string,
      string,
      string,
    ]
    run(`llvm-link-${this.#llvm}`, ['--only-needed', crate, this.#coreBitcode(), '-o', all])
    const keep = `--internalize-public-api-list=${this.#exported(crate).join(',')}`
    run(`opt-${this.#llvm}`, ['-passes=internalize,globaldce,default<O2>', keep, all, '-o', code])
    this.#emit(code, name, [`-mcpu=${cpu}`])
    return this.compiled(name)
  }

  #emit(code: string, name: string, flags: readonly string[]): void {
    run(`llc-${this.#llvm}`, ['-march=bpfel', '-filetype=obj', ...flags, code, '-o', this.path(name)])
  }

  #bitcode(source: string, name: string, flags: readonly string[]): void {
    const file = join(import.meta.dirname, 'rust', `${source}.rs`)
    run(this.#rustc, [
      ...['--edition=2021', '--target=bpfel-unknown-none', '--crate-type=lib', `--crate-name=${source}`],
      ...['-Copt-level=2', '-Cpanic=abort', '-Ccodegen-units=1', '-Cdebuginfo=2', ...flags],
      ...['--emit=llvm-bc', file, '-o', this.path(name, 'bc')],
    ])
  }

  #coreBitcode(): string {
    const code = join(this.directory, 'core.bc')
    if (!existsSync(code)) {
      const ar = `llvm-ar-${this.#llvm}`
      const member = words(ar, ['t', this.#core])
        .split('\n')
        .find((one) => one.endsWith('.o')) as string
      run('sh', ['-c', `${ar} p "$1" "$2" > "$3"`, 'sh', this.#core, member, code])
    }
    return code
  }

  /** Names that are no mangled ones: programs, maps, the licence. */
  #exported(crate: string): string[] {
    return words(`llvm-nm-${this.#llvm}`, ['--defined-only', '--extern-only', '--format=just-symbols', crate])
      .split('\n')
      .filter((name) => name !== '' && !/^_(R|ZN)/.test(name))
  }
}
