import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesWithFlavour } from './flavours.ts'
import { NameIndex } from './name-index.ts'
import { NameScan } from './name-scan.ts'

test('one pass finds what the index and the search for flavours find', () => {
  const name = fc.stringMatching(/^[a_]{0,7}$/)
  fc.assert(
    fc.property(fc.array(name, { maxLength: 8 }), fc.array(name, { maxLength: 4 }), (texts, wanted) => {
      const bytes = new TextEncoder().encode(`\0${texts.join('\0')}\0`)
      const offsets = Uint32Array.from({ length: bytes.length + 3 }, (_, i) => i)
      const nameAt = (entry: number) =>
        new TextDecoder().decode(bytes.subarray(entry, bytes.indexOf(0, entry)))
      const index = new NameIndex(offsets, bytes)
      const flavoured = entriesWithFlavour(offsets, bytes)
      const scan = new NameScan(offsets, bytes)
      const found = scan.find(wanted)
      for (const one of wanted.filter((text) => text !== '')) {
        const flavours = flavoured.filter((entry) => nameAt(entry).startsWith(`${one}___`))
        const exact = [...index.entriesOf(new TextEncoder().encode(one))]
        const withFlavours = [...exact, ...flavours].sort((a, b) => a - b)
        expect(found.get(one)).toEqual({ exact, withFlavours })
        expect(scan.find([one]).get(one)).toEqual({ exact, withFlavours })
      }
    }),
    { numRuns: 500 },
  )
})
