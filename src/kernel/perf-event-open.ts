/**
 * perf_event_open(2): the kprobe PMU, and the software event that programs write to.
 *
 * Source: perf_copy_attr() and perf_event_open() of kernel/events/core.c, perf_kprobe_init() of
 * kernel/trace/trace_event_perf.c, create_local_trace_kprobe() of kernel/trace/trace_kprobe.c of Linux.
 */
import {
  E2BIG,
  EADDRNOTAVAIL,
  EBADF,
  EFAULT,
  EINVAL,
  EMFILE,
  ENOENT,
  ESRCH,
  PAGE_SIZE,
  PERF_ATTR_DISABLED,
  PERF_ATTR_SIZE_VER0,
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_FLAG_FD_CLOEXEC,
  PERF_PROBE_CONFIG_IS_RETPROBE,
  PERF_TYPE,
  perfEventAttr,
  type StructValue,
} from '../abi/index.ts'
import type { KernelCore } from './core.ts'
import { OutputEvent, PerfEvent, ProbeEvent, type ProbePlace } from './perf-event.ts'
import type { KernelProcess } from './process.ts'
import { readString } from './user-copy.ts'

/** The dynamic PMU numbers, which clients read from /sys/bus/event_source/devices. */
export const KPROBE_PMU_TYPE = 6

type Attr = StructValue<typeof perfEventAttr>

const SIZE_OFFSET = BigInt(perfEventAttr.offsets.size)
const KSYM_NAME_LEN = 512
/** PERF_FLAG_FD_NO_GROUP, FD_OUTPUT, PID_CGROUP, FD_CLOEXEC. */
const ALL_FLAGS = 0xfn
const PID_CGROUP = 4n
const SAMPLE_TYPES = 1n << 25n
const READ_FORMATS = 1n << 5n

export function perfEventOpen(
  core: KernelCore,
  process: KernelProcess,
  pointer: bigint,
  pid: number,
  cpu: number,
  groupFd: number,
  flags: bigint,
): number {
  if ((flags & ~ALL_FLAGS) !== 0n) return -EINVAL
  const attr = copyAttr(process, pointer)
  if (typeof attr === 'number') return attr
  if ((flags & PID_CGROUP) !== 0n) return pid === -1 || cpu === -1 ? -EINVAL : -EBADF
  if (groupFd !== -1 && !(process.file(groupFd) instanceof PerfEvent)) return -EBADF
  const isOfTask = pid !== -1
  if (isOfTask && pid !== 0 && core.port.taskExists?.(pid) !== true) return -ESRCH
  if (cpu < -1 || cpu >= core.port.cpuCount || (cpu === -1 && !isOfTask)) return -EINVAL
  const event = createEvent(core, process, attr, cpu)
  if (typeof event === 'number') return event
  const fd = process.install(event, (flags & PERF_FLAG_FD_CLOEXEC) !== 0n)
  return fd < 0 ? -EMFILE : fd
}

/** Reads the attribute, of whatever version; tells the caller which size is known where its own is too large. */
function copyAttr(process: KernelProcess, pointer: bigint): Attr | number {
  const sizeField = new Uint8Array(4)
  if (!process.memory.read(pointer + SIZE_OFFSET, sizeField)) return -EFAULT
  const size = new DataView(sizeField.buffer).getUint32(0, true) || PERF_ATTR_SIZE_VER0
  const tooBig = () => {
    new DataView(sizeField.buffer).setUint32(0, perfEventAttr.size, true)
    return process.memory.write(pointer + SIZE_OFFSET, sizeField) ? -E2BIG : -EFAULT
  }
  if (size < PERF_ATTR_SIZE_VER0 || size > PAGE_SIZE) return tooBig()
  const bytes = new Uint8Array(size)
  if (!process.memory.read(pointer, bytes)) return -EFAULT
  if (bytes.subarray(perfEventAttr.size).some((byte) => byte !== 0)) return tooBig()
  const attr = perfEventAttr.read(bytes.subarray(0, perfEventAttr.size))
  if (attr.reserved_2 !== 0 || attr.flags >> 41n !== 0n) return -EINVAL
  if (attr.sample_type >= SAMPLE_TYPES || attr.read_format >= READ_FORMATS) return -EINVAL
  return attr
}

function createEvent(core: KernelCore, process: KernelProcess, attr: Attr, cpu: number): PerfEvent | number {
  const enabled = (attr.flags & PERF_ATTR_DISABLED) === 0n
  if (attr.type === PERF_TYPE.PERF_TYPE_SOFTWARE && attr.config === PERF_COUNT_SW_BPF_OUTPUT) {
    const options = { cpu, wakeupEvents: attr.wakeup_events }
    return new OutputEvent(core.nextEventId(), enabled, options, core)
  }
  if (attr.type !== KPROBE_PMU_TYPE) return -ENOENT
  const place = probePlace(core, process, attr)
  if (typeof place === 'number') return place
  const onEnd = (ended: ProbeEvent) => core.probeEvents.delete(ended)
  const event = new ProbeEvent(core.nextEventId(), enabled, place, core.runner, onEnd)
  const probe = core.registerProbe(event)
  if (typeof probe === 'number') return probe
  event.install(probe)
  core.probeEvents.add(event)
  return event
}

function probePlace(core: KernelCore, process: KernelProcess, attr: Attr): ProbePlace | number {
  if (attr.config > PERF_PROBE_CONFIG_IS_RETPROBE) return -EINVAL
  const isReturn = (attr.config & PERF_PROBE_CONFIG_IS_RETPROBE) !== 0n
  const place = (functionName: string, offset: bigint, address: bigint): ProbePlace => ({
    functionName,
    offset,
    address,
    isReturn,
    mayOverride: !isReturn && offset === 0n && core.port.mayOverride?.(address) === true,
  })
  let name = ''
  if (attr.config1 !== 0n) {
    const read = readString(process.memory, attr.config1, KSYM_NAME_LEN)
    if (typeof read === 'number') return read
    name = read
  }
  if (name === '') {
    const symbol = core.port.symbolAt(attr.config2)
    const offset = symbol === undefined ? 0n : attr.config2 - symbol.address
    return place(symbol?.name ?? '', offset, attr.config2)
  }
  const count = core.symbolCount(name)
  if (count === 0) return -ENOENT
  if (count > 1) return -EADDRNOTAVAIL
  const symbol = core.port.symbolByName(name)
  if (symbol === undefined) return -ENOENT
  if (isReturn && attr.config2 !== 0n) return -EINVAL
  const address = BigInt.asUintN(64, symbol.address + attr.config2)
  return place(name, attr.config2, address)
}
