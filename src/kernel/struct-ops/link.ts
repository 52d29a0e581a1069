/** BPF_LINK_CREATE with BPF_STRUCT_OPS: what a map with BPF_F_LINK says is registered as long as the link lives. */
import { BPF_LINK_TYPE, EINVAL, ENOLINK, EOPNOTSUPP, EPERM } from '../../abi/index.ts'
import { StructOpsMap } from '../../maps/index.ts'
import { LinkObject } from '../link-object.ts'
import type { MapObject } from '../map-object.ts'
import type { StructOpsInstance } from './instance.ts'

/** The struct that a map holds, where it is ready to be registered by a link. */
export function readyStructOps({ map }: MapObject): StructOpsInstance | undefined {
  return map instanceof StructOpsMap && map.isLinkable ? (map.structOps as StructOpsInstance) : undefined
}

export class StructOpsLink extends LinkObject {
  readonly type = BPF_LINK_TYPE.BPF_LINK_TYPE_STRUCT_OPS
  readonly typeName = 'struct_ops'
  /** Registered already; undefined once the link is detached. */
  #map: MapObject | undefined
  #ops: StructOpsInstance

  constructor(
    id: number,
    program: undefined,
    binding: { readonly map: MapObject; readonly ops: StructOpsInstance },
    onEnd: (object: LinkObject) => void,
  ) {
    super(id, program, onEnd)
    this.#map = binding.map.get()
    this.#ops = binding.ops
  }

  /** 0 once it is detached. */
  get mapId(): number {
    return this.#map?.id ?? 0
  }

  override updateMap(replacement: MapObject, old: MapObject | undefined): number {
    const ops = readyStructOps(replacement)
    if (ops === undefined) return -EINVAL
    const { type } = ops.known
    if (type.update === undefined) return -EOPNOTSUPP
    const map = this.#map
    if (map === undefined) return -ENOLINK
    if (old !== undefined && old !== map) return -EPERM
    if (type !== this.#ops.known.type) return -EINVAL
    const error = type.update(ops, this.#ops)
    if (error !== 0) return error
    this.#map = replacement.get()
    this.#ops = ops
    map.put()
    return 0
  }

  override describe(): string {
    return this.#map === undefined ? '' : `map_id:\t${this.#map.id}\n`
  }

  override detach(): number {
    this.release()
    return 0
  }

  protected release(): void {
    const map = this.#map
    if (map === undefined) return
    this.#map = undefined
    this.#ops.known.type.unregister(this.#ops)
    map.put()
  }
}
