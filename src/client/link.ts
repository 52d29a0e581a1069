import type { AttachTarget } from './spec/index.ts'

/** What keeps a program attached; disposing detaches it. */
export interface Link extends Disposable {
  readonly program: string
  readonly target: AttachTarget
  /** Descriptor of the kernel's link, or of the perf event where the kernel has no links for those. */
  readonly fd: number
}
