import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesWithFlavour } from './flavours.ts'

test('names with three underscores are found wherever they begin', () => {
  const strings = fc.array(fc.stringMatching(/^[a_]{0,9}$/), { maxLength: 8 })
  fc.assert(
    fc.property(strings, (texts) => {
      const bytes = new TextEncoder().encode(`\0${texts.join('\0')}\0`)
      const offsets = Uint32Array.from({ length: bytes.length + 3 }, (_, i) => i)
      const nameAt = (offset: number) => {
        const end = bytes.indexOf(0, offset)
        return new TextDecoder().decode(bytes.subarray(offset, end < 0 ? bytes.length : end))
      }
      const expected = [...offsets].filter(
        (offset) => offset < bytes.length && nameAt(offset).includes('___'),
      )
      expect(entriesWithFlavour(offsets, bytes)).toEqual(expected)
    }),
    { numRuns: 500 },
  )
})
