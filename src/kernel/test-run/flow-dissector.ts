/** Test runs of flow dissectors. Source: bpf_prog_test_run_flow_dissector() of net/bpf/test_run.c of Linux. */
import { EINVAL, ENOMEM } from '../../abi/index.ts'
import { PacketBuffer } from '../../memory/index.ts'
import { PACKET_POINTERS_BYTES, SK_BUFF, SK_BUFF_BYTES } from '../contexts/layout.ts'
import {
  isZeroBetween,
  readContext,
  readData,
  repeatRun,
  type TestRequest,
  writeContext,
  writeResult,
} from './request.ts'

const PAGE = 4096
const ETHERNET_HEADER = 14
const ETHERNET_PROTOCOL = 12

/** Offsets in struct bpf_flow_keys. */
const KEYS = { nhoff: 0, thoff: 2, n_proto: 10, flags: 48 } as const
const FLOW_KEYS_BYTES = 56

export function runFlowDissector(request: TestRequest): number {
  const { attr, call, program } = request
  const { core } = call
  if (attr.flags !== 0 || attr.cpu !== 0 || attr.batch_size !== 0) return -EINVAL
  if (attr.data_size_in < ETHERNET_HEADER) return -EINVAL
  const frame = readData(request, { linearBytes: attr.data_size_in, roomBytes: PAGE })
  if (typeof frame === 'number') return frame
  const given = readContext(request, FLOW_KEYS_BYTES)
  if (typeof given === 'number') return given
  if (given !== undefined) {
    const isClean = isZeroBetween(given, 0, KEYS.flags) && isZeroBetween(given, KEYS.flags + 4, given.length)
    if (!isClean) return -EINVAL
  }
  const flags = given === undefined ? 0 : new DataView(given.buffer).getUint32(KEYS.flags, true)

  const context = core.arena.allocate(SK_BUFF_BYTES + PACKET_POINTERS_BYTES)
  if (context === undefined) return -ENOMEM
  const keys = core.arena.allocate(FLOW_KEYS_BYTES)
  const packet =
    keys === undefined
      ? undefined
      : PacketBuffer.create(core.arena, {
          kind: 'flow',
          bytes: frame,
          headroomBytes: 0,
          tailroomBytes: 0,
          access: 'read',
          pointersAt: context + SK_BUFF_BYTES,
        })
  if (keys === undefined || packet === undefined) {
    if (keys !== undefined) core.arena.free(keys)
    core.arena.free(context)
    return -ENOMEM
  }
  const { arena } = core
  arena.view.setBigUint64(context + SK_BUFF.flow_keys, arena.address(keys), true)
  const result = repeatRun(request, () => {
    const { bytes, view } = arena
    bytes.fill(0, keys, keys + FLOW_KEYS_BYTES)
    bytes.set(frame.subarray(ETHERNET_PROTOCOL, ETHERNET_HEADER), keys + KEYS.n_proto)
    view.setUint16(keys + KEYS.nhoff, ETHERNET_HEADER, true)
    view.setUint16(keys + KEYS.thoff, ETHERNET_HEADER, true)
    view.setUint32(keys + KEYS.flags, flags, true)
    const returned = core.runner.run(program, { cpu: 0, context: arena.address(context), packet })
    clampOffsets(new DataView(arena.bytes.buffer, keys, FLOW_KEYS_BYTES), frame.length)
    return returned
  })
  const found = arena.bytes.slice(keys, keys + FLOW_KEYS_BYTES)
  packet.free()
  arena.free(keys)
  arena.free(context)
  if (typeof result === 'number') return result
  const written = writeResult(request, found, result)
  return written === 0 ? writeContext(request, given) : written
}

/** The network header is where the Ethernet header ends or behind, the transport header not before it. */
function clampOffsets(keys: DataView, packetBytes: number): void {
  const clamp = (value: number, low: number) => Math.min(Math.max(value, low), packetBytes)
  const network = clamp(keys.getUint16(KEYS.nhoff, true), ETHERNET_HEADER)
  keys.setUint16(KEYS.nhoff, network, true)
  keys.setUint16(KEYS.thoff, clamp(keys.getUint16(KEYS.thoff, true), network), true)
}
