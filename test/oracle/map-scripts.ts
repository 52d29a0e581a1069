/**
 * Scripts of map operations, performed by the running kernel and by this project's maps, whose answers must be the same.
 */
import { expect } from 'vitest'
import * as abi from '../../src/abi/index.ts'
import {
  type BpfMap,
  batchTokenBytes,
  createMap,
  KeylessMap,
  lookupBatch,
  type MapDefinition,
  type MapHost,
  mapTypes,
} from '../../src/maps/index.ts'
import { Arena, Grace } from '../../src/memory/index.ts'
import { hex, type LinuxOracle, programBytes } from './linux.ts'

/** What one line of a script does. */
export type Operation =
  | { readonly kind: 'create'; readonly definition: MapDefinition }
  | { readonly kind: 'lookup' | 'take'; readonly key: Uint8Array; readonly flags: number }
  | {
      readonly kind: 'update'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly flags: number
    }
  | { readonly kind: 'delete'; readonly key: Uint8Array }
  | { readonly kind: 'next'; readonly key: Uint8Array | undefined }
  /** Of a map without keys. */
  | { readonly kind: 'contains'; readonly value: Uint8Array }
  | {
      readonly kind: 'lookupBatch' | 'takeBatch'
      readonly token: Uint8Array | undefined
      readonly count: number
      readonly flags: number
    }
  | {
      readonly kind: 'updateBatch'
      readonly elements: readonly (readonly [Uint8Array, Uint8Array])[]
      readonly flags: number
    }
  | { readonly kind: 'deleteBatch'; readonly keys: readonly Uint8Array[]; readonly flags: number }
  /** By a program on CPU 0: keys of 4 or 8, values of 8 bytes. */
  | { readonly kind: 'programLookup' | 'programDelete'; readonly key: Uint8Array }
  | { readonly kind: 'programPop' | 'programPeek'; readonly value: Uint8Array }
  | { readonly kind: 'programPush'; readonly value: Uint8Array; readonly flags: number }
  | {
      readonly kind: 'programUpdate'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly flags: number
    }

/** Programs over the map in slot 0, with keys of `keySize` bytes. */
const keyed = (keySize: 4 | 8) => {
  const placeKey = `
    r2 = *(u${keySize * 8} *)(r1 +0)
    *(u${keySize * 8} *)(r10 -8) = r2`
  const takeKey = `
    r1 = MAP 0
    r2 = r10
    r2 += -8`
  return {
    programLookup: `${placeKey}
    ${takeKey}
    call bpf_map_lookup_elem
    if r0 == 0 goto missing
    r0 = *(u32 *)(r0 +0)
    r0 &= 0x7fffffff
    exit
  missing:
    r0 = -2
    exit`,
    programDelete: `${placeKey}
    ${takeKey}
    call bpf_map_delete_elem
    exit`,
    programUpdate: `${placeKey}
    r3 = *(u64 *)(r1 +8)
    *(u64 *)(r10 -16) = r3
    r4 = *(u64 *)(r1 +16)
    ${takeKey}
    r3 = r10
    r3 += -16
    call bpf_map_update_elem
    exit`,
  }
}

/** What `bpf_map_<what>_elem` finds is written back to the context. */
const keyless = (what: 'pop' | 'peek', writesBack = true) => `
    r6 = r1
    r2 = *(u64 *)(r6 +8)
    *(u64 *)(r10 -8) = r2
    r1 = MAP 0
    r2 = r10
    r2 += -8
    call bpf_map_${what}_elem
    r1 = *(u64 *)(r10 -8)
    ${writesBack ? '*(u64 *)(r6 +8) = r1' : ''}
    exit`
const push = `
    r2 = *(u64 *)(r1 +8)
    *(u64 *)(r10 -8) = r2
    r3 = *(u64 *)(r1 +16)
    r1 = MAP 0
    r2 = r10
    r2 += -8
    call bpf_map_push_elem
    exit`

const SYSCALL = abi.BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL
/** Sleepable programs may use no tries and bloom filters; the others that can be run cannot write their context. */
const RAW_TRACEPOINT = abi.BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT
const load = (slot: number, text: string, sleepable = true) =>
  `load ${slot} ${sleepable ? SYSCALL : RAW_TRACEPOINT} ${sleepable ? 1 : 0} ${hex(programBytes(text))}`
const programNames: readonly string[] = [
  'programLookup',
  'programDelete',
  'programUpdate',
  'programPop',
  'programPeek',
  'programPush',
]
export const loadKeyed = (keySize: 4 | 8) =>
  Object.values(keyed(keySize)).map((text, slot) => load(slot, text, keySize === 4))
export const loadQueue = [load(3, keyless('pop')), load(4, keyless('peek')), load(5, push)]
export const loadBloomFilter = [load(4, keyless('peek', false), false), load(5, push, false)]

function context(operation: Operation): string {
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  if ('key' in operation && operation.key) bytes.set(operation.key)
  if ('value' in operation) bytes.set(operation.value, 8)
  if ('flags' in operation) view.setBigUint64(16, BigInt(operation.flags), true)
  return hex(bytes)
}

/** A map without keys takes none. */
const keyText = (key: Uint8Array) => (key.length === 0 ? '-' : hex(key))

function scriptLine(operation: Operation): string {
  switch (operation.kind) {
    case 'create': {
      const { type, keySize, valueSize, maxEntries, flags, extra = 0n, numaNode = 0 } = operation.definition
      return `create 0 ${type} ${keySize} ${valueSize} ${maxEntries} ${flags} ${extra} ${numaNode}`
    }
    case 'lookup':
    case 'take':
      return `${operation.kind} 0 ${keyText(operation.key)} ${operation.flags}`
    case 'update':
      return `update 0 ${keyText(operation.key)} ${hex(operation.value)} ${operation.flags}`
    case 'delete':
      return `delete 0 ${keyText(operation.key)}`
    case 'next':
      return `next 0 ${operation.key ? keyText(operation.key) : '-'}`
    case 'contains':
      return `contains 0 ${hex(operation.value)}`
    case 'lookupBatch':
    case 'takeBatch': {
      const command = operation.kind === 'takeBatch' ? 'take' : 'lookup'
      const token = operation.token ? keyText(operation.token) : '-'
      return `batch ${command} 0 ${token} ${operation.count} - - ${operation.flags} 0`
    }
    case 'updateBatch': {
      const { elements, flags } = operation
      const joined = (which: 0 | 1) => elements.map((element) => hex(element[which])).join('') || '-'
      return `batch update 0 - ${elements.length} ${joined(0)} ${joined(1)} ${flags} 0`
    }
    case 'deleteBatch': {
      const { keys, flags } = operation
      return `batch delete 0 - ${keys.length} ${keys.map(hex).join('') || '-'} - ${flags} 0`
    }
    default:
      return `run ${programNames.indexOf(operation.kind)} ${context(operation)}`
  }
}

/** Our side of a script, answering as linux-bpf.c prints. */
export class ScriptedMaps {
  readonly arena = new Arena()
  readonly host: MapHost
  readonly #scratch = this.arena.allocate(64) as number
  readonly #value = this.#scratch + 16
  #map: BpfMap | undefined

  constructor(cpuCount: number) {
    this.host = { arena: this.arena, grace: new Grace(), cpuCount, random: () => 1 }
  }

  perform(operation: Operation): string {
    if (operation.kind === 'create') {
      this.#map?.[Symbol.dispose]()
      // descriptor 0, which the oracle leaves in inner_map_fd, is open and no map
      const made = createMap(this.host, { inner: -abi.EINVAL, ...operation.definition })
      this.#map = typeof made === 'number' ? undefined : made
      return typeof made === 'number' ? `${made}` : '0'
    }
    const map = this.#map as BpfMap
    const shown = (result: Uint8Array | number) => (typeof result === 'number' ? `${result}` : hex(result))
    switch (operation.kind) {
      case 'lookup':
        return shown(map.read(operation.key, BigInt(operation.flags)))
      case 'take':
        return shown(map.readAndRemove(operation.key, BigInt(operation.flags)))
      case 'update':
        return shown(map.write(operation.key, operation.value, BigInt(operation.flags)))
      case 'delete':
        return shown(map.remove(operation.key))
      case 'next':
        return shown(map.nextKey(operation.key))
      case 'contains': {
        const found = map.read(new Uint8Array(0), 0n, operation.value)
        return typeof found === 'number' ? `${found}` : '0'
      }
      case 'lookupBatch':
      case 'takeBatch':
        return this.#lookupBatch(map, operation)
      case 'updateBatch':
        return this.#inARow(map, 'update', operation.elements, operation.flags, ([key, value]) =>
          map.write(key, value, 0n),
        )
      case 'deleteBatch':
        return this.#inARow(map, 'delete', operation.keys, operation.flags, (key) => map.remove(key))
      default: {
        const result = this.#byProgram(map, operation) >>> 0
        const shown = { ...operation }
        if ('value' in shown && (shown.kind === 'programPop' || shown.kind === 'programPeek')) {
          return `${result} ${context({ ...shown, value: this.arena.bytes.slice(this.#value, this.#value + 8) })}`
        }
        return `${result} ${context(operation)}`
      }
    }
  }

  #lookupBatch(map: BpfMap, operation: Extract<Operation, { kind: 'lookupBatch' | 'takeBatch' }>): string {
    const { kind, count, flags } = operation
    const tokenBytes = Math.max(4, map.definition.keySize)
    const none = hex(new Uint8Array(tokenBytes))
    const supported = mapTypes.find(({ type }) => type === map.definition.type)?.batches ?? []
    if (!supported.includes(kind === 'takeBatch' ? 'lookupAndDelete' : 'lookup')) {
      return `${-abi.ENOTSUPP} ${count} ${none}`
    }
    if (flags !== 0) return `${-abi.EINVAL} ${count} ${none}`
    if (count === 0) return `0 0 ${none}`
    const given = operation.token?.slice(0, batchTokenBytes(map))
    const { status, keys, values, token } = lookupBatch(map, given, count, kind === 'takeBatch')
    const padded = new Uint8Array(tokenBytes)
    if (token) padded.set(token)
    const collected =
      status < 0 && status !== -abi.ENOENT ? '' : `${keys.map(hex).join('')} ${values.map(hex).join('')}`
    return `${status} ${keys.length} ${hex(padded)} ${collected}`.trimEnd()
  }

  #inARow<Each>(
    map: BpfMap,
    command: 'update' | 'delete',
    items: readonly Each[],
    flags: number,
    perform: (item: Each) => number,
  ): string {
    const supported = mapTypes.find(({ type }) => type === map.definition.type)?.batches ?? []
    if (!supported.includes(command)) return `${-abi.ENOTSUPP} ${items.length}`
    if (flags !== 0) return `${-abi.EINVAL} ${items.length}`
    let done = 0
    let status = 0
    for (const item of items) {
      status = perform(item)
      if (status < 0) break
      done++
    }
    return `${status} ${done}`
  }

  #byProgram(map: BpfMap, operation: Operation): number {
    const { arena } = this
    const key = this.#scratch
    const value = this.#value
    if ('key' in operation && operation.key) arena.bytes.set(operation.key, key)
    if ('value' in operation) arena.bytes.set(operation.value, value)
    this.host.grace.enter()
    try {
      if (map instanceof KeylessMap) {
        if (operation.kind === 'programPop') return map.pop(value)
        if (operation.kind === 'programPeek') return map.peekInto(value)
        if (operation.kind === 'programPush') return map.push(value, BigInt(operation.flags))
      }
      if (operation.kind === 'programDelete') return map.delete(key)
      if (operation.kind === 'programUpdate') return map.update(key, value, BigInt(operation.flags), 0)
      const found = map.lookup(key, 0)
      return found === 0 ? -2 : arena.view.getUint32(found, true) & 0x7fff_ffff
    } finally {
      this.host.grace.leave()
    }
  }
}

/** `before`: lines that load programs once the map is there. */
export function compareScripts(
  linux: LinuxOracle,
  operations: readonly Operation[],
  before: readonly string[] = [],
): void {
  const [first, ...rest] = operations.map(scriptLine)
  const theirs = linux.run([first as string, ...before, ...rest])
  const [created, ...results] = theirs
  const expected = [created as string, ...results.slice(before.length)]
  for (const answer of results.slice(0, before.length)) expect(answer).toMatch(/^0\b/)
  const ours = new ScriptedMaps(linux.cpuCount)
  const shown = (answers: readonly string[]) =>
    operations.map((operation, index) => `${scriptLine(operation)}  ->  ${answers[index]}`)
  expect(shown(operations.map((operation) => ours.perform(operation)))).toEqual(shown(expected))
}
