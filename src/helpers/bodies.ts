/**
 * Which helper has which body. To add one is a line here and a function under bodies/.
 */
import * as absent from './bodies/absent.ts'
import * as cgroup from './bodies/cgroup.ts'
import * as context from './bodies/context.ts'
import * as control from './bodies/control.ts'
import * as dynptr from './bodies/dynptr.ts'
import * as functionCall from './bodies/function-call.ts'
import * as keyless from './bodies/keyless.ts'
import * as kptr from './bodies/kptr.ts'
import * as maps from './bodies/maps.ts'
import * as network from './bodies/network.ts'
import * as output from './bodies/output.ts'
import * as print from './bodies/print.ts'
import * as probeRead from './bodies/probe-read.ts'
import * as redirect from './bodies/redirect.ts'
import { redirectMap } from './bodies/redirect-map.ts'
import * as seq from './bodies/seq.ts'
import * as skb from './bodies/skb.ts'
import * as skbShape from './bodies/skb-shape.ts'
import * as spinLock from './bodies/spin-lock.ts'
import * as stack from './bodies/stack.ts'
import * as steer from './bodies/steer.ts'
import * as syncookie from './bodies/syncookie.ts'
import * as system from './bodies/system.ts'
import * as task from './bodies/task.ts'
import * as text from './bodies/text.ts'
import * as timer from './bodies/timer.ts'
import * as typed from './bodies/typed.ts'
import * as xdp from './bodies/xdp.ts'
import type { HelperBody } from './environment.ts'
import { helperByName } from './prototype.ts'

const bodiesByName = {
  bpf_map_lookup_elem: maps.mapLookupElem,
  bpf_map_update_elem: maps.mapUpdateElem,
  bpf_map_delete_elem: maps.mapDeleteElem,
  bpf_map_lookup_percpu_elem: maps.mapLookupPercpuElem,
  bpf_for_each_map_elem: maps.forEachMapElem,
  bpf_map_push_elem: keyless.mapPushElem,
  bpf_map_pop_elem: keyless.mapPopElem,
  bpf_map_peek_elem: keyless.mapPeekElem,
  bpf_redirect_map: redirectMap,
  bpf_spin_lock: spinLock.spinLock,
  bpf_spin_unlock: spinLock.spinUnlock,
  bpf_timer_init: timer.timerInit,
  bpf_timer_set_callback: timer.timerSetCallback,
  bpf_timer_start: timer.timerStart,
  bpf_timer_cancel: timer.timerCancel,
  bpf_kptr_xchg: kptr.kptrXchg,
  bpf_per_cpu_ptr: kptr.perCpuPtr,
  bpf_this_cpu_ptr: kptr.thisCpuPtr,
  bpf_get_stackid: stack.getStackid,
  bpf_get_stack: stack.getStack,
  bpf_get_current_task: task.getCurrentTask,
  bpf_get_current_task_btf: task.getCurrentTask,
  bpf_task_storage_get: task.taskStorageGet,
  bpf_task_storage_delete: task.taskStorageDelete,
  bpf_current_task_under_cgroup: task.currentTaskUnderCgroup,
  bpf_get_current_cgroup_id: task.getCurrentCgroupId,
  bpf_get_current_ancestor_cgroup_id: task.getCurrentAncestorCgroupId,
  bpf_get_ns_current_pid_tgid: task.getNsCurrentPidTgid,
  bpf_dynptr_from_mem: dynptr.dynptrFromMem,
  bpf_dynptr_read: dynptr.dynptrRead,
  bpf_dynptr_write: dynptr.dynptrWrite,
  bpf_dynptr_data: dynptr.dynptrData,
  bpf_ringbuf_reserve_dynptr: dynptr.ringbufReserveDynptr,
  bpf_ringbuf_submit_dynptr: dynptr.ringbufSubmitDynptr,
  bpf_ringbuf_discard_dynptr: dynptr.ringbufDiscardDynptr,
  bpf_user_ringbuf_drain: dynptr.userRingbufDrain,
  bpf_jiffies64: context.jiffies64,
  bpf_ktime_get_ns: context.ktimeGetNs,
  bpf_ktime_get_boot_ns: context.ktimeGetBootNs,
  bpf_ktime_get_coarse_ns: context.ktimeGetCoarseNs,
  bpf_get_smp_processor_id: context.getSmpProcessorId,
  bpf_get_numa_node_id: context.getNumaNodeId,
  bpf_get_prandom_u32: context.getPrandomU32,
  bpf_get_current_pid_tgid: context.getCurrentPidTgid,
  bpf_get_current_uid_gid: context.getCurrentUidGid,
  bpf_get_current_comm: context.getCurrentComm,
  bpf_get_func_ip: context.getFuncIp,
  bpf_get_func_arg: functionCall.getFuncArg,
  bpf_get_func_ret: functionCall.getFuncRet,
  bpf_get_func_arg_cnt: functionCall.getFuncArgCnt,
  bpf_get_attach_cookie: context.getAttachCookie,
  bpf_probe_read: probeRead.probeReadAny,
  bpf_probe_read_kernel: probeRead.probeReadKernel,
  bpf_probe_read_user: probeRead.probeReadUser,
  bpf_probe_read_str: probeRead.probeReadAnyStr,
  bpf_probe_read_kernel_str: probeRead.probeReadKernelStr,
  bpf_probe_read_user_str: probeRead.probeReadUserStr,
  bpf_copy_from_user: probeRead.probeReadUser,
  bpf_probe_write_user: probeRead.probeWriteUser,
  bpf_trace_printk: print.tracePrintk,
  bpf_trace_vprintk: print.traceVprintk,
  bpf_snprintf: print.snprintf,
  bpf_snprintf_btf: typed.snprintfBtf,
  bpf_seq_printf: seq.seqPrintf,
  bpf_seq_write: seq.seqWrite,
  bpf_seq_printf_btf: seq.seqPrintfBtf,
  bpf_strtol: text.strtol,
  bpf_strtoul: text.strtoul,
  bpf_strncmp: text.strncmp,
  bpf_perf_event_output: output.perfEventOutput,
  bpf_ringbuf_output: output.ringbufOutput,
  bpf_ringbuf_reserve: output.ringbufReserve,
  bpf_ringbuf_submit: output.ringbufSubmit,
  bpf_ringbuf_discard: output.ringbufDiscard,
  bpf_ringbuf_query: output.ringbufQuery,
  bpf_tail_call: control.tailCall,
  bpf_loop: control.loop,
  bpf_skb_load_bytes: skb.skbLoadBytes,
  bpf_skb_load_bytes_relative: skb.skbLoadBytesRelative,
  bpf_skb_store_bytes: skb.skbStoreBytes,
  bpf_skb_pull_data: skb.skbPullData,
  bpf_skb_change_tail: skb.skbChangeTail,
  bpf_skb_change_head: skb.skbChangeHead,
  bpf_skb_change_type: skb.skbChangeType,
  bpf_set_hash: skb.setHash,
  bpf_set_hash_invalid: skb.setHashInvalid,
  bpf_get_cgroup_classid: skb.getCgroupClassid,
  bpf_get_route_realm: skb.getRouteRealm,
  bpf_sk_fullsock: skb.skFullsock,
  bpf_l3_csum_replace: skb.l3CsumReplace,
  bpf_l4_csum_replace: skb.l4CsumReplace,
  bpf_csum_diff: skb.csumDiff,
  bpf_csum_update: skb.csumUpdate,
  bpf_csum_level: skb.csumLevel,
  bpf_skb_vlan_push: skbShape.skbVlanPush,
  bpf_skb_vlan_pop: skbShape.skbVlanPop,
  bpf_skb_change_proto: skbShape.skbChangeProto,
  bpf_skb_adjust_room: skbShape.skbAdjustRoom,
  bpf_get_hash_recalc: skbShape.getHashRecalc,
  bpf_skb_ecn_set_ce: skbShape.skbEcnSetCe,
  bpf_skb_set_tstamp: skbShape.skbSetTstamp,
  bpf_fib_lookup: network.fibLookup,
  bpf_check_mtu: network.checkMtu,
  bpf_skb_get_tunnel_key: network.getTunnelKey,
  bpf_skb_set_tunnel_key: network.setTunnelKey,
  bpf_skb_get_tunnel_opt: network.getTunnelOpt,
  bpf_skb_set_tunnel_opt: absent.invalid,
  bpf_skb_under_cgroup: network.skbUnderCgroup,
  bpf_skb_cgroup_id: absent.none,
  bpf_skb_ancestor_cgroup_id: absent.none,
  bpf_skb_cgroup_classid: absent.none,
  bpf_sk_cgroup_id: absent.none,
  bpf_sk_ancestor_cgroup_id: absent.none,
  bpf_get_netns_cookie: absent.firstNetns,
  bpf_get_socket_cookie: absent.none,
  bpf_get_socket_uid: absent.none,
  bpf_sk_lookup_tcp: absent.none,
  bpf_sk_lookup_udp: absent.none,
  bpf_skc_lookup_tcp: absent.none,
  bpf_sk_release: absent.none,
  bpf_tcp_sock: absent.none,
  bpf_get_listener_sock: absent.none,
  bpf_skc_to_tcp6_sock: absent.none,
  bpf_skc_to_tcp_sock: absent.none,
  bpf_skc_to_tcp_timewait_sock: absent.none,
  bpf_skc_to_tcp_request_sock: absent.none,
  bpf_skc_to_udp6_sock: absent.none,
  bpf_skc_to_unix_sock: absent.none,
  bpf_skc_to_mptcp_sock: absent.none,
  bpf_sock_from_file: absent.none,
  bpf_sk_assign: absent.invalid,
  bpf_sk_storage_get: absent.none,
  bpf_sk_storage_delete: absent.notFound,
  bpf_inode_storage_get: absent.none,
  bpf_inode_storage_delete: absent.notFound,
  bpf_cgrp_storage_get: absent.none,
  bpf_cgrp_storage_delete: absent.notFound,
  bpf_tcp_check_syncookie: absent.invalid,
  bpf_tcp_gen_syncookie: absent.invalid,
  bpf_tcp_raw_gen_syncookie_ipv4: syncookie.tcpRawGenSyncookieIpv4,
  bpf_tcp_raw_gen_syncookie_ipv6: syncookie.tcpRawGenSyncookieIpv6,
  bpf_tcp_raw_check_syncookie_ipv4: syncookie.tcpRawCheckSyncookieIpv4,
  bpf_tcp_raw_check_syncookie_ipv6: syncookie.tcpRawCheckSyncookieIpv6,
  bpf_setsockopt: absent.invalid,
  bpf_getsockopt: absent.invalid,
  bpf_perf_event_read: absent.perfEventRead,
  bpf_perf_event_read_value: absent.perfEventReadValue,
  bpf_perf_prog_read_value: absent.perfProgReadValue,
  bpf_read_branch_records: absent.branchRecords,
  bpf_get_branch_snapshot: absent.branchSnapshot,
  bpf_copy_from_user_task: absent.copyFromUserTask,
  bpf_ktime_get_tai_ns: context.ktimeGetBootNs,
  bpf_get_local_storage: cgroup.getLocalStorage,
  bpf_skb_get_xfrm_state: network.getXfrmState,
  bpf_sk_redirect_map: absent.none,
  bpf_sk_redirect_hash: absent.none,
  bpf_msg_redirect_map: absent.none,
  bpf_msg_redirect_hash: absent.none,
  bpf_sk_select_reuseport: absent.notFound,
  bpf_send_signal: steer.sendSignal,
  bpf_send_signal_thread: steer.sendSignalThread,
  bpf_override_return: steer.overrideReturn,
  bpf_sys_bpf: system.sysBpf,
  bpf_sys_close: system.sysClose,
  bpf_btf_find_by_name_kind: system.findType,
  bpf_kallsyms_lookup_name: system.lookupSymbol,
  bpf_get_task_stack: stack.getTaskStack,
  bpf_redirect: redirect.redirect,
  bpf_redirect_peer: redirect.redirectPeer,
  bpf_redirect_neigh: redirect.redirectNeigh,
  bpf_clone_redirect: redirect.cloneRedirect,
  bpf_xdp_adjust_head: xdp.xdpAdjustHead,
  bpf_xdp_adjust_tail: xdp.xdpAdjustTail,
  bpf_xdp_adjust_meta: xdp.xdpAdjustMeta,
  bpf_xdp_get_buff_len: xdp.xdpGetBuffLen,
  bpf_xdp_load_bytes: xdp.xdpLoadBytes,
  bpf_xdp_store_bytes: xdp.xdpStoreBytes,
} as const satisfies Readonly<Record<string, HelperBody>>

/** Bodies by helper id; PROG_LOAD refuses a call of a helper that has none. */
export const helperBodies: ReadonlyMap<number, HelperBody> = new Map(
  Object.entries(bodiesByName).map(([name, body]) => {
    const prototype = helperByName(name)
    if (prototype === undefined) throw new Error(`a body for ${name}, which is no helper`)
    return [prototype.id, body]
  }),
)
