/**
 * Headers that programs of lightweight tunnels put before a packet, on the Linux that runs the tests and on both engines:
 * the same answer, the same packet.
 *
 * Rules: Linux is never given what it does not come back from. In a test run a packet has no route, which Linux looks at
 * without asking for a whole new header with segments, and for a signature; on the way out it looks at it always, so that
 * a Linux which does not make one up for test runs is not asked at all. Segments lead to addresses that no other device
 * than the loopback device can reach, whatever network the tests are in.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_CMD, errnoName, progTestRunAttr, type Syscalls } from '../../src/abi/index.ts'
import { bpf } from '../../src/client/calls.ts'
import { type Collection, load, openObject } from '../../src/client/index.ts'
import { Owner, UserBuffer } from '../../src/client/owner.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('lwt-encap')
const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
const why = typeof object === 'string' ? object : noLinux
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

const ROOM = 4096
const CONTEXT_BYTES = 192
const GSO_SIZE = 176
const CHECKSUM_COMPLETE = 4
const MOST_HEADER = 304
const ENCAP = { segments: 0, segmentsInline: 1, ip: 2 } as const
const [IPV4, IPV6, ARP] = [0x0800, 0x86dd, 0x0806]
const [UDP, GRE, IPIP, ROUTE_TYPE, SIGNED] = [17, 47, 4, 4, 8]

interface Side extends Disposable {
  readonly kernel: Syscalls
  readonly collection: Collection
}

function open(kernel: Syscalls, bytes = object, name = 'lwt-encap'): Collection {
  const spec = openObject(bytes as Uint8Array, { name })
  if (!('programs' in spec)) throw new Error(spec.message)
  const loaded = load(spec, kernel)
  if (!('program' in loaded)) throw new Error(`${loaded.message} ${'log' in loaded ? loaded.log : ''}`)
  return loaded
}

interface Request {
  readonly program: 'push_in' | 'push_xmit'
  readonly mode: number
  readonly header: Uint8Array
  readonly frame: Uint8Array
  readonly flags?: number
  readonly segmentBytes?: number
}

/** All that the run tells. */
function run({ kernel, collection }: Side, request: Request) {
  const { program, mode, header, frame, flags = 0, segmentBytes = 0 } = request
  const bytes = new Uint8Array(MOST_HEADER)
  bytes.set(header)
  collection.globals.set('request', { mode, size: header.length, header: bytes })
  collection.globals.set('out', { answer: 0n, length: 0, protocol: 0, hash: 0, first: 0 })
  using owner = new Owner()
  const context = new Uint8Array(CONTEXT_BYTES)
  new DataView(context.buffer).setUint32(GSO_SIZE, segmentBytes, true)
  const data = owner.own(UserBuffer.of(kernel.memory, frame))
  const after = owner.own(new UserBuffer(kernel.memory, ROOM))
  const given = owner.own(UserBuffer.of(kernel.memory, context))
  const attr = progTestRunAttr.encode({
    prog_fd: collection.program(program).fd,
    data_in: data.pointer,
    data_size_in: frame.length,
    data_out: after.pointer,
    ctx_in: given.pointer,
    ctx_size_in: CONTEXT_BYTES,
    flags,
  })
  const status = bpf(kernel, BPF_CMD.BPF_PROG_TEST_RUN, attr)
  const { retval, data_size_out } = progTestRunAttr.read(attr)
  return {
    status: status === 0 ? 'ran' : errnoName(status),
    retval,
    out: collection.globals.get('out'),
    packet: [...after.bytes.slice(0, data_size_out)],
  }
}

/** An IPv4 header of `words` words, then zeroes and ones in turn; the checksum is 0. */
function ipv4(size: number, protocol: number, words = 5, checksum = 0): Uint8Array {
  const header = Uint8Array.from({ length: size }, (_, n) => (n * 73 + 1) & 0xff)
  header[0] = 0x40 | words
  if (size > 11) header.set([protocol, checksum >> 8, checksum & 0xff], 9)
  return header
}

function ipv6(size: number, next: number): Uint8Array {
  const header = Uint8Array.from({ length: size }, (_, n) => (n * 91 + 2) & 0xff)
  header[0] = 0x60
  if (size > 6) header[6] = next
  return header
}

const PLACES = {
  loopback: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  neighbour: [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77],
  group: [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
} as const
type Place = keyof typeof PLACES

/** A frame whose packet is `size` bytes long; one of IPv6 goes to `place`. */
function frameOf(etherType: number, size: number, place: Place = 'neighbour'): Uint8Array {
  const frame = Uint8Array.from({ length: 14 + size }, (_, n) => (n < 12 ? 0 : (n * 37 + 5) & 0xff))
  frame.set([etherType >> 8, etherType & 0xff, etherType === IPV6 ? 0x6a : 0x45], 12)
  if (etherType === IPV6) frame.set(PLACES[place], 14 + 24)
  return frame
}

/** A routing header, with records behind the segments. */
function route(places: readonly Place[], records: readonly number[] = [], left = places.length - 1) {
  const size = 8 + 16 * places.length + records.length
  const bytes = [0xaa, size / 8 - 1, ROUTE_TYPE, left, places.length - 1, 0, 0x12, 0x34]
  return Uint8Array.from([...bytes, ...places.flatMap((place) => [...PLACES[place]]), ...records])
}

/** What Linux would follow a null pointer for, if it took it for a route. */
function isUnsafe({ mode, header }: Request): boolean {
  const isRoute = header[2] === ROUTE_TYPE && (header[1] as number) * 8 + 8 === header.length
  if (mode === ENCAP.segments) return isRoute
  return mode === ENCAP.segmentsInline && isRoute && ((header[5] as number) & SIGNED) !== 0
}

/** Whether Linux has packets of test runs go out by some route. */
function linuxHasRoute(): boolean {
  const guard = compileObject('lwt-route')
  if (typeof guard === 'string') return false
  using collection = open(linux as Syscalls & Disposable, guard, 'lwt-route')
  const result = collection.program('has_route').testRun({ data: frameOf(IPV4, 50) })
  return 'returnValue' in result && result.returnValue === 1
}

describe.skipIf(why !== '')(`headers before packets${why && ` (skipped: ${why})`}`, () => {
  const sides: Side[] = []
  if (why === '') {
    const kernel = linux as Syscalls & Disposable
    const collection = open(kernel)
    sides.push({ kernel, collection, [Symbol.dispose]: () => collection[Symbol.dispose]() })
    for (const engine of ['jit', 'interpreter'] as const) {
      const ours = createKernel({ port: new TinyPort(), engine })
      const client = ours.openClient()
      sides.push({ kernel: client, collection: open(client), [Symbol.dispose]: () => ours[Symbol.dispose]() })
    }
  }
  afterAll(() => {
    for (const side of sides) side[Symbol.dispose]()
  })
  const noRoute = why === '' && linuxHasRoute() ? '' : ' (skipped: Linux follows a null pointer here)'
  let compared = 0
  const same = (request: Request) => {
    if (isUnsafe(request)) throw new Error('not to be asked of Linux')
    const [there, ...here] = sides.map((side) => run(side, request))
    for (const one of here) expect(one).toEqual(there)
    compared++
    return there as NonNullable<typeof there>
  }
  const programs = [
    ['push_in', ''],
    ['push_xmit', noRoute],
  ] as const

  describe.each(programs)('%s%s', (program, without) => {
    const packets = [frameOf(IPV4, 50), frameOf(IPV6, 60), frameOf(IPV6, 40), frameOf(ARP, 28)]
    const push = (header: Uint8Array, more: Partial<Request> = {}) =>
      packets.map((frame) => same({ program, mode: ENCAP.ip, header, frame, ...more }))

    test.skipIf(without !== '')('IPv4 headers', () => {
      for (const protocol of [UDP, GRE, IPIP, 0, 41]) {
        for (const size of [1, 19, 20, 21, 24, 27, 28, 29, 31, 60, 67, 68, 255, 256, 257, 304]) {
          push(ipv4(size, protocol))
          push(ipv4(size, protocol), { flags: CHECKSUM_COMPLETE })
        }
        for (let words = 0; words < 16; words++) {
          push(ipv4(60, protocol, words))
          push(ipv4(words * 4 + 8, protocol, words, 0x1234))
        }
      }
      const [first] = push(ipv4(24, GRE))
      expect(first).toMatchObject({ status: 'ran', retval: 0, out: { answer: 0n, length: 74, protocol: 8 } })
    })

    test.skipIf(without !== '')('IPv6 headers, and headers of no version', () => {
      for (const next of [UDP, GRE, 41, 4, 0]) {
        for (const size of [20, 39, 40, 41, 47, 48, 49, 255, 256, 257]) {
          push(ipv6(size, next))
          push(ipv6(size, next), { flags: CHECKSUM_COMPLETE })
        }
      }
      for (let version = 0; version < 16; version++) {
        push(Uint8Array.of(version << 4, ...ipv4(59, GRE).subarray(1)))
      }
    })

    test.skipIf(without !== '')('packets that stand for several', () => {
      for (const header of [ipv4(28, UDP), ipv4(24, GRE), ipv6(48, UDP), ipv6(40, IPIP), ipv4(10, 0)]) {
        push(header, { segmentBytes: 20 })
      }
    })

    test.skipIf(without !== '')('any header', () => {
      const version = fc.constantFrom(0x40, 0x45, 0x46, 0x4f, 0x60, 0x6f, 0x50)
      const bytes = fc.uint8Array({ minLength: 1, maxLength: MOST_HEADER })
      const protocol = fc.constantFrom(UDP, GRE, IPIP, 6)
      fc.assert(
        fc.property(version, bytes, protocol, fc.nat(3), fc.boolean(), (first, header, inner, n, summed) => {
          header[0] = first
          for (const at of [6, 9]) if (header.length > at) header[at] = inner
          const flags = summed ? CHECKSUM_COMPLETE : 0
          same({ program, mode: ENCAP.ip, header, frame: packets[n] as Uint8Array, flags })
        }),
        { numRuns: 400 },
      )
    })

    test('modes that there are not', () => {
      for (const mode of [3, 4, 0xffff_ffff, ...(program === 'push_xmit' ? [1] : [])]) {
        for (const result of push(ipv4(40, GRE), { mode })) expect(result.out).toMatchObject({ answer: -22n })
      }
    })
  })

  const inline = (header: Uint8Array, frame: Uint8Array, flags = 0) =>
    same({ program: 'push_in', mode: ENCAP.segmentsInline, header, frame, flags })
  const ipv6Frame = frameOf(IPV6, 60)

  test('a route by segments goes behind the header of the packet', () => {
    for (const places of [['loopback'], ['neighbour'], ['group'], ['loopback', 'neighbour']] as Place[][]) {
      for (const frame of [
        ipv6Frame,
        frameOf(IPV6, 40),
        frameOf(IPV6, 1000),
        frameOf(IPV4, 60),
        frameOf(ARP, 60),
      ]) {
        for (const flags of [0, CHECKSUM_COMPLETE]) inline(route(places), frame, flags)
      }
    }
    // The loopback device's own address is nowhere to forward to; no other can be reached.
    expect(inline(route(['loopback', 'loopback']), ipv6Frame).out).toMatchObject({
      answer: -22n,
      length: 100,
    })
    expect(inline(route(['loopback', 'neighbour']), ipv6Frame).out).toMatchObject({ answer: -101n })
    expect(inline(route(['loopback']), frameOf(IPV4, 60)).out).toMatchObject({ answer: -74n, length: 60 })
  })

  test('routes that are none, with records behind the segments', () => {
    for (let left = 0; left < 4; left++) inline(route(['loopback', 'group'], [], left), ipv6Frame)
    for (const records of [
      [1, 6, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
      [1, 5, 0, 0, 0, 0, 0, 0],
      [1, 7, 0, 0, 0, 0, 0, 0],
      [1, 0, 1, 4, 0, 0, 0, 0],
      [1, 200, 0, 0, 0, 0, 0, 0],
      [5, 38, ...new Array<number>(38).fill(1)],
    ]) {
      inline(route(['loopback'], records), ipv6Frame)
    }
    const good = route(['loopback', 'group'])
    for (const at of [1, 2, 3, 4]) {
      for (let value = 0; value < 12; value++)
        inline(
          Uint8Array.from(good, (byte, n) => (n === at ? value : byte)),
          ipv6Frame,
        )
    }
    for (const size of [1, 7, 8, 9, 23, 24, 25, 39, 40]) inline(good.slice(0, size), ipv6Frame)
  })

  test('any bytes that might be a route', () => {
    const header = fc.tuple(
      fc.nat(30),
      fc.nat(5),
      fc.nat(5),
      fc.uint8Array({ minLength: 240, maxLength: 240 }),
    )
    const place = fc.constantFrom<Place>('loopback', 'neighbour', 'group')
    fc.assert(
      fc.property(header, place, fc.boolean(), ([length, left, first, bytes], to, summed) => {
        bytes.set([1, length, ROUTE_TYPE, left, first, (bytes[5] as number) & ~SIGNED])
        for (let at = 8; at + 16 <= bytes.length; at += 16) bytes.set(PLACES[to], at)
        // Where the segments end, zeroes are records without contents.
        bytes.fill(0, 8 + 16 * (first + 1))
        inline(bytes.subarray(0, (length + 1) * 8), ipv6Frame, summed ? CHECKSUM_COMPLETE : 0)
      }),
      { numRuns: 300 },
    )
  })

  test('a header of its own, where the route is none', () => {
    for (const frame of [ipv6Frame, frameOf(IPV4, 60)]) {
      for (const size of [1, 8, 24, 40]) {
        const header = route(['loopback', 'group']).slice(0, size)
        header[2] = 0
        expect(same({ program: 'push_in', mode: ENCAP.segments, header, frame }).out).toMatchObject({
          answer: -22n,
        })
      }
    }
  })

  test('so many were compared', () => expect(compared).toBeGreaterThan(1000))
})
