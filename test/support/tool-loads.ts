/** Programs of others' objects, each loaded alone: into this machine's Linux, and into this project's kernel. */
import { readFileSync } from 'node:fs'
import { BPF_MAP_TYPE, EPERM, type Syscalls } from '../../src/abi/index.ts'
import type { Btf } from '../../src/btf/index.ts'
import {
  type CollectionSpec,
  LoadError,
  load,
  type MapSpec,
  ObjectError,
  openObject,
  VerifierError,
} from '../../src/client/index.ts'

/** Sizes that tools give to maps before they load: of any that will do. */
const SOME_ENTRIES = 16
const STACK_BYTES = 127 * 8

/** Maps that have no number of entries, or one that loading finds. */
const SIZELESS: readonly number[] = [
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE.BPF_MAP_TYPE_USER_RINGBUF,
  BPF_MAP_TYPE.BPF_MAP_TYPE_SK_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_TASK_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_INODE_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_CGRP_STORAGE,
  BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED,
  BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED,
]

export interface LoadOfProgram {
  readonly program: string
  readonly section: string
  /** Undefined where it was taken. */
  readonly ours: string | undefined
  readonly linux: string | undefined
  /** Linux did not judge it: it may not be loaded here, whatever it does. */
  readonly isForbidden: boolean
}

/** The object with sizes in the place of what its tool sets. */
export function openTool(bytes: Uint8Array, name: string): CollectionSpec | ObjectError {
  const spec = openObject(bytes, { name })
  return spec instanceof ObjectError ? spec : { ...spec, maps: spec.maps.map(sized) }
}

function sized(map: MapSpec): MapSpec {
  const T = BPF_MAP_TYPE
  const isSizeless = SIZELESS.includes(map.type)
  const isRing = map.type === T.BPF_MAP_TYPE_RINGBUF
  const maxEntries = map.maxEntries || (isSizeless ? 0 : isRing ? 1 << 18 : SOME_ENTRIES)
  const isStack = map.type === T.BPF_MAP_TYPE_STACK_TRACE && map.valueSize === 0
  return { ...map, maxEntries, valueSize: isStack ? STACK_BYTES : map.valueSize }
}

/** `LINUX_VERSION_CODE` of this machine, which this project's kernel does not have. */
export function linuxVersion(): number {
  const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(readFileSync('/proc/version', 'utf8')) ?? []
  return (Number(major) << 16) | (Number(minor) << 8) | Math.min(255, Number(patch))
}

export function* loadsOf(
  spec: CollectionSpec,
  kernels: { readonly ours: Syscalls; readonly linux: Syscalls; readonly types: Btf },
): Iterable<LoadOfProgram> {
  const kconfig = { LINUX_KERNEL_VERSION: linuxVersion() }
  for (const { name, section } of spec.programs) {
    const options = { programs: [name], targetBtf: kernels.types, kconfig }
    const attempt = (syscalls: Syscalls): LoadError | undefined => {
      const loaded = load(spec, syscalls, options)
      if (loaded instanceof LoadError) return loaded
      loaded[Symbol.dispose]()
      return undefined
    }
    const [ours, linux] = [attempt(kernels.ours), attempt(kernels.linux)]
    yield {
      program: name,
      section,
      ours: ours?.message,
      linux: linux?.message,
      isForbidden: linux?.errno === EPERM && !(linux instanceof VerifierError),
    }
  }
}
