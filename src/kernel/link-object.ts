import { OpenFile } from './open-file.ts'
import type { PerfEvent } from './perf-event.ts'
import type { ProgramObject } from './program-object.ts'
import { Counted } from './reference.ts'

/** BPF_LINK_CREATE with BPF_PERF_EVENT: a program stays bound to an event as long as the link lives. */
export class LinkObject extends Counted {
  readonly id: number
  readonly program: ProgramObject
  readonly event: PerfEvent
  readonly cookie: bigint
  readonly #onEnd: (object: LinkObject) => void

  /** Takes references of its own; the program is attached already. */
  constructor(
    id: number,
    program: ProgramObject,
    event: PerfEvent,
    cookie: bigint,
    onEnd: (object: LinkObject) => void,
  ) {
    super()
    this.id = id
    this.program = program.get()
    this.event = event.get()
    this.cookie = cookie
    this.#onEnd = onEnd
  }

  protected end(): void {
    this.#onEnd(this)
    this.event.detach()
    this.event.put()
    this.program.put()
  }
}

export class LinkFile extends OpenFile {
  readonly object: LinkObject

  constructor(object: LinkObject) {
    super()
    this.object = object.get()
  }

  override describe(): string {
    return `link_type:\tperf\nlink_id:\t${this.object.id}\nprog_id:\t${this.object.program.id}\n`
  }

  protected end(): void {
    this.object.put()
  }
}
