/** `map lookup`, `update`, `delete`, `getnext`: single elements, as bytes. */
import {
  BPF_ANY,
  BPF_CMD,
  BPF_EXIST,
  BPF_NOEXIST,
  ENOENT,
  mapFreezeAttr,
  type Syscalls,
} from '../../abi/index.ts'
import { isPerCpu, SyscallError } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import { MapAccess } from './map-access.ts'
import { hexBytes, takeObject } from './objects.ts'
import { CommandError, type Words } from './words.ts'

const openMap = (context: CommandContext, words: Words): MapAccess =>
  new MapAccess(context, takeObject(context.syscalls, 'map', words))

function takeKey(map: MapAccess, words: Words): Uint8Array {
  if (map.info.key_size === 0) return new Uint8Array()
  words.oneOf(['key'])
  return words.bytes('key', map.info.key_size)
}

export function lookupElement(context: CommandContext, words: Words): void {
  using map = openMap(context, words)
  const key = takeKey(map, words)
  words.end()
  const value = map.handle.lookup(key)
  if (typeof value !== 'number') {
    map.write(context.json, key, value.slice())
    return
  }
  if (value !== -ENOENT) throw new SyscallError('BPF_MAP_LOOKUP_ELEM', value)
  if (context.json === undefined) context.print(`key:\n${hexBytes(key)}\n\nNot found\n`)
  else context.json.null()
  throw new CommandError(`the map has no such key: ${hexBytes(key)}`)
}

export function updateElement(context: CommandContext, words: Words): void {
  using map = openMap(context, words)
  const key = takeKey(map, words)
  words.oneOf(['value'])
  const value = takeValue(context.syscalls, map, words)
  const flags = { any: BPF_ANY, noexist: BPF_NOEXIST, exist: BPF_EXIST }
  const flag = words.isAtEnd ? BPF_ANY : flags[words.oneOf(['any', 'noexist', 'exist'])]
  words.end()
  try {
    const result = map.handle.update(key, value.bytes, flag)
    if (result < 0) throw new SyscallError('BPF_MAP_UPDATE_ELEM', result)
  } finally {
    value.object?.[Symbol.dispose]()
  }
  context.done()
}

/** The bytes of a value: its own, one of them for all CPUs, or the descriptor of a map or program. */
function takeValue(
  syscalls: Syscalls,
  map: MapAccess,
  words: Words,
): { readonly bytes: Uint8Array; readonly object?: Disposable } {
  if (map.isOfMaps || map.isOfPrograms) {
    const object = takeObject(syscalls, map.isOfMaps ? 'map' : 'prog', words)
    const bytes = new Uint8Array(map.handle.valueBytes)
    new DataView(bytes.buffer).setInt32(0, object.fd, true)
    return { bytes, object }
  }
  const one = words.bytes('value', map.info.value_size)
  if (!isPerCpu(map.info.type)) return { bytes: one }
  const bytes = new Uint8Array(map.handle.valueBytes)
  for (let cpu = 0; cpu < map.cpuCount; cpu++) bytes.set(one, cpu * (bytes.length / map.cpuCount))
  return { bytes }
}

export function deleteElement(context: CommandContext, words: Words): void {
  using map = openMap(context, words)
  const key = takeKey(map, words)
  words.end()
  const result = map.handle.remove(key)
  if (result === -ENOENT) throw new CommandError(`the map has no such key: ${hexBytes(key)}`)
  if (result < 0) throw new SyscallError('BPF_MAP_DELETE_ELEM', result)
  context.done()
}

export function nextKey(context: CommandContext, words: Words): void {
  using map = openMap(context, words)
  const key = words.isAtEnd ? undefined : takeKey(map, words)
  words.end()
  const next = map.handle.nextKey(key)
  if (next === -ENOENT)
    throw new CommandError(key === undefined ? 'the map is empty' : 'this is the last key')
  if (typeof next === 'number') throw new SyscallError('BPF_MAP_GET_NEXT_KEY', next)
  const { json } = context
  if (json === undefined) {
    const first = key === undefined ? 'key: None\n' : `key:\n${hexBytes(key)}\n`
    context.print(`${first}next key:\n${hexBytes(next)}\n`)
    return
  }
  json.object(() => {
    json.name('key')
    if (key === undefined) json.null()
    else json.hexBytes(key)
    json.name('next_key').hexBytes(next)
  })
}

export function freezeMap(context: CommandContext, words: Words): void {
  using map = openMap(context, words)
  words.end()
  const { memory } = context.syscalls
  const pointer = memory.allocate(mapFreezeAttr.size)
  memory.view(pointer, mapFreezeAttr.size).set(mapFreezeAttr.encode({ map_fd: map.handle.fd }))
  const result = context.syscalls.bpf(BPF_CMD.BPF_MAP_FREEZE, pointer, mapFreezeAttr.size)
  memory.free(pointer)
  if (result < 0) throw new SyscallError('BPF_MAP_FREEZE', result)
  context.done()
}
