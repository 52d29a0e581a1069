/** Fields of contexts, by program type: what programs of the type usually touch, and now and then what they must not. */
import { BPF_PROG_TYPE } from '../../../src/abi/index.ts'

export interface ContextFields {
  /** Offset and size of loads that give numbers. */
  readonly loads: readonly (readonly [number, number])[]
  readonly stores: readonly (readonly [number, number])[]
  /** Of the pointers to the packet's data, end and metadata. */
  readonly packet?: readonly [number, number, number | undefined]
  readonly packetIsWritable?: boolean
  /** Legacy loads of the packet. */
  readonly absolute?: boolean
}

const T = BPF_PROG_TYPE
const words = (from: number, to: number, step: number): [number, number][] => {
  const found: [number, number][] = []
  for (let at = from; at < to; at += step) found.push([at, step])
  return found
}

const skb: [number, number][] = [...words(0, 72, 4), [49, 1], [50, 2], [56, 8], [0, 1], [2, 2]]
const cb: [number, number][] = [...words(48, 68, 4), [48, 8], [51, 1], [54, 2]]

export const CONTEXTS: Readonly<Record<number, ContextFields>> = {
  [T.BPF_PROG_TYPE_SOCKET_FILTER]: { loads: skb, stores: cb, absolute: true },
  [T.BPF_PROG_TYPE_SCHED_CLS]: {
    loads: [...skb, [72, 4], [152, 8], [160, 4]],
    stores: [...cb, [8, 4], [32, 4], [44, 4], [72, 4], [152, 8]],
    packet: [76, 80, 140],
    packetIsWritable: true,
    absolute: true,
  },
  [T.BPF_PROG_TYPE_CGROUP_SKB]: {
    loads: skb,
    stores: [...cb, [8, 4], [32, 4]],
    packet: [76, 80, undefined],
  },
  [T.BPF_PROG_TYPE_XDP]: {
    loads: [
      [12, 4],
      [16, 4],
    ],
    stores: [],
    packet: [0, 4, 8],
    packetIsWritable: true,
  },
  [T.BPF_PROG_TYPE_KPROBE]: { loads: [...words(0, 168, 8), [8, 4], [20, 4]], stores: [] },
  [T.BPF_PROG_TYPE_RAW_TRACEPOINT]: { loads: [...words(0, 96, 8), [8, 4]], stores: [] },
  [T.BPF_PROG_TYPE_TRACEPOINT]: { loads: [...words(8, 64, 8), [12, 4], [9, 1]], stores: [] },
  [T.BPF_PROG_TYPE_SYSCALL]: { loads: [...words(0, 64, 8), [4, 4], [9, 1]], stores: words(0, 64, 8) },
}

export const PROGRAM_TYPES: readonly number[] = Object.keys(CONTEXTS).map(Number)
