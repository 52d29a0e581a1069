/**
 * The program types that there are: where they may attach, and how a test run feeds them.
 *
 * To add a type is a row. Types that Linux has and this table lacks are refused with -EINVAL, as by a Linux that
 * was built without them.
 *
 * Source: bpf_prog_load_check_attach() and bpf_prog_attach_check_attach_type() of kernel/bpf/syscall.c of Linux.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'

export interface ProgramTypeRow {
  readonly type: number
  readonly name: string
  /** `expected_attach_type` values that BPF_PROG_LOAD takes; undefined: any. */
  readonly expectedAttachTypes?: readonly number[]
  /** `attach_type` values that BPF_LINK_CREATE takes of it. */
  readonly linkAttachTypes: readonly number[]
  /** Whether BPF_F_SLEEPABLE must be given, or may; default: it must not. */
  readonly sleeps?: 'may' | 'always'
  /** How BPF_PROG_TEST_RUN runs it: with a packet (which legacy packet loads read), with words as arguments, with a context of its own. */
  readonly testRun?: 'packet' | 'arguments' | 'context'
}

const T = BPF_PROG_TYPE
const A = BPF_ATTACH_TYPE

export const programTypes: readonly ProgramTypeRow[] = [
  { type: T.BPF_PROG_TYPE_SOCKET_FILTER, name: 'socket_filter', linkAttachTypes: [], testRun: 'packet' },
  { type: T.BPF_PROG_TYPE_KPROBE, name: 'kprobe', linkAttachTypes: [A.BPF_PERF_EVENT], sleeps: 'may' },
  { type: T.BPF_PROG_TYPE_TRACEPOINT, name: 'tracepoint', linkAttachTypes: [A.BPF_PERF_EVENT] },
  { type: T.BPF_PROG_TYPE_PERF_EVENT, name: 'perf_event', linkAttachTypes: [A.BPF_PERF_EVENT] },
  { type: T.BPF_PROG_TYPE_RAW_TRACEPOINT, name: 'raw_tracepoint', linkAttachTypes: [], testRun: 'arguments' },
  {
    type: T.BPF_PROG_TYPE_SYSCALL,
    name: 'syscall',
    expectedAttachTypes: [0],
    linkAttachTypes: [],
    sleeps: 'always',
    testRun: 'context',
  },
]

export function programType(type: number): ProgramTypeRow | undefined {
  return programTypes.find((row) => row.type === type)
}
