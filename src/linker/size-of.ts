/** Sizes of types that are being changed. */
import { BTF_KIND, type TypeTable } from '../btf/index.ts'
import { skipModifiers } from './match-types.ts'

const MAX_STEPS = 64
const POINTER_BYTES = 8

/** Bytes that a value takes; `undefined` for what has none, cycles, and arrays whose size does not fit 32 bits. */
export function sizeOf(types: TypeTable, id: number): number | undefined {
  let count = 1
  for (let step = 0; step < MAX_STEPS; step++) {
    id = skipModifiers(types, id)
    switch (types.kind(id)) {
      case BTF_KIND.INT:
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FLOAT:
        return fitting(count * types.word(id, 2))
      case BTF_KIND.PTR:
        return fitting(count * POINTER_BYTES)
      case BTF_KIND.ARRAY:
        count *= types.word(id, 5)
        id = types.word(id, 3)
        break
      default:
        return undefined
    }
  }
  return undefined
}

const fitting = (size: number): number | undefined => (size <= 0xffff_ffff ? size : undefined)
