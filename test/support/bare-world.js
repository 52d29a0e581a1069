/**
 * Runs the built core in a world without Node: a context whose only globals are those of the language, WebAssembly
 * and what browsers have besides: the two text codecs, and `Symbol.dispose`, which this Node gives to its own world
 * only. Boots the demo guest, traces its system calls, prints a count.
 *
 * node --experimental-vm-modules bare-world.js
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createContext, runInContext, SourceTextModule } from 'node:vm'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const context = createContext({
  TextEncoder,
  TextDecoder,
  dispose: Symbol.dispose,
  report: (line) => console.log(line),
  files: {
    kernel: readFileSync(join(root, 'guest/build/kernel.elf')),
    object: readFileSync(join(root, 'bpf/syscount.bpf.o')),
  },
})

runInContext('Symbol.dispose ??= dispose', context)

const modules = new Map()

/** A module by URL, once; whatever is not a relative path does not exist here. */
function moduleAt(url) {
  const known = modules.get(url.href)
  if (known !== undefined) return known
  const module = new SourceTextModule(readFileSync(url, 'utf8'), { context, identifier: url.href })
  modules.set(url.href, module)
  return module
}

function link(specifier, from) {
  if (!specifier.startsWith('.')) throw new Error(`${from.identifier} imports ${specifier}`)
  return moduleAt(new URL(specifier, from.identifier))
}

const main = new SourceTextModule(
  `import { createGuest } from './ports/embedded/index.js'
  import { Syscount } from './tools/index.js'

  const made = createGuest({ kernelElf: files.kernel })
  if (!made.ok) throw new Error('the guest does not load')
  made.guest.boot()
  const syscount = Syscount.start(files.object, made.guest.kernel.openClient())
  if (!(syscount instanceof Syscount)) throw new Error(syscount.message)
  made.guest.run({ maxInstructions: 20_000_000 })
  report('write: ' + syscount.snapshot().calls.find(({ name }) => name === 'write').count)`,
  { context, identifier: pathToFileURL(join(root, 'dist/main.js')).href },
)
await main.link(link)
await main.evaluate()
