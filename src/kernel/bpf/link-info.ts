/** BPF_OBJ_GET_INFO_BY_FD of links. Source: the fill_link_info of each kind of link of Linux. */
import {
  BPF_LINK_INFO_SIZE,
  BPF_PERF_EVENT_TYPE,
  bpfLinkInfo,
  bpfLinkInfoIter,
  bpfLinkInfoKprobe,
  bpfLinkInfoKprobeMulti,
  bpfLinkInfoNetns,
  bpfLinkInfoStructOps,
  bpfLinkInfoTracing,
  EFAULT,
  EINVAL,
  ENOSPC,
} from '../../abi/index.ts'
import { IteratorLink } from '../iterators/link.ts'
import { KprobeMultiLink } from '../kprobe-multi-link.ts'
import { type LinkObject, PerfLink } from '../link-object.ts'
import { NetNamespaceLink } from '../net-namespace.ts'
import { ProbeEvent } from '../perf-event.ts'
import { StructOpsLink } from '../struct-ops/link.ts'
import { TracingLink } from '../tracing-link.ts'
import type { UserAccess } from '../types.ts'
import { writeName } from './info-name.ts'

export function describeLink(memory: UserAccess, given: Uint8Array, link: LinkObject): Uint8Array | number {
  const common = { type: link.type, id: link.id, prog_id: link.programId }
  const whole = new Uint8Array(BPF_LINK_INFO_SIZE)
  whole.set(bpfLinkInfo.encode(common))
  if (link instanceof NetNamespaceLink) {
    const { namespaceInode, attachType } = link
    whole.set(bpfLinkInfoNetns.encode({ ...common, netns_ino: namespaceInode, attach_type: attachType }))
  }
  if (link instanceof StructOpsLink) whole.set(bpfLinkInfoStructOps.encode({ ...common, map_id: link.mapId }))
  if (link instanceof TracingLink) {
    const { attachType, targetId, targetBtfId, cookie } = link.binding
    whole.set(
      bpfLinkInfoTracing.encode({
        ...common,
        attach_type: attachType,
        target_obj_id: targetId,
        target_btf_id: targetBtfId,
        cookie,
      }),
    )
  }
  if (link instanceof IteratorLink) return describeIterator(memory, given, link, whole)
  if (link instanceof KprobeMultiLink) return describeMany(memory, given, link, whole)
  return link instanceof PerfLink ? describePerfLink(memory, given, link, whole) : whole
}

function describePerfLink(
  memory: UserAccess,
  given: Uint8Array,
  link: PerfLink,
  whole: Uint8Array,
): Uint8Array | number {
  const wanted = bpfLinkInfoKprobe.read(given)
  if (!(link.event instanceof ProbeEvent)) return whole
  if ((wanted.func_name !== 0n) !== (wanted.name_len !== 0)) return -EINVAL
  const { place, missed } = link.event
  const named = writeName(memory, wanted.func_name, wanted.name_len, place.functionName)
  if (named !== 0) return named
  const { BPF_PERF_EVENT_KPROBE, BPF_PERF_EVENT_KRETPROBE } = BPF_PERF_EVENT_TYPE
  whole.set(
    bpfLinkInfoKprobe.encode({
      ...bpfLinkInfo.read(whole),
      perf_event_type: place.isReturn ? BPF_PERF_EVENT_KRETPROBE : BPF_PERF_EVENT_KPROBE,
      func_name: wanted.func_name,
      name_len: place.functionName.length + 1,
      offset: Number(BigInt.asUintN(32, place.offset)),
      addr: place.address,
      missed: BigInt(missed),
      cookie: link.cookie,
    }),
  )
  return whole
}

function describeIterator(
  memory: UserAccess,
  given: Uint8Array,
  { target, scope }: IteratorLink,
  whole: Uint8Array,
): Uint8Array | number {
  const { target_name, target_name_len } = bpfLinkInfoIter.read(given)
  if ((target_name !== 0n) !== (target_name_len !== 0)) return -EINVAL
  const named = writeName(memory, target_name, target_name_len, target.name)
  if (named !== 0) return named
  whole.set(
    bpfLinkInfoIter.encode({
      ...bpfLinkInfo.read(whole),
      target_name,
      target_name_len: target.name.length + 1,
      map_id: scope.map?.id ?? 0,
      tid: scope.tid ?? 0,
      pid: scope.pid ?? 0,
    }),
  )
  return whole
}

/** As many of the addresses and cookies as there is room for. */
function describeMany(
  memory: UserAccess,
  given: Uint8Array,
  { functions, flags, missed }: KprobeMultiLink,
  whole: Uint8Array,
): Uint8Array | number {
  const wanted = bpfLinkInfoKprobeMulti.read(given)
  if ((wanted.addrs === 0n) !== (wanted.count === 0)) return -EINVAL
  if (wanted.cookies !== 0n && wanted.count === 0) return -EINVAL
  const count = Math.min(wanted.count, functions.length)
  const give = (place: bigint, values: readonly bigint[]) =>
    place === 0n || memory.write(place, new Uint8Array(BigUint64Array.from(values).buffer))
  const shown = functions.slice(0, count)
  const given2 =
    give(
      wanted.addrs,
      shown.map(({ address }) => address),
    ) &&
    give(
      wanted.cookies,
      shown.map(({ cookie }) => cookie),
    )
  if (!given2) return -EFAULT
  whole.set(
    bpfLinkInfoKprobeMulti.encode({
      ...bpfLinkInfo.read(whole),
      addrs: wanted.addrs,
      count: functions.length,
      flags,
      missed: BigInt(missed),
      cookies: wanted.cookies,
    }),
  )
  return wanted.count > 0 && wanted.count < functions.length ? -ENOSPC : whole
}
