/** Puts compiled code in the place of a map's program side, so that any test of maps can be made of both. */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { ModuleBuilder } from '../../wasm/index.ts'
import { HashBase } from '../hash-base.ts'
import type { BpfMap, MapHost } from '../map.ts'
import { HashCode } from '../wasm/hash-code.ts'

const plain: readonly number[] = [BPF_MAP_TYPE.BPF_MAP_TYPE_HASH, BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH]
const lru: readonly number[] = [BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH]

interface Exports {
  readonly lookup: (key: number, cpu: number) => number
  readonly update?: (key: number, value: number, mode: number, cpu: number) => number
  readonly delete?: (key: number) => number
  readonly release?: () => void
}

/** The map itself, with `lookup`, `update` and `delete` compiled where there is code for its type. */
export function compiled(host: MapHost, map: BpfMap): BpfMap {
  const { type } = map.definition
  if (!(map instanceof HashBase) || !(plain.includes(type) || lru.includes(type))) return map
  const builder = new ModuleBuilder('map')
  builder.importMemory('arena', 'memory', { minimum: 1 })
  const isPlain = plain.includes(type)
  const imports = isPlain
    ? {
        grow: builder.importFunction('map', 'grow', [], 'i32'),
        mayRetire: builder.importFunction('map', 'mayRetire', [], 'i32'),
      }
    : undefined
  const code = new HashCode(builder, host.arena, map, imports)
  builder.export('lookup', code.lookup)
  if (isPlain) {
    builder.export('update', code.update)
    builder.export('delete', code.delete)
    builder.export('release', code.release)
  }
  const { elements } = map
  const instance = new WebAssembly.Instance(new WebAssembly.Module(builder.encode()), {
    arena: { memory: host.arena.memory },
    map: { grow: () => elements.takeFreshOrGrow(), mayRetire: () => (elements.mayRetire() ? 1 : 0) },
  })
  const functions = instance.exports as unknown as Exports
  map.lookup = (key, cpu) => functions.lookup(key, cpu) >>> 0
  const update = map.update.bind(map)
  if (functions.update !== undefined) {
    const compiledUpdate = functions.update
    map.update = (key, value, flags, cpu) =>
      flags > 2n ? update(key, value, flags, cpu) : compiledUpdate(key, value, Number(flags), cpu)
  }
  if (functions.delete !== undefined) map.delete = functions.delete
  elements.compiledRelease = functions.release
  return map
}
