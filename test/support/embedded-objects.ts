/** BPF objects inside other programs: libbpf's skeletons carry them as constants. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'

export interface EmbeddedObject {
  /** Name of the program that it was found in, with a number where there are several. */
  readonly name: string
  readonly bytes: Uint8Array
}

const EM_BPF = 247
const SHT_NOBITS = 8

/** The objects in the programs that a Debian package has put into `directories`; none if it is not installed. */
export function embeddedObjects(directories: readonly string[], packageName: string): EmbeddedObject[] {
  const listing = spawnSync('dpkg', ['-L', packageName], { encoding: 'utf8' })
  if (listing.status !== 0) return []
  const programs = listing.stdout
    .split('\n')
    .filter((path) => directories.some((directory) => path.startsWith(`${directory}/`)) && existsSync(path))
  const objects: EmbeddedObject[] = []
  // Several names may be links to one program.
  for (const path of new Set(programs.map((program) => realpathSync(program)))) {
    const name = path.split('/').at(-1) as string
    for (const bytes of objectsIn(readFileSync(path))) {
      const already = objects.filter((one) => one.name === name || one.name.startsWith(`${name}-`)).length
      objects.push({ name: already === 0 ? name : `${name}-${already}`, bytes })
    }
  }
  return objects
}

/** Every BPF object in `bytes`, from its ELF header to the end of its last section. */
export function objectsIn(bytes: Buffer): Uint8Array[] {
  const found: Uint8Array[] = []
  const magic = Buffer.from('\x7fELF\x02\x01\x01', 'latin1')
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 4)) {
    if (at + 64 > bytes.length || bytes.readUInt16LE(at + 18) !== EM_BPF) continue
    const headers = Number(bytes.readBigUInt64LE(at + 40))
    const entryBytes = bytes.readUInt16LE(at + 58)
    const count = bytes.readUInt16LE(at + 60)
    let end = headers + entryBytes * count
    for (let i = 0; i < count; i++) {
      const header = at + headers + i * entryBytes
      const isInFile = bytes.readUInt32LE(header + 4) !== SHT_NOBITS
      const last = Number(bytes.readBigUInt64LE(header + 24) + bytes.readBigUInt64LE(header + 32))
      if (isInFile) end = Math.max(end, last)
    }
    found.push(new Uint8Array(bytes.subarray(at, at + end)))
  }
  return found
}
