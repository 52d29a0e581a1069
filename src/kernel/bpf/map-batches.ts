/**
 * The batch commands of maps: many elements in one call.
 *
 * `count` says how many there are to be, or how much room; afterwards how many were done. It is set to 0 before the
 * first element, so a caller can tell a call that failed half-way from one that was refused.
 *
 * Source: bpf_map_do_batch() and generic_map_*_batch() of kernel/bpf/syscall.c, __htab_map_lookup_and_delete_batch()
 * of kernel/bpf/hashtab.c of Linux.
 */
import {
  BPF_F_LOCK,
  EFAULT,
  EINVAL,
  ENOTSUPP,
  EPERM,
  mapBatchAttr,
  type StructValue,
} from '../../abi/index.ts'
import { type BatchCommand, batchTokenBytes, HashBase, lookupBatch, mapType } from '../../maps/index.ts'
import type { MapFile } from '../map-object.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { mapFile } from './descriptors.ts'
import { writeElement } from './map-elements.ts'

const COUNT = BigInt(mapBatchAttr.offsets.count)
const LOCK = BigInt(BPF_F_LOCK)

type Attr = StructValue<typeof mapBatchAttr>

/** `perform` does the elements from 0 on and says what became of number `index`: 0, or -errno to end with. */
function inARow(call: BpfCall, attr: Attr, perform: (index: number) => number): number {
  if (attr.count === 0) return 0
  const { memory } = call.process
  const count = call.pointer + COUNT
  if (!writeU32(memory, count, 0)) return -EFAULT
  let done = 0
  let status = 0
  for (; done < attr.count && status === 0; done++) {
    status = perform(done)
    if (status < 0) break
  }
  return writeU32(memory, count, done) ? status : -EFAULT
}

/** The map that a batch command is for, or why it cannot be. */
function prepare(call: BpfCall, attr: Attr, command: BatchCommand): MapFile | number {
  const file = mapFile(call.process, attr.map_fd)
  if (typeof file === 'number') return file
  const reads = command === 'lookup' || command === 'lookupAndDelete'
  if (reads && !file.mayRead) return -EPERM
  if (command !== 'lookup' && !file.mayWriteElements) return -EPERM
  if (mapType(file.object.map.definition.type)?.batches?.includes(command) !== true) return -ENOTSUPP
  // BPF_F_LOCK needs a lock in the value
  if ((attr.elem_flags & ~LOCK) !== 0n) return -EINVAL
  if (attr.elem_flags !== 0n && file.object.map.lockOffset === undefined) return -EINVAL
  return file
}

export function lookup(call: BpfCall): number {
  return collect(call, 'lookup')
}

export function lookupAndDelete(call: BpfCall): number {
  return collect(call, 'lookupAndDelete')
}

export function update(call: BpfCall): number {
  const attr = mapBatchAttr.read(call.attr)
  const file = prepare(call, attr, 'update')
  if (typeof file === 'number') return file
  const { memory } = call.process
  const { map } = file.object
  const { keySize } = map.definition
  return inARow(call, attr, (index) => {
    const key = readBytes(memory, attr.keys + BigInt(index * keySize), keySize)
    const value = readBytes(memory, attr.values + BigInt(index * map.userValueSize), map.userValueSize)
    if (key === undefined || value === undefined) return -EFAULT
    return writeElement(call.core, call.process, file, key, value, attr.elem_flags)
  })
}

export function remove(call: BpfCall): number {
  const attr = mapBatchAttr.read(call.attr)
  const file = prepare(call, attr, 'delete')
  if (typeof file === 'number') return file
  const { map } = file.object
  const { keySize } = map.definition
  return inARow(call, attr, (index) => {
    const key = readBytes(call.process.memory, attr.keys + BigInt(index * keySize), keySize)
    return key === undefined ? -EFAULT : map.remove(key)
  })
}

function collect(call: BpfCall, command: 'lookup' | 'lookupAndDelete'): number {
  const attr = mapBatchAttr.read(call.attr)
  const file = prepare(call, attr, command)
  if (typeof file === 'number') return file
  const { memory } = call.process
  const { map } = file.object
  if (map instanceof HashBase && attr.flags !== 0n) return -EINVAL
  if (attr.count === 0) return 0
  const count = call.pointer + COUNT
  if (!writeU32(memory, count, 0)) return -EFAULT
  const given = attr.in_batch === 0n ? undefined : readBytes(memory, attr.in_batch, batchTokenBytes(map))
  if (attr.in_batch !== 0n && given === undefined) return -EFAULT
  const { status, keys, values, token } = lookupBatch(map, given, attr.count, command === 'lookupAndDelete')
  const { keySize } = map.definition
  for (const [index, key] of keys.entries()) {
    if (!memory.write(attr.keys + BigInt(index * keySize), key)) return -EFAULT
    const value = values[index] as Uint8Array
    if (!memory.write(attr.values + BigInt(index * map.userValueSize), value)) return -EFAULT
  }
  // a caller that already had the end of a hash table is told nothing else
  if (map instanceof HashBase && token === undefined) return status
  const tellsCount = () => writeU32(memory, count, keys.length)
  const tellsToken = () => token === undefined || memory.write(attr.out_batch, token)
  const told = map instanceof HashBase ? tellsToken() && tellsCount() : tellsCount() && tellsToken()
  return told ? status : -EFAULT
}
