import type { Syscalls } from '../abi/index.ts'
import type { PerfEventPlace } from './attach-perf-event.ts'
import type { Place } from './attach-place.ts'
import { Descriptor } from './owner.ts'
import type { AttachTarget } from './spec/index.ts'

/** What keeps a program attached; disposing detaches it. */
export interface Link extends Disposable {
  readonly program: string
  readonly target: AttachTarget | Place | PerfEventPlace
  /** Descriptor of the kernel's link, or of the perf event where the kernel has no links for those. */
  readonly fd: number
}

/** The link whose descriptor a kernel gave: closing it detaches the program. */
export function linkOf(syscalls: Syscalls, link: Omit<Link, typeof Symbol.dispose>): Link {
  const descriptor = new Descriptor(syscalls, link.fd)
  return { ...link, [Symbol.dispose]: () => descriptor[Symbol.dispose]() }
}
