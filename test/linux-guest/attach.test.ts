/**
 * Every way to attach, on a Linux that allows all of them: each program of `everywhere.bpf.c` runs when it is attached,
 * as often as what it is attached to happens, and not afterwards.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compileFile } from '../linux/compile.ts'
import { runGuest, whyNoGuest } from './guest.ts'
import type { Outcome } from './outcome.ts'

const object = compileFile(join(import.meta.dirname, 'programs', 'everywhere.bpf.c'))
const why = whyNoGuest() ?? (typeof object === 'string' ? object : undefined)

/** `runs`: how often, or at least how often. `since`: the first Linux that has it, as major * 1000 + minor. */
interface Expected {
  readonly runs: number | 'some' | 'none'
  readonly since?: number
  readonly answers?: readonly number[]
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
  kprobe_multi: { runs: 1, since: 6_018 },
  kretprobe_multi: { runs: 1, since: 6_018 },
  // At the entry and at the return.
  kprobe_session: { runs: 2, since: 6_018 },
  fentry: { runs: 1 },
  fexit: { runs: 1 },
  fmod_ret: { runs: 1 },
  lsm: { runs: 1 },
  lsm_s: { runs: 1 },
  lsm_cgroup: { runs: 2 },
  uprobe: calls,
  uretprobe: calls,
  uprobe_multi: { ...calls, since: 6_006 },
  uretprobe_multi: { ...calls, since: 6_006 },
  uprobe_session: { runs: 10, since: 6_013 },
  xdp: { runs: 1 },
  tcx_ingress: { runs: 1, since: 6_006 },
  tcx_egress: { runs: 1, since: 6_006 },
  netfilter: { runs: 1, since: 6_004 },
  sk_lookup: { runs: 1 },
  // Nobody asks for a flow here.
  flow_dissector: { runs: 'none' },
  cgroup_skb_ingress: { runs: 1 },
  cgroup_skb_egress: { runs: 1 },
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
  perf_event: some,
  iter_task: some,
  iter_task_file: some,
  iter_bpf_map: some,
  iter_bpf_prog: some,
  iter_bpf_link: some,
  iter_ksym: some,
  iter_cgroup: { runs: 3, since: 6_001 },
  sk_msg: { runs: 'none', since: 6_010 },
  sk_skb: { runs: 'none', since: 6_010 },
  freplace: { runs: 1, answers: [41, 140, 41] },
  fentry_program: { runs: 1, answers: [41, 41, 41] },
  fexit_program: { runs: 1, answers: [41, 41, 41] },
}

describe.skipIf(why !== undefined)(`on a Linux of its own${why ? ` (skipped: ${why})` : ''}`, () => {
  const text =
    why !== undefined || typeof object === 'string'
      ? ''
      : runGuest('attach', new Map([['everywhere.bpf.o', object]]))
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

  for (const [name, { runs, since = 0, answers }] of Object.entries(expected)) {
    test.skipIf(linux < since)(
      `${name}${linux < since ? ` (skipped: Linux ${version?.[0]} has none)` : ''}`,
      () => {
        const outcome = outcomes.get(name)
        expect(outcome?.error).toBeUndefined()
        if (runs === 'some') expect(outcome?.runs).toBeGreaterThan(0)
        else expect(outcome?.runs).toBe(runs === 'none' ? 0 : runs)
        expect(outcome?.runsAfterwards).toBe(0)
        if (answers !== undefined) expect(outcome?.answers).toEqual(answers)
      },
    )
  }
})
