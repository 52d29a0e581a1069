import { expect, test } from 'vitest'
import { jhash } from './jhash.ts'

const bytesOf = (text: string) => {
  const bytes = new TextEncoder().encode(`?${text}`)
  return { view: new DataView(bytes.buffer), length: bytes.length - 1 }
}

// The vectors that lookup3.c's driver prints for hashlittle.
test.each([
  ['', 0, 0xdead_beef],
  ['', 0xdead_beef, 0xbd5b_7dde],
  ['Four score and seven years ago', 0, 0x1777_0551],
  ['Four score and seven years ago', 1, 0xcd62_8161],
])('jhash of "%s" with seed %i', (text, seed, hash) => {
  const { view, length } = bytesOf(text)
  expect(jhash(view, 1, length, seed)).toBe(hash)
})

test('every byte of a key counts', () => {
  for (let length = 1; length <= 40; length++) {
    const view = new DataView(new ArrayBuffer(48))
    const seen = new Set([jhash(view, 3, length, 7)])
    for (let at = 0; at < length; at++) {
      view.setUint8(3 + at, 1)
      seen.add(jhash(view, 3, length, 7))
      view.setUint8(3 + at, 0)
    }
    expect([length, seen.size]).toEqual([length, length + 1])
    view.setUint8(3 + length, 9)
    expect(seen.has(jhash(view, 3, length, 7))).toBe(true)
  }
})
