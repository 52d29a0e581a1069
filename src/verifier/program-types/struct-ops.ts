/**
 * Structs of functions that programs can implement.
 *
 * Source: net/ipv4/bpf_tcp_ca.c, net/bpf/bpf_dummy_struct_ops.c, drivers/hid/bpf/hid_bpf_struct_ops.c,
 * kernel/sched/ext.c, net/sched/bpf_qdisc.c of Linux 6.18.
 */
import { BTF_KIND, type Btf, type BtfId, findMember } from '../../btf/index.ts'
import type { Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EACCES } from '../refusal.ts'

export interface StructOpsRules {
  /** Members that no program may implement. */
  readonly unsupported: readonly string[]
  /** Members whose programs may sleep. */
  readonly sleepable: readonly string[]
  /** Members of kernel structs that programs may write, by struct; `a/b.c` is member `c` of the struct `b` that `a` holds. */
  readonly writable: Readonly<Record<string, readonly string[]>>
  /** Structs that arguments are pointers to where their types say otherwise, by member and place. */
  readonly arguments?: Readonly<Record<string, Readonly<Record<number, string>>>>
  /** Of a store that runs over a member the log says less. */
  readonly isTerse?: boolean
}

export const STRUCT_OPS: Readonly<Record<string, StructOpsRules>> = {
  tcp_congestion_ops: {
    unsupported: ['get_info'],
    sleepable: [],
    writable: {
      tcp_sock: [
        'sk_pacing_rate',
        'sk_pacing_status',
        'icsk_ca_priv',
        'icsk_ack.pending',
        'snd_cwnd',
        'snd_cwnd_cnt',
        'snd_cwnd_stamp',
        'snd_ssthresh',
        'ecn_flags',
        'app_limited',
      ],
    },
  },
  bpf_dummy_ops: {
    unsupported: [],
    sleepable: ['test_sleepable'],
    writable: { bpf_dummy_ops_state: ['val'] },
    isTerse: true,
  },
  sched_ext_ops: {
    unsupported: [],
    sleepable: [
      'cgroup_init',
      'cgroup_exit',
      'cgroup_prep_move',
      'cpu_online',
      'cpu_offline',
      'init_task',
      'init',
      'exit',
    ],
    writable: { task_struct: ['scx.slice', 'scx.dsq_vtime', 'scx.disallow'] },
  },
  Qdisc_ops: {
    unsupported: [],
    sleepable: [],
    // The list of packets to be freed is only handed on.
    arguments: { enqueue: { 2: 'bpf_sk_buff_ptr' } },
    writable: { Qdisc: ['limit', 'q.qlen', 'qstats'], sk_buff: ['tstamp', 'cb/qdisc_skb_cb.data'] },
  },
  hid_bpf_ops: {
    unsupported: [],
    sleepable: ['hid_rdesc_fixup', 'hid_hw_request', 'hid_hw_output_report'],
    writable: { hid_bpf_ctx: ['retval'], hid_device: ['name', 'uniq', 'phys', 'quirks'] },
  },
}

export const structOpsRules = (p: Proof, name: string): StructOpsRules | undefined =>
  (p.input.structOps ?? STRUCT_OPS)[name]

/** Bytes of a member, found by name through the structs that a socket begins with. */
function memberRange(p: Proof, struct: string, member: string): [number, number] | undefined {
  const btf = p.kernel
  if (btf === undefined) return undefined
  const structs = struct === 'tcp_sock' ? ['tcp_sock', 'inet_connection_sock', 'sock'] : [struct]
  const [path = '', inner] = member.split('/')
  for (const name of structs) {
    const place = placeOf(btf, name, path)
    if (place === undefined) continue
    const [struct = '', part = ''] = inner?.split(/\.(.*)/) ?? []
    const within = inner === undefined ? { offset: 0, size: place.size } : placeOf(btf, struct, part)
    if (within !== undefined) {
      const start = place.offset + within.offset
      return [start, start + within.size]
    }
  }
  return undefined
}

function placeOf(btf: Btf, struct: string, path: string) {
  const id = btf.find(struct, BTF_KIND.STRUCT)
  return id === undefined ? undefined : findMember(btf, id, path)
}

/** A store into a kernel struct from a program that implements `structName`. */
export function writeThroughStructOps(p: Proof, register: Register, offset: number, size: number): void {
  const rules = p.structOpsName === undefined ? undefined : structOpsRules(p, p.structOpsName)
  const name = register.btf?.nameOf(register.btfId as BtfId) ?? ''
  const members = rules?.writable[name]
  if (members === undefined) throw p.refuse(EACCES, 'only read is supported')
  for (const member of members) {
    const range = memberRange(p, name, member)
    if (range === undefined || offset < range[0] || offset >= range[1]) continue
    if (offset + size > range[1]) {
      const place = `write access at off ${offset} with size ${size}`
      const where = rules?.isTerse === true ? '' : ` beyond the member of ${name} ended at ${range[1]}`
      throw p.refuse(EACCES, `${place}${where}`)
    }
    return
  }
  throw p.refuse(EACCES, `no write support to ${name} at off ${offset}`)
}
