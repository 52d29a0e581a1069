/**
 * What a kernel says of a link: `struct bpf_link_info`, with the names in it.
 *
 * The kernel writes names where it is told to, so it is asked twice: what the link is, then what its name is.
 *
 * Source: struct bpf_link_info in include/uapi/linux/bpf.h of Linux 6.18.
 */
import {
  BPF_LINK_TYPE,
  BPF_PERF_EVENT_TYPE,
  bpfLinkInfo,
  type Syscalls,
  struct,
  u32,
  u64,
} from '../../abi/index.ts'
import { linkInfoBytes, SyscallError } from '../../client/index.ts'
import { type LinkPlace, LONGEST_NAME, linkPlace, perfEventPlace, withText } from './link-places.ts'

const head = { type: u32, id: u32, prog_id: u32, pad0: u32 }
const rawTracepoint = struct('raw_tracepoint', { ...head, name: u64, name_len: u32, cookie: u64 })
const tracing = struct('tracing', {
  ...head,
  attach_type: u32,
  target_obj_id: u32,
  target_btf_id: u32,
  cookie: u64,
})
const perfHead = { ...head, event_type: u32, pad1: u32 }
const perfName = struct('perf_event', { ...perfHead, name: u64, name_len: u32, offset: u32 })
const kprobe = struct('kprobe', {
  ...{ ...perfHead, name: u64, name_len: u32, offset: u32 },
  ...{ address: u64, missed: u64, cookie: u64 },
})
const uprobe = struct('uprobe', {
  ...{ ...perfHead, name: u64, name_len: u32, offset: u32 },
  ...{ cookie: u64, ref_ctr_offset: u64 },
})
const tracepoint = struct('tracepoint', { ...perfHead, name: u64, name_len: u32, pad2: u32, cookie: u64 })

export type LinkDetails =
  | { readonly kind: 'none' }
  | ({ readonly kind: 'place' } & LinkPlace)
  | { readonly kind: 'rawTracepoint'; readonly name: string; readonly cookie: bigint }
  | {
      readonly kind: 'tracing'
      readonly attachType: number
      readonly targetObject: number
      readonly targetType: number
      readonly cookie: bigint
    }
  | {
      readonly kind: 'kprobe'
      readonly isReturn: boolean
      readonly name: string
      readonly offset: number
      readonly address: bigint
      readonly missed: bigint
      readonly cookie: bigint
    }
  | {
      readonly kind: 'uprobe'
      readonly isReturn: boolean
      readonly name: string
      readonly offset: number
      readonly cookie: bigint
      readonly referenceCounter: bigint
    }
  | { readonly kind: 'tracepoint'; readonly name: string; readonly cookie: bigint }

export interface LinkInfo {
  readonly type: number
  readonly id: number
  readonly programId: number
  readonly details: LinkDetails
}

export function linkInfo(syscalls: Syscalls, fd: number): LinkInfo | SyscallError {
  const first = linkInfoBytes(syscalls, fd)
  if (first instanceof SyscallError) return first
  const { type, id, prog_id } = bpfLinkInfo.read(first)
  return { type, id, programId: prog_id, details: detailsOf(syscalls, fd, type, first) }
}

function detailsOf(syscalls: Syscalls, fd: number, type: number, first: Uint8Array): LinkDetails {
  switch (type) {
    case BPF_LINK_TYPE.BPF_LINK_TYPE_TRACING: {
      const info = tracing.read(first)
      return {
        kind: 'tracing',
        attachType: info.attach_type,
        targetObject: info.target_obj_id,
        targetType: info.target_btf_id,
        cookie: info.cookie,
      }
    }
    case BPF_LINK_TYPE.BPF_LINK_TYPE_RAW_TRACEPOINT: {
      const [bytes, name] = withText(syscalls, fd, (pointer) =>
        rawTracepoint.encode({ name: pointer, name_len: LONGEST_NAME }),
      )
      return { kind: 'rawTracepoint', name, cookie: rawTracepoint.read(bytes).cookie }
    }
    case BPF_LINK_TYPE.BPF_LINK_TYPE_PERF_EVENT:
      return perfDetails(syscalls, fd, perfName.read(first).event_type, first)
    default: {
      const place = linkPlace(syscalls, fd, type, first)
      return place === undefined ? { kind: 'none' } : { kind: 'place', ...place }
    }
  }
}

function perfDetails(syscalls: Syscalls, fd: number, eventType: number, first: Uint8Array): LinkDetails {
  const T = BPF_PERF_EVENT_TYPE
  if (eventType === T.BPF_PERF_EVENT_EVENT) return { kind: 'place', ...perfEventPlace(first) }
  if (eventType < T.BPF_PERF_EVENT_UPROBE || eventType > T.BPF_PERF_EVENT_TRACEPOINT) return { kind: 'none' }
  const [bytes, name] = withText(syscalls, fd, (pointer) =>
    perfName.encode({ name: pointer, name_len: LONGEST_NAME }),
  )
  if (eventType === T.BPF_PERF_EVENT_TRACEPOINT) {
    return { kind: 'tracepoint', name, cookie: tracepoint.read(bytes).cookie }
  }
  if (eventType === T.BPF_PERF_EVENT_KPROBE || eventType === T.BPF_PERF_EVENT_KRETPROBE) {
    const { offset, address, missed, cookie } = kprobe.read(bytes)
    const isReturn = eventType === T.BPF_PERF_EVENT_KRETPROBE
    return { kind: 'kprobe', isReturn, name, offset, address, missed, cookie }
  }
  const { offset, cookie, ref_ctr_offset } = uprobe.read(bytes)
  const isReturn = eventType === T.BPF_PERF_EVENT_URETPROBE
  return { kind: 'uprobe', isReturn, name, offset, cookie, referenceCounter: ref_ctr_offset }
}
