/** A frame with the context that XDP programs are given with it. */
import { type Arena, PacketBuffer, type PacketOptions, type PacketPlace } from '../../memory/index.ts'
import { LOOPBACK, QUEUE_BYTES, writeQueue } from '../contexts/device.ts'
import { PACKET_POINTERS_BYTES, XDP_MD, XDP_MD_BYTES } from '../contexts/layout.ts'

const QUEUE = XDP_MD_BYTES + PACKET_POINTERS_BYTES

export type FrameOptions = Omit<PacketOptions, 'kind' | 'access' | 'pointersAt'>

export class XdpFrame {
  readonly packet: PacketBuffer
  readonly #arena: Arena
  readonly #context: number
  readonly #place: PacketPlace

  private constructor(arena: Arena, context: number, packet: PacketBuffer) {
    this.#arena = arena
    this.#context = context
    this.packet = packet
    this.#place = packet.place
    arena.view.setUint32(context + XDP_MD.ingress_ifindex, LOOPBACK, true)
    writeQueue(arena, context + QUEUE)
  }

  /** Undefined where the arena is full. */
  static create(arena: Arena, options: FrameOptions): XdpFrame | undefined {
    const context = arena.allocate(QUEUE + QUEUE_BYTES)
    if (context === undefined) return undefined
    const pointersAt = context + XDP_MD_BYTES
    const packet = PacketBuffer.create(arena, { ...options, kind: 'xdp', access: 'write', pointersAt })
    if (packet !== undefined) return new XdpFrame(arena, context, packet)
    arena.free(context)
    return undefined
  }

  /** Pointer to the context. */
  get context(): bigint {
    return this.#arena.address(this.#context)
  }

  /** The device that it is to leave by; 0: none. */
  set egress(device: number) {
    this.#arena.view.setUint32(this.#context + XDP_MD.egress_ifindex, device, true)
  }

  /** As it came, but for the bytes, which are what was last left there. */
  restore(): void {
    this.packet.restore(this.#place)
    this.egress = 0
  }

  free(): void {
    this.packet.free()
    this.#arena.free(this.#context)
  }
}
