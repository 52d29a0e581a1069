/** What the arguments of one call of a kernel function say. */
import type { IteratorPlace } from '../checks/iterators.ts'
import type { MapSpec } from '../program.ts'
import type { Pointee, RecordField } from '../records/records.ts'

/** What the arguments of one call say. */
export interface KfuncFacts {
  constant: bigint | undefined
  map: MapSpec | undefined
  mapUid: number
  refObjId: number
  /** Register of the reference that the call gives back; 0: none. */
  released: number
  /** Bytes behind the pointer that is returned; 0: its type says. */
  returnSize: number
  returnReadOnly: boolean
  dynptr: { id: number; type: number; refObjId: number } | undefined
  iterator: IteratorPlace | undefined
  subprogram: number
  root: RecordField | undefined
  object: Pointee | undefined
  isOwning: boolean
}

export const newKfuncFacts = (): KfuncFacts => ({
  constant: undefined,
  map: undefined,
  mapUid: 0,
  refObjId: 0,
  released: 0,
  returnSize: 0,
  returnReadOnly: false,
  dynptr: undefined,
  iterator: undefined,
  subprogram: 0,
  root: undefined,
  object: undefined,
  isOwning: false,
})
