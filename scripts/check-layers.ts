/**
 * Holds every import under src/ against the floors of docs/architecture.md: a file imports from its own
 * folder, from floors below, or along one of the named exceptions. The core must run in a browser, so it
 * imports no `node:` module (and names no global of Node's or the DOM's: tsconfig.core.json sees to that).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const src = join(dirname(fileURLToPath(import.meta.url)), '..', 'src')

const floorOf: Record<string, number> = {
  abi: 0,
  isa: 1,
  wasm: 1,
  elf: 1,
  btf: 1,
  memory: 2,
  maps: 2,
  helpers: 2,
  linker: 2,
  verifier: 3,
  interpreter: 3,
  jit: 3,
  probes: 4,
  kernel: 4,
  machine: 5,
  ports: 5,
  client: 5,
  tools: 6,
  cli: 6,
  web: 6,
}

/** Imports between folders of one floor that the table in docs/architecture.md allows. */
const sideways = new Set([
  'btf>elf',
  'maps>memory',
  'helpers>memory',
  'helpers>maps',
  'kernel>probes',
  'ports>machine',
  'cli>tools',
  'web>tools',
])

/** The client sees a kernel only through the system call ABI. */
const clientMayImport = new Set(['client', 'abi', 'isa', 'elf', 'btf'])

/** The machine is a computer like any other: it knows nothing of eBPF. */
const machineMayImport = new Set(['machine', 'wasm', 'elf'])

const isCore = (folder: string) => (floorOf[folder] ?? 9) <= 4 || folder === 'client' || folder === 'machine'

function violation(file: string, specifier: string): string | undefined {
  const from = relative(src, file).split('/')[0] ?? ''
  if (floorOf[from] === undefined) return `src/${from} is on no floor`
  const isTest = file.endsWith('.test.ts')
  if (!specifier.startsWith('.')) {
    if (!isTest && isCore(from)) return 'the core imports only its own files, so that it runs in a browser'
    return undefined
  }
  const to = relative(src, join(dirname(file), specifier)).split('/')[0] ?? ''
  if (to === from) return undefined
  const [a, b] = [floorOf[from] as number, floorOf[to]]
  if (b === undefined) return `imports src/${to}, which is on no floor`
  if (from === 'machine' && !machineMayImport.has(to)) return `the machine knows nothing of ${to}/`
  if (from === 'client' && !clientMayImport.has(to)) return `the client knows nothing of ${to}/`
  if (b > a) return `floor ${a} (${from}) imports upward from floor ${b} (${to})`
  if (b === a && !sideways.has(`${from}>${to}`)) return `${from} imports sideways from ${to}`
  return undefined
}

let failures = 0
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join(src, file))
for (const file of files) {
  const text = readFileSync(file, 'utf8')
  for (const match of text.matchAll(
    /^\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/gm,
  )) {
    const specifier = (match[1] ?? match[2]) as string
    const why = violation(file, specifier)
    if (why === undefined) continue
    const line = text.slice(0, match.index).split('\n').length
    console.error(`${relative(process.cwd(), file)}:${line}: ${specifier}: ${why}`)
    failures++
  }
}
console.log(`layers: ${files.length} files, ${failures} violations`)
process.exitCode = failures > 0 ? 1 : 0
