import { expect, test } from 'vitest'
import { matchesGlob } from './glob.ts'

test('is what the regular expression of the same meaning says', () => {
  // Every pattern of up to five, and every text of up to five characters over two letters.
  const words = (letters: string, most: number): string[] =>
    most === 0 ? [''] : ['', ...[...letters].flatMap((one) => words(letters, most - 1).map((w) => one + w))]
  let checked = 0
  const texts = [...new Set(words('ab', 5))]
  for (const pattern of new Set(words('ab*?', 5))) {
    const source = [...pattern].map((one) => ({ '*': '.*', '?': '.' })[one] ?? one).join('')
    const expected = new RegExp(`^${source}$`)
    const differing = texts.filter((text) => matchesGlob(pattern, text) !== expected.test(text))
    checked += texts.length
    if (differing.length > 0) expect([pattern, differing]).toEqual([pattern, []])
  }
  expect(checked).toBe(63 * 1365)
})

test('takes time that grows with the lengths, not exponentially', () => {
  expect(matchesGlob(`${'*a'.repeat(200)}b`, 'a'.repeat(2000))).toBe(false)
})
