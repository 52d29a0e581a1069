/**
 * Every way to attach, on a Linux that allows all of them: each program of `everywhere.bpf.c` runs when it is attached,
 * as often as what it is attached to happens, and not afterwards.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compileExecutable, compileFile, compileObject } from '../linux/compile.ts'
import { runGuest, whyNoGuest } from './guest.ts'
import type { Outcome } from './outcome.ts'

const object = compileFile(join(import.meta.dirname, 'programs', 'everywhere.bpf.c'))
const marks = compileObject('usdt')
const marked = compileExecutable('marked')
const why = whyNoGuest() ?? [object, marks, marked].find((one) => typeof one === 'string')

/** `runs`: how often, or at least how often. `since`: the first Linux that has it, as major * 1000 + minor. */
interface Expected {
  readonly runs: number | 'some' | 'none'
  readonly since?: number
  readonly answers?: readonly number[]
  /** What `link list` says behind the program; `toldSince`: the first Linux that tells. */
  readonly listed?: RegExp
  readonly toldSince?: number
}

const calls: Expected = { runs: 5 }
const some: Expected = { runs: 'some' }

const expected: Readonly<Record<string, Expected>> = {
  kprobe: calls,
  kretprobe: calls,
  ksyscall: calls,
  kretsyscall: calls,
  tracepoint: calls,
  raw_tp: some,
  tp_btf: some,
  // Debian's Linux 6.1 is built without what they need.
  kprobe_multi: {
    runs: 1,
    since: 6_012,
    listed:
      /\n\tkprobe\.multi {2}func_cnt 1 {2}\n\taddr +cookie +func \[module\]\n\t[0-9a-f]{16} 0 +security_file_open {2}\n/,
  },
  kretprobe_multi: { runs: 1, since: 6_012 },
  // At the entry and at the return.
  kprobe_session: { runs: 2, since: 6_010 },
  fentry: { runs: 1 },
  fexit: { runs: 1 },
  fmod_ret: { runs: 1 },
  lsm: { runs: 1 },
  lsm_s: { runs: 1 },
  lsm_cgroup: { runs: 2 },
  uprobe: calls,
  uretprobe: calls,
  // Asked about while it is attached, the program is called; the rest are arguments, summed up over the places of the name.
  usdt: {
    runs: 5,
    answers: [4, 0, 4, 4, 0xfeed, 4, -6 + 100, 4 * 250 + 1, 5996 + 2, -36 + 3, 3, 5],
  },
  uprobe_multi: {
    ...calls,
    since: 6_006,
    listed: /\n\tuprobe\.multi {2}path \S+libc\.so\.6 {2}func_cnt 1 {2}pid 0 {2}\n/,
  },
  uretprobe_multi: { ...calls, since: 6_006 },
  uprobe_session: { runs: 10, since: 6_013 },
  xdp: { runs: 1, listed: /xdp {2}prog \d+ {2}\n\tifindex lo\(1\) {2}\n/ },
  tcx_ingress: { runs: 1, since: 6_006, listed: /\n\tifindex lo\(1\) {2}attach_type tcx_ingress {2}\n/ },
  tcx_egress: { runs: 1, since: 6_006 },
  netkit_primary: {
    runs: 1,
    since: 6_007,
    listed: /netkit {2}prog \d+ {2}\n\tifindex nk0\(\d+\) {2}attach_type netkit_primary {2}\n/,
  },
  netkit_peer: { runs: 1, since: 6_007 },
  netfilter: { runs: 1, since: 6_004, listed: /netfilter {2}prog \d+ {2}\n\tip output prio -5\n/ },
  sk_lookup: { runs: 1, listed: /\n\tnetns_ino \d{10} {2}attach_type sk_lookup {2}\n/ },
  // Nobody asks for a flow here.
  flow_dissector: { runs: 'none' },
  cgroup_skb_ingress: { runs: 1 },
  cgroup_skb_egress: { runs: 1, listed: /\n\tcgroup_id \d+ {2}attach_type cgroup_inet_egress {2}\n/ },
  cgroup_bind4: { runs: 2 },
  cgroup_post_bind4: { runs: 2 },
  cgroup_sock_create: { runs: 2 },
  cgroup_sock_release: { runs: 2 },
  cgroup_sendmsg4: { runs: 1 },
  cgroup_recvmsg4: { runs: 1 },
  cgroup_connect4: { runs: 1 },
  cgroup_setsockopt: some,
  sockops: some,
  cgroup_sysctl: some,
  cgroup_dev: { runs: 1 },
  perf_event: { ...some, toldSince: 6_006, listed: /\n\tevent \S+:\S+ {2}\n/ },
  iter_task: some,
  // At the end, the program is called once more, with none.
  iter_task_own: { ...some, answers: [1, 1] },
  iter_task_file: some,
  iter_bpf_map: { ...some, listed: /iter {2}prog \d+ {2}target_name bpf_map {2}\n/ },
  iter_bpf_prog: some,
  iter_bpf_link: some,
  iter_ksym: some,
  iter_cgroup: {
    runs: 3,
    since: 6_001,
    listed: /target_name cgroup {2}cgroup_id \d+ {2}order ancestors_up {2}\n/,
  },
  sk_msg: { runs: 'none', since: 6_010, listed: /\n\tmap_id \d+ {2}attach_type sk_msg_verdict {2}\n/ },
  sk_skb: { runs: 'none', since: 6_010 },
  freplace: { runs: 1, answers: [41, 140, 41] },
  fentry_program: { runs: 1, answers: [41, 41, 41] },
  fexit_program: { runs: 1, answers: [41, 41, 41] },
}

function filesOf(): ReadonlyMap<string, Uint8Array> {
  if (typeof marked === 'string') throw new Error(marked)
  using executable = marked
  return new Map([
    ['everywhere.bpf.o', object as Uint8Array],
    ['usdt.bpf.o', marks as Uint8Array],
    ['marked', new Uint8Array(readFileSync(executable.path))],
  ])
}

describe.skipIf(why !== undefined)(`on a Linux of its own${why ? ` (skipped: ${why})` : ''}`, () => {
  const text = why === undefined ? runGuest('attach', filesOf()) : ''
  const version = /^LINUX (\d+)\.(\d+)/m.exec(text)
  const linux = Number(version?.[1]) * 1000 + Number(version?.[2])
  const outcomes = new Map(
    [...text.matchAll(/OUTCOME (\{.*\})/g)].map(([, json]) => {
      const outcome = JSON.parse(json as string) as Outcome
      return [outcome.name, outcome] as const
    }),
  )

  test('all of them were tried', () => {
    expect([...outcomes.keys()].sort(), text.slice(-4000)).toEqual(Object.keys(expected).sort())
  })

  for (const [name, { runs, since = 0, answers, listed, toldSince = 0 }] of Object.entries(expected)) {
    test.skipIf(linux < since)(
      `${name}${linux < since ? ` (skipped: Linux ${version?.[0]} has none)` : ''}`,
      () => {
        const outcome = outcomes.get(name)
        expect(outcome?.error).toBeUndefined()
        if (runs === 'some') expect(outcome?.runs).toBeGreaterThan(0)
        else expect(outcome?.runs).toBe(runs === 'none' ? 0 : runs)
        expect(outcome?.runsAfterwards).toBe(0)
        if (listed !== undefined && linux >= toldSince) expect(outcome?.listed).toMatch(listed)
        if (answers !== undefined) expect(outcome?.answers).toEqual(answers)
      },
    )
  }
})
