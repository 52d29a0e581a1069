/**
 * Links: what binds a program to a place as long as the link lives.
 *
 * To add a kind of link is a class; what all links share is here.
 */
import { BPF_LINK_TYPE, EINVAL, EOPNOTSUPP } from '../abi/index.ts'
import type { MapObject } from './map-object.ts'
import { OpenFile } from './open-file.ts'
import type { PerfEvent } from './perf-event.ts'
import type { ProgramObject } from './program-object.ts'
import { Counted } from './reference.ts'

export abstract class LinkObject extends Counted {
  readonly id: number
  /** BPF_LINK_TYPE_*. */
  abstract readonly type: number
  /** As /proc/PID/fdinfo says it. */
  abstract readonly typeName: string
  #program: ProgramObject | undefined
  readonly #onEnd: (object: LinkObject) => void

  /** Takes a reference of its own to the program; a link of a map has none. */
  constructor(id: number, program: ProgramObject | undefined, onEnd: (object: LinkObject) => void) {
    super()
    this.id = id
    this.#program = program?.get()
    this.#onEnd = onEnd
  }

  get program(): ProgramObject {
    if (this.#program === undefined) throw new Error(`a ${this.typeName} link has no program`)
    return this.#program
  }

  /** 0 for a link without a program. */
  get programId(): number {
    return this.#program?.id ?? 0
  }

  /** BPF_LINK_UPDATE: 0 or -errno. `old`: only if it is this one that is linked now. */
  update(_replacement: ProgramObject, _old: ProgramObject | undefined): number {
    return -EINVAL
  }

  /** BPF_LINK_UPDATE of a link of a map: 0 or -errno. Absent: it is one of a program. */
  updateMap?(replacement: MapObject, old: MapObject | undefined): number

  /** BPF_LINK_DETACH: 0 or -errno. The link stays, bound to nothing. */
  detach(): number {
    return -EOPNOTSUPP
  }

  protected replaceProgram(replacement: ProgramObject): void {
    const old = this.#program
    this.#program = replacement.get()
    old?.put()
  }

  /** What /proc/PID/fdinfo says of this kind of link alone. */
  describe(): string {
    return ''
  }

  /** Undoes the binding. */
  protected abstract release(): void

  protected end(): void {
    this.#onEnd(this)
    this.release()
    this.#program?.put()
  }
}

/** BPF_LINK_CREATE with BPF_PERF_EVENT: a perf event runs the program. It ends with its descriptors only. */
export class PerfLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_PERF_EVENT
  readonly typeName = 'perf'
  readonly event: PerfEvent
  readonly cookie: bigint

  /** The program is attached already. */
  constructor(
    id: number,
    program: ProgramObject,
    binding: { readonly event: PerfEvent; readonly cookie: bigint },
    onEnd: (object: LinkObject) => void,
  ) {
    super(id, program, onEnd)
    this.event = binding.event.get()
    this.cookie = binding.cookie
  }

  protected release(): void {
    this.event.detach()
    this.event.put()
  }
}

export class LinkFile extends OpenFile {
  readonly object: LinkObject

  constructor(object: LinkObject) {
    super()
    this.object = object.get()
  }

  override describe(): string {
    const { typeName, id, programId } = this.object
    const program = programId === 0 ? '' : `prog_id:\t${programId}\n`
    return `link_type:\t${typeName}\nlink_id:\t${id}\n${program}${this.object.describe()}`
  }

  protected end(): void {
    this.object.put()
  }
}
