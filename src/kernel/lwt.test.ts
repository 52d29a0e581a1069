/**
 * Headers that lightweight tunnels put before packets. test/linux/lwt-encap.test.ts compares them with Linux's, all but
 * routes by segments that no Linux can be asked for in a test run, since it then follows a null pointer: those in a header
 * of their own, and with a signature.
 */
import { describe, expect, test } from 'vitest'
import { BPF_PROG_TYPE, EINVAL, ENETUNREACH, ENOENT, progTestRunAttr } from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

const { BPF_PROG_TYPE_LWT_IN, BPF_PROG_TYPE_LWT_XMIT } = BPF_PROG_TYPE
const SIGNED = 8
const [IPV4, IPV6] = [0x0800, 0x86dd]
const HERE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
const FIRST = Array.from({ length: 16 }, (_, n) => 0x10 + n)
const LAST = Array.from({ length: 16 }, (_, n) => 0x20 + n)

/** A routing header: `LAST` by `FIRST`, then what may follow. */
const routeBy = (first: readonly number[], flags = 0, records: readonly number[] = []) => {
  const bytes = [...LAST, ...first, ...records]
  return Uint8Array.from([59, bytes.length / 8, 4, 1, 1, flags, 0, 0, ...bytes])
}

function frameOf(etherType: number): Uint8Array {
  const frame = Uint8Array.from({ length: 14 + 60 }, (_, n) => n)
  frame.set([etherType >> 8, etherType & 0xff, 0x6a, 0xbc, 0xde, 0xf0, 0, 20, 17, 33], 12)
  return frame
}

describe.each(['interpreter', 'jit'] as const)('by the %s', (engine) => {
  /** What bpf_lwt_push_encap answers, and the packet after it. */
  function push(mode: number, header: Uint8Array, frame: Uint8Array, type: number = BPF_PROG_TYPE_LWT_IN) {
    const kernel = createKernel({ port: new TinyPort(), engine })
    const client = kernel.openClient()
    const caller = new Caller(client)
    const map = caller.createArray(256)
    const value = new Uint8Array(256)
    value.set(header)
    caller.update(map, u32(0), value)
    const prog_fd = caller.load(
      `r2 = ${mode}\nr3 = map[fd:${map}][0]\nr4 = ${header.length}\ncall bpf_lwt_push_encap\nexit`,
      { prog_type: type },
    )
    const data_out = client.memory.allocate(1024)
    const data_in = caller.put(frame)
    const attr = progTestRunAttr.encode({ prog_fd, data_in, data_size_in: frame.length, data_out })
    expect(caller.bpf('BPF_PROG_TEST_RUN', attr)).toBe(0)
    const { retval, data_size_out } = progTestRunAttr.read(attr)
    return {
      answer: retval | 0,
      packet: [...client.memory.view(data_out, data_size_out).subarray(14)],
    }
  }

  test('an IP header, whose checksum is made where it has none', () => {
    const frame = frameOf(IPV6)
    const gre = [0, 0, 0x86, 0xdd]
    const addresses = [10, 0, 0, 1, 10, 0, 0, 2]
    const header = (sum: number[]) =>
      Uint8Array.from([0x45, 0, 0, 84, 0, 0, 0, 0, 64, 47, ...sum, ...addresses, ...gre])
    for (const type of [BPF_PROG_TYPE_LWT_IN, BPF_PROG_TYPE_LWT_XMIT]) {
      const pushed = (sum: number[]) => push(2, header(sum), frame, type)
      expect(pushed([0, 0])).toEqual({ answer: 0, packet: [...header([0x66, 0x79]), ...frame.subarray(14)] })
      expect(pushed([1, 2])).toEqual({ answer: 0, packet: [...header([1, 2]), ...frame.subarray(14)] })
      const short = push(2, header([0, 0]).subarray(0, 19), frame, type)
      expect(short).toEqual({ answer: -EINVAL, packet: [...frame.subarray(14)] })
    }
    // On the way out, no routes by segments.
    expect(push(1, routeBy(FIRST), frame, BPF_PROG_TYPE_LWT_XMIT).answer).toBe(-EINVAL)
  })

  test('a header of its own takes class, flow and hops of an IPv6 packet', () => {
    const frame = frameOf(IPV6)
    const route = routeBy(FIRST)
    const { answer, packet } = push(0, route, frame)
    expect(answer).toBe(-ENETUNREACH)
    const header = [0x6a, 0xbc, 0xde, 0xf0, 0, 100, 43, 33, ...HERE, ...FIRST]
    expect(packet).toEqual([...header, 41, ...route.subarray(1), ...frame.subarray(14)])
  })

  test('and has none of its own for another packet', () => {
    const { answer, packet } = push(0, routeBy(HERE), frameOf(IPV4))
    // The loopback device is nowhere to forward to.
    expect(answer).toBe(-EINVAL)
    expect(packet.slice(0, 40)).toEqual([0x60, 0, 0, 0, 0, 100, 43, 64, ...HERE, ...HERE])
    expect(packet.slice(40 + 40)).toEqual([...frameOf(IPV4).subarray(14)])
  })

  test('there is no key to sign a route with, in either place', () => {
    const signature = [5, 38, ...new Array<number>(38).fill(7)]
    for (const mode of [0, 1]) {
      const { answer, packet } = push(mode, routeBy(FIRST, SIGNED, signature), frameOf(IPV6))
      expect(answer).toBe(-ENOENT)
      // Before the length is told.
      expect(packet.slice(4, 6)).toEqual(mode === 0 ? [0, 0] : [0, 20])
      expect(push(mode, routeBy(FIRST, SIGNED, signature.with(1, 37)), frameOf(IPV6)).answer).toBe(-EINVAL)
      expect(push(mode, routeBy(FIRST, SIGNED), frameOf(IPV6)).answer).toBe(-EINVAL)
    }
  })
})
