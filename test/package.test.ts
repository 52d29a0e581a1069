/** What whoever installs the package meets: that its subpaths import, type-check without the DOM, and run in a browser. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string; default: string }>
}
const ports = readdirSync(join(root, 'src/ports'))

/** The subpaths with code in them, `*` written out. */
const subpaths = Object.entries(exports)
  .filter(([, target]) => typeof target === 'object')
  .flatMap(([subpath]) =>
    subpath.includes('*') ? ports.map((port) => subpath.replace('*', port)) : [subpath],
  )
  .map((subpath) => `anybpf${subpath.slice(1)}`)

/** Inside the repository, so that the package finds itself by name. */
const folder = mkdtempSync(join(root, 'coverage-package-'))
afterAll(() => rmSync(folder, { recursive: true }))

const isBuilt = existsSync(join(root, 'dist/client/index.js'))

test('every floor is a subpath, except what only the command line needs', () => {
  const floors = readdirSync(join(root, 'src')).filter((name) =>
    existsSync(join(root, 'src', name, 'index.ts')),
  )
  expect(subpaths).toEqual(expect.arrayContaining(floors.map((floor) => `anybpf/${floor}`)))
})

describe.skipIf(!isBuilt)('the built package (skipped without npm run build)', () => {
  test('every subpath imports', () => {
    const script = `for (const name of ${JSON.stringify(subpaths)}) {
      const count = Object.keys(await import(name)).length
      if (count === 0) throw new Error(name + ' exports nothing')
    }
    console.log('all')`
    writeFileSync(join(folder, 'import-all.js'), script)
    expect(execFileSync(process.execPath, [join(folder, 'import-all.js')], { encoding: 'utf8' })).toBe(
      'all\n',
    )
  })

  test.each(['nodenext', 'bundler'])(
    'every subpath type-checks with %s resolution, with neither the DOM nor Node types',
    (moduleResolution) => {
      const options = {
        strict: true,
        skipLibCheck: false,
        noEmit: true,
        types: [],
        lib: ['ES2022'],
        target: 'ES2022',
        module: moduleResolution === 'nodenext' ? 'nodenext' : 'esnext',
        moduleResolution,
      }
      const file = `${moduleResolution}.ts`
      const config = join(folder, `tsconfig.${moduleResolution}.json`)
      writeFileSync(join(folder, file), subpaths.map((name) => `import type {} from '${name}'\n`).join(''))
      writeFileSync(config, JSON.stringify({ compilerOptions: options, files: [file] }))
      const { stdout } = spawnSync(
        process.execPath,
        [join(root, 'node_modules/typescript/bin/tsc'), '-p', config],
        { encoding: 'utf8' },
      )
      expect(stdout).toBe('')
    },
  )

  test('a guest is traced where there is nothing but the language and WebAssembly', () => {
    const output = execFileSync(
      process.execPath,
      ['--experimental-vm-modules', '--no-warnings', join(root, 'test/support/bare-world.js')],
      { encoding: 'utf8' },
    )
    expect(output).toMatch(/^write: [1-9]\d*\n$/)
  })
})
