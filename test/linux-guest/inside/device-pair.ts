/**
 * Pairs of virtual network devices: what goes out by one comes in by the other. Made by rtnetlink, since tools may not
 * know the kind.
 *
 * Source: rtnetlink(7), netlink(7); include/uapi/linux/if_link.h of Linux.
 */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const AF_NETLINK = 16
const SOCK_RAW = 3
const NETLINK_ROUTE = 0
const RTM_NEWLINK = 16
/** NLM_F_REQUEST, NLM_F_ACK; NLM_F_EXCL, NLM_F_CREATE. */
const CHANGE = 0x1 | 0x4
const MAKE = CHANGE | 0x200 | 0x400
const IFF_UP = 1
const IFLA = { IFNAME: 3, LINKINFO: 18, INFO_KIND: 1, INFO_DATA: 2 }
/** VETH_INFO_PEER, IFLA_NETKIT_PEER_INFO. */
const PEER = 1
const NLMSG_ERROR = 2
const HEADER_BYTES = 16

type Native = (...args: readonly unknown[]) => number
interface Koffi {
  load(path: null): { func(declaration: string): Native }
}

/** Both are up; the error's number where the kernel makes none of the kind. */
export function makePair(kind: 'veth' | 'netkit', one: string, other: string): number {
  const peer = Buffer.concat([link(), attribute(IFLA.IFNAME, text(other))])
  const info = [attribute(IFLA.INFO_KIND, text(kind)), attribute(IFLA.INFO_DATA, attribute(PEER, peer))]
  const parts = [attribute(IFLA.IFNAME, text(one)), attribute(IFLA.LINKINFO, Buffer.concat(info))]
  const made = ask(RTM_NEWLINK, MAKE, Buffer.concat([link(), ...parts]))
  if (made < 0) return made
  return Math.min(...[one, other].map((name) => ask(RTM_NEWLINK, CHANGE, link(indexOf(name), IFF_UP))))
}

export const indexOf = (device: string): number =>
  Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8'))

/** struct ifinfomsg: a device, 0 for a new one, and the flags that it is to have. */
function link(index = 0, flags = 0): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeInt32LE(index, 4)
  bytes.writeUInt32LE(flags, 8)
  bytes.writeUInt32LE(flags, 12)
  return bytes
}

const text = (name: string): Buffer => Buffer.from(`${name}\0`)

/** struct rtattr, padded to four bytes. */
function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4)
  bytes.writeUInt16LE(4 + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  bytes.set(value, 4)
  return bytes
}

function ask(type: number, flags: number, body: Uint8Array): number {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi
  const libc = koffi.load(null)
  const [socket, send, receive, close] = [
    'int socket(int, int, int)',
    'long send(int, uint8_t *, size_t, int)',
    'long recv(int, _Out_ uint8_t *, size_t, int)',
    'int close(int)',
  ].map((declaration) => libc.func(declaration)) as [Native, Native, Native, Native]
  const fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
  const request = Buffer.concat([Buffer.alloc(HEADER_BYTES), body])
  request.writeUInt32LE(request.length, 0)
  request.writeUInt16LE(type, 4)
  request.writeUInt16LE(flags, 6)
  send(fd, request, request.length, 0)
  const answer = Buffer.alloc(4096)
  receive(fd, answer, answer.length, 0)
  close(fd)
  return answer.readUInt16LE(4) === NLMSG_ERROR ? answer.readInt32LE(HEADER_BYTES) : 0
}
