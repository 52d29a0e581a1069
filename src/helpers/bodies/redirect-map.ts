/**
 * bpf_redirect_map: sends a packet to an entry of a devmap, cpumap or xskmap. What it returns is what the program
 * returns; a test run goes no further, unless its frames are live ones.
 *
 * Source: bpf-helpers(7); __bpf_xdp_redirect_map() of include/linux/filter.h of Linux.
 */

import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { DeviceHash, EmptyMap, RedirectArray } from '../../maps/index.ts'
import { badMap, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'

const XDP_ABORTED = 0n
const XDP_REDIRECT = 4n
/** The action for an index without an entry. */
const ACTION_MASK = 3n
const BPF_F_BROADCAST = 1n << 3n
const BPF_F_EXCLUDE_INGRESS = 1n << 4n

const { BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH } = BPF_MAP_TYPE

export const redirectMap: HelperBody = (env, r1, r2, r3) => {
  const map = env.mapAt(r1)
  const isTarget = map instanceof RedirectArray || map instanceof DeviceHash || map instanceof EmptyMap
  if (!isTarget) return badMap(1, r1, 'which packets cannot be sent to')
  const { type } = map.definition
  const hasDevices = type === BPF_MAP_TYPE_DEVMAP || type === BPF_MAP_TYPE_DEVMAP_HASH
  const known = ACTION_MASK | (hasDevices ? BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS : 0n)
  if ((r3 & ~known) !== 0n) return XDP_ABORTED
  const index = u32Of(r2)
  const isBroadcast = (r3 & BPF_F_BROADCAST) !== 0n
  const isFound = map.has(index)
  if (env.redirection !== undefined) {
    if (isBroadcast) {
      const exceptIngress = (r3 & BPF_F_EXCLUDE_INGRESS) !== 0n
      env.redirection.target = { kind: 'all', map, exceptIngress }
    } else {
      // A program that is told of no entry, and redirects all the same, means the device of that number.
      env.redirection.target = isFound ? { kind: 'entry', map, index } : { kind: 'device', index }
    }
  }
  return isFound || isBroadcast ? XDP_REDIRECT : r3 & ACTION_MASK
}
