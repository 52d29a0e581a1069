import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { helperBodies, helperPrototypes } from '../src/helpers/index.ts'

const root = join(import.meta.dirname, '..')
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
].filter((page) => page.endsWith('.md'))

/** What a page names as a file of this repository: `src/x/y.ts`, `docs/z.md`, `bpf/`, or a relative link. */
function filesNamedBy(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8')
  const folders = 'src|test|bench|docs|scripts|bpf|guest|bin|examples'
  // In backquotes whatever begins like a path; elsewhere only what also ends like the name of a file.
  const inCode = [
    ...text.matchAll(new RegExp(`\`((?:${folders})/[\\w./-]*)\``, 'g')),
    ...text.matchAll(
      new RegExp(`(?<![\\w/.])((?:${folders})/[\\w./-]*\\.(?:ts|c|h|S|o|md|sh|elf|img))\\b`, 'g'),
    ),
  ]
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map((link) =>
    join(page, '..', link[1] as string),
  )
  return [...inCode.map((match) => match[1] as string), ...links]
}

describe('documents name what exists', () => {
  test.each(pages)('%s', (page) => {
    const missing = filesNamedBy(page).filter((file) => !existsSync(join(root, file)))
    expect(missing).toEqual([])
  })
})

test('npm scripts that documents name exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8')
    for (const [, script] of text.matchAll(/npm run ([\w:-]+)/g))
      expect(scripts, page).toHaveProperty([script as string])
  }
})

test('the table of helpers without a body has all of them and no other', () => {
  const rows = readFileSync(join(root, 'docs/maps.md'), 'utf8').split(
    '| what there would have to be | helpers |',
  )
  const table = (rows[1] ?? '').split('\n\n')[0] as string
  const named = [...table.matchAll(/`(bpf_\w+)`/g)].map((match) => match[1] as string)
  const without = helperPrototypes.filter(({ id }) => !helperBodies.has(id)).map(({ name }) => name)
  expect(named.sort()).toEqual([...new Set(without)].sort())
})
