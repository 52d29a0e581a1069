/** BPF objects inside other programs: libbpf's skeletons carry them as constants. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface EmbeddedObject {
  /** Name of the program that it was found in, with a number where there are several. */
  readonly name: string
  readonly bytes: Uint8Array
}

const EM_BPF = 247
const SHT_NOBITS = 8

/** The files that a Debian package has put into `directories`; none if it is not installed. */
export function filesOfPackage(packageName: string, directories: readonly string[]): string[] {
  const listing = spawnSync('dpkg', ['-L', packageName], { encoding: 'utf8' })
  if (listing.status !== 0) return []
  return listing.stdout
    .split('\n')
    .filter((path) => directories.some((directory) => path.startsWith(`${directory}/`)) && existsSync(path))
}

/** The objects in files and folders, in the order of their names. */
export function objectsUnder(paths: readonly string[]): EmbeddedObject[] {
  const objects: EmbeddedObject[] = []
  // Several names may be links to one program.
  for (const path of new Set(paths.flatMap(filesUnder).map((file) => realpathSync(file)))) {
    const name = (path.split('/').at(-1) as string).split('.')[0] as string
    for (const bytes of objectsIn(readFileSync(path))) {
      const already = objects.filter((one) => one.name === name || one.name.startsWith(`${name}-`)).length
      objects.push({ name: already === 0 ? name : `${name}-${already}`, bytes })
    }
  }
  return objects
}

function filesUnder(path: string): string[] {
  // A link may lead to what the package does not hold.
  if (!existsSync(path)) return []
  const stats = statSync(path)
  if (stats.isDirectory())
    return readdirSync(path)
      .sort()
      .flatMap((name) => filesUnder(join(path, name)))
  return stats.isFile() ? [path] : []
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
