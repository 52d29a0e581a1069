/** What programs allocate and what map values hold, from the program's types. */
import type { Btf, BtfId } from '../btf/index.ts'
import type { ObjectType, SpecialField } from '../helpers/index.ts'
import { type FieldRecord, Records } from '../verifier/index.ts'

/** The type of what bpf_obj_new or bpf_percpu_obj_new is asked for. */
export function objectTypeOf(
  kernelTypes: Btf | undefined,
  { btf, btfId, isPerCpu }: { readonly btf: Btf; readonly btfId: number; readonly isPerCpu: boolean },
): ObjectType {
  const id = btfId as BtfId
  const record = new Records(kernelTypes).ofStruct(btf, btfId)
  return {
    name: btf.nameOf(id),
    sizeBytes: btf.sizeOf(id) ?? 0,
    fields: specialFields(record),
    refcountOffset: record?.refcountOffset ?? -1,
    isPerCpu,
  }
}

export const specialFields = (record: FieldRecord | undefined): readonly SpecialField[] =>
  (record?.fields ?? []).map(({ kind, offset, size, nodeOffset }) => ({
    kind,
    offset,
    size,
    ...(nodeOffset === undefined ? {} : { nodeOffset }),
  }))
