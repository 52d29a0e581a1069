/**
 * Maps that an object declares with `LIBBPF_PIN_BY_NAME`: taken over where one is pinned already, pinned where not.
 *
 * Source: bpf_object__reuse_map(), map_is_reuse_compat() of tools/lib/bpf/libbpf.c of Linux.
 */
import { ENOENT, errnoName, type Syscalls } from '../abi/index.ts'
import { LoadError, SyscallError } from './errors.ts'
import { mapInfo, openPinned, pinObject } from './kernel-objects.ts'
import type { Descriptor } from './owner.ts'
import type { MapSpec } from './spec/index.ts'

/** Where a BPF file system usually is. */
export const PIN_ROOT = '/sys/fs/bpf'

/** What a pinned map must be like to be taken for the one that is declared. */
export interface MapShape {
  readonly type: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  readonly extra: bigint
}

/** A BPF file system takes no dots in names. */
export const pinPath = (root: string, name: string): string => `${root}/${name.replaceAll('.', '_')}`

/** The map that is pinned there; undefined where nothing is. */
export function takePinnedMap(
  syscalls: Syscalls,
  spec: MapSpec,
  path: string,
  wanted: MapShape,
): Descriptor | LoadError | undefined {
  const opened = openPinned(syscalls, path)
  if (opened instanceof SyscallError) {
    if (opened.errno === ENOENT) return undefined
    const why = errnoName(-opened.errno)
    return new LoadError(
      'map',
      spec.name,
      `map '${spec.name}' cannot be taken from ${path}: ${why}`,
      opened.errno,
    )
  }
  const info = mapInfo(syscalls, opened.fd)
  if (info instanceof SyscallError) {
    opened[Symbol.dispose]()
    const why = errnoName(-info.errno)
    return new LoadError('map', spec.name, `what is pinned at ${path} is no map: ${why}`, info.errno)
  }
  const differences = [
    ['type', wanted.type, info.type],
    ['keys of bytes', wanted.keySize, info.key_size],
    ['values of bytes', wanted.valueSize, info.value_size],
    ['room for', wanted.maxEntries, info.max_entries],
    ['flags', wanted.flags, info.map_flags],
    ['map_extra', wanted.extra, info.map_extra],
  ].filter(([, a, b]) => a !== b)
  if (differences.length === 0) return opened
  opened[Symbol.dispose]()
  const listed = differences.map(([what, a, b]) => `${what}: ${a} declared, ${b} pinned`).join('; ')
  return new LoadError(
    'pinned-map',
    spec.name,
    `map '${spec.name}' is not the one that is pinned at ${path} (${listed})`,
  )
}

export function pinMap(syscalls: Syscalls, spec: MapSpec, fd: number, path: string): LoadError | undefined {
  const failure = pinObject(syscalls, fd, path)
  if (failure === undefined) return undefined
  const why = errnoName(-failure.errno)
  return new LoadError(
    'map',
    spec.name,
    `map '${spec.name}' cannot be pinned at ${path}: ${why}`,
    failure.errno,
  )
}
