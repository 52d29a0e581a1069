/** What a loaded object's maps and variables hold, for the end of `anybpf run`. */
import { BPF_MAP_TYPE } from '../abi/index.ts'
import { type BpfMap, type BtfValue, type Collection, SyscallError, typeName } from '../client/index.ts'
import { isZero } from './format-value.ts'

export interface MapReport {
  readonly name: string
  /** `hash`, `percpu_array`. */
  readonly type: string
  readonly entries: readonly (readonly [key: BtfValue, value: BtfValue])[]
  /** Elements of arrays that are left out because they are all zero. */
  readonly zeros: number
  /** False where the map changed too fast to be read through. */
  readonly isComplete: boolean
}

const T = BPF_MAP_TYPE

/** Maps whose elements are data: not the buffers, and not those that hold descriptors. */
const readable: readonly number[] = [
  T.BPF_MAP_TYPE_HASH,
  T.BPF_MAP_TYPE_ARRAY,
  T.BPF_MAP_TYPE_PERCPU_HASH,
  T.BPF_MAP_TYPE_PERCPU_ARRAY,
  T.BPF_MAP_TYPE_LRU_HASH,
  T.BPF_MAP_TYPE_LRU_PERCPU_HASH,
]

/** The object's own maps, in its order; global data is left to `globalsReport`. */
export function mapReports(collection: Collection): MapReport[] {
  const own = [...collection.maps.values()].filter(
    ({ spec }) => (spec.origin === 'btf' || spec.origin === 'legacy') && readable.includes(spec.type),
  )
  return own.map(reportOf)
}

function reportOf(map: BpfMap): MapReport {
  const isArray = map.spec.type === T.BPF_MAP_TYPE_ARRAY || map.spec.type === T.BPF_MAP_TYPE_PERCPU_ARRAY
  const entries: (readonly [BtfValue, BtfValue])[] = []
  let zeros = 0
  let isComplete = true
  try {
    const elements = map.entries()
    for (;;) {
      const step = elements.next()
      if (step.done) {
        isComplete = step.value.isComplete
        break
      }
      if (isArray && isZero(step.value[1])) zeros++
      else entries.push(step.value)
    }
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error
    isComplete = false
  }
  return { name: map.name, type: typeName(map.spec.type), entries, zeros, isComplete }
}

/**
 * Variables that programs can have changed: those of `.data` and `.bss`. What is called `unused` is there for its
 * type only.
 */
export function globalsReport(collection: Collection): readonly (readonly [name: string, value: BtfValue])[] {
  const { globals } = collection
  return globals.names
    .filter((name) => !globals.isConstant(name) && !name.startsWith('unused'))
    .map((name) => [name, globals.get(name)] as const)
}
