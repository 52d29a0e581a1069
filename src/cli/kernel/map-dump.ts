/** `map dump`: all elements of a map, by their types where the kernel has them, else as bytes. */
import { ENOENT, errnoName } from '../../abi/index.ts'
import { SyscallError } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import { JsonWriter } from './json-writer.ts'
import { MapAccess } from './map-access.ts'
import { mapHeader, writeMapHeader } from './map-list.ts'
import { takeObjects } from './objects.ts'
import type { Words } from './words.ts'

export function dumpMaps(context: CommandContext, words: Words): void {
  const maps = takeObjects(context.syscalls, 'map', words).map((object) => new MapAccess(context, object))
  try {
    words.end()
    const hasTypes = maps.every(({ btf }) => btf !== undefined)
    // Elements with types read best as JSON, asked for or not.
    const own = context.json === undefined && hasTypes ? new JsonWriter(true) : undefined
    const json = context.json ?? own
    const isMany = maps.length > 1
    const each = () => {
      for (const [index, map] of maps.entries()) {
        if (json === undefined) dumpPlain(context, map, isMany, index === maps.length - 1)
        else dumpJson(json, map, isMany, own !== undefined)
      }
    }
    if (json !== undefined && isMany) json.array(each)
    else each()
    if (own !== undefined) context.print(own.text)
  } finally {
    for (const map of maps) map[Symbol.dispose]()
  }
}

function dumpJson(json: JsonWriter, map: MapAccess, hasHeader: boolean, isPlain: boolean): void {
  const elements = () => {
    json.array(() => {
      forEachKey(map, (key) => {
        const value = map.handle.lookup(key)
        if (typeof value === 'number') writeMissing(json, map, key, value)
        else if (isPlain) map.writeFormatted(json, key, value.slice(), true)
        else map.write(json, key, value.slice())
      })
    })
  }
  if (!hasHeader) {
    elements()
    return
  }
  json.object(() => {
    writeMapHeader(json, map.info)
    json.name('elements')
    elements()
  })
}

function dumpPlain(context: CommandContext, map: MapAccess, hasHeader: boolean, isLast: boolean): void {
  if (hasHeader) context.print(mapHeader(map.info))
  let count = 0
  forEachKey(map, (key) => {
    const value = map.handle.lookup(key)
    if (typeof value === 'number') return writeMissing(undefined, map, key, value)
    map.write(undefined, key, value.slice())
    count++
  })
  context.print(`Found ${count} element${count === 1 ? '' : 's'}\n${hasHeader && !isLast ? '\n' : ''}`)
}

function writeMissing(json: JsonWriter | undefined, map: MapAccess, key: Uint8Array, error: number): void {
  // An empty slot of a map of descriptors is no element.
  if (error === -ENOENT && (map.isOfMaps || map.isOfPrograms)) return
  const name = errnoName(error)
  map.writeError(json, key, name, error === -ENOENT ? '<no entry>' : name)
}

/** Each key once, until the walk would go round in circles because the map changes under it. */
export function forEachKey(map: MapAccess, use: (key: Uint8Array) => void): void {
  const limit = map.info.max_entries * 4 + 16
  let next = map.handle.nextKey(undefined)
  for (let step = 0; typeof next !== 'number' && step < limit; step++) {
    const key = next
    use(key)
    next = map.handle.nextKey(key)
  }
  if (typeof next === 'number' && next !== -ENOENT) throw new SyscallError('BPF_MAP_GET_NEXT_KEY', next)
}
