/** The examples run as a user would run them: against the built package. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const isBuilt = existsSync(join(root, 'dist/client/index.js'))

const run = (name: string): string =>
  execFileSync(process.execPath, ['--import', 'tsx', join(root, 'examples', name)], {
    encoding: 'utf8',
    cwd: root,
  })

describe.skipIf(!isBuilt)(`the examples${isBuilt ? '' : ' (skipped: npm run build has not run)'}`, () => {
  test('opens.ts shows what the guest opens', () => {
    const lines = run('opens.ts').trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(5)
    expect(lines[0]).toMatch(/^0\.\d{6} +1 init +\d +\/proc\/cmdline$/)
    expect(lines.at(-1)).toBe('0 records found no room')
  })

  test('slow-calls.ts shows the processes that spend most time in calls', () => {
    const lines = run('slow-calls.ts').trimEnd().split('\n')
    expect(lines).toHaveLength(6)
    expect(lines[0]).toMatch(/^ +\d+ \w+ +\d+ calls \d+\.\d{3} ms$/)
    expect(lines.at(-1)).toBe('0 calls were of processes that found no room')
  })

  test('twice.ts sees one trace twice', () => {
    const lines = run('twice.ts').trimEnd().split('\n')
    expect(lines[0]).toContain('hello from process 2')
    expect(lines.at(-1)).toBe('The other guest printed the same.')
  })
})
