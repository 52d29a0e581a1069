/**
 * perf_event_open(2): its attribute, ioctls, and the ring of samples that its mmap shows.
 *
 * Source: include/uapi/linux/perf_event.h of Linux 6.18.
 */
import { s32, struct, u16, u32, u64 } from './struct.ts'

export const perfEventAttr = struct('struct perf_event_attr', {
  type: u32,
  size: u32,
  config: u64,
  sample_period: u64,
  sample_type: u64,
  read_format: u64,
  /** The bit-field `disabled:1, inherit:1, pinned:1, ...`. */
  flags: u64,
  wakeup_events: u32,
  bp_type: u32,
  /** kprobe PMU: user pointer to the function's name, or 0. */
  config1: u64,
  /** kprobe PMU: offset in bytes from the function, or the address where config1 is 0. */
  config2: u64,
  branch_sample_type: u64,
  sample_regs_user: u64,
  sample_stack_user: u32,
  clockid: s32,
  sample_regs_intr: u64,
  aux_watermark: u32,
  sample_max_stack: u16,
  reserved_2: u16,
  aux_sample_size: u32,
  aux_action: u32,
  sig_data: u64,
  config3: u64,
})

/** Bytes of the first published version, the least that a caller may pass. */
export const PERF_ATTR_SIZE_VER0 = 64

/** `flags`: the event starts disabled. */
export const PERF_ATTR_DISABLED = 1n
/** `flags`: `sample_period` is a number of samples a second. */
export const PERF_ATTR_FREQUENCY = 1n << 10n

export const PERF_TYPE = {
  PERF_TYPE_HARDWARE: 0,
  PERF_TYPE_SOFTWARE: 1,
  PERF_TYPE_TRACEPOINT: 2,
  PERF_TYPE_HW_CACHE: 3,
  PERF_TYPE_RAW: 4,
  PERF_TYPE_BREAKPOINT: 5,
} as const

/** `config` of PERF_TYPE_SOFTWARE for the event that bpf_perf_event_output writes to. */
export const PERF_COUNT_SW_BPF_OUTPUT = 10n

/** `sample_type`: the record carries raw data. */
export const PERF_SAMPLE_RAW = 1n << 10n

/** `flags` argument of perf_event_open(2). */
export const PERF_FLAG_FD_CLOEXEC = 8n

/** ioctl(2) requests; the value holds direction, size and the type '$'. */
export const PERF_EVENT_IOC_ENABLE = 0x2400
export const PERF_EVENT_IOC_DISABLE = 0x2401
export const PERF_EVENT_IOC_RESET = 0x2403
export const PERF_EVENT_IOC_ID = 0x8008_2407
export const PERF_EVENT_IOC_SET_BPF = 0x4004_2408
export const PERF_EVENT_IOC_QUERY_BPF = 0xc008_240a

/** `config` bit 0 of the kprobe PMU: a return probe (`events/kprobe/format/retprobe`). */
export const PERF_PROBE_CONFIG_IS_RETPROBE = 1n

export const PERF_RECORD_LOST = 2
export const PERF_RECORD_SAMPLE = 9

export const perfEventHeader = struct('struct perf_event_header', { type: u32, misc: u16, size: u16 })

/** Byte offsets in struct perf_event_mmap_page, the first page of an event's mapping. */
export const PERF_MMAP_DATA_HEAD = 1024
export const PERF_MMAP_DATA_TAIL = 1032
export const PERF_MMAP_DATA_OFFSET = 1040
export const PERF_MMAP_DATA_SIZE = 1048
