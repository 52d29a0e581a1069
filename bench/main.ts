/**
 * `npm run bench`: every benchmark in a process of its own, one after the other.
 * `npm run bench -- machine probes` runs those only.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const all = ['machine', 'probes', 'interpreter', 'maps', 'arena']
const wanted = process.argv.slice(2)
for (const name of wanted.length > 0 ? wanted : all) {
  const file = join(import.meta.dirname, `${name}.ts`)
  if (!existsSync(file)) {
    console.error(`no benchmark "${name}"; there are: ${all.join(', ')}`)
    process.exitCode = 2
    break
  }
  console.log(`\n# ${name}`)
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', file], { stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
