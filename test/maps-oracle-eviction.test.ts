/** LRU maps beside the running kernel's: the same elements are evicted. */
import { afterAll, describe, test } from 'vitest'
import * as abi from '../src/abi/index.ts'
import { openLinux } from './oracle/linux.ts'
import { compareScripts, loadKeyed, type Operation } from './oracle/map-scripts.ts'
import { keyOf, type Shape } from './oracle/map-shapes.ts'

const T = abi.BPF_MAP_TYPE
const Z = abi.BPF_F_ZERO_SEED
const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

describe.skipIf(why !== '')(`evictions of the running kernel${why}`, () => {
  test('a large LRU map evicts in batches as Linux does', () => {
    const shape: Shape = {
      name: 'lru',
      type: T.BPF_MAP_TYPE_LRU_HASH,
      keySize: 4,
      valueSize: 8,
      maxEntries: 600,
      flags: Z,
    }
    const key = (index: number) => Uint8Array.of(index & 0xff, index >> 8, 0, 0)
    const script: Operation[] = [{ kind: 'create', definition: shape }]
    for (let index = 0; index < 2400; index++) {
      script.push({ kind: 'programUpdate', key: key(index), value: keyOf(8, index), flags: 0 })
      if (index % 3 === 0) script.push({ kind: 'programLookup', key: key((index * 7) % (index + 1)) })
      if (index % 11 === 0) script.push({ kind: 'delete', key: key((index * 5) % (index + 1)) })
    }
    for (let index = 0; index < 2400; index++) script.push({ kind: 'lookup', key: key(index), flags: 0 })
    compareScripts(oracle(), script, loadKeyed(4))
  })
})
