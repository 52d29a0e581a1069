/**
 * SYN cookies without a socket: a sequence number that says by itself, minutes later, that we gave it.
 *
 * cookie: | minute (8) | hash of minute and addresses, plus the index of the size (24) |, all plus a hash of the addresses
 * and the sequence number of the peer. Who does not know the secret cannot make one.
 *
 * Source: bpf-helpers(7), bpf_tcp_raw_gen_syncookie_ipv4 and its siblings; D. J. Bernstein, SYN cookies; sizes and
 * lifetime as in net/ipv4/syncookies.c and net/ipv6/syncookies.c of Linux 6.18.
 */
import { EACCES, EINVAL } from '../../abi/index.ts'
import { badMemory, failure, u32Of } from '../access.ts'
import type { HelperBody, HelperEnvironment } from '../environment.ts'
import { siphash } from '../siphash.ts'

/** What differs between the two versions of IP. */
interface Version {
  readonly headerBytes: number
  /** Where the two addresses are, one behind the other, and their bytes together. */
  readonly addresses: number
  readonly addressBytes: number
  /** Segment sizes that a cookie can say, rising. */
  readonly sizes: readonly number[]
  /** Of a peer that names none. */
  readonly defaultSize: number
}

const V4: Version = {
  headerBytes: 20,
  addresses: 12,
  addressBytes: 8,
  sizes: [536, 1300, 1440, 1460],
  defaultSize: 536,
}
const V6: Version = {
  headerBytes: 40,
  addresses: 8,
  addressBytes: 32,
  sizes: [1220, 1420, 1440, 8940],
  defaultSize: 1220,
}

const TCP_BYTES = 20
const HASH_BITS = 24
const HASH_MASK = (1 << HASH_BITS) - 1
const MINUTE_NS = 60_000_000_000n
/** A cookie is good in the minute that it is of and in the next. */
const MINUTES = 2

const OPTION_END = 0
const OPTION_NOP = 1
const OPTION_SIZE = 2
const OPTION_SIZE_BYTES = 4

const hashOf = (env: HelperEnvironment, flow: Uint8Array, minute: number, which: number): number => {
  const bytes = new Uint8Array(flow.length + 5)
  bytes.set(flow)
  new DataView(bytes.buffer).setUint32(flow.length, minute, true)
  bytes[flow.length + 4] = which
  const secret = env.syncookieSecret?.() ?? 0n
  return Number(BigInt.asUintN(32, siphash(bytes, secret, ~secret & 0xffff_ffff_ffff_ffffn)))
}

const minuteOf = (env: HelperEnvironment): number => Number(BigInt.asUintN(32, env.monotonicNs() / MINUTE_NS))

/** Addresses and ports. */
function flowOf(env: HelperEnvironment, version: Version, ip: number, tcp: number): Uint8Array {
  const flow = new Uint8Array(version.addressBytes + 4)
  const start = ip + version.addresses
  flow.set(env.arena.bytes.subarray(start, start + version.addressBytes))
  flow.set(env.arena.bytes.subarray(tcp, tcp + 4), version.addressBytes)
  return flow
}

/** The maximum segment size that the options name last; 0 where none does. */
function namedSize(options: Uint8Array): number {
  let size = 0
  for (let at = 0; at < options.length; ) {
    const kind = options[at]
    if (kind === OPTION_END) break
    if (kind === OPTION_NOP) {
      at++
      continue
    }
    const bytes = options[at + 1] ?? 0
    if (bytes < 2 || at + bytes > options.length) break
    if (kind === OPTION_SIZE && bytes === OPTION_SIZE_BYTES) {
      const named = ((options[at + 2] as number) << 8) | (options[at + 3] as number)
      if (named !== 0) size = named
    }
    at += bytes
  }
  return size
}

const generate =
  (version: Version): HelperBody =>
  (env, r1, r2, r3) => {
    const ip = env.arena.check(r1, version.headerBytes, false)
    if (ip < 0) return badMemory(1, r1, version.headerBytes, 'read')
    const size = u32Of(r3)
    const tcp = env.arena.check(r2, size, false)
    if (tcp < 0) return badMemory(2, r2, size, 'read')
    const { bytes, view } = env.arena
    if (size < TCP_BYTES || size !== ((bytes[tcp + 12] as number) >> 4) * 4) return failure(EINVAL)
    const named = namedSize(bytes.subarray(tcp + TCP_BYTES, tcp + size)) || version.defaultSize
    const index = Math.max(
      0,
      version.sizes.findLastIndex((one) => one <= named),
    )
    const flow = flowOf(env, version, ip, tcp)
    const minute = minuteOf(env)
    const low = (hashOf(env, flow, minute, 1) + index) & HASH_MASK
    const cookie =
      (hashOf(env, flow, 0, 0) + view.getUint32(tcp + 4, false) + (minute << HASH_BITS) + low) >>> 0
    return (BigInt(version.sizes[index] as number) << 32n) | BigInt(cookie)
  }

const check =
  (version: Version): HelperBody =>
  (env, r1, r2) => {
    const ip = env.arena.check(r1, version.headerBytes, false)
    if (ip < 0) return badMemory(1, r1, version.headerBytes, 'read')
    const tcp = env.arena.check(r2, TCP_BYTES, false)
    if (tcp < 0) return badMemory(2, r2, TCP_BYTES, 'read')
    const { view } = env.arena
    const flow = flowOf(env, version, ip, tcp)
    // The acknowledgement is one further than the cookie, and the peer's number one further than when it began.
    const given = view.getUint32(tcp + 8, false) - 1
    const peer = view.getUint32(tcp + 4, false) - 1
    const rest = (given - hashOf(env, flow, 0, 0) - peer) >>> 0
    const now = minuteOf(env)
    const age = (now - (rest >>> HASH_BITS)) & 0xff
    if (age >= MINUTES) return failure(EACCES)
    const index = (rest - hashOf(env, flow, (now - age) >>> 0, 1)) & HASH_MASK
    return index < version.sizes.length ? 0n : failure(EACCES)
  }

export const tcpRawGenSyncookieIpv4 = generate(V4)
export const tcpRawGenSyncookieIpv6 = generate(V6)
export const tcpRawCheckSyncookieIpv4 = check(V4)
export const tcpRawCheckSyncookieIpv6 = check(V6)
