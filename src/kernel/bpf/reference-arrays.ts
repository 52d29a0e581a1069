/**
 * What program arrays, perf event arrays, maps of maps and the other maps of descriptors take: descriptors of the
 * process that updates them, at the time that it does.
 *
 * Source: prog_fd_array_get_ptr(), perf_event_fd_array_get_ptr() of kernel/bpf/arraymap.c, bpf_prog_map_compatible()
 * of kernel/bpf/core.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  EBADF,
  EBUSY,
  EINVAL,
  ENOTSOCK,
} from '../../abi/index.ts'
import {
  type ArrayOfMaps,
  type DeviceHash,
  EmptyMap,
  type HashOfMaps,
  type RedirectArray,
  type ReferenceArray,
} from '../../maps/index.ts'
import type { KernelCore } from '../core.ts'
import type { MapObject } from '../map-object.ts'
import { PerfEvent } from '../perf-event.ts'
import type { ProgramObject } from '../program-object.ts'
import { tailCallKind } from '../tail-call-kind.ts'
import { mapFile, programOf } from './descriptors.ts'

export function connectReferences(core: KernelCore, object: MapObject): void {
  const { map } = object
  switch (map.definition.type) {
    case BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY:
      connectPrograms(core, object)
      break
    case BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY:
      connectEvents(core, object)
      break
    case BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS:
    case BPF_MAP_TYPE.BPF_MAP_TYPE_HASH_OF_MAPS:
      connectMaps(core, map as ArrayOfMaps<MapObject> | HashOfMaps<MapObject>)
      break
    case BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP:
    case BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP_HASH:
      connectTargetPrograms(core, object, BPF_ATTACH_TYPE.BPF_XDP_DEVMAP)
      break
    case BPF_MAP_TYPE.BPF_MAP_TYPE_CPUMAP:
      connectTargetPrograms(core, object, BPF_ATTACH_TYPE.BPF_XDP_CPUMAP)
      break
    default:
      if (map instanceof EmptyMap) {
        // whatever is open, it is no socket
        map.refuseDescriptor = (fd) => (core.updating?.process.file(fd) === undefined ? -EBADF : -ENOTSOCK)
      }
  }
}

function connectMaps(core: KernelCore, map: ArrayOfMaps<MapObject> | HashOfMaps<MapObject>): void {
  map.descriptors = {
    resolve(fd) {
      if (core.updating === undefined) return -EBADF
      const file = mapFile(core.updating.process, fd)
      return typeof file === 'number' ? file : file.object.get()
    },
    idOf: (inner) => inner.id,
    mapOf: (inner) => inner.map,
    release: (inner) => inner.put(),
  }
}

/** Programs that entries of a devmap or cpumap have: of XDP, and loaded for that. */
function connectTargetPrograms(core: KernelCore, object: MapObject, attachType: number): void {
  const kept = new Map<number, { readonly program: ProgramObject; count: number }>()
  const map = object.map as RedirectArray | DeviceHash
  map.programs = {
    take(fd) {
      const program = core.updating === undefined ? -EBADF : programOf(core.updating.process, fd)
      if (typeof program === 'number') return program
      const { type, expectedAttachType } = program.loaded
      if (type.type !== BPF_PROG_TYPE.BPF_PROG_TYPE_XDP || expectedAttachType !== attachType) return -EINVAL
      const entry = kept.get(program.id)
      if (entry === undefined) kept.set(program.id, { program: program.get(), count: 1 })
      else entry.count++
      return program.id
    },
    release(id) {
      const entry = kept.get(id)
      if (entry === undefined || --entry.count > 0) return
      kept.delete(id)
      entry.program.put()
    },
  }
}

function connectPrograms(core: KernelCore, object: MapObject): void {
  const array = object.map as ReferenceArray<ProgramObject>
  array.descriptors = {
    resolve(fd) {
      if (core.updating === undefined) return -EBADF
      const program = programOf(core.updating.process, fd)
      if (typeof program === 'number') return program
      const isExtension = program.loaded.type.type === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
      if (isExtension || !object.admits(tailCallKind(program.loaded))) return -EINVAL
      // What replaces a function of it might come back here by a tail call, without an end.
      if (program.extensions > 0) return -EBUSY
      program.arrayEntries++
      return program.get()
    },
    idOf: (program) => program.id,
    release: (program) => {
      program.arrayEntries--
      program.put()
    },
  }
}

function connectEvents(core: KernelCore, object: MapObject): void {
  const array = object.map as ReferenceArray<PerfEvent>
  array.descriptors = {
    resolve(fd) {
      const event = core.updating?.process.file(fd | 0)
      return event instanceof PerfEvent ? event.get() : -EBADF
    },
    release: (event) => event.put(),
  }
}
