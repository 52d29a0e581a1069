/**
 * What a program array and a perf event array take: descriptors of the process that updates them, at the time
 * that it does.
 *
 * Source: prog_fd_array_get_ptr(), perf_event_fd_array_get_ptr() of kernel/bpf/arraymap.c, bpf_prog_map_compatible()
 * of kernel/bpf/core.c of Linux.
 */
import { BPF_MAP_TYPE, EBADF, EINVAL } from '../../abi/index.ts'
import { ReferenceArray } from '../../maps/index.ts'
import type { KernelCore } from '../core.ts'
import type { MapObject } from '../map-object.ts'
import { PerfEvent } from '../perf-event.ts'
import type { ProgramObject } from '../program-object.ts'
import { programOf } from './descriptors.ts'

export function connectReferences(core: KernelCore, object: MapObject): void {
  if (!(object.map instanceof ReferenceArray)) return
  if (object.map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY) connectPrograms(core, object)
  else connectEvents(core, object)
}

function connectPrograms(core: KernelCore, object: MapObject): void {
  const array = object.map as ReferenceArray<ProgramObject>
  array.descriptors = {
    resolve(fd) {
      if (core.updating === undefined) return -EBADF
      const program = programOf(core.updating.process, fd)
      if (typeof program === 'number') return program
      return object.admits(program.loaded) ? program.get() : -EINVAL
    },
    idOf: (program) => program.id,
    release: (program) => program.put(),
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
