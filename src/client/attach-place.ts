/**
 * Programs at places that a section's name cannot say: a network interface, a control group, a network namespace.
 *
 * All go by BPF_LINK_CREATE, as what the program was loaded as; a link is undone when it is closed, unlike what
 * BPF_PROG_ATTACH does.
 *
 * Source: link_create() of kernel/bpf/syscall.c of Linux, tcx_link_attach(), netkit_link_attach(), bpf_xdp_link_attach(),
 * cgroup_bpf_link_attach(), netns_bpf_link_create().
 */
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  EBADF,
  EBUSY,
  EEXIST,
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  EPERM,
  errnoName,
  linkCreatePlaceAttr,
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

/** Source: XDP_FLAGS_* of include/uapi/linux/if_link.h. */
const XDP_FLAGS = { generic: 1 << 1, driver: 1 << 2, hardware: 1 << 3 } as const
export type XdpMode = keyof typeof XDP_FLAGS

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
  const attr = linkCreatePlaceAttr.encode({
    prog_fd: programFd,
    target: 'ifindex' in target ? target.ifindex : (file?.fd ?? 0),
    attach_type: attachType,
    ...(target.kind === 'xdp' ? { flags: target.mode === undefined ? 0 : XDP_FLAGS[target.mode] } : {}),
    ...('before' in target || 'after' in target || 'expectedRevision' in target ? positionOf(target) : {}),
  })
  const fd = bpf(syscalls, BPF_CMD.BPF_LINK_CREATE, attr)
  return fd >= 0 ? linkOf(syscalls, { program, target, fd }) : fail('refused', refusal(fd, target), -fd)
}

function whereOf(target: Place): string {
  if (target.kind === 'netns') return `network namespace ${target.path ?? 'of its own'}`
  return target.kind === 'cgroup'
    ? `control group ${target.path}`
    : `interface ${target.ifindex} (${target.kind})`
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
