/** What helpers over packets share: the packet behind the context in r1, and copies from and to it. */
import type { PacketBuffer } from '../../memory/index.ts'
import type { HelperEnvironment, HelperFault } from '../environment.ts'

type Kind = PacketBuffer['kind']

/** The packet whose context this is, as the program or the one that it traces has it. */
export const packetAt = (env: HelperEnvironment, context: bigint): PacketBuffer | undefined =>
  context === (env.packetContext ?? env.context) ? env.packetBuffer : undefined

/** The packet of the run, where r1 is its context and the packet one of these kinds. */
export function packetOf(
  env: HelperEnvironment,
  context: bigint,
  ...kinds: readonly Kind[]
): PacketBuffer | HelperFault {
  const packet = packetAt(env, context)
  if (packet !== undefined && kinds.includes(packet.kind)) return packet
  const reason = `R1 is 0x${context.toString(16)}, which is not the context of a packet`
  return { kind: 'fault', argument: 1, address: context, sizeBytes: 0, access: 'read', reason }
}

export const isFault = (value: PacketBuffer | HelperFault): value is HelperFault => value.kind === 'fault'

/** An `int` argument. */
export const i32Of = (value: bigint): number => Number(BigInt.asIntN(32, value))

/** `bytes` of the packet from `offset` on; undefined where it ends before. */
export function packetBytes(packet: PacketBuffer, offset: number, bytes: number): Uint8Array | undefined {
  const start = offset
  const all = packet.bytes()
  return start >= 0 && start + bytes <= all.length ? all.subarray(start, start + bytes) : undefined
}
