/**
 * The files that a client of the kernel opens by name: what it learns about PMUs, symbols, CPUs and types.
 *
 * To add a file is a row.
 */
import { EACCES, ENOENT, ENOTDIR } from '../abi/index.ts'
import type { Directory } from './bpffs.ts'
import type { KernelCore } from './core.ts'
import { NetNamespaceFile } from './net-namespace.ts'
import type { OpenFile } from './open-file.ts'
import { KPROBE_PMU_TYPE } from './perf-event-open.ts'
import type { KernelProcess } from './process.ts'
import { KernelTypesFile, StaticFile, TracePipeFile } from './text-file.ts'

const O_DIRECTORY = 0o200000

interface FileRow {
  readonly path: RegExp
  readonly open: (process: KernelProcess, match: RegExpMatchArray) => OpenFile | number
}

export const fileTable: readonly FileRow[] = [
  {
    path: /^\/sys\/bus\/event_source\/devices\/kprobe\/type$/,
    open: () => new StaticFile(`${KPROBE_PMU_TYPE}\n`),
  },
  {
    path: /^\/sys\/bus\/event_source\/devices\/kprobe\/format\/retprobe$/,
    open: () => new StaticFile('config:0\n'),
  },
  { path: /^\/proc\/kallsyms$/, open: ({ core }) => new StaticFile(kallsyms(core)) },
  {
    path: /^\/sys\/devices\/system\/cpu\/(possible|online|present)$/,
    open: ({ core }) => new StaticFile(core.cpuCount === 1 ? '0\n' : `0-${core.cpuCount - 1}\n`),
  },
  {
    path: /^\/sys\/kernel\/btf\/vmlinux$/,
    open: ({ core }) => (core.kernelBtf === undefined ? -ENOENT : new KernelTypesFile(core.kernelBtf.bytes)),
  },
  {
    path: /^\/sys\/kernel\/(?:debug\/)?tracing\/trace_pipe$/,
    open: ({ core }) => new TracePipeFile(core.tracePipe),
  },
  {
    path: /^\/proc\/(self|thread-self)\/ns\/net$/,
    open: ({ core }) => new NetNamespaceFile(core.netNamespace),
  },
  { path: /^\/proc\/(self|\d+)\/fdinfo\/(\d+)$/, open: descriptorInformation },
]

/** `from`: where a path starts that is not absolute. */
export function openFile(
  process: KernelProcess,
  path: string,
  flags: number,
  from?: Directory,
): OpenFile | number {
  const wantsDirectory = (flags & O_DIRECTORY) !== 0
  for (const row of fileTable) {
    const match = row.path.exec(path)
    if (match !== null) return wantsDirectory ? -ENOTDIR : row.open(process, match)
  }
  return process.core.files.open(path, from, wantsDirectory)
}

function descriptorInformation(process: KernelProcess, [, owner, fd]: RegExpMatchArray): OpenFile | number {
  if (owner !== 'self' && Number(owner) !== process.pid) return -EACCES
  const file = process.file(Number(fd))
  return file === undefined ? -ENOENT : new StaticFile(`pos:\t0\nflags:\t02000002\n${file.describe()}`)
}

/** Lines of `address type name`: T and t code, D data. */
function kallsyms(core: KernelCore): string {
  let text = ''
  for (const { address, isFunction, name } of core.port.symbols()) {
    text += `${address.toString(16).padStart(16, '0')} ${isFunction ? 'T' : 'D'} ${name}\n`
  }
  return text
}
