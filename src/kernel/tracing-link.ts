import { BPF_LINK_TYPE } from '../abi/index.ts'
import type { Kprobe, Kretprobe } from '../probes/index.ts'
import { LinkObject } from './link-object.ts'
import type { ProgramObject } from './program-object.ts'

/** A tracing program and the function it was loaded for. Like Linux's, it ends with its descriptors only. */
export class TracingLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_TRACING
  readonly typeName = 'tracing'
  readonly cookie: bigint
  readonly #probe: Kprobe | Kretprobe

  constructor(
    id: number,
    program: ProgramObject,
    binding: { readonly probe: Kprobe | Kretprobe; readonly cookie: bigint },
    onEnd: (object: LinkObject) => void,
  ) {
    super(id, program, onEnd)
    this.#probe = binding.probe
    this.cookie = binding.cookie
  }

  protected release(): void {
    this.#probe.unregister()
  }
}
