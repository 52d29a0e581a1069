import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

test('the library example of the README runs as it stands', () => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readme) as RegExpExecArray
  // Inside the repository, so that the package finds itself by name.
  const folder = mkdtempSync(join(root, 'coverage-readme-'))
  try {
    writeFileSync(join(folder, 'example.ts'), code as string)
    const output = execFileSync(process.execPath, ['--import', 'tsx', join(folder, 'example.ts')], {
      cwd: root,
      encoding: 'utf8',
    })
    expect(output).toMatch(
      /^write\(2\), for each CPU: \[ \{ count: [1-9]\d*n, errors: \d+n, time_ns: \d+n \} \]$/m,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the commands of the README are those of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect(readme).toContain('npm ci && npm start')
  expect(readme).toContain('npm ci && npm test')
  expect(scripts).toHaveProperty('start')
  expect(scripts).toHaveProperty('test')
})
