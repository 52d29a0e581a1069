/**
 * The whole command line as one script, whose compiled code is kept from run to run.
 *
 * Most of a short command is JavaScript that V8 compiles for the first time. Node's own cache of compiled code keeps
 * what modules compile when they are loaded; functions that are compiled when they are first called, which are nearly
 * all, are not in it. They are in `vm.Script.createCachedData()`, when it is asked at the end of a run.
 *
 * Rules
 * - It is never an error that nothing can be kept: then the script is compiled anew.
 * - What V8 takes is trusted code: it is read only from a folder that is this user's own and that nobody else can write to.
 * - V8 compares versions, flags and the script's length, not the script: its size and time are part of the file's name.
 *   Nor does it look whether the code is whole: a digest before it does.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cachedDataVersionTag, getHeapCodeStatistics } from 'node:v8'
import { Script } from 'node:vm'

/** Bytes of bytecode that a run must have compiled for the file to be written again: most commands compile some. */
const WORTH_KEEPING = 200_000
const SUFFIX = '.code'
const OTHERS_MAY_WRITE = 0o022
const DIGEST_BYTES = 32
const digestOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

/** Runs the script in `file`; false: there is none. */
export function runKept(file: string): boolean {
  const script = statOf(file)
  if (script === undefined) return false
  const kept = keptFile(`${file} ${script.size} ${script.mtimeMs}`)
  const cachedData = kept === undefined ? undefined : readOwn(kept)
  const source = readFileSync(file, 'latin1')
  const compiled = new Script(`(function (require, __fileUrl) {${source}\n})`, {
    filename: file,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const before = cachedData === undefined || compiled.cachedDataRejected === true ? 0 : compiledBytes()
  if (kept !== undefined) {
    process.on('exit', () => {
      if (compiledBytes() - before > WORTH_KEEPING) keep(kept, compiled.createCachedData())
    })
  }
  compiled.runInThisContext()(createRequire(file), pathToFileURL(file).href)
  return true
}

const compiledBytes = (): number => getHeapCodeStatistics().bytecode_and_metadata_size

const statOf = (file: string) => statSync(file, { throwIfNoEntry: false })

/** Where the code of this script is kept for this Node; undefined: nowhere. */
function keptFile(script: string): string | undefined {
  if (process.env.NODE_DISABLE_COMPILE_CACHE === '1') return undefined
  try {
    const caches = cacheFolder()
    const folder = join(caches, 'anybpf')
    // Not recursively: Node never comes back from that where the file system takes no folders, as /proc.
    for (const path of [caches, folder]) if (statOf(path) === undefined) mkdirSync(path, { mode: 0o700 })
    const key = [script, process.version, process.arch, cachedDataVersionTag()].join(' ')
    const name = digestOf(Buffer.from(key)).toString('hex', 0, 8)
    return isOwn(folder) ? join(folder, `${name}${SUFFIX}`) : undefined
  } catch {
    return undefined
  }
}

function cacheFolder(): string {
  const { NODE_COMPILE_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  if (NODE_COMPILE_CACHE) return NODE_COMPILE_CACHE
  if (process.platform === 'win32') return LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches')
  return XDG_CACHE_HOME || join(homedir(), '.cache')
}

/** Windows keeps others out of a user's folders by its own means. */
function isOwn(path: string): boolean {
  if (process.getuid === undefined) return true
  const { uid, mode } = statSync(path)
  return uid === process.getuid() && (mode & OTHERS_MAY_WRITE) === 0
}

function readOwn(file: string): Buffer | undefined {
  try {
    if (!isOwn(file)) return undefined
    const bytes = readFileSync(file)
    const code = bytes.subarray(DIGEST_BYTES)
    return digestOf(code).equals(bytes.subarray(0, DIGEST_BYTES)) ? code : undefined
  } catch {
    return undefined
  }
}

/** Writes it whole or not at all, and removes what was kept of other versions. */
function keep(file: string, code: Buffer): void {
  const folder = dirname(file)
  const unfinished = `${file}.${process.pid}`
  try {
    writeFileSync(unfinished, Buffer.concat([digestOf(code), code]), { mode: 0o600 })
    renameSync(unfinished, file)
    for (const name of readdirSync(folder)) {
      const other = join(folder, name)
      if (name.endsWith(SUFFIX) && other !== file && isOld(other)) rmSync(other, { force: true })
    }
  } catch {
    rmSync(unfinished, { force: true })
  }
}

const MONTH_MS = 30 * 24 * 3600 * 1000
const isOld = (file: string): boolean => Date.now() - (statOf(file)?.mtimeMs ?? 0) > MONTH_MS
