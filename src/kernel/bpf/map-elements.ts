/** The element commands of maps. Source: kernel/bpf/syscall.c of Linux. */
import {
  BPF_F_LOCK,
  BPF_MAP_TYPE,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOTSUPP,
  EPERM,
  mapElemAttr,
  mapFreezeAttr,
  mapNextKeyAttr,
} from '../../abi/index.ts'
import { BloomFilter, ReferenceArray, StructOpsMap } from '../../maps/index.ts'
import type { KernelCore } from '../core.ts'
import type { MapFile } from '../map-object.ts'
import type { KernelProcess } from '../process.ts'
import { readBytes } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { mapFile } from './descriptors.ts'

const LOCK = BigInt(BPF_F_LOCK)
const none = new Uint8Array(0)

/** A copy of the key; a map without keys takes no pointer. */
function copyKey(process: KernelProcess, { object }: MapFile, pointer: bigint): Uint8Array | number {
  const { keySize } = object.map.definition
  if (keySize === 0) return pointer === 0n ? new Uint8Array(0) : -EINVAL
  return readBytes(process.memory, pointer, keySize) ?? -EFAULT
}

export function lookup({ process, attr: bytes }: BpfCall): number {
  const attr = mapElemAttr.view(bytes)
  if ((attr.flags & ~LOCK) !== 0n) return -EINVAL
  const file = mapFile(process, attr.map_fd)
  if (typeof file === 'number') return file
  if (!file.mayRead) return -EPERM
  if (attr.flags !== 0n && file.object.map.lockOffset === undefined) return -EINVAL
  const key = copyKey(process, file, attr.key)
  if (typeof key === 'number') return key
  const { map } = file.object
  // only a bloom filter is asked for a value
  const given = map instanceof BloomFilter ? readBytes(process.memory, attr.value, map.userValueSize) : none
  if (given === undefined) return -EFAULT
  const value = map.read(key, attr.flags, given)
  if (typeof value === 'number') return value
  return process.memory.write(attr.value, value) ? 0 : -EFAULT
}

export function update({ core, process, attr: bytes }: BpfCall): number {
  const attr = mapElemAttr.view(bytes)
  const file = mapFile(process, attr.map_fd)
  if (typeof file === 'number') return file
  if (!file.mayWriteElements) return -EPERM
  const key = copyKey(process, file, attr.key)
  if (typeof key === 'number') return key
  const { map } = file.object
  const value = readBytes(process.memory, attr.value, map.userValueSize)
  if (value === undefined) return -EFAULT
  return writeElement(core, process, file, key, value, attr.flags)
}

/** 0 or -errno. What a descriptor in the value names is the process's. */
export function writeElement(
  core: KernelCore,
  process: KernelProcess,
  file: MapFile,
  key: Uint8Array,
  value: Uint8Array,
  flags: bigint,
): number {
  const { map } = file.object
  core.updating = { process, file }
  const result = map.write(key, value, flags)
  core.updating = undefined
  const isEvents = map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY
  if (result === 0 && isEvents && map instanceof ReferenceArray) {
    const index = new DataView(key.buffer).getUint32(0, true)
    const entry = map.entryAt(index)
    if (entry !== undefined) file.enteredEvents.set(index, entry)
  }
  return result
}

export function remove({ process, attr: bytes }: BpfCall): number {
  const attr = mapElemAttr.view(bytes)
  const file = mapFile(process, attr.map_fd)
  if (typeof file === 'number') return file
  if (!file.mayWriteElements) return -EPERM
  const key = copyKey(process, file, attr.key)
  return typeof key === 'number' ? key : file.object.map.remove(key)
}

export function nextKey({ process, attr: bytes }: BpfCall): number {
  const attr = mapNextKeyAttr.view(bytes)
  const file = mapFile(process, attr.map_fd)
  if (typeof file === 'number') return file
  if (!file.mayRead) return -EPERM
  const key = attr.key === 0n ? undefined : copyKey(process, file, attr.key)
  if (typeof key === 'number') return key
  const next = file.object.map.nextKey(key)
  if (typeof next === 'number') return next
  return process.memory.write(attr.next_key, next) ? 0 : -EFAULT
}

export function lookupAndDelete({ process, attr: bytes }: BpfCall): number {
  const attr = mapElemAttr.view(bytes)
  if ((attr.flags & ~LOCK) !== 0n) return -EINVAL
  const file = mapFile(process, attr.map_fd)
  if (typeof file === 'number') return file
  if (!file.mayRead || !file.mayWriteElements) return -EPERM
  if (attr.flags !== 0n && file.object.map.lockOffset === undefined) return -EINVAL
  const key = copyKey(process, file, attr.key)
  if (typeof key === 'number') return key
  const value = file.object.map.readAndRemove(key, attr.flags)
  if (typeof value === 'number') return value
  return process.memory.write(attr.value, value) ? 0 : -EFAULT
}

export function freeze({ process, attr: bytes }: BpfCall): number {
  const file = mapFile(process, mapFreezeAttr.view(bytes).map_fd)
  if (typeof file === 'number') return file
  const { object } = file
  if (object.map instanceof StructOpsMap) return -ENOTSUPP
  if (!file.mayWriteElements) return -EPERM
  if (object.writableMappings > 0) return -EBUSY
  object.frozen = true
  return 0
}
