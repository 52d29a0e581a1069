/**
 * Where live frames are redirected to: devices, and the queues of CPUs.
 *
 * Rules
 * - Frames for a device wait until there are 16, or the batch is over; then the program of their entry runs on each,
 *   and what passes leaves. A device takes frames only where the port does; the loopback device of Linux never does.
 *   It gives their pages back when the batch is over and all that passed has been received.
 * - Frames for a CPU wait until there are 8, or the batch is over; then they go to its queue, and those that find no
 *   place there are dropped. The CPU gets to its queue when the batch is over, eight frames at a time: what passes the
 *   program of its entry goes to the network stack.
 * - The programs of CPUs may redirect again, a frame as often as `MOST_HOPS`; beyond that it is dropped.
 *
 * Source: the behaviour of kernel/bpf/devmap.c, kernel/bpf/cpumap.c and xdp_do_redirect_frame() of net/core/filter.c of
 * Linux.
 */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import type { FrameTarget, Redirection } from '../../helpers/index.ts'
import { type BpfMap, DeviceHash, RedirectArray, type RedirectTarget } from '../../maps/index.ts'
import { LOOPBACK } from '../contexts/device.ts'
import type { KernelCore } from '../core.ts'
import type { FramePool } from './frame-pool.ts'
import { PointerRing } from './pointer-ring.ts'
import type { XdpFrame } from './xdp-frame.ts'

export const XDP_PASS = 2
export const XDP_REDIRECT = 4
const DEVICE_BULK = 16
const CPU_BULK = 8
const MOST_HOPS = 64

/** A frame on its way to the loopback device. */
interface Leaving {
  readonly frame: XdpFrame
  readonly program: number
}

interface CpuQueue {
  readonly cpu: number
  readonly program: number
  readonly waiting: XdpFrame[]
  readonly ring: PointerRing<XdpFrame>
}

export class FrameTargets {
  readonly #core: KernelCore
  readonly #pool: FramePool
  readonly #leaving: Leaving[] = []
  /** The device has them still. */
  readonly #sent: XdpFrame[] = []
  readonly #queues = new Map<RedirectArray, Map<number, CpuQueue>>()
  readonly #hops = new Map<XdpFrame, number>()

  constructor(core: KernelCore, pool: FramePool) {
    this.#core = core
    this.#pool = pool
  }

  /** Takes the frame over: it goes where the helpers said, or is dropped where it cannot. */
  redirect(frame: XdpFrame, redirection: Redirection): void {
    const { target } = redirection
    redirection.target = undefined
    if (target === undefined || !this.#send(frame, target, redirection)) this.#pool.give(frame)
  }

  /** The batch is over. */
  flush(redirection: Redirection): void {
    this.#leave(redirection)
    for (const queue of this.#cpuQueues()) this.#enqueue(queue)
  }

  /** Lets CPUs get to their queues, until these are empty. */
  drain(): void {
    let isIdle = false
    while (!isIdle) {
      isIdle = true
      for (const queue of this.#cpuQueues()) if (this.#serve(queue)) isIdle = false
    }
    this.#hops.clear()
  }

  /** Hands the frame to the network stack, which gives it back. */
  pass(frame: XdpFrame): void {
    this.#hand(frame, 'pass')
    this.#pool.give(frame)
  }

  /** The device gives back what it has sent. */
  complete(): void {
    for (const frame of this.#sent.splice(0)) this.#pool.give(frame)
  }

  /** What the program returns; undefined after a run-time error. */
  run(program: number, frame: XdpFrame, cpu: number, redirection: Redirection): number | undefined {
    const { programs, runner } = this.#core
    const object = programs.get(program)
    const { context, packet } = frame
    const result = object && runner.run(object, { cpu, context, packet, redirection })
    return result === undefined ? undefined : Number(BigInt.asUintN(32, result))
  }

  /** False: it could not be sent, and stays the caller's. */
  #send(frame: XdpFrame, target: FrameTarget, redirection: Redirection): boolean {
    if (target.kind === 'device')
      return this.#toDevice(frame, { value: target.index, program: 0 }, redirection)
    const { map } = target
    if (!(map instanceof RedirectArray || map instanceof DeviceHash)) return false
    if (target.kind === 'all') return this.#toAll(frame, map, target.exceptIngress, redirection)
    const entry = map.target(target.index)
    if (entry === undefined) return false
    if (map instanceof DeviceHash || !isOfCpus(map)) return this.#toDevice(frame, entry, redirection)
    const queue = this.#queue(map, target.index, entry)
    if (queue.waiting.length === CPU_BULK) this.#enqueue(queue)
    queue.waiting.push(frame)
    return true
  }

  #hand(frame: XdpFrame, way: 'pass' | 'transmit'): void {
    this.#core.port.receiveFrame?.(frame.packet.bytes().slice(), way)
  }

  #takesFrames(device: number): boolean {
    return device === LOOPBACK && this.#core.port.receiveFrame !== undefined
  }

  #toDevice(frame: XdpFrame, { value: device, program }: RedirectTarget, redirection: Redirection): boolean {
    if (!this.#takesFrames(device)) return false
    if (this.#leaving.length === DEVICE_BULK) this.#leave(redirection)
    this.#leaving.push({ frame, program })
    return true
  }

  #toAll(
    frame: XdpFrame,
    map: RedirectArray | DeviceHash,
    exceptIngress: boolean,
    redirection: Redirection,
  ): boolean {
    const isMeant = ({ value }: RedirectTarget) =>
      this.#takesFrames(value) && !(exceptIngress && value === LOOPBACK)
    const entries = map.targets().filter(isMeant)
    const last = entries.pop()
    if (last === undefined) return false
    for (const entry of entries) {
      const copy = this.#pool.copyOf(frame)
      if (copy === undefined) return false
      this.#toDevice(copy, entry, redirection)
    }
    return this.#toDevice(frame, last, redirection)
  }

  #leave(redirection: Redirection): void {
    for (const { frame, program } of this.#leaving.splice(0)) {
      frame.egress = LOOPBACK
      if (program === 0 || this.run(program, frame, 0, redirection) === XDP_PASS) {
        this.#hand(frame, 'transmit')
        this.#sent.push(frame)
      } else this.#pool.give(frame)
    }
  }

  #queue(map: RedirectArray, cpu: number, { value: length, program }: RedirectTarget): CpuQueue {
    const queues = this.#queues.get(map) ?? new Map<number, CpuQueue>()
    this.#queues.set(map, queues)
    const queue = queues.get(cpu) ?? { cpu, program, waiting: [], ring: new PointerRing<XdpFrame>(length) }
    queues.set(cpu, queue)
    return queue
  }

  #cpuQueues(): CpuQueue[] {
    return [...this.#queues.values()].flatMap((queues) => [...queues.values()])
  }

  #enqueue({ waiting, ring }: CpuQueue): void {
    for (const frame of waiting.splice(0)) if (!ring.produce(frame)) this.#pool.give(frame)
  }

  /** Up to eight frames of the queue; false: it is empty. */
  #serve({ cpu, program, ring }: CpuQueue): boolean {
    const redirection: Redirection = { target: undefined }
    const passed: XdpFrame[] = []
    let isEmpty = true
    for (let i = 0; i < CPU_BULK; i++) {
      const frame = ring.consume()
      if (frame === undefined) break
      isEmpty = false
      const verdict = program === 0 ? XDP_PASS : this.run(program, frame, cpu, redirection)
      const hops = (this.#hops.get(frame) ?? 0) + 1
      this.#hops.set(frame, hops)
      if (verdict === XDP_PASS) passed.push(frame)
      else if (verdict === XDP_REDIRECT && hops < MOST_HOPS) this.redirect(frame, redirection)
      else this.#pool.give(frame)
    }
    this.flush(redirection)
    this.complete()
    for (const frame of passed) this.pass(frame)
    return !isEmpty
  }
}

const isOfCpus = (map: BpfMap): boolean => map.definition.type === BPF_MAP_TYPE.BPF_MAP_TYPE_CPUMAP
