/**
 * What loading has to know of the kernel: its types, symbols, configuration and version. Each is read when it is
 * first asked for, and once for a load.
 */
import { BPF_PROG_TYPE, errnoName, type Syscalls } from '../abi/index.ts'
import { Btf, type BtfError } from '../btf/index.ts'
import { loadProgram } from './calls.ts'
import { LoadError, SyscallError } from './errors.ts'
import { gunzip } from './gunzip.ts'
import { btfInfo, loadedBtf, objectIds, openObjectById, typesOfProgram } from './kernel-objects.ts'
import { KERNEL_TYPES, kernelTypes } from './kernel-types.ts'
import type { LoadOptions } from './load-options.ts'
import { Owner } from './owner.ts'
import { readFile, readTextFile } from './read-file.ts'

/** The types of a kernel module. */
export interface ModuleTypes {
  readonly name: string
  readonly btf: Btf
  /** Descriptor of the types, open as long as the facts are. */
  readonly fd: number
}

/** The types of a kernel and of its modules. */
export type TypeFacts = Pick<KernelFacts, 'types' | 'modules'>

export class KernelFacts implements Disposable {
  readonly #syscalls: Syscalls
  readonly #given: LoadOptions['targetBtf']
  readonly #owner = new Owner()
  #types: Btf | LoadError | undefined
  #modules: readonly ModuleTypes[] | undefined
  #symbols: string | undefined
  #version: string | undefined
  #configuration: ReadonlyMap<string, string> | undefined

  constructor(syscalls: Syscalls, options: LoadOptions) {
    this.#syscalls = syscalls
    this.#given = options.targetBtf
  }

  /** The kernel's types: what the options give, or what the kernel says. */
  types(): Btf | LoadError {
    this.#types ??= this.#readTypes()
    return this.#types
  }

  #readTypes(): Btf | LoadError {
    const given = this.#given
    if (given instanceof Btf) return given
    const btf = given === undefined ? kernelTypes(this.#syscalls) : Btf.parse(given)
    if (btf instanceof Btf) return btf
    if (typeof btf === 'number') {
      const message = `the kernel's types cannot be read from ${KERNEL_TYPES}: ${errnoName(btf)}; give them as the option targetBtf`
      return new LoadError('environment', '', message, -btf)
    }
    const place = given === undefined ? KERNEL_TYPES : 'the option targetBtf'
    return new LoadError('environment', '', `the kernel's types in ${place} are malformed: ${btf.message}`)
  }

  /** Types of the modules; none where the caller gave the kernel's, or where the kernel does not tell. */
  modules(): readonly ModuleTypes[] {
    if (this.#given !== undefined) return []
    this.#modules ??= this.#readModules()
    return this.#modules
  }

  #readModules(): readonly ModuleTypes[] {
    const base = this.types()
    if (base instanceof LoadError) return []
    const modules: ModuleTypes[] = []
    try {
      for (const id of objectIds(this.#syscalls, 'btf')) {
        const descriptor = openObjectById(this.#syscalls, 'btf', id)
        // Gone meanwhile, or of someone else.
        if (descriptor instanceof SyscallError) continue
        const info = btfInfo(this.#syscalls, descriptor.fd)
        const isModule = !(info instanceof SyscallError) && info.isKernel && info.name !== 'vmlinux'
        const btf = isModule ? loadedBtf(this.#syscalls, id, base) : undefined
        if (isModule && btf instanceof Btf)
          modules.push({ name: info.name, btf, fd: this.#owner.own(descriptor).fd })
        else descriptor[Symbol.dispose]()
      }
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error
    }
    return modules
  }

  /** Types of a loaded program; undefined where it was loaded without. */
  typesOfProgram(fd: number): Btf | SyscallError | BtfError | undefined {
    return typesOfProgram(this.#syscalls, fd)
  }

  /** The kernel's types, then those of its modules, as CO-RE searches them. */
  *allTypes(): Iterable<Btf> {
    const types = this.types()
    if (types instanceof LoadError) return
    yield types
    for (const { btf } of this.modules()) yield btf
  }

  /** Addresses of the symbols of this name, each once; where the kernel hides them, they are 0. */
  addressesOf(symbol: string): readonly bigint[] {
    this.#symbols ??= this.#text('/proc/kallsyms')
    // Lines of `address type name`, with the module's name behind: searched, as splitting takes ten times as long.
    const found = new Set<bigint>()
    const needle = ` ${symbol}`
    const text = this.#symbols
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + 1)) {
      const behind = text[at + needle.length]
      if (behind !== undefined && behind !== '\n' && behind !== '\t' && behind !== ' ') continue
      const line = text.slice(text.lastIndexOf('\n', at) + 1, at)
      const match = /^([0-9a-f]+) \S$/.exec(line)
      if (match !== null) found.add(BigInt(`0x${match[1]}`))
    }
    return [...found]
  }

  /**
   * `LINUX_VERSION_CODE` form; `undefined` where the kernel does not tell. Debian and Ubuntu say in other places than
   * the release which Linux theirs is.
   */
  version(): number | undefined {
    const ubuntu = /^Ubuntu \S+ (\d+)\.(\d+)\.(\d+)/.exec(this.#text('/proc/version_signature'))
    const version = this.#versionText()
    const debian = /\bDebian (\d+)\.(\d+)\.(\d+)/.exec(version)
    const match = ubuntu ?? debian ?? /^Linux version (\d+)\.(\d+)\.(\d+)/.exec(version)
    if (match === null) return undefined
    const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number]
    return (major << 16) | (minor << 8) | Math.min(patch, 255)
  }

  #versionText(): string {
    this.#version ??= this.#text('/proc/version')
    return this.#version
  }

  /** Whether system calls are called through functions named `__x64_sys_...`, `__arm64_sys_...`. */
  hasSyscallWrapper(): boolean {
    const wrappers = ['__x64_', '__ia32_', '__arm64_', '__riscv_', '__s390x_']
    return wrappers.some((prefix) => this.addressesOf(`${prefix}sys_bpf`).length > 0)
  }

  /** Whether programs can ask for the cookie of their attachment. */
  hasCookies(): boolean {
    const getAttachCookie = 174
    const slots = [
      [0x85, 0, 0, 0, getAttachCookie, 0, 0, 0],
      [0x95, 0, 0, 0, 0, 0, 0, 0],
    ]
    const program = {
      name: '',
      type: BPF_PROG_TYPE.BPF_PROG_TYPE_TRACEPOINT,
      expectedAttachType: 0,
      flags: 0,
      license: 'GPL',
      kernelVersion: 0,
      instructions: Uint8Array.from(slots.flat()),
      btf: undefined,
    }
    const { result } = loadProgram(this.#syscalls, program, undefined)
    if (typeof result === 'number') return false
    result[Symbol.dispose]()
    return true
  }

  /** What the kernel was configured with, by name, as written: `y`, `250`, `"text"`. Empty where it does not tell. */
  configuration(): ReadonlyMap<string, string> {
    this.#configuration ??= parseConfiguration(this.#configurationText())
    return this.#configuration
  }

  #configurationText(): string {
    const release = /^Linux version (\S+)/.exec(this.#versionText())?.[1]
    const boot = release === undefined ? '' : this.#text(`/boot/config-${release}`)
    if (boot !== '') return boot
    const packed = readFile(this.#syscalls, '/proc/config.gz')
    const bytes = typeof packed === 'number' ? undefined : gunzip(packed)
    return bytes === undefined ? '' : new TextDecoder().decode(bytes)
  }

  #text(path: string): string {
    const text = readTextFile(this.#syscalls, path)
    return typeof text === 'string' ? text : ''
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]()
  }
}

/** The settings of a `.config`: lines `CONFIG_X=value`; the first of a name counts, all else is comment. */
export function parseConfiguration(text: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>()
  for (const [, name, value] of text.matchAll(/^(CONFIG_\w+)=(.*?)\s*$/gm)) {
    if (!settings.has(name as string)) settings.set(name as string, value as string)
  }
  return settings
}
