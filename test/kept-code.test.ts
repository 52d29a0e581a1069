/** The built command line, which is one script whose compiled code is kept between runs. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { runKept } from '../src/cli/kept-code.ts'

const root = join(import.meta.dirname, '..')
const isBuilt = existsSync(join(root, 'dist/cli/anybpf.cjs'))
const scratch = mkdtempSync(join(tmpdir(), 'anybpf-kept-'))
afterAll(() => rmSync(scratch, { recursive: true }))

let home = ''
let count = 0
beforeEach(() => {
  home = join(scratch, `${count++}`)
  mkdirSync(home)
})
const folder = () => join(home, 'anybpf')
const files = () => (existsSync(folder()) ? readdirSync(folder()) : [])
const keptFile = () => join(folder(), files()[0] as string)

/** Standard output, error and exit code of the built command line, its caches under `home`. */
function anybpf(argv: readonly string[], env: Readonly<Record<string, string>> = {}): unknown[] {
  const { NODE_COMPILE_CACHE: _, NODE_V8_COVERAGE: __, ...inherited } = process.env
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...argv], {
    cwd: root,
    encoding: 'utf8',
    env: { ...inherited, XDG_CACHE_HOME: home, ...env },
  })
  return [stdout, stderr, status]
}

const VERIFY = ['verify', 'bpf/hello.bpf.o']
const ACCEPTED = ['accepted hello (kprobe/sys_execve)\n', '', 0]

describe.skipIf(!isBuilt || process.platform !== 'linux')(
  'the built command line (skipped without npm run build, and where caches lie elsewhere)',
  () => {
    test('keeps its code once, for this user alone', () => {
      expect(anybpf(VERIFY)).toEqual(ACCEPTED)
      expect(files()).toHaveLength(1)
      const { mode, size, mtimeMs } = statSync(keptFile())
      expect(mode & 0o777).toBe(0o600)
      expect(size).toBeGreaterThan(500_000)
      expect(anybpf(VERIFY)).toEqual(ACCEPTED)
      expect(statSync(keptFile()).mtimeMs).toBe(mtimeMs)
    })

    test('says the same with kept code as with none', () => {
      for (const argv of [['--help'], ['no-such'], ['verify'], ['verify', 'no-such.o']]) {
        expect(anybpf(argv), argv.join(' ')).toEqual(anybpf(argv, { NODE_DISABLE_COMPILE_CACHE: '1' }))
      }
    })

    test('keeps nothing where it is asked not to', () => {
      expect(anybpf(VERIFY, { NODE_DISABLE_COMPILE_CACHE: '1' })).toEqual(ACCEPTED)
      expect(files()).toEqual([])
    })

    test.each([
      ['no folder can be made', '/dev/null'],
      ['there is no such disk', '/proc/nowhere'],
    ])('runs where %s', (_why, path) => {
      expect(anybpf(VERIFY, { XDG_CACHE_HOME: path })).toEqual(ACCEPTED)
    })

    test('does not take code from a folder that others can write to', () => {
      anybpf(VERIFY)
      chmodSync(folder(), 0o777)
      writeFileSync(keptFile(), 'of somebody else')
      expect(anybpf(VERIFY)).toEqual(ACCEPTED)
      expect(readFileSync(keptFile(), 'utf8')).toBe('of somebody else')
    })

    test.each([
      ['empty', () => new Uint8Array(0)],
      ['cut off', (whole: Uint8Array) => whole.subarray(0, whole.length >> 1)],
      [
        'changed in the middle',
        (whole: Uint8Array) => whole.with(whole.length >> 1, ~whole.at(whole.length >> 1)!),
      ],
    ])('makes code anew that is %s', (_what, damage) => {
      anybpf(VERIFY)
      const whole = new Uint8Array(readFileSync(keptFile()))
      writeFileSync(keptFile(), damage(whole))
      expect(anybpf(VERIFY)).toEqual(ACCEPTED)
      expect(statSync(keptFile()).size).toBeGreaterThan(500_000)
    })

    test('removes code of other versions that was not used for a month', () => {
      mkdirSync(folder(), { mode: 0o700 })
      for (const [name, days] of [
        ['old.code', 40],
        ['new.code', 10],
        ['other.txt', 40],
      ] as const) {
        writeFileSync(join(folder(), name), '')
        const time = Date.now() / 1000 - days * 24 * 3600
        utimesSync(join(folder(), name), time, time)
      }
      anybpf(VERIFY)
      expect(files()).toHaveLength(3)
      expect(files()).toEqual(expect.arrayContaining(['new.code', 'other.txt']))
    })
  },
)

test('a script is given its place, and what it requires; where there is none, nothing runs', () => {
  const state = globalThis as { ranKept?: unknown[] }
  const file = join(home, 'script.cjs')
  expect(runKept(file)).toBe(false)
  writeFileSync(file, "globalThis.ranKept = [__fileUrl, require('node:path').sep]")
  expect(runKept(file)).toBe(true)
  expect(state.ranKept).toEqual([pathToFileURL(file).href, sep])
  delete state.ranKept
})
