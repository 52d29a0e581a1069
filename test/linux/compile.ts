/** Compiles what the tests of the running Linux need, in a directory that is gone afterwards. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const programs = join(import.meta.dirname, 'programs')

/** The object of `programs/NAME.bpf.c`, or why there is none here. */
export const compileObject = (name: string): Uint8Array | string =>
  compileFile(join(programs, `${name}.bpf.c`))

/** The object of a program in C, or why there is none here. */
export function compileFile(source: string): Uint8Array | string {
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-linux-'))
  const object = join(directory, 'program.bpf.o')
  const flags = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', `-DARCH_${process.arch}`]
  try {
    // Where Debian keeps the headers of the machine, which a program of its registers includes.
    const machine = execFileSync('gcc', ['-print-multiarch'], { stdio: 'pipe' }).toString().trim()
    flags.push('-idirafter', `/usr/include/${machine}`)
    execFileSync('clang-19', [...flags, '-c', source, '-o', object], { stdio: 'pipe' })
    return new Uint8Array(readFileSync(object))
  } catch {
    return 'needs clang-19, libbpf-dev and gcc'
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** An executable made of `programs/NAME.c`; its directory goes with it. */
export function compileExecutable(name: string): (Disposable & { readonly path: string }) | string {
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-linux-'))
  const path = join(directory, name)
  const dispose = () => rmSync(directory, { recursive: true, force: true })
  try {
    execFileSync('gcc', ['-O2', '-o', path, join(programs, `${name}.c`)], { stdio: 'pipe' })
    return { path, [Symbol.dispose]: dispose }
  } catch {
    dispose()
    return 'needs gcc'
  }
}
