/**
 * Types of what programs allocate, and of what map values hold beside plain bytes: the members that have a meaning to
 * the kernel.
 */
export type SpecialFieldKind =
  | 'spin_lock'
  | 'res_spin_lock'
  | 'timer'
  | 'wq'
  | 'task_work'
  | 'refcount'
  | 'kptr_unref'
  | 'kptr_ref'
  | 'kptr_percpu'
  | 'uptr'
  | 'list_head'
  | 'list_node'
  | 'rb_root'
  | 'rb_node'

export interface SpecialField {
  readonly kind: SpecialFieldKind
  readonly offset: number
  /** Bytes. */
  readonly size: number
  /** Lists and trees: where in an element its node lies. */
  readonly nodeOffset?: number
}

export interface ObjectType {
  readonly name: string
  readonly sizeBytes: number
  /** By rising offset. */
  readonly fields: readonly SpecialField[]
  /** -1: objects of the type are not counted. */
  readonly refcountOffset: number
  /** Whether there is one for each CPU. */
  readonly isPerCpu: boolean
}
