import { BPF_F_SLEEPABLE } from '../abi/index.ts'
import type { Program } from '../isa/index.ts'
import type { Grace } from '../memory/index.ts'
import type { AttachTarget, FunctionInfo, ProgramFacts, ProvedFunction } from '../verifier/index.ts'
import type { BtfObject } from './btf-object.ts'
import type { Executable, ProgramHook } from './engine.ts'
import type { MapObject } from './map-object.ts'
import { OpenFile } from './open-file.ts'
import { ProgramStream } from './program-stream.ts'
import type { ProgramTypeRow } from './program-types.ts'
import { Counted } from './reference.ts'
import type { Trampoline } from './trampoline.ts'

/** What BPF_PROG_LOAD has established about a program. */
export interface LoadedProgram {
  readonly type: ProgramTypeRow
  readonly expectedAttachType: number
  /** What it was proved for: a function of the kernel, or of another program. */
  readonly attach: AttachTarget | undefined
  /** The program that it was proved for, where that is what it attaches to. */
  readonly target: ProgramObject | undefined
  /** BPF_F_* of BPF_PROG_LOAD. */
  readonly flags: number
  readonly attachedTo: ProgramFacts['attachedTo']
  /** What others may attach to. */
  readonly functions: readonly ProvedFunction[]
  readonly functionInfo: readonly FunctionInfo[]
  readonly name: string
  /** 8 bytes; made when asked for, as few look at programs. */
  readonly tag: () => Uint8Array
  readonly isGplCompatible: boolean
  /** As user space sees it: descriptors replaced by ids. */
  readonly instructions: () => Program
  readonly executable: Executable
  /** Whether it may look at its context; one that never does need not be given one. */
  readonly usesContext: boolean
  /** How many bytes of an iterator's keys and values it touches. */
  readonly bufferBytes: { readonly readOnly: number; readonly writable: number }
  /** Whether it may have the function that it probes return at once; then only certain functions are for it. */
  readonly overridesReturn: boolean
  /** Kernel functions that were numbered for this program alone. */
  readonly kfuncNumbers: readonly number[]
  readonly maps: readonly MapObject[]
  readonly btf: BtfObject | undefined
  readonly funcInfo: Uint8Array
  readonly lineInfo: Uint8Array
  readonly loadTimeNs: bigint
  readonly uid: number
  /** Instructions that the verifier looked at. */
  readonly verifiedInstructions: number
}

export class ProgramObject extends Counted {
  readonly id: number
  readonly loaded: LoadedProgram
  readonly #maps: MapObject[]
  readonly #grace: Grace
  readonly #onEnd: (object: ProgramObject) => void
  runTimeNs = 0n
  runCount = 0n
  recursionMisses = 0n
  faults = 0
  /** By the BTF ids of its functions: what is, or was, attached to them. */
  readonly trampolines = new Map<number, Trampoline>()
  /** Extensions that replace functions of it now. */
  extensions = 0
  /** How many entries of program arrays are this program. */
  arrayEntries = 0
  /** CPUs on which it runs now at a call of another program's function. */
  readonly running = new Set<number>()
  readonly #hooks = new Set<number>()
  /** Whether anybody looks at the context of a run. */
  usesContext: boolean
  #target: ProgramObject | undefined
  readonly stdout = new ProgramStream()
  readonly stderr = new ProgramStream()

  /** Takes over the references in `loaded`, which go when no run can be under way any more. */
  constructor(id: number, loaded: LoadedProgram, grace: Grace, onEnd: (object: ProgramObject) => void) {
    super()
    this.id = id
    this.loaded = loaded
    this.#grace = grace
    this.#maps = [...loaded.maps]
    this.#target = loaded.target
    this.usesContext = loaded.usesContext
    this.#onEnd = onEnd
  }

  /** The program to attach to that was named when it was loaded, until it has been attached. */
  get target(): ProgramObject | undefined {
    return this.#target
  }

  /** It has been attached: what it was loaded for is not kept any longer. */
  forgetTarget(): void {
    this.#target?.put()
    this.#target = undefined
  }

  /** From the next run on, `hook` stands for the function at a slot; undefined: the function itself does. */
  hook(slot: number, hook: ProgramHook | undefined): void {
    if (hook === undefined) this.#hooks.delete(slot)
    else this.#hooks.add(slot)
    this.usesContext = this.loaded.usesContext || this.#hooks.has(0)
    this.executable.hook(slot, hook)
  }

  get isSleepable(): boolean {
    return (this.loaded.flags & BPF_F_SLEEPABLE) !== 0
  }

  get executable(): Executable {
    return this.loaded.executable
  }

  get maps(): readonly MapObject[] {
    return this.#maps
  }

  /** Keeps `map` alive as long as the program. */
  bindMap(map: MapObject): void {
    if (!this.#maps.includes(map)) this.#maps.push(map.get())
  }

  protected end(): void {
    this.#onEnd(this)
    this.#grace.defer(() => {
      for (const map of this.#maps) map.put()
      this.loaded.btf?.put()
      this.forgetTarget()
    })
  }
}

export class ProgramFile extends OpenFile {
  readonly object: ProgramObject

  constructor(object: ProgramObject) {
    super()
    this.object = object.get()
  }

  override describe(): string {
    const { loaded, id, runTimeNs, runCount, recursionMisses } = this.object
    const tag = [...loaded.tag()].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    return [
      `prog_type:\t${loaded.type.type}`,
      `prog_jited:\t${loaded.executable.image === undefined ? 0 : 1}`,
      `prog_tag:\t${tag}`,
      'memlock:\t4096',
      `prog_id:\t${id}`,
      `run_time_ns:\t${runTimeNs}`,
      `run_cnt:\t${runCount}`,
      `recursion_misses:\t${recursionMisses}`,
      `verified_insns:\t${loaded.verifiedInstructions}`,
      '',
    ].join('\n')
  }

  protected end(): void {
    this.object.put()
  }
}
