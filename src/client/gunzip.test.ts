import { existsSync, readFileSync } from 'node:fs'
import { constants, gunzipSync, gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gunzip } from './gunzip.ts'

const plain = (bytes: Uint8Array) => new Uint8Array(bytes)

describe('gunzip undoes gzip', () => {
  test.each([
    ['stored', { level: 0 }],
    ['fixed codes', { strategy: constants.Z_FIXED }],
    ['dynamic codes', { level: 9 }],
    ['literals alone', { strategy: constants.Z_HUFFMAN_ONLY }],
  ])('%s', (_name, options) => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 3000 }),
          fc.string({ maxLength: 3000 }).map((text) => Buffer.from(text.repeat(9))),
        ),
        (bytes) => {
          expect(gunzip(plain(gzipSync(bytes, options)))).toEqual(plain(bytes))
        },
      ),
      { numRuns: 40 },
    )
  })

  test.skipIf(!existsSync('/proc/config.gz'))("this machine's configuration", () => {
    const packed = readFileSync('/proc/config.gz')
    expect(gunzip(plain(packed))).toEqual(plain(gunzipSync(packed)))
  })
})

test('damaged files end, and do not throw', () => {
  const packed = plain(gzipSync(Buffer.from('CONFIG_HZ=250\n'.repeat(200))))
  fc.assert(
    fc.property(fc.nat({ max: packed.length - 1 }), fc.nat({ max: 255 }), fc.boolean(), (at, byte, isCut) => {
      const bytes = isCut ? packed.slice(0, at) : packed.slice()
      if (!isCut) bytes[at] = byte
      const result = gunzip(bytes)
      expect(result === undefined || result instanceof Uint8Array).toBe(true)
    }),
    { numRuns: 500 },
  )
  expect(gunzip(packed.slice(0, packed.length - 20))).toBeUndefined()
  expect(gunzip(new Uint8Array(0))).toBeUndefined()
})
