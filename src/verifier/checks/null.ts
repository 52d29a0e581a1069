/** What a pointer is once it is known not to be null. */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { BASE, baseOf, FLAG } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'

/** A changed copy: the value behind a map of maps, of a socket map, or just the flag taken off. */
export function notNull(p: Proof, register: Register): Register {
  const r = register.copy()
  if (baseOf(r.kind) === BASE.MAP_VALUE && r.map !== undefined) {
    const { inner, type } = r.map
    if (inner !== undefined) {
      r.kind = BASE.CONST_MAP
      r.map = p.innerOf(inner)
      if (p.records.needsMapUid(inner)) r.mapUid = r.id
    } else if (type === BPF_MAP_TYPE.BPF_MAP_TYPE_XSKMAP) r.kind = BASE.XDP_SOCK
    else if (type === BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKMAP || type === BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKHASH) {
      r.kind = BASE.SOCKET
    } else r.kind = BASE.MAP_VALUE
    return r
  }
  r.kind &= ~FLAG.MAYBE_NULL
  return r
}
