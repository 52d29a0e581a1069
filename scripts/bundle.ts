/**
 * Makes few files of many, as part of `npm run build`, since Node takes longer to load modules than to run them:
 * `dist/cli/anybpf.cjs`, the command line as one script (see src/cli/kept-code.ts), and `dist/node/`, what the package
 * exports to Node. Bundlers, and browsers, are given the modules.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type BuildOptions, build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  packages: 'external',
  absWorkingDir: root,
  logLevel: 'warning',
}

await build({
  ...shared,
  entryPoints: ['dist/cli/start.js'],
  outfile: 'dist/cli/anybpf.cjs',
  // Where it lies is an argument of the function that it becomes.
  define: { 'import.meta.url': '__fileUrl' },
})

type Target = string | { readonly default: string }
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Readonly<Record<string, Target>>
}
const modules = Object.values(exports).flatMap((target) =>
  typeof target === 'string' ? [] : [target.default],
)
const ports = readdirSync(join(root, 'dist/ports'))

rmSync(join(root, 'dist/node'), { recursive: true, force: true })
await build({
  ...shared,
  entryPoints: modules.flatMap((path) =>
    path.includes('*') ? ports.map((port) => path.replace('*', port)) : [path],
  ),
  outdir: 'dist/node',
  outbase: 'dist',
  format: 'esm',
  // What two subpaths share is one thing to both.
  splitting: true,
  chunkNames: 'chunks/[hash]',
})
