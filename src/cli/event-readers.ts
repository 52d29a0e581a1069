/** Readers for every buffer of a loaded object: ring buffers, perf buffers, as records to print. */
import { BPF_MAP_TYPE } from '../abi/index.ts'
import type { Btf } from '../btf/index.ts'
import {
  type BpfMap,
  type BtfValue,
  btfCodec,
  type Collection,
  decodeWith,
  guessRecordType,
  PerfReader,
  RingBufferReader,
  recordType,
  SyscallError,
} from '../client/index.ts'

/** A buffer that is being read. */
export interface EventReader extends Disposable {
  readonly map: string
  /** Decoded where the type of the records is known and fits, else their bytes. */
  drain(): Iterable<BtfValue>
  /** Records that the reader knows to have been lost. */
  readonly lost: number
}

/** No such struct, or no such buffer, as the caller named them. */
export interface UnknownRecordType {
  readonly message: string
}

/** Opens every buffer; `types` names structs by map (`events=event`), in the place of a guess. */
export function openEventReaders(
  collection: Collection,
  types: ReadonlyMap<string, string>,
): EventReader[] | SyscallError | UnknownRecordType {
  const readers: EventReader[] = []
  const fail = <E>(error: E): E => {
    for (const reader of readers) reader[Symbol.dispose]()
    return error
  }
  for (const map of collection.maps.values()) {
    const isRing = map.spec.type === BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF
    if (!isRing && map.spec.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY) continue
    const decode = decoderOf(collection.spec.btf, map, types.get(map.name))
    if (typeof decode !== 'function') return fail(decode)
    const reader = isRing ? RingBufferReader.open(map, { decode }) : PerfReader.open(map, { decode })
    if (reader instanceof SyscallError) return fail(reader)
    readers.push({
      map: map.name,
      drain: () => reader.drain(),
      get lost() {
        return reader.lost ?? 0
      },
      [Symbol.dispose]: () => reader[Symbol.dispose](),
    })
  }
  return readers
}

function decoderOf(
  btf: Btf | undefined,
  map: BpfMap,
  structName: string | undefined,
): ((record: Uint8Array) => BtfValue) | UnknownRecordType {
  const asBytes = (record: Uint8Array) => record.slice()
  if (btf === undefined) {
    return structName === undefined
      ? asBytes
      : { message: `the object has no BTF, so it has no struct '${structName}'` }
  }
  const type = structName === undefined ? guessRecordType(btf, map.name) : recordType(btf, structName)
  if (type === undefined) {
    return structName === undefined ? asBytes : { message: `the object has no struct '${structName}'` }
  }
  const codec = btfCodec(btf, type.id, { enums: 'name' })
  if (codec === undefined) return asBytes
  return (record) => (record.length < codec.size ? record.slice() : decodeWith(codec, record))
}
