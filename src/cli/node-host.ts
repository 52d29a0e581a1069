/** The Host of a Node process. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import picocolors from 'picocolors'
import { CliFailure } from './failure.ts'
import type { Host, OutputStream } from './host.ts'

/** dist/cli/ and src/cli/ lie equally deep in the package. */
const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** `streams`, where given, take the place of the process's own. */
export function nodeHost(streams?: Pick<Host, 'stdout' | 'stderr'>): Host {
  const host: Host = {
    stdout: streams?.stdout ?? outputStream(process.stdout),
    stderr: streams?.stderr ?? outputStream(process.stderr),
    hasColours: streams === undefined && picocolors.isColorSupported && process.stdout.isTTY === true,
    readFile(path) {
      try {
        return readFileSync(path)
      } catch (error) {
        return new CliFailure(`${path}: ${reasonOf(error)}`)
      }
    },
    writeFile(path, bytes) {
      try {
        writeFileSync(path, bytes)
        return undefined
      } catch (error) {
        return new CliFailure(`${path}: ${reasonOf(error)}`)
      }
    },
    fileExists: (path) => existsSync(path) && statSync(path).isFile(),
    artefact: (path) => join(packageRoot, path),
    onInterrupt(handler) {
      let count = 0
      const listener = () => {
        // Whoever presses it twice does not want to wait.
        if (++count > 1) process.exit(130)
        handler()
      }
      process.on('SIGINT', listener)
      return () => void process.off('SIGINT', listener)
    },
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    now: () => new Date(),
    monotonicMs: () => performance.now(),
    async openGuest(options) {
      const { openEmbeddedSession } = await import('./embedded-session.ts')
      return openEmbeddedSession(host, options)
    },
    async openLinux() {
      const { LinuxUnavailable, openLinux } = await import('../ports/linux/index.ts')
      const syscalls = openLinux()
      if (syscalls instanceof LinuxUnavailable) {
        return new CliFailure(`--on linux: ${syscalls.message}`, {
          advice: ['--on guest, the default, asks a kernel in the embedded machine'],
        })
      }
      return {
        syscalls,
        bootTimeMs: Date.now() - uptime() * 1000,
        [Symbol.dispose]: () => syscalls[Symbol.dispose](),
      }
    },
  }
  return host
}

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    version: string
  }
  return version
}

function outputStream(stream: NodeJS.WriteStream): OutputStream {
  return {
    write: (text) => void stream.write(text),
    // A terminal that has no window behind it says 0 by 0.
    get columns() {
      return stream.isTTY ? stream.columns || 80 : undefined
    },
    get rows() {
      return stream.isTTY ? stream.rows || 24 : undefined
    },
  }
}

function reasonOf(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'there is no such file'
    case 'EISDIR':
      return 'it is a directory'
    case 'EACCES':
      return 'it may not be read'
    default:
      return (error as Error).message
  }
}
