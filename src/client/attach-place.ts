/**
 * Programs at places that a section's name cannot say: a network interface, a control group, a network namespace, a hook
 * of the packet filter, a map of sockets.
 *
 * All go by BPF_LINK_CREATE, as what the program was loaded as; a link is undone when it is closed, unlike what
 * BPF_PROG_ATTACH does.
 *
 * Source: link_create() of kernel/bpf/syscall.c of Linux, tcx_link_attach(), netkit_link_attach(), bpf_xdp_link_attach(),
 * cgroup_bpf_link_attach(), netns_bpf_link_create(), bpf_nf_link_attach(), sock_map_link_create().
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  EAFNOSUPPORT,
  EBADF,
  EBUSY,
  EEXIST,
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  EPERM,
  errnoName,
  linkCreateNetfilterAttr,
  linkCreatePlaceAttr,
  NETFILTER_HOOKS,
  PROTOCOL_FAMILIES,
  type Syscalls,
} from '../abi/index.ts'
import { bpf, openFile } from './calls.ts'
import { AttachError } from './errors.ts'
import { type Link, linkOf } from './link.ts'

/** In a chain of programs: whose neighbour the new one is to be. Default: behind all others. */
export interface ChainPosition {
  /** Before or behind the program or link of this descriptor. */
  readonly before?: ChainNeighbour
  readonly after?: ChainNeighbour
  /** Refuses where the chain has changed since it had this revision. */
  readonly expectedRevision?: bigint
}

/** `all`: before or behind all that are there; else before or behind the program or link of a descriptor. */
export type ChainNeighbour =
  | { readonly kind: 'all' }
  | { readonly kind: 'program'; readonly fd: number }
  | { readonly kind: 'link'; readonly fd: number }

/** Where a program of the network goes. `ifindex`: number of the interface. */
export type Place =
  /** Traffic of an interface (`tc/ingress`, `tcx/egress`). */
  | ({ readonly kind: 'tcx'; readonly ifindex: number } & ChainPosition)
  /** A pair of virtual interfaces (`netkit/primary`, `netkit/peer`). */
  | ({ readonly kind: 'netkit'; readonly ifindex: number } & ChainPosition)
  /** Packets as the driver hands them over. `mode`: who runs the program; default: the driver, else the kernel. */
  | { readonly kind: 'xdp'; readonly ifindex: number; readonly mode?: XdpMode }
  /** A folder of a cgroup2 file system (`cgroup/...`, `cgroup_skb/...`, `sockops`, `lsm_cgroup`). */
  | ({ readonly kind: 'cgroup'; readonly path: string } & ChainPosition)
  /** A network namespace (`flow_dissector`, `sk_lookup`). Default: the caller's own. */
  | { readonly kind: 'netns'; readonly path?: string }
  /** A hook of the packet filter (`netfilter`), in the own network namespace. */
  | {
      readonly kind: 'netfilter'
      readonly family: keyof typeof PROTOCOL_FAMILIES
      readonly hook: keyof typeof NETFILTER_HOOKS
      /** Lower ones run first; the first and the last number are the kernel's own. Default 0. */
      readonly priority?: number
      /** Whether fragments are put together before. Default false. */
      readonly defragments?: boolean
    }
  /** Sockets of a sockmap or sockhash (`sk_skb/...`, `sk_msg`); Linux 6.10 and later. */
  | { readonly kind: 'sockmap'; readonly map: { readonly fd: number } }

/** Source: XDP_FLAGS_* of include/uapi/linux/if_link.h. */
const XDP_FLAGS = { generic: 1 << 1, driver: 1 << 2, hardware: 1 << 3 } as const
export type XdpMode = keyof typeof XDP_FLAGS

/** Source: include/uapi/linux/bpf.h. */
const BPF_F_NETFILTER_IP_DEFRAG = 1

const BPF_F_BEFORE = 1 << 3
const BPF_F_AFTER = 1 << 4
const BPF_F_LINK = 1 << 13

const A = BPF_ATTACH_TYPE

/** Kinds whose programs were loaded as something that fits: names of what fits otherwise, for messages. */
const FITTING: Readonly<
  Record<Place['kind'], { readonly types?: readonly number[]; readonly sections: string }>
> = {
  tcx: {
    types: [A.BPF_TCX_INGRESS, A.BPF_TCX_EGRESS],
    sections: 'tc/ingress, tc/egress, tcx/ingress or tcx/egress',
  },
  netkit: { types: [A.BPF_NETKIT_PRIMARY, A.BPF_NETKIT_PEER], sections: 'netkit/primary or netkit/peer' },
  xdp: { types: [A.BPF_XDP], sections: 'xdp' },
  netns: { types: [A.BPF_FLOW_DISSECTOR, A.BPF_SK_LOOKUP], sections: 'flow_dissector or sk_lookup' },
  netfilter: { types: [A.BPF_NETFILTER], sections: 'netfilter' },
  sockmap: {
    types: [
      A.BPF_SK_SKB_STREAM_PARSER,
      A.BPF_SK_SKB_STREAM_VERDICT,
      A.BPF_SK_SKB_VERDICT,
      A.BPF_SK_MSG_VERDICT,
    ],
    sections: 'sk_skb/stream_parser, sk_skb/stream_verdict, sk_skb/verdict or sk_msg',
  },
  // Many; the kernel looks.
  cgroup: { sections: 'cgroup/..., cgroup_skb/..., sockops or lsm_cgroup' },
}

export interface PlaceAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: Place
  /** What the program was loaded as. */
  readonly attachType: number
}

export function attachToPlace(syscalls: Syscalls, attachment: PlaceAttachment): Link | AttachError {
  const { program, programFd, target, attachType } = attachment
  const where = whereOf(target)
  const fail = (code: AttachError['code'], why: string, errno?: number) =>
    new AttachError(code, program, where, `attaching '${program}' to ${where}: ${why}`, errno)
  const { types, sections } = FITTING[target.kind]
  if (types !== undefined && !types.includes(attachType)) {
    return fail('bad-target', `its section must be ${sections}, so that the kernel knows what it is for`)
  }
  const file =
    target.kind === 'cgroup' || target.kind === 'netns'
      ? openFile(syscalls, target.path ?? '/proc/self/ns/net')
      : undefined
  if (typeof file === 'number') return fail('bad-file', errnoName(file), -file)
  using _opened = file
  const attr =
    target.kind === 'netfilter'
      ? linkCreateNetfilterAttr.encode({
          prog_fd: programFd,
          attach_type: attachType,
          pf: PROTOCOL_FAMILIES[target.family],
          hooknum: NETFILTER_HOOKS[target.hook],
          priority: target.priority ?? 0,
          netfilter_flags: target.defragments === true ? BPF_F_NETFILTER_IP_DEFRAG : 0,
        })
      : linkCreatePlaceAttr.encode({
          prog_fd: programFd,
          target:
            target.kind === 'sockmap'
              ? target.map.fd
              : 'ifindex' in target
                ? target.ifindex
                : (file?.fd ?? 0),
          attach_type: attachType,
          ...(target.kind === 'xdp' ? { flags: target.mode === undefined ? 0 : XDP_FLAGS[target.mode] } : {}),
          ...('before' in target || 'after' in target || 'expectedRevision' in target
            ? positionOf(target)
            : {}),
        })
  const fd = bpf(syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
  return fd >= 0 ? linkOf(syscalls, { program, target, fd }) : fail('refused', refusal(fd, target), -fd)
}

function whereOf(target: Place): string {
  switch (target.kind) {
    case 'netns':
      return `network namespace ${target.path ?? 'of its own'}`
    case 'cgroup':
      return `control group ${target.path}`
    case 'netfilter':
      return `${target.hook} of ${target.family} (netfilter)`
    case 'sockmap':
      return `the sockets of a map (descriptor ${target.map.fd})`
    default:
      return `interface ${target.ifindex} (${target.kind})`
  }
}

function positionOf({ before, after, expectedRevision = 0n }: ChainPosition) {
  const neighbour = before ?? after
  const side = before !== undefined ? BPF_F_BEFORE : after !== undefined ? BPF_F_AFTER : 0
  return {
    flags: side | (neighbour?.kind === 'link' ? BPF_F_LINK : 0),
    relative: neighbour === undefined || neighbour.kind === 'all' ? 0 : neighbour.fd,
    expected_revision: expectedRevision,
  }
}

function refusal(result: number, { kind }: Place): string {
  const name = errnoName(result)
  switch (-result) {
    case ENODEV:
      return `${name}: the kernel has no such interface`
    case EBADF:
      return kind === 'cgroup' ? `${name}: that is no control group, or the kernel has none` : name
    case EAFNOSUPPORT:
      return `${name}: the kernel has no packet filter for that family`
    case EINVAL:
      return `${name}: the kernel has no such place, or no links to it, or the program does not fit`
    case EOPNOTSUPP:
      return `${name}: the kernel, or the interface, does not take such programs`
    case EBUSY:
    case EEXIST:
      return `${name}: another program is there already`
    case EPERM:
      return `${name}: not allowed`
    default:
      return name
  }
}
