/** What runs inside of the guest: every scene on its Linux. A line of JSON for each. */
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { LinuxUnavailable, openLinux } from '../../../src/ports/linux/index.ts'
import { sceneObjects, scenes, sharedObjects, type Told } from '../scenes/index.ts'
import { openDevices } from './devices.ts'

const linux = openLinux()
if (linux instanceof LinuxUnavailable) throw new Error(linux.message)
const objects = new Map(
  [...sceneObjects, ...sharedObjects].map((name) => [
    name,
    new Uint8Array(readFileSync(`/objects/${name}.bpf.o`)),
  ]),
)
const devices = openDevices(linux, objects.get('frames') as Uint8Array)

console.log(`LINUX ${release()}`)
for (const [name, scene] of Object.entries(scenes)) {
  let told: Told
  try {
    told = scene({ syscalls: linux, objects, devices })
  } catch (error) {
    const log = error instanceof Error && 'log' in error ? `\n${error.log}` : ''
    told = `${error instanceof Error ? error.stack : error}${log}`
  }
  console.log(`SCENE ${JSON.stringify({ name, told })}`)
}
