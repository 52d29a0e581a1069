/**
 * Where links are that name a place of the kernel's or of the network, as bpftool writes it.
 *
 * Source: struct bpf_link_info in include/uapi/linux/bpf.h, tools/bpf/bpftool/link.c of Linux.
 */
import {
  BPF_F_KPROBE_MULTI_RETURN,
  BPF_F_UPROBE_MULTI_RETURN,
  BPF_LINK_INFO_SIZE,
  BPF_LINK_TYPE,
  bpfLinkInfoCgroup,
  bpfLinkInfoDevice,
  bpfLinkInfoEvent,
  bpfLinkInfoIter,
  bpfLinkInfoIterCgroup,
  bpfLinkInfoKprobeMulti,
  bpfLinkInfoNetfilter,
  bpfLinkInfoNetns,
  bpfLinkInfoSockmap,
  bpfLinkInfoStructOps,
  bpfLinkInfoUprobeMulti,
  NETFILTER_HOOKS,
  PERF_TYPE,
  type Syscalls,
} from '../../abi/index.ts'
import { linkInfoBytes, readTextFile, SyscallError, softwareEventName } from '../../client/index.ts'
import { attachTypeWord } from './type-words.ts'

/** `text` comes behind what all links have; `members` are its JSON. */
export interface LinkPlace {
  readonly text: string
  readonly members: Readonly<Record<string, string | number | bigint | boolean>>
}

const T = BPF_LINK_TYPE
/** Paths and names are cut after this. */
export const LONGEST_NAME = 4096
/** So many functions of a link are listed. */
const MOST_FUNCTIONS = 1 << 16

const attachType = (type: number): string | number => attachTypeWord(type) ?? type

type Reader = (syscalls: Syscalls, fd: number, info: Uint8Array) => LinkPlace

const readers: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [
    T.BPF_LINK_TYPE_CGROUP,
    (_syscalls, _fd, info) => {
      const { cgroup_id, attach_type } = bpfLinkInfoCgroup.read(info)
      const type = attachType(attach_type)
      return {
        text: `\n\tcgroup_id ${cgroup_id}  attach_type ${type}  `,
        members: { cgroup_id, attach_type: type },
      }
    },
  ],
  [T.BPF_LINK_TYPE_ITER, iteratorPlace],
  [
    T.BPF_LINK_TYPE_NETNS,
    (_syscalls, _fd, info) => {
      const { netns_ino, attach_type } = bpfLinkInfoNetns.read(info)
      const type = attachType(attach_type)
      return {
        text: `\n\tnetns_ino ${netns_ino}  attach_type ${type}  `,
        members: { netns_ino, attach_type: type },
      }
    },
  ],
  [T.BPF_LINK_TYPE_XDP, (syscalls, _fd, info) => devicePlace(syscalls, info, false)],
  [T.BPF_LINK_TYPE_TCX, (syscalls, _fd, info) => devicePlace(syscalls, info, true)],
  [T.BPF_LINK_TYPE_NETKIT, (syscalls, _fd, info) => devicePlace(syscalls, info, true)],
  [
    T.BPF_LINK_TYPE_SOCKMAP,
    (_syscalls, _fd, info) => {
      const { map_id, attach_type } = bpfLinkInfoSockmap.read(info)
      const type = attachType(attach_type)
      return { text: `\n\tmap_id ${map_id}  attach_type ${type}  `, members: { map_id, attach_type: type } }
    },
  ],
  [T.BPF_LINK_TYPE_NETFILTER, (_syscalls, _fd, info) => netfilterPlace(info)],
  [
    T.BPF_LINK_TYPE_STRUCT_OPS,
    (_syscalls, _fd, info) => {
      const { map_id } = bpfLinkInfoStructOps.read(info)
      return { text: `map ${map_id}  `, members: { map_id } }
    },
  ],
  [T.BPF_LINK_TYPE_KPROBE_MULTI, functionsPlace],
  [T.BPF_LINK_TYPE_UPROBE_MULTI, usersPlace],
])

/** Undefined for links of other kinds. */
export function linkPlace(
  syscalls: Syscalls,
  fd: number,
  type: number,
  info: Uint8Array,
): LinkPlace | undefined {
  return readers.get(type)?.(syscalls, fd, info)
}

const OVER_MAPS: readonly string[] = ['bpf_map_elem', 'bpf_sk_storage_map', 'sockmap']
const CGROUP_ORDERS = ['order_unspec', 'self_only', 'descendants_pre', 'descendants_post', 'ancestors_up']

function iteratorPlace(syscalls: Syscalls, fd: number): LinkPlace {
  const [info, name] = withText(syscalls, fd, (pointer) =>
    bpfLinkInfoIter.encode({ target_name: pointer, target_name_len: LONGEST_NAME }),
  )
  const { map_id, tid, pid } = bpfLinkInfoIter.read(info)
  const fields: Record<string, string | number | bigint> = { target_name: name }
  if (OVER_MAPS.includes(name)) fields.map_id = map_id
  else if (name.startsWith('task') && tid !== 0) fields.tid = tid
  else if (name.startsWith('task') && pid !== 0) fields.pid = pid
  else if (name === 'cgroup') {
    const { cgroup_id, order } = bpfLinkInfoIterCgroup.read(info)
    fields.cgroup_id = cgroup_id
    fields.order = CGROUP_ORDERS[order] ?? 'unknown'
  }
  const text = Object.entries(fields).map(([word, value]) => `${word} ${value}  `)
  return { text: text.join(''), members: fields }
}

function devicePlace(syscalls: Syscalls, info: Uint8Array, hasType: boolean): LinkPlace {
  const { ifindex, attach_type } = bpfLinkInfoDevice.read(info)
  const devname = ifindex === 0 ? '(detached)' : (nameOfDevice(syscalls, ifindex) ?? '(unknown)')
  const shown = devname.startsWith('(') ? devname : `${devname}(${ifindex})`
  const type = hasType ? { attach_type: attachType(attach_type) } : {}
  const typeText = hasType ? `attach_type ${attachType(attach_type)}  ` : ''
  return { text: `\n\tifindex ${shown}  ${typeText}`, members: { devname, ifindex, ...type } }
}

/** The interface of a number, from the table of multicast groups, which has each. */
function nameOfDevice(syscalls: Syscalls, ifindex: number): string | undefined {
  const table = readTextFile(syscalls, '/proc/net/igmp')
  if (typeof table !== 'string') return undefined
  return new RegExp(`^${ifindex}\\s+(\\S+)`, 'm').exec(table)?.[1]
}

const FAMILIES = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
])
const HOOKS = new Map(Object.entries(NETFILTER_HOOKS).map(([name, hook]) => [hook as number, name]))

function netfilterPlace(info: Uint8Array): LinkPlace {
  const { pf, hooknum: hook, priority: prio, flags } = bpfLinkInfoNetfilter.read(info)
  const family = FAMILIES.get(pf) ?? `pf: ${pf}`
  const where = HOOKS.has(hook) ? ` ${HOOKS.get(hook)}` : `, hook ${hook},`
  const flagText = flags === 0 ? '' : ` flags 0x${flags.toString(16)}`
  return { text: `\n\t${family}${where} prio ${prio}${flagText}`, members: { pf, hook, prio, flags } }
}

function functionsPlace(syscalls: Syscalls, fd: number, first: Uint8Array): LinkPlace {
  const count = Math.min(bpfLinkInfoKprobeMulti.read(first).count, MOST_FUNCTIONS)
  const addrs = syscalls.memory.allocate(8 * count)
  const cookies = syscalls.memory.allocate(8 * count)
  try {
    const question = new Uint8Array(BPF_LINK_INFO_SIZE)
    question.set(bpfLinkInfoKprobeMulti.encode({ addrs, cookies, count }))
    const answer = linkInfoBytes(syscalls, fd, question)
    const info = bpfLinkInfoKprobeMulti.read(answer instanceof SyscallError ? first : answer)
    const isReturn = (info.flags & BPF_F_KPROBE_MULTI_RETURN) !== 0
    const words = (pointer: bigint): readonly bigint[] => [
      ...new BigUint64Array(syscalls.memory.view(pointer, 8 * count).slice().buffer),
    ]
    const cookieOf = words(cookies)
    const rows = words(addrs).map((address, i) => ({ address, cookie: cookieOf[i] ?? 0n }))
    rows.sort((a, b) => (a.address < b.address ? -1 : 1))
    const names = answer instanceof SyscallError ? new Map<bigint, string>() : functionNames(syscalls, rows)
    const missed = info.missed === 0n ? '' : `missed ${info.missed}  `
    const lines = rows
      .filter(({ address }) => names.has(address))
      .map(({ address, cookie }) => {
        const place = address.toString(16).padStart(16, '0')
        return `\n\t${place} ${cookie.toString(16).padEnd(16)} ${names.get(address)}  `
      })
    const title = lines.length === 0 ? '' : `\n\t${'addr'.padEnd(16)} ${'cookie'.padEnd(16)} func [module]`
    const what = isReturn ? 'kretprobe.multi' : 'kprobe.multi'
    return {
      text: `\n\t${what}  func_cnt ${info.count}  ${missed}${title}${lines.join('')}`,
      members: { retprobe: isReturn, func_cnt: info.count, missed: info.missed },
    }
  } finally {
    syscalls.memory.free(addrs)
    syscalls.memory.free(cookies)
  }
}

/** Bytes of `endbr64`, which may stand before what is probed. */
const ENDBR_BYTES = 4n

/** Names of the functions that begin at these addresses, or just before, where the kernel says them. */
function functionNames(
  syscalls: Syscalls,
  rows: readonly { readonly address: bigint }[],
): ReadonlyMap<bigint, string> {
  const wanted = new Set(rows.map(({ address }) => address))
  const names = new Map<bigint, string>()
  const symbols = readTextFile(syscalls, '/proc/kallsyms')
  if (typeof symbols !== 'string') return names
  for (const [, digits, name] of symbols.matchAll(/^([0-9a-f]+) [tTwW] (\S+.*)$/gm)) {
    const start = BigInt(`0x${digits}`)
    for (const address of [start, start + ENDBR_BYTES])
      if (wanted.has(address) && !names.has(address)) names.set(address, (name as string).replace('\t', ' '))
  }
  return names
}

function usersPlace(syscalls: Syscalls, fd: number): LinkPlace {
  const [info, path] = withText(syscalls, fd, (pointer) =>
    bpfLinkInfoUprobeMulti.encode({ path: pointer, path_size: LONGEST_NAME }),
  )
  const { count, flags, pid } = bpfLinkInfoUprobeMulti.read(info)
  const isReturn = (flags & BPF_F_UPROBE_MULTI_RETURN) !== 0
  const what = isReturn ? 'uretprobe.multi' : 'uprobe.multi'
  return {
    text: `\n\t${what}  path ${path}  func_cnt ${count}  pid ${pid}  `,
    members: { retprobe: isReturn, path, func_cnt: count, pid },
  }
}

const EVENT_TYPES = new Map(
  Object.entries(PERF_TYPE).map(([name, value]) => [
    value as number,
    name.replace('PERF_TYPE_', '').toLowerCase().replace('_', '-'),
  ]),
)
/** A perf event that counts, and probes nothing. */
export function perfEventPlace(info: Uint8Array): LinkPlace {
  const { config, event_type: type } = bpfLinkInfoEvent.read(info)
  const named = type === PERF_TYPE.PERF_TYPE_SOFTWARE ? softwareEventName(config) : undefined
  const event_type = EVENT_TYPES.get(type) ?? type
  return {
    text: `\n\tevent ${event_type}:${named ?? config}  `,
    members: { event_type, event_config: named ?? config },
  }
}

/** Asks again, with room for a text; zeroes where the kernel does not tell. */
export function withText(
  syscalls: Syscalls,
  fd: number,
  request: (pointer: bigint) => Uint8Array,
): [info: Uint8Array, text: string] {
  const pointer = syscalls.memory.allocate(LONGEST_NAME)
  try {
    const question = new Uint8Array(BPF_LINK_INFO_SIZE)
    question.set(request(pointer))
    const bytes = linkInfoBytes(syscalls, fd, question)
    if (bytes instanceof SyscallError) return [new Uint8Array(BPF_LINK_INFO_SIZE), '']
    const text = syscalls.memory.view(pointer, LONGEST_NAME)
    return [bytes, new TextDecoder().decode(text.slice(0, text.indexOf(0)))]
  } finally {
    syscalls.memory.free(pointer)
  }
}
