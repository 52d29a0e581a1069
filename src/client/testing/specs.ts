/** Specs made by hand, for tests that need no object file. */
import type { MapSpec } from '../spec/index.ts'

export const mapSpec = (given: Partial<MapSpec> & Pick<MapSpec, 'name' | 'type'>): MapSpec => ({
  kernelName: given.name,
  origin: 'btf',
  keySize: 4,
  valueSize: 8,
  maxEntries: 16,
  flags: 0,
  mapExtra: 0n,
  numaNode: undefined,
  pinning: 'none',
  keyType: undefined,
  valueType: undefined,
  initialValue: undefined,
  frozen: false,
  inner: undefined,
  values: [],
  ...given,
})
