/**
 * Programs that nobody can run here, of types that can be neither attached nor test-run: linux-oracle.test.ts loads them
 * into both kernels.
 */
import { BPF_ATTACH_TYPE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { createMap, define, loadProgram, type OracleCase } from './oracle.ts'

const T = BPF_PROG_TYPE
const A = BPF_ATTACH_TYPE
const M = BPF_MAP_TYPE

interface Kind {
  readonly prog_type: number
  readonly expected_attach_type?: number
}

const SOCK_OPS: Kind = { prog_type: T.BPF_PROG_TYPE_SOCK_OPS }
const SK_MSG: Kind = { prog_type: T.BPF_PROG_TYPE_SK_MSG, expected_attach_type: A.BPF_SK_MSG_VERDICT }
const CONNECT: Kind = {
  prog_type: T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
  expected_attach_type: A.BPF_CGROUP_INET4_CONNECT,
}
const SYSCTL: Kind = { prog_type: T.BPF_PROG_TYPE_CGROUP_SYSCTL, expected_attach_type: A.BPF_CGROUP_SYSCTL }
const SOCKOPT: Kind = {
  prog_type: T.BPF_PROG_TYPE_CGROUP_SOCKOPT,
  expected_attach_type: A.BPF_CGROUP_SETSOCKOPT,
}
const DEVICE: Kind = { prog_type: T.BPF_PROG_TYPE_CGROUP_DEVICE, expected_attach_type: A.BPF_CGROUP_DEVICE }
const SEG6LOCAL: Kind = { prog_type: T.BPF_PROG_TYPE_LWT_SEG6LOCAL }

/** 16 bytes of the stack, and their size. */
const bytesIn = (pointer: number, size = 16) => `
  *(u64 *)(r10 -16) = 0
  *(u64 *)(r10 -8) = 0
  r${pointer} = r10
  r${pointer} += -16
  r${pointer + 1} = ${size}`

const CALLS: readonly (readonly [string, Kind, string])[] = [
  ['sock_ops_cb_flags_set', SOCK_OPS, 'r2 = 1'],
  ['load_hdr_opt', SOCK_OPS, `${bytesIn(2)}\nr4 = 0`],
  ['store_hdr_opt', SOCK_OPS, `${bytesIn(2)}\nr4 = 0`],
  ['reserve_hdr_opt', SOCK_OPS, 'r2 = 4\nr3 = 0'],
  ['load_hdr_opt', SK_MSG, `${bytesIn(2)}\nr4 = 0`],
  ['msg_apply_bytes', SK_MSG, 'r2 = 4'],
  ['msg_cork_bytes', SK_MSG, 'r2 = 4'],
  ['msg_pull_data', SK_MSG, 'r2 = 0\nr3 = 4\nr4 = 0'],
  ['msg_push_data', SK_MSG, 'r2 = 0\nr3 = 4\nr4 = 0'],
  ['msg_pop_data', SK_MSG, 'r2 = 0\nr3 = 4\nr4 = 0'],
  ['msg_apply_bytes', SOCK_OPS, 'r2 = 4'],
  ['bind', CONNECT, bytesIn(2)],
  ['bind', SYSCTL, bytesIn(2)],
  ['sysctl_get_name', SYSCTL, `${bytesIn(2)}\nr4 = 0`],
  ['sysctl_get_current_value', SYSCTL, bytesIn(2)],
  ['sysctl_get_new_value', SYSCTL, bytesIn(2)],
  ['sysctl_set_new_value', SYSCTL, bytesIn(2)],
  ['sysctl_get_current_value', SYSCTL, bytesIn(2, 17)],
  ['get_retval', SYSCTL, ''],
  ['set_retval', SYSCTL, 'r1 = -1'],
  ['get_retval', SOCKOPT, ''],
  ['set_retval', SOCKOPT, 'r1 = -1'],
  ['get_retval', DEVICE, ''],
  ['set_retval', CONNECT, 'r1 = -1'],
  ['get_retval', SK_MSG, ''],
  ['lwt_seg6_store_bytes', SEG6LOCAL, `${bytesIn(3)}\nr2 = 0`],
  ['lwt_seg6_adjust_srh', SEG6LOCAL, 'r2 = 0\nr3 = 8'],
  ['lwt_seg6_action', SEG6LOCAL, `${bytesIn(3)}\nr2 = 2`],
  ['lwt_push_encap', SEG6LOCAL, `${bytesIn(3)}\nr2 = 2`],
]

export function unrunCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  const source = (call: string) => `${call}\nr0 = 1\nexit`

  for (const [name, attr, setup] of CALLS) {
    add(`a call of ${name} in type ${attr.prog_type}: ${setup.replaceAll(/\s+/g, ' ')}`, (script) => {
      loadProgram(script, source(`${setup}\ncall bpf_${name}`), attr)
    })
  }

  for (const [map_type, helper] of [
    [M.BPF_MAP_TYPE_SOCKMAP, 'sock_map_update'],
    [M.BPF_MAP_TYPE_SOCKHASH, 'sock_hash_update'],
    [M.BPF_MAP_TYPE_HASH, 'sock_map_update'],
    [M.BPF_MAP_TYPE_SOCKMAP, 'sock_hash_update'],
  ] as const) {
    add(`a call of ${helper} with a map of type ${map_type}`, (script) => {
      const map = createMap(script, { map_type, key_size: 4, value_size: 4, max_entries: 4 })
      const call = `r2 = map[fd:0]\n*(u32 *)(r10 -4) = 0\nr3 = r10\nr3 += -4\nr4 = 0\ncall bpf_${helper}`
      for (const attr of [SOCK_OPS, SK_MSG]) loadProgram(script, source(call), attr, {}, map)
    })
  }
  return cases
}
