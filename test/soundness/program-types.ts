/** What programs of each type are given when they run here, and what they may do with it. */
import { BPF_PROG_TYPE } from '../../src/abi/index.ts'
import { SK_BUFF } from '../../src/kernel/contexts/layout.ts'
import type { Subject } from './subject.ts'

const T = BPF_PROG_TYPE

/** Contexts of tracepoints are small, those of system calls as large as the caller has it. */
const BIG_CONTEXT: Readonly<Record<number, number>> = { [T.BPF_PROG_TYPE_SYSCALL]: 0x10000 }
export const contextSize = ({ programType }: Subject): number => BIG_CONTEXT[programType] ?? 4096

export const PACKET_ACCESS: Readonly<Record<number, 'none' | 'read' | 'write'>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: 'none',
  [T.BPF_PROG_TYPE_SCHED_CLS]: 'write',
  [T.BPF_PROG_TYPE_SCHED_ACT]: 'write',
  [T.BPF_PROG_TYPE_XDP]: 'write',
  [T.BPF_PROG_TYPE_CGROUP_SKB]: 'read',
  [T.BPF_PROG_TYPE_LWT_IN]: 'read',
  [T.BPF_PROG_TYPE_LWT_OUT]: 'read',
  [T.BPF_PROG_TYPE_LWT_XMIT]: 'write',
  [T.BPF_PROG_TYPE_SK_SKB]: 'write',
}

const MARK: readonly [number, number] = [SK_BUFF.mark, SK_BUFF.mark + 4]
const PRIORITY: readonly [number, number] = [SK_BUFF.priority, SK_BUFF.priority + 4]
const CONTROL: readonly [number, number] = [SK_BUFF.cb, SK_BUFF.cb + 20]
const TC_INDEX: readonly [number, number] = [SK_BUFF.tc_index, SK_BUFF.tc_index + 4]
const TIME: readonly [number, number] = [SK_BUFF.tstamp, SK_BUFF.tstamp + 8]
const QUEUE: readonly [number, number] = [SK_BUFF.queue_mapping, SK_BUFF.queue_mapping + 4]
const CLASS_ID: readonly [number, number] = [SK_BUFF.tc_classid, SK_BUFF.tc_classid + 4]
const TUNNEL = [MARK, PRIORITY, CONTROL]
const SCHEDULER = [MARK, QUEUE, PRIORITY, TC_INDEX, CONTROL, CLASS_ID, TIME]
/** Bytes of each type's context that programs may change; other types: none. */
export const WRITABLE: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: [CONTROL],
  [T.BPF_PROG_TYPE_CGROUP_SKB]: [MARK, PRIORITY, CONTROL, TIME],
  [T.BPF_PROG_TYPE_SCHED_CLS]: SCHEDULER,
  [T.BPF_PROG_TYPE_SCHED_ACT]: SCHEDULER,
  [T.BPF_PROG_TYPE_LWT_IN]: TUNNEL,
  [T.BPF_PROG_TYPE_LWT_OUT]: TUNNEL,
  [T.BPF_PROG_TYPE_LWT_XMIT]: TUNNEL,
  [T.BPF_PROG_TYPE_SK_SKB]: [TC_INDEX, PRIORITY],
}
export const READ_ONLY_CONTEXT: readonly number[] = [
  T.BPF_PROG_TYPE_KPROBE,
  T.BPF_PROG_TYPE_TRACEPOINT,
  T.BPF_PROG_TYPE_RAW_TRACEPOINT,
  T.BPF_PROG_TYPE_PERF_EVENT,
]

/** Program types that can be given all that they need here. */
export const RUNNABLE: readonly number[] = [
  ...Object.keys(PACKET_ACCESS).map(Number),
  ...READ_ONLY_CONTEXT,
  T.BPF_PROG_TYPE_SYSCALL,
]

const EGRESS = 1

/** What r0 must be at the end; undefined: anything, a pointer, too. */
export const returnRange = ({
  programType,
  expectedAttachType,
}: Subject): readonly [number, number] | undefined =>
  programType === T.BPF_PROG_TYPE_CGROUP_SKB ? [0, expectedAttachType === EGRESS ? 3 : 1] : undefined
