import { BPF_LINK_TYPE } from '../abi/index.ts'
import type { Kprobe, Kretprobe } from '../probes/index.ts'
import { LinkObject } from './link-object.ts'
import type { ProgramObject } from './program-object.ts'

/** One of the functions that a program is attached to. */
export interface ProbedFunction {
  readonly address: bigint
  readonly cookie: bigint
  readonly probe: Kprobe | Kretprobe
}

/** One program and many functions: BPF_TRACE_KPROBE_MULTI. */
export class KprobeMultiLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_KPROBE_MULTI
  readonly typeName = 'kprobe_multi'
  readonly functions: readonly ProbedFunction[]
  /** BPF_F_KPROBE_MULTI_RETURN. */
  readonly flags: number

  constructor(
    id: number,
    program: ProgramObject,
    binding: { readonly functions: readonly ProbedFunction[]; readonly flags: number },
    onEnd: (object: LinkObject) => void,
  ) {
    super(id, program, onEnd)
    this.functions = binding.functions
    this.flags = binding.flags
  }

  get missed(): number {
    return this.functions.reduce((sum, { probe }) => sum + probe.missed, 0)
  }

  protected release(): void {
    for (const { probe } of this.functions) probe.unregister()
  }
}
