import { describe, expect, test } from 'vitest'
import { CommandError, Words } from './words.ts'

const words = (text: string) => new Words(text.split(' ').filter((word) => word !== ''))

describe('bytes', () => {
  test.each([
    ['1 0 0 0', [1, 0, 0, 0]],
    ['hex ff 0A 0x10 7', [255, 10, 16, 7]],
    ['0xff 010 255 0', [255, 8, 255, 0]],
  ])('%s', (text, expected) => {
    const all = words(text)
    expect([...all.bytes('key', 4)]).toEqual(expected)
    all.end()
  })

  test.each([
    ['1 2', 'key: expected 4 bytes, found 2'],
    ['1 2 256 4', "key: expected 4 bytes, found '256' after 2"],
    ['hex 1 2 xy 4', "key: expected 4 bytes, found 'xy' after 2"],
    ['', 'key: expected 4 bytes, found 0'],
  ])('%s is refused', (text, message) => {
    expect(() => words(text).bytes('key', 4)).toThrow(message)
  })
})

test('words are taken front to back, and what is left over is told', () => {
  const all = words('id 0x10 rest')
  expect(all.oneOf(['name', 'id'])).toBe('id')
  expect(all.number('an id')).toBe(16)
  expect(() => all.oneOf(['key'])).toThrow("expected key, found 'rest'")
  expect(() => all.number('an id')).toThrow("an id: expected a number, found 'rest'")
  expect(() => words('rest').end()).toThrow(CommandError)
  expect(() => words('').take('a path')).toThrow('expected a path, found the end of the command')
  expect(() => words('4294967296').number('n')).toThrow(/expected a number/)
})
