/**
 * Test runs of XDP programs: a frame with metadata before it, between headroom and tailroom of a page.
 *
 * What does not fit the page lies in fragments of a page each, which programs reach with helpers only. The frame
 * comes in by queue 0 of the loopback device, the only one that there is.
 *
 * Source: bpf_prog_test_run_xdp() of net/bpf/test_run.c of Linux.
 */
import { BPF_ATTACH_TYPE, EINVAL, ENODEV, ENOMEM, EOPNOTSUPP } from '../../abi/index.ts'
import { PacketBuffer } from '../../memory/index.ts'
import { LOOPBACK, QUEUE_BYTES, writeQueue } from '../contexts/device.ts'
import { PACKET_POINTERS_BYTES, XDP_MD, XDP_MD_BYTES } from '../contexts/layout.ts'
import { readContext, readData, runProgram, type TestRequest, writeContext, writeResult } from './request.ts'

const BPF_F_TEST_XDP_LIVE_FRAMES = 2
const PAGE = 4096
const HEADROOM = 256
/** struct skb_shared_info and struct xdp_frame. */
const TAILROOM = 320
const FRAME_BYTES = 40
const MOST_META = 255
const ETHERNET_HEADER = 14
const MOST_FRAGMENTS = 17

export function runXdp(request: TestRequest): number {
  const { attr, call, program } = request
  const { core } = call
  const { expectedAttachType } = program.loaded
  const { BPF_XDP_DEVMAP, BPF_XDP_CPUMAP } = BPF_ATTACH_TYPE
  if (expectedAttachType === BPF_XDP_DEVMAP || expectedAttachType === BPF_XDP_CPUMAP) return -EINVAL
  if ((attr.flags & ~BPF_F_TEST_XDP_LIVE_FRAMES) !== 0) return -EINVAL
  if ((attr.flags & BPF_F_TEST_XDP_LIVE_FRAMES) !== 0) return -EOPNOTSUPP
  if (attr.batch_size !== 0) return -EINVAL

  const given = readContext(request, XDP_MD_BYTES)
  if (typeof given === 'number') return given
  const described = given === undefined ? undefined : new DataView(given.buffer)
  const metaBytes = described?.getUint32(XDP_MD.data, true) ?? 0
  const total = attr.data_size_in
  let wanted = total
  if (described !== undefined) {
    const end = described.getUint32(XDP_MD.data_end, true)
    if (described.getUint32(XDP_MD.data_meta, true) !== 0 || end > total || metaBytes > end) return -EINVAL
    if (!isMetaLength(metaBytes) || metaBytes > HEADROOM - FRAME_BYTES) return -EINVAL
    wanted = end
  }
  const linear = Math.min(wanted, PAGE - (HEADROOM - metaBytes) - TAILROOM)
  if (total - metaBytes < ETHERNET_HEADER) return -EINVAL
  const frame = readData(request, { linearBytes: linear, roomBytes: PAGE - TAILROOM })
  if (typeof frame === 'number') return frame
  const device = described === undefined ? 0 : checkDevice(described)
  if (device !== 0) return device
  if (Math.ceil((total - linear) / PAGE) > MOST_FRAGMENTS) return -ENOMEM

  const queueAt = XDP_MD_BYTES + PACKET_POINTERS_BYTES
  const context = core.arena.allocate(queueAt + QUEUE_BYTES)
  if (context === undefined) return -ENOMEM
  const packet = PacketBuffer.create(core.arena, {
    kind: 'xdp',
    bytes: frame,
    metaBytes,
    linearBytes: linear - metaBytes,
    headroomBytes: HEADROOM - metaBytes,
    tailroomBytes: TAILROOM + PAGE,
    access: 'write',
    pointersAt: context + XDP_MD_BYTES,
  })
  if (packet === undefined) {
    core.arena.free(context)
    return -ENOMEM
  }
  core.arena.view.setUint32(context + XDP_MD.ingress_ifindex, LOOPBACK, true)
  writeQueue(core.arena, context + queueAt)
  const result = runProgram(request, { cpu: 0, context: core.arena.address(context), packet })
  const after = packet.bytesWithMeta().slice()
  described?.setUint32(XDP_MD.data, packet.metaBytes, true)
  described?.setUint32(XDP_MD.data_end, packet.metaBytes + packet.linearBytes, true)
  const fragmentBytes = packet.lengthBytes - packet.linearBytes
  packet.free()
  core.arena.free(context)
  if (typeof result === 'number') return result
  const written = writeResult(request, after, result, fragmentBytes)
  return written === 0 ? writeContext(request, given) : written
}

const isMetaLength = (bytes: number): boolean => (bytes & 3) === 0 && bytes <= MOST_META

function checkDevice(context: DataView): number {
  const device = context.getUint32(XDP_MD.ingress_ifindex, true)
  const queue = context.getUint32(XDP_MD.rx_queue_index, true)
  if (context.getUint32(XDP_MD.egress_ifindex, true) !== 0) return -EINVAL
  if (device === 0) return queue === 0 ? 0 : -EINVAL
  if (device !== LOOPBACK) return -ENODEV
  return queue === 0 ? 0 : -EINVAL
}
