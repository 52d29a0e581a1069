/**
 * Helpers that send a packet elsewhere. What they return is what the program returns; a test run goes no further, unless
 * its frames are live ones.
 *
 * Source: bpf_redirect(), bpf_xdp_redirect(), bpf_redirect_peer(), bpf_redirect_neigh(), bpf_clone_redirect() of
 * net/core/filter.c of Linux.
 */
import { EINVAL } from '../../abi/index.ts'
import { failure, u32Of } from '../access.ts'
import type { HelperBody } from '../environment.ts'
import { isFault, packetOf } from './packet.ts'

const XDP_ABORTED = 0n
const XDP_REDIRECT = 4n
const TC_ACT_SHOT = 2n
const TC_ACT_REDIRECT = 7n
const BPF_F_INGRESS = 1n
/** struct bpf_redir_neigh. */
const NEIGHBOUR_BYTES = 20

export const redirect: HelperBody = (env, r1, r2) => {
  if (env.packetBuffer?.kind === 'xdp') {
    if (r2 !== 0n) return XDP_ABORTED
    if (env.redirection !== undefined) env.redirection.target = { kind: 'device', index: u32Of(r1) }
    return XDP_REDIRECT
  }
  return (r2 & ~BPF_F_INGRESS) === 0n ? TC_ACT_REDIRECT : TC_ACT_SHOT
}

export const redirectPeer: HelperBody = (_env, _r1, r2) => (r2 === 0n ? TC_ACT_REDIRECT : TC_ACT_SHOT)

export const redirectNeigh: HelperBody = (_env, _r1, _r2, r3, r4) => {
  const size = u32Of(r3)
  return (size === 0 || size >= NEIGHBOUR_BYTES) && r4 === 0n ? TC_ACT_REDIRECT : TC_ACT_SHOT
}

/** There is no device to send the copy to. */
export const cloneRedirect: HelperBody = (env, r1) => {
  const packet = packetOf(env, r1, 'skb')
  return isFault(packet) ? packet : failure(EINVAL)
}
