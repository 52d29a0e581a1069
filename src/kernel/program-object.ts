import type { Program } from '../isa/index.ts'
import type { Grace } from '../memory/index.ts'
import type { AttachTarget } from '../verifier/index.ts'
import type { BtfObject } from './btf-object.ts'
import type { Executable } from './engine.ts'
import type { MapObject } from './map-object.ts'
import { OpenFile } from './open-file.ts'
import { ProgramStream } from './program-stream.ts'
import type { ProgramTypeRow } from './program-types.ts'
import { Counted } from './reference.ts'

/** What BPF_PROG_LOAD has established about a program. */
export interface LoadedProgram {
  readonly type: ProgramTypeRow
  readonly expectedAttachType: number
  /** What it was proved for: a function of the kernel, or of another program. */
  readonly attach: AttachTarget | undefined
  readonly name: string
  /** 8 bytes. */
  readonly tag: Uint8Array
  readonly isGplCompatible: boolean
  /** As user space sees it: descriptors replaced by ids. */
  readonly instructions: Program
  readonly executable: Executable
  /** Whether it may look at its context; one that never does need not be given one. */
  readonly usesContext: boolean
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
  readonly stdout = new ProgramStream()
  readonly stderr = new ProgramStream()

  /** Takes over the references in `loaded`, which go when no run can be under way any more. */
  constructor(id: number, loaded: LoadedProgram, grace: Grace, onEnd: (object: ProgramObject) => void) {
    super()
    this.id = id
    this.loaded = loaded
    this.#grace = grace
    this.#maps = [...loaded.maps]
    this.#onEnd = onEnd
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
    const tag = [...loaded.tag].map((byte) => byte.toString(16).padStart(2, '0')).join('')
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
