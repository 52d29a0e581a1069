/** The contract and the model of the maps, with their program side compiled. */
import { expect, test, vi } from 'vitest'
import type { MapDefinition, MapHost } from '../map.ts'

const made = vi.hoisted(() => ({ count: 0 }))

vi.mock('../create.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../create.ts')>()
  const { compiled } = await import('../testing/compiled-map.ts')
  return {
    ...original,
    createMap(host: MapHost, definition: MapDefinition) {
      const map = original.createMap(host, definition)
      made.count++
      return typeof map === 'number' ? map : compiled(host, map)
    },
  }
})

await import('../contract.test.ts')
await import('../model.test.ts')

test('the maps of these tests were compiled', () => {
  expect(made.count).toBeGreaterThan(100)
})
