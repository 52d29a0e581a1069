/**
 * What is known of attach points beyond their types: arguments that may be null, arguments of iterators.
 *
 * Source: raw_tp_null_args in kernel/bpf/btf.c, the bpf_iter_reg structs, untrusted_lsm_hooks in
 * kernel/bpf/bpf_lsm.c of Linux 6.18.
 */
import { BASE, FLAG } from '../domain/kinds.ts'

/** Four bits an argument, first lowest: 1 may be null, 2 may be an error in a pointer's place. */
export const NULLABLE_TRACEPOINT_ARGUMENTS: Readonly<Record<string, number>> = {
  sched_pi_setprio: 0x10,
  sched_process_wait: 0x1,
  sched_stick_numa: 0x100,
  sched_swap_numa: 0x100,
  afs_make_fs_call: 0x10,
  afs_make_fs_calli: 0x10,
  afs_make_fs_call1: 0x10,
  afs_make_fs_call2: 0x10,
  afs_protocol_error: 0x1,
  afs_flock_ev: 0x10,
  cachefiles_lookup: 0x201,
  cachefiles_unlink: 0x1,
  cachefiles_rename: 0x1,
  cachefiles_prep_read: 0x1,
  cachefiles_mark_active: 0x1,
  cachefiles_mark_failed: 0x1,
  cachefiles_mark_inactive: 0x1,
  cachefiles_vfs_error: 0x1,
  cachefiles_io_error: 0x1,
  cachefiles_ondemand_open: 0x1,
  cachefiles_ondemand_copen: 0x1,
  cachefiles_ondemand_close: 0x1,
  cachefiles_ondemand_read: 0x1,
  cachefiles_ondemand_cread: 0x1,
  cachefiles_ondemand_fd_write: 0x1,
  cachefiles_ondemand_fd_release: 0x1,
  ext4_mballoc_discard: 0x10,
  ext4_mballoc_free: 0x10,
  fib_table_lookup: 0x100,
  posix_lock_inode: 0x10,
  fcntl_setlk: 0x10,
  locks_remove_posix: 0x10,
  flock_lock_inode: 0x10,
  break_lease_noblock: 0x10,
  break_lease_block: 0x10,
  break_lease_unblock: 0x10,
  generic_delete_lease: 0x10,
  time_out_leases: 0x10,
  host1x_cdma_push_gather: 0x10000,
  mm_khugepaged_scan_pmd: 0x10,
  mm_collapse_huge_page_isolate: 0x1,
  mm_khugepaged_scan_file: 0x10,
  mm_khugepaged_collapse_file: 0x10,
  mm_page_alloc: 0x1,
  mm_page_pcpu_drain: 0x1,
  mm_page_alloc_zone_locked: 0x1,
  netfs_failure: 0x10,
  device_pm_callback_start: 0x10,
  qdisc_dequeue: 0x1000,
  rxrpc_recvdata: 0x1,
  rxrpc_resend: 0x10,
  signal_generate: 0x20,
  signal_deliver: 0x20,
  kfree_skb: 0x1000,
  xs_stream_read_data: 0x1,
  xprt_reserve_cong: 0x10,
  xprt_release_cong: 0x10,
  xprt_get_cong: 0x10,
  xprt_put_cong: 0x10,
  tcp_send_reset: 0x11,
  tegra_dma_tx_status: 0x100,
  tmigr_update_events: 0x1,
  writeback_dirty_folio: 0x10,
  folio_wait_writeback: 0x10,
  mr_integ_alloc: 0x2000,
}

export interface IteratorArgument {
  /** It points to a buffer of this kind. */
  readonly buffer?: number
  /** It points to this kernel struct. */
  readonly struct?: string
  readonly flags?: number
}

const BUFFER = BASE.BUF | FLAG.MAYBE_NULL
const object = (struct: string, isTrusted = false): IteratorArgument => ({
  struct,
  flags: BASE.BTF_ID | FLAG.MAYBE_NULL | (isTrusted ? FLAG.TRUSTED : 0),
})

/** By function that an iterator program attaches to, and offset in its context. */
export const ITERATOR_ARGUMENTS: Readonly<Record<string, Readonly<Record<number, IteratorArgument>>>> = {
  bpf_iter_task: { 8: object('task_struct', true) },
  bpf_iter_task_file: { 8: object('task_struct'), 24: object('file') },
  bpf_iter_task_vma: { 8: object('task_struct'), 16: object('vm_area_struct') },
  bpf_iter_cgroup: { 8: object('cgroup', true) },
  bpf_iter_bpf_map: { 8: object('bpf_map', true) },
  bpf_iter_bpf_map_elem: {
    16: { buffer: BUFFER | FLAG.RDONLY },
    24: { buffer: BUFFER },
  },
  bpf_iter_bpf_prog: { 8: object('bpf_prog') },
  bpf_iter_bpf_link: { 8: object('bpf_link') },
  bpf_iter_bpf_sk_storage_map: { 16: object('sock'), 24: { buffer: BUFFER } },
  bpf_iter_sockmap: { 16: { buffer: BUFFER | FLAG.RDONLY }, 24: object('sock') },
  bpf_iter_tcp: { 8: object('sock_common', true) },
  bpf_iter_udp: { 8: object('udp_sock', true) },
  bpf_iter_unix: { 8: object('unix_sock') },
  bpf_iter_netlink: { 8: object('netlink_sock') },
  bpf_iter_ipv6_route: { 8: object('fib6_info') },
  bpf_iter_ksym: { 8: object('kallsym_iter') },
  bpf_iter_kmem_cache: { 8: object('kmem_cache', true) },
  bpf_iter_dmabuf: { 8: object('dma_buf') },
}

/** Hooks that get objects which are not set up yet, or are being torn down. */
export const UNTRUSTED_LSM_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_bpf_map_free',
  'bpf_lsm_bpf_prog_free',
  'bpf_lsm_file_alloc_security',
  'bpf_lsm_file_free_security',
  'bpf_lsm_sk_alloc_security',
  'bpf_lsm_sk_free_security',
  'bpf_lsm_task_free',
])
