/** `map create PATH type hash key 4 value 8 entries 16 name counts`: an empty map, pinned so that it stays. */
import { createMap, kernelName, SyscallError } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import { type OpenObject, takeObject } from './objects.ts'
import { pinTo } from './pin.ts'
import { mapTypesByWord } from './type-words.ts'
import { usageError, type Words } from './words.ts'

export function createPinnedMap(context: CommandContext, words: Words): void {
  const { syscalls } = context
  const path = words.take('the path to pin to')
  const attr = { map_type: 0, key_size: 0, value_size: 0, max_entries: 0, map_flags: 0, map_name: '' }
  let inner: OpenObject | undefined
  try {
    while (!words.isAtEnd) {
      switch (words.oneOf(['type', 'key', 'value', 'entries', 'name', 'flags', 'inner_map'])) {
        case 'type':
          attr.map_type = takeType(words)
          break
        case 'key':
          attr.key_size = words.number('key size')
          break
        case 'value':
          attr.value_size = words.number('value size')
          break
        case 'entries':
          attr.max_entries = words.number('max entries')
          break
        case 'name':
          attr.map_name = kernelName(words.take('a name'))
          break
        case 'flags':
          attr.map_flags = words.number('flags')
          break
        case 'inner_map':
          inner = takeObject(syscalls, 'map', words)
          break
      }
    }
    if (attr.map_type === 0) throw usageError('the type of the map is missing', 'such as: type hash')
    if (attr.map_name === '') throw usageError('the name of the map is missing', 'such as: name counts')
    const created = createMap(syscalls, {
      ...attr,
      ...(inner === undefined ? {} : { inner_map_fd: inner.fd }),
    })
    if (typeof created === 'number') throw new SyscallError('BPF_MAP_CREATE', created)
    using map = created
    pinTo(context, map.fd, path)
  } finally {
    inner?.[Symbol.dispose]()
  }
  context.done()
}

function takeType(words: Words): number {
  const word = words.take('a type')
  const type = mapTypesByWord.get(word)
  if (type !== undefined) return type
  throw usageError(`there is no map type '${word}'`, `there are ${[...mapTypesByWord.keys()].join(', ')}`)
}
