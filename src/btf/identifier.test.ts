import { expect, test } from 'vitest'
import { identifierBytes } from './identifier.ts'

test.each([
  ['name\0', 0, 4],
  ['.data.x9\0', 0, 8],
  ['9x\0', 0, 0],
  ['a b\0', 0, 0],
  ['\0', 0, 0],
  ['x\0name\0', 2, 4],
  ['no end', 0, 0],
  ['x\0', 7, 0],
])('%j from %i', (strings, offset, length) => {
  expect(identifierBytes(new TextEncoder().encode(strings), offset)).toBe(length)
})

test('an end that is not there is no end of a name either', () => {
  expect(identifierBytes(new TextEncoder().encode('name'), 0)).toBe(0)
})
