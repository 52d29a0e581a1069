/**
 * The places where objects are tried: this kernel's two engines, Linux with this client, Linux with libbpf. What is not
 * there is left out; `note` says why.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect } from 'vitest'
import { Btf, BtfError } from '../../src/btf/index.ts'
import { runBtfDump } from '../../src/cli/commands/btf-dump.ts'
import { runDisasm } from '../../src/cli/commands/disasm.ts'
import { FakeHost } from '../../src/cli/testing/fake-host.ts'
import { loadBtf } from '../../src/client/calls.ts'
import { generateSkeleton } from '../../src/client/index.ts'
import { createKernel, type KernelOptions } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { type LinuxSyscalls, LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compareWithLibbpf } from '../support/core-comparison.ts'
import { LibbpfOnLinux } from '../support/libbpf-linux.ts'
import { LibbpfOracle } from '../support/libbpf-oracle.ts'
import { LinuxFactsPort, VMLINUX } from '../support/linux-facts-port.ts'
import { compareWithObjdump } from '../support/objdump.ts'
import { type Outcome, opened, outcomeHere, outcomeOfLibbpf, outcomeOn } from './compare.ts'
import type { Compiled } from './compilers.ts'

export class Places implements Disposable {
  readonly #linux: LinuxSyscalls | undefined
  readonly #libbpf: LibbpfOnLinux | undefined
  readonly #port = existsSync(VMLINUX) ? new LinuxFactsPort() : new TinyPort({ cpuCount: 2 })
  readonly #instructions: LibbpfOracle | undefined
  /** What of Linux does not take part, and why, to stand behind a name; empty where all does. */
  readonly note: string

  constructor() {
    const linux = openLinux()
    const libbpf = linux instanceof LinuxUnavailable ? linux.message : LibbpfOnLinux.open()
    this.#linux = linux instanceof LinuxUnavailable ? undefined : linux
    this.#libbpf = typeof libbpf === 'string' ? undefined : libbpf
    const instructions = existsSync(VMLINUX) ? LibbpfOracle.open() : 'needs the types of a running Linux'
    this.#instructions = typeof instructions === 'string' ? undefined : instructions
    const missing = [libbpf, instructions].filter((one) => typeof one === 'string')
    this.note = missing.length === 0 ? '' : ` (without Linux or libbpf: ${missing.join('; ')})`
  }

  /** The interpreter's outcome, of all programs or of some; the compiler's is the same, and Linux's is. */
  expectSame(object: Compiled, programs?: readonly string[]): Outcome {
    const spec = opened(object)
    const outcome = outcomeHere(spec, this.#options('interpreter'), programs)
    expect(outcomeHere(spec, this.#options('jit'), programs), 'compiled').toEqual(outcome)
    if (this.#linux !== undefined) expect(outcomeOn(this.#linux, spec, programs), 'Linux').toEqual(outcome)
    return outcome
  }

  /** What libbpf makes of the object with Linux, beside an outcome: of the maps, those of global data. */
  expectSameOfLibbpf(object: Compiled, { refused, runs, maps }: Outcome): void {
    if (this.#libbpf === undefined) return
    const theirs = outcomeOfLibbpf(this.#libbpf, object, opened(object))
    expect(theirs.refused, 'libbpf').toBe(refused)
    expect(theirs.runs, 'libbpf').toEqual(runs)
    expect(maps, 'libbpf').toMatchObject(theirs.maps)
  }

  /** The last words of libbpf, which does not load the object; undefined where it is not asked. */
  refusalOfLibbpf(object: Compiled): string | undefined {
    return this.#libbpf && (outcomeOfLibbpf(this.#libbpf, object, opened(object)).refused ?? 'it is loaded')
  }

  /** Every instruction is as libbpf relocates it. */
  expectInstructionsOfLibbpf({ path }: Compiled): void {
    if (this.#instructions === undefined) return
    const done = compareWithLibbpf(this.#instructions, path, this.#types)
    expect(done.differences).toEqual([])
    expect(done.instructions).toBeGreaterThan(0)
  }

  /** The kernels take the types of the object, so that lines and names are shown of it. */
  expectTypesTaken(object: Compiled): void {
    const { kernelBtf } = opened(object)
    if (kernelBtf === undefined) throw new Error(`${object.name} has no types`)
    using kernel = createKernel(this.#options('interpreter'))
    using client = kernel.openClient()
    for (const one of [client, this.#linux ?? client]) {
      const loaded = loadBtf(one, kernelBtf)
      expect(loaded).not.toBeTypeOf('number')
      if (typeof loaded !== 'number') loaded[Symbol.dispose]()
    }
  }

  expectTypesListed({ path, bytes }: Compiled): void {
    const host = new FakeHost({ files: { [path]: bytes } })
    expect(runBtfDump(host, { path, words: [], basePath: undefined })).toBe(0)
    const { stdout, status } = spawnSync('bpftool', ['btf', 'dump', 'file', path], { encoding: 'utf8' })
    if (status === 0) expect(host.stdout.text).toBe(stdout)
  }

  /** Every instruction is shown as llvm-objdump shows it, and every program can be listed. */
  expectDisassembled({ path, bytes }: Compiled, cpu = 'v3'): void {
    const host = new FakeHost({ files: { [path]: bytes } })
    expect(runDisasm(host, { path, program: undefined, withSource: true })).toBe(0)
    if (spawnSync('llvm-objdump-19', ['--version']).status !== 0) return
    expect(compareWithObjdump(path, cpu)).toBeGreaterThan(0)
  }

  expectSkeleton(object: Compiled): void {
    const text = generateSkeleton(object.bytes, { name: object.name, records: {}, embed: false, command: '' })
    if (typeof text !== 'string') throw new Error(text.message)
    for (const { name } of opened(object).programs)
      expect(text).toMatch(new RegExp(`readonly ${name}: Program`))
  }

  get #types(): Btf {
    const types = Btf.parse(this.#port.types as Uint8Array)
    if (types instanceof BtfError) throw new Error(types.message)
    return types
  }

  #options(engine: 'interpreter' | 'jit'): KernelOptions {
    return { port: this.#port, engine }
  }

  [Symbol.dispose](): void {
    this.#linux?.[Symbol.dispose]()
    this.#libbpf?.[Symbol.dispose]()
    this.#instructions?.[Symbol.dispose]()
  }
}
