/** BPF_MAP_CREATE beside the running kernel's: the same definitions are refused, for the same reason. */
import fc from 'fast-check'
import { afterAll, describe, test } from 'vitest'
import * as abi from '../src/abi/index.ts'
import { type MapDefinition, mapTypes } from '../src/maps/index.ts'
import { openLinux } from './oracle/linux.ts'
import { compareScripts } from './oracle/map-scripts.ts'

const T = abi.BPF_MAP_TYPE
const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

describe.skipIf(why !== '')(`the same definitions on the running kernel${why}`, () => {
  test('BPF_MAP_CREATE refuses the same definitions', () => {
    const sizes = fc.constantFrom(0, 1, 2, 4, 5, 7, 8, 16, 64, 260, 261, 512, 513, 1016, 1024, 4064, 4096)
    const valueSizes = fc.oneof(
      sizes,
      fc.constantFrom(32760, 32761, 32768, 32769, 65_407, 65_408, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
      fc.constantFrom(
        ...[-284, -283, -624, -623, -64, -60, -53, -52, -49, -48, -47, 0, 1].map(
          (difference) => 2 ** 22 + difference,
        ),
      ),
    )
    const flagBits = Array.from({ length: 19 }, (_, bit) => 1 << bit).filter(
      (bit) => bit !== abi.BPF_F_TOKEN_FD,
    )
    const definition = fc.record({
      name: fc.constant('m'),
      type: fc.constantFrom(...mapTypes.map((row) => row.type)),
      keySize: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 4, 8) }, sizes),
      valueSize: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(0, 4) }, valueSizes),
      maxEntries: fc.constantFrom(0, 0, 1, 2, 3, 4096, 5000, 8192),
      flags: fc.oneof(
        fc.constant(0),
        fc.constantFrom(...flagBits),
        fc.subarray(flagBits, { maxLength: 3 }).map((bits) => bits.reduce((all, bit) => all | bit, 0)),
      ),
      extra: fc.constantFrom(0n, 0n, 0n, 0n, 1n, 15n, 16n),
      numaNode: fc.constantFrom(0, 0, 1, 0xffff_ffff),
    })
    // the oracle asks nothing of the kernel that would take more than 64 MiB
    // and how many CPUs a kernel may have at most is its builder's choice
    const isAffordable = ({ type, keySize, valueSize, maxEntries }: MapDefinition) =>
      !(type === T.BPF_MAP_TYPE_CPUMAP && maxEntries > 64) &&
      maxEntries * (keySize + (valueSize + 8) * oracle().cpuCount + 128) <= 1 << 26
    fc.assert(
      fc.property(
        fc.array(definition.filter(isAffordable), { minLength: 60, maxLength: 90 }),
        (definitions) =>
          compareScripts(
            oracle(),
            definitions.map((each) => ({ kind: 'create', definition: each })),
          ),
      ),
      { numRuns: 40 },
    )
  })
})
