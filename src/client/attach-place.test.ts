/** What the client asks of a kernel for the places that a caller names. */
import { expect, test } from 'vitest'
import { BPF_ATTACH_TYPE as A } from '../abi/index.ts'
import { attachToPlace, type Place } from './attach-place.ts'
import { AttachError } from './errors.ts'
import { FakeKernel } from './testing/fake-kernel.ts'
import { loadedProgram } from './testing/loaded-program.ts'

/** Words of the attribute behind the program: target, attach_type, flags, relative; and the revision. */
function asked(target: Place, attachType: number) {
  let attr = new Uint8Array()
  const link = (bytes: Uint8Array) => {
    attr = bytes.slice()
    return 0
  }
  const files = { '/sys/fs/cgroup/app': '', '/proc/self/ns/net': '', '/run/netns/blue': '' }
  const kernel = new FakeKernel({ link, files })
  const result = loadedProgram(kernel, { type: 3, expectedAttachType: attachType })
  const made = attachToPlace(kernel, { program: 'p', programFd: result.fd, target, attachType })
  if (made instanceof AttachError) throw new Error(made.message)
  const opened = kernel.calls.includes('open')
  made[Symbol.dispose]()
  expect([...kernel.fds.values()].map(({ kind }) => kind)).toEqual(['program'])
  expect(kernel.memory.allocations).toBe(0)
  const view = new DataView(attr.buffer)
  const [at, type, flags, relative] = [4, 8, 12, 16].map((offset) => view.getUint32(offset, true))
  expect(type).toBe(attachType)
  return { at: opened ? 'a descriptor' : at, flags, relative, revision: view.getBigUint64(24, true) }
}

const plain = { flags: 0, relative: 0, revision: 0n }

test.each<[string, Place, number, object]>([
  ['an interface', { kind: 'tcx', ifindex: 3 }, A.BPF_TCX_INGRESS, { at: 3, ...plain }],
  [
    'an interface, before all others',
    { kind: 'tcx', ifindex: 3, before: { kind: 'all' }, expectedRevision: 9n },
    A.BPF_TCX_EGRESS,
    { at: 3, flags: 8, relative: 0, revision: 9n },
  ],
  [
    'a pair, behind a link',
    { kind: 'netkit', ifindex: 4, after: { kind: 'link', fd: 77 } },
    A.BPF_NETKIT_PEER,
    { at: 4, flags: 16 | (1 << 13), relative: 77, revision: 0n },
  ],
  [
    'a control group, before a program',
    { kind: 'cgroup', path: '/sys/fs/cgroup/app', before: { kind: 'program', fd: 78 } },
    A.BPF_CGROUP_INET_EGRESS,
    { at: 'a descriptor', flags: 8, relative: 78, revision: 0n },
  ],
  ['a driver', { kind: 'xdp', ifindex: 5 }, A.BPF_XDP, { at: 5, ...plain }],
  [
    'an interface in software',
    { kind: 'xdp', ifindex: 5, mode: 'generic' },
    A.BPF_XDP,
    { at: 5, ...plain, flags: 2 },
  ],
  [
    'a hook of the packet filter',
    { kind: 'netfilter', family: 'ipv6', hook: 'forward', priority: -7, defragments: true },
    A.BPF_NETFILTER,
    // Where others have relative and a revision: family and hook, priority and flags.
    { at: 0, flags: 0, relative: 10, revision: (1n << 32n) | 0xffff_fff9n },
  ],
  ['sockets of a map', { kind: 'sockmap', map: { fd: 79 } }, A.BPF_SK_MSG_VERDICT, { at: 79, ...plain }],
  ['the own network namespace', { kind: 'netns' }, A.BPF_SK_LOOKUP, { at: 'a descriptor', ...plain }],
  [
    'a network namespace',
    { kind: 'netns', path: '/run/netns/blue' },
    A.BPF_FLOW_DISSECTOR,
    { at: 'a descriptor', ...plain },
  ],
])('%s', (_name, target, attachType, expected) => {
  expect(asked(target, attachType)).toEqual(expected)
})
