import { BPF_LINK_TYPE, EINVAL, EPERM } from '../../abi/index.ts'
import type { KernelCore } from '../core.ts'
import { LinkObject } from '../link-object.ts'
import type { ProgramObject } from '../program-object.ts'
import { IteratorFile } from './file.ts'
import type { IteratorTarget } from './targets.ts'
import type { IteratorScope } from './walk.ts'

interface Binding {
  readonly core: KernelCore
  readonly target: IteratorTarget
  readonly scope: IteratorScope
}

/** A program and what it walks. Source: bpf_iter_link_lops of kernel/bpf/bpf_iter.c of Linux. */
export class IteratorLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_ITER
  readonly typeName = 'iter'
  readonly target: IteratorTarget
  readonly scope: IteratorScope
  readonly #core: KernelCore

  constructor(id: number, program: ProgramObject, binding: Binding, onEnd: (object: LinkObject) => void) {
    super(id, program, onEnd)
    this.#core = binding.core
    this.target = binding.target
    this.scope = binding.scope
    this.scope.map?.takeUserReference()
  }

  /** A walk from the beginning, or -errno. */
  open(): IteratorFile | number {
    const { program, target, scope } = this
    return IteratorFile.open({ core: this.#core, program, target, scope })
  }

  override update(replacement: ProgramObject, old: ProgramObject | undefined): number {
    if (old !== undefined && this.program !== old) return -EPERM
    const [now, then] = [this.program.loaded, replacement.loaded]
    const isAlike =
      now.type === then.type &&
      now.expectedAttachType === then.expectedAttachType &&
      now.attach?.btfId === then.attach?.btfId
    if (!isAlike) return -EINVAL
    this.replaceProgram(replacement)
    return 0
  }

  override describe(): string {
    const { map, tid = 0, pid = 0 } = this.scope
    const what =
      map !== undefined ? `map_id:\t${map.id}\n` : this.target.name === 'task' ? taskWords(tid, pid) : ''
    return `target_name:\t${this.target.name}\n${what}`
  }

  protected release(): void {
    this.scope.map?.putUserReference()
  }
}

function taskWords(tid: number, pid: number): string {
  if (tid !== 0) return `task_type:\tTID\ntid:\t${tid}\n`
  return pid !== 0 ? `task_type:\tPID\npid:\t${pid}\n` : 'task_type:\tALL\n'
}
