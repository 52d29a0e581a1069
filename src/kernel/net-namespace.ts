/**
 * The network namespace: where flow dissectors and socket look-ups are attached.
 *
 * There is one, with no traffic but that of test runs; what is attached is kept, listed, replaced and detached as on
 * Linux.
 *
 * Source: kernel/bpf/net_namespace.c, flow_dissector_bpf_prog_attach_check() of net/core/flow_dissector.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_LINK_TYPE,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOLINK,
  EPERM,
} from '../abi/index.ts'
import { LinkObject } from './link-object.ts'
import { OpenFile } from './open-file.ts'
import type { ProgramObject } from './program-object.ts'

/** Links that a place takes. */
const MOST_LINKS: ReadonlyMap<number, number> = new Map<number, number>([
  [BPF_ATTACH_TYPE.BPF_FLOW_DISSECTOR, 1],
  [BPF_ATTACH_TYPE.BPF_SK_LOOKUP, 64],
])

interface Place {
  /** By BPF_PROG_ATTACH. */
  program: ProgramObject | undefined
  /** In the order in which they run. */
  readonly links: Set<NetNamespaceLink>
}

export class NetNamespace {
  /** What the file system calls it. */
  readonly inode = 0xf000_0000
  readonly #places = new Map<number, Place>()

  constructor() {
    for (const attachType of MOST_LINKS.keys()) {
      this.#places.set(attachType, { program: undefined, links: new Set() })
    }
  }

  attach(attachType: number, program: ProgramObject): number {
    const place = this.#place(attachType)
    if (place.links.size > 0) return -EEXIST
    if (attachType !== BPF_ATTACH_TYPE.BPF_FLOW_DISSECTOR) return -EINVAL
    if (place.program === program) return -EINVAL
    place.program?.put()
    place.program = program.get()
    return 0
  }

  detach(attachType: number, program: ProgramObject): number {
    const place = this.#place(attachType)
    if (place.links.size > 0) return -EINVAL
    if (place.program !== program) return -ENOENT
    place.program = undefined
    program.put()
    return 0
  }

  /** Whether one more link may be made: 0 or -errno. */
  admitsLink(attachType: number): number {
    const place = this.#place(attachType)
    if (place.links.size >= (MOST_LINKS.get(attachType) as number)) return -E2BIG
    return place.program === undefined ? 0 : -EEXIST
  }

  addLink(link: NetNamespaceLink): void {
    this.#place(link.attachType).links.add(link)
  }

  removeLink(link: NetNamespaceLink): void {
    this.#place(link.attachType).links.delete(link)
  }

  /** In the order in which they run. */
  programs(attachType: number): readonly ProgramObject[] {
    const { program, links } = this.#place(attachType)
    return program === undefined ? [...links].map((link) => link.program) : [program]
  }

  /** Lets go of what BPF_PROG_ATTACH attached. */
  clear(): void {
    for (const place of this.#places.values()) {
      place.program?.put()
      place.program = undefined
    }
  }

  #place(attachType: number): Place {
    return this.#places.get(attachType) as Place
  }
}

/** /proc/self/ns/net, which links and queries name by its descriptor. */
export class NetNamespaceFile extends OpenFile {
  readonly namespace: NetNamespace

  constructor(namespace: NetNamespace) {
    super()
    this.namespace = namespace
  }

  protected end(): void {}
}

export class NetNamespaceLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_NETNS
  readonly typeName = 'netns'
  readonly attachType: number
  #namespace: NetNamespace | undefined

  constructor(
    id: number,
    program: ProgramObject,
    binding: { readonly namespace: NetNamespace; readonly attachType: number },
    onEnd: (object: LinkObject) => void,
  ) {
    super(id, program, onEnd)
    this.attachType = binding.attachType
    this.#namespace = binding.namespace
    binding.namespace.addLink(this)
  }

  /** 0 once it is detached. */
  get namespaceInode(): number {
    return this.#namespace?.inode ?? 0
  }

  override update(replacement: ProgramObject, old: ProgramObject | undefined): number {
    if (old !== undefined && old !== this.program) return -EPERM
    if (replacement.loaded.type !== this.program.loaded.type) return -EINVAL
    if (this.#namespace === undefined) return -ENOLINK
    this.replaceProgram(replacement)
    return 0
  }

  override detach(): number {
    this.release()
    return 0
  }

  protected release(): void {
    this.#namespace?.removeLink(this)
    this.#namespace = undefined
  }
}
