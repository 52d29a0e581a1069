import { BPF_LINK_TYPE } from '../abi/index.ts'
import { LinkObject } from './link-object.ts'
import type { ProgramObject } from './program-object.ts'

/** Where a program is attached, and how that ends. */
export interface TracingBinding {
  /** As the caller named it. */
  readonly attachType: number
  /** The function: its BTF id, and the id of the program that has it, or of the kernel's types. */
  readonly targetId: number
  readonly targetBtfId: number
  readonly cookie: bigint
  release(): void
}

/** A program and the function that it traces or replaces. Like Linux's, it ends with its descriptors only. */
export class TracingLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_TRACING
  readonly typeName = 'tracing'
  readonly binding: TracingBinding

  constructor(
    id: number,
    program: ProgramObject,
    binding: TracingBinding,
    onEnd: (object: LinkObject) => void,
  ) {
    super(id, program, onEnd)
    this.binding = binding
  }

  override describe(): string {
    const { attachType, targetId, targetBtfId, cookie } = this.binding
    const fields = { attach_type: attachType, target_obj_id: targetId, target_btf_id: targetBtfId, cookie }
    return Object.entries(fields)
      .map(([name, value]) => `${name}:\t${value}\n`)
      .join('')
  }

  protected release(): void {
    this.binding.release()
  }
}
