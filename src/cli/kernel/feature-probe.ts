/**
 * `feature probe`: what a kernel can do, in bpftool's words.
 *
 * Newer kernels refuse helpers in words that bpftool 7.1 takes for a yes; here they count as refused.
 */
import { type KernelFeatures, probeFeatures, readTextFile } from '../../client/index.ts'
import { helperName, helperPrototypes } from '../../helpers/index.ts'
import type { CommandContext } from './command.ts'
import { mapTypeWord, programTypeWord } from './type-words.ts'
import type { Words } from './words.ts'

/** Settings that matter to BPF. */
const CONFIG =
  `BPF BPF_SYSCALL HAVE_EBPF_JIT BPF_JIT BPF_JIT_ALWAYS_ON DEBUG_INFO_BTF DEBUG_INFO_BTF_MODULES CGROUPS CGROUP_BPF
  CGROUP_NET_CLASSID SOCK_CGROUP_DATA BPF_EVENTS KPROBE_EVENTS UPROBE_EVENTS TRACING FTRACE_SYSCALLS
  FUNCTION_ERROR_INJECTION BPF_KPROBE_OVERRIDE NET XDP_SOCKETS LWTUNNEL_BPF NET_ACT_BPF NET_CLS_BPF NET_CLS_ACT
  NET_SCH_INGRESS XFRM IP_ROUTE_CLASSID IPV6_SEG6_BPF BPF_LIRC_MODE2 BPF_STREAM_PARSER NETFILTER_XT_MATCH_BPF BPFILTER
  BPFILTER_UMH TEST_BPF HZ`
    .split(/\s+/)
    .map((name) => `CONFIG_${name}`)

interface Setting {
  readonly path: string
  readonly name: string
  /** What the values mean, from 0. */
  readonly meanings: readonly string[]
  readonly unknown: string
}

const settings: readonly Setting[] = [
  {
    path: '/proc/sys/kernel/unprivileged_bpf_disabled',
    name: 'unprivileged_bpf_disabled',
    meanings: [
      'bpf() syscall for unprivileged users is enabled',
      'bpf() syscall restricted to privileged users (without recovery)',
      'bpf() syscall restricted to privileged users (admin can change)',
    ],
    unknown: 'Unable to retrieve required privileges for bpf() syscall',
  },
  {
    path: '/proc/sys/net/core/bpf_jit_enable',
    name: 'bpf_jit_enable',
    meanings: [
      'JIT compiler is disabled',
      'JIT compiler is enabled',
      'JIT compiler is enabled with debugging traces in kernel logs',
    ],
    unknown: 'Unable to retrieve JIT-compiler status',
  },
  {
    path: '/proc/sys/net/core/bpf_jit_harden',
    name: 'bpf_jit_harden',
    meanings: [
      'JIT compiler hardening is disabled',
      'JIT compiler hardening is enabled for unprivileged users',
      'JIT compiler hardening is enabled for all users',
    ],
    unknown: 'Unable to retrieve JIT hardening status',
  },
  {
    path: '/proc/sys/net/core/bpf_jit_kallsyms',
    name: 'bpf_jit_kallsyms',
    meanings: [
      'JIT compiler kallsyms exports are disabled',
      'JIT compiler kallsyms exports are enabled for root',
    ],
    unknown: 'Unable to retrieve JIT kallsyms export status',
  },
]

/** Helpers that write to the kernel's log when they are tried. */
const noisy: readonly string[] = ['bpf_trace_printk', 'bpf_trace_vprintk', 'bpf_probe_write_user']

export function probeKernel(context: CommandContext, words: Words): void {
  words.has('kernel')
  const isFull = words.has('full')
  words.end()
  const helpers = [...new Set(helperPrototypes.map(({ id }) => id))].filter(
    (id) => isFull || !noisy.includes(helperName(id) ?? ''),
  )
  const features = probeFeatures(context.syscalls, { helpers })
  if (context.json === undefined) context.print(plain(context, features))
  else writeJson(context, features)
}

function numberIn(context: CommandContext, path: string): number | undefined {
  const text = readTextFile(context.syscalls, path)
  return typeof text === 'string' && /^-?\d+\s*$/.test(text) ? Number(text) : undefined
}

const LIMIT = '/proc/sys/net/core/bpf_jit_limit'
const nameOfProgram = (type: number) => programTypeWord(type) ?? `type ${type}`
const nameOfMap = (type: number) => mapTypeWord(type) ?? `type ${type}`

function plain(context: CommandContext, features: KernelFeatures): string {
  const lines = ['Scanning system configuration...']
  for (const { path, meanings, unknown } of settings) {
    const value = numberIn(context, path)
    lines.push(value === undefined ? unknown : (meanings[value] ?? `${path} has the unknown value ${value}`))
  }
  const limit = numberIn(context, LIMIT)
  lines.push(
    limit === undefined
      ? 'Unable to retrieve global memory limit for JIT compiler for unprivileged users'
      : `Global memory limit for JIT compiler for unprivileged users is ${limit} bytes`,
  )
  if (features.config.size === 0) lines.push("skipping kernel config, can't open file")
  for (const name of features.config.size === 0 ? [] : CONFIG) {
    const value = features.config.get(name)
    lines.push(value === undefined ? `${name} is not set` : `${name} is set to ${value}`)
  }
  const state = (isThere: boolean) => (isThere ? 'is available' : 'is NOT available')
  lines.push('', 'Scanning system call availability...', 'bpf() syscall is available')
  lines.push('', 'Scanning eBPF program types...')
  for (const [type, isThere] of features.programTypes) {
    lines.push(`eBPF program_type ${nameOfProgram(type)} ${state(isThere)}`)
  }
  lines.push('', 'Scanning eBPF map types...')
  for (const [type, isThere] of features.mapTypes)
    lines.push(`eBPF map_type ${nameOfMap(type)} ${state(isThere)}`)
  lines.push('', 'Scanning eBPF helper functions...')
  for (const [type, ids] of features.helpers) {
    lines.push(`eBPF helpers supported for program type ${nameOfProgram(type)}:`)
    if (features.programTypes.get(type) !== true) lines.push('\tProgram type not supported')
    else if (ids.length === 0) lines.push('\tCould not determine which helpers are available')
    for (const id of ids) lines.push(`\t- ${helperName(id) ?? id}`)
  }
  const { misc } = features
  lines.push('', 'Scanning miscellaneous eBPF features...')
  lines.push(`Large program size limit ${state(misc.largeInstructionLimit)}`)
  lines.push(`Bounded loop support ${state(misc.boundedLoops)}`)
  lines.push(`ISA extension v2 ${state(misc.isaV2)}`)
  lines.push(`ISA extension v3 ${state(misc.isaV3)}`)
  return `${lines.join('\n')}\n\n`
}

function writeJson(context: CommandContext, features: KernelFeatures): void {
  const { json } = context
  json?.object(() => {
    json.name('system_config').object(() => {
      for (const { path, name } of settings) json.members({ [name]: numberIn(context, path) ?? -1 })
      json.members({ bpf_jit_limit: numberIn(context, LIMIT) ?? -1 })
      for (const name of features.config.size === 0 ? [] : CONFIG) {
        const value = features.config.get(name)
        json.name(name)
        if (value === undefined) json.null()
        else json.string(value)
      }
    })
    json.name('syscall_config').object(() => json.members({ have_bpf_syscall: true }))
    json.name('program_types').object(() => {
      for (const [type, isThere] of features.programTypes) {
        json.members({ [`have_${nameOfProgram(type)}_prog_type`]: isThere })
      }
    })
    json.name('map_types').object(() => {
      for (const [type, isThere] of features.mapTypes) {
        json.members({ [`have_${nameOfMap(type)}_map_type`]: isThere })
      }
    })
    json.name('helpers').object(() => {
      for (const [type, ids] of features.helpers) {
        json.name(`${nameOfProgram(type)}_available_helpers`).array(() => {
          for (const id of ids) json.string(helperName(id) ?? String(id))
        })
      }
    })
    const { misc } = features
    json.name('misc').object(() =>
      json.members({
        have_large_insn_limit: misc.largeInstructionLimit,
        have_bounded_loops: misc.boundedLoops,
        have_v2_isa_extension: misc.isaV2,
        have_v3_isa_extension: misc.isaV3,
      }),
    )
  })
}
