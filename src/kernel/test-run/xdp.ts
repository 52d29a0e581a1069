/**
 * Test runs of XDP programs: a frame with metadata before it, between headroom and tailroom of a page.
 *
 * What does not fit the page lies in fragments of a page each, which programs reach with helpers only. The frame
 * comes in by queue 0 of the loopback device, the only one that there is.
 *
 * Source: bpf_prog_test_run_xdp() of net/bpf/test_run.c of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  BPF_F_TEST_XDP_LIVE_FRAMES,
  E2BIG,
  EINVAL,
  ENODEV,
  ENOMEM,
} from '../../abi/index.ts'
import { LOOPBACK } from '../contexts/device.ts'
import { XDP_MD, XDP_MD_BYTES } from '../contexts/layout.ts'
import { runLiveFrames } from './live-frames.ts'
import { readContext, readData, runProgram, type TestRequest, writeContext, writeResult } from './request.ts'
import { XdpFrame } from './xdp-frame.ts'

const PAGE = 4096
const HEADROOM = 256
/** struct skb_shared_info and struct xdp_frame. */
const TAILROOM = 320
const FRAME_BYTES = 40
const MOST_META = 255
const ETHERNET_HEADER = 14
const MOST_FRAGMENTS = 17
/** What the kernel keeps in the page of a live frame, before the headroom. */
const PAGE_HEAD = 112
const USUAL_BATCH = 64
const LARGEST_BATCH = 256

export function runXdp(request: TestRequest): number {
  const { attr, call, program } = request
  const { core } = call
  const { expectedAttachType } = program.loaded
  const { BPF_XDP_DEVMAP, BPF_XDP_CPUMAP } = BPF_ATTACH_TYPE
  if (expectedAttachType === BPF_XDP_DEVMAP || expectedAttachType === BPF_XDP_CPUMAP) return -EINVAL
  if ((attr.flags & ~BPF_F_TEST_XDP_LIVE_FRAMES) !== 0) return -EINVAL
  const isLive = (attr.flags & BPF_F_TEST_XDP_LIVE_FRAMES) !== 0
  if (!isLive && attr.batch_size !== 0) return -EINVAL
  if (attr.batch_size > LARGEST_BATCH) return -E2BIG

  const given = readContext(request, XDP_MD_BYTES)
  if (typeof given === 'number') return given
  const described = given === undefined ? undefined : new DataView(given.buffer)
  const metaBytes = described?.getUint32(XDP_MD.data, true) ?? 0
  const total = attr.data_size_in
  let wanted = total
  if (described !== undefined) {
    const end = described.getUint32(XDP_MD.data_end, true)
    if (described.getUint32(XDP_MD.data_meta, true) !== 0 || end > total || metaBytes > end) return -EINVAL
    if (isLive && (attr.data_out !== 0n || attr.ctx_out !== 0n)) return -EINVAL
    if (!isMetaLength(metaBytes) || metaBytes > HEADROOM - FRAME_BYTES) return -EINVAL
    wanted = end
  }
  const pageBytes = isLive ? PAGE - PAGE_HEAD : PAGE
  const linear = Math.min(wanted, pageBytes - (HEADROOM - metaBytes) - TAILROOM)
  if (isLive && total > linear) return -EINVAL
  if (total - metaBytes < ETHERNET_HEADER) return -EINVAL
  const frame = readData(request, { linearBytes: linear, roomBytes: PAGE - TAILROOM })
  if (typeof frame === 'number') return frame
  const device = described === undefined ? 0 : checkDevice(described)
  if (device !== 0) return device
  if (Math.ceil((total - linear) / PAGE) > MOST_FRAGMENTS) return -ENOMEM

  const headroomBytes = HEADROOM - metaBytes
  if (isLive) {
    const tailroomBytes = pageBytes - headroomBytes - total
    const options = { bytes: frame, metaBytes, headroomBytes, tailroomBytes, frameBytes: pageBytes }
    const result = runLiveFrames(request, options, attr.batch_size || USUAL_BATCH)
    // What comes back is what was given: programs have had copies of it.
    return typeof result === 'number' ? result : writeResult(request, frame, result)
  }
  const xdp = XdpFrame.create(core.arena, {
    bytes: frame,
    metaBytes,
    linearBytes: linear - metaBytes,
    headroomBytes,
    tailroomBytes: TAILROOM + PAGE,
  })
  if (xdp === undefined) return -ENOMEM
  const { context, packet } = xdp
  const result = runProgram(request, { cpu: 0, context, packet })
  const after = packet.bytesWithMeta().slice()
  described?.setUint32(XDP_MD.data, packet.metaBytes, true)
  described?.setUint32(XDP_MD.data_end, packet.metaBytes + packet.linearBytes, true)
  const fragmentBytes = packet.lengthBytes - packet.linearBytes
  xdp.free()
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
