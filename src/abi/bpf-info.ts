/**
 * What BPF_OBJ_GET_INFO_BY_FD fills in.
 *
 * Source: struct bpf_{prog,map,btf,link}_info in include/uapi/linux/bpf.h of Linux 6.18.
 */
import { bytes, chars, s32, struct, u32, u64 } from './struct.ts'

export const bpfProgInfo = struct('struct bpf_prog_info', {
  type: u32,
  id: u32,
  tag: bytes(8),
  jited_prog_len: u32,
  xlated_prog_len: u32,
  jited_prog_insns: u64,
  xlated_prog_insns: u64,
  /** Nanoseconds since boot. */
  load_time: u64,
  created_by_uid: u32,
  nr_map_ids: u32,
  map_ids: u64,
  name: chars(16),
  ifindex: u32,
  /** Bit 0: gpl_compatible. */
  flags: u32,
  netns_dev: u64,
  netns_ino: u64,
  nr_jited_ksyms: u32,
  nr_jited_func_lens: u32,
  jited_ksyms: u64,
  jited_func_lens: u64,
  btf_id: u32,
  func_info_rec_size: u32,
  func_info: u64,
  nr_func_info: u32,
  nr_line_info: u32,
  line_info: u64,
  jited_line_info: u64,
  nr_jited_line_info: u32,
  line_info_rec_size: u32,
  jited_line_info_rec_size: u32,
  nr_prog_tags: u32,
  prog_tags: u64,
  run_time_ns: u64,
  run_cnt: u64,
  recursion_misses: u64,
  verified_insns: u32,
  attach_btf_obj_id: u32,
  attach_btf_id: u32,
})

export const bpfMapInfo = struct('struct bpf_map_info', {
  type: u32,
  id: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  name: chars(16),
  ifindex: u32,
  btf_vmlinux_value_type_id: u32,
  netns_dev: u64,
  netns_ino: u64,
  btf_id: u32,
  btf_key_type_id: u32,
  btf_value_type_id: u32,
  btf_vmlinux_id: u32,
  map_extra: u64,
  hash: u64,
  hash_size: u32,
})

export const bpfBtfInfo = struct('struct bpf_btf_info', {
  btf: u64,
  btf_size: u32,
  id: u32,
  name: u64,
  name_len: u32,
  kernel_btf: u32,
})

/** The members that every link has; `struct bpf_link_info` is 64 bytes, the union begins at 16. */
export const bpfLinkInfo = struct('struct bpf_link_info', { type: u32, id: u32, prog_id: u32 })

/** `perf_event` of struct bpf_link_info for a kprobe; offsets from the start of the struct. */
export const bpfLinkInfoKprobe = struct('struct bpf_link_info (perf_event, kprobe)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  perf_event_type: u32,
  pad1: u32,
  func_name: u64,
  name_len: u32,
  offset: u32,
  addr: u64,
  missed: u64,
  cookie: u64,
})

/** `netns` of struct bpf_link_info. */
export const bpfLinkInfoNetns = struct('struct bpf_link_info (netns)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  netns_ino: u32,
  attach_type: u32,
})

/** `struct_ops` of struct bpf_link_info. */
export const bpfLinkInfoStructOps = struct('struct bpf_link_info (struct_ops)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  map_id: u32,
})

/** `iter` of struct bpf_link_info; `map_id` and `tid`, `pid` are of iterators over a map's elements and over tasks. */
export const bpfLinkInfoIter = struct('struct bpf_link_info (iter)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  target_name: u64,
  target_name_len: u32,
  map_id: u32,
  tid: u32,
  pid: u32,
})

/** `iter` of struct bpf_link_info, of iterators over control groups. */
export const bpfLinkInfoIterCgroup = struct('struct bpf_link_info (iter, cgroup)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  target_name: u64,
  target_name_len: u32,
  pad1: u32,
  cgroup_id: u64,
  order: u32,
})

/** `cgroup` of struct bpf_link_info. */
export const bpfLinkInfoCgroup = struct('struct bpf_link_info (cgroup)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  cgroup_id: u64,
  attach_type: u32,
})

/** `tcx` and `netkit` of struct bpf_link_info; `xdp` has the interface alone. */
export const bpfLinkInfoDevice = struct('struct bpf_link_info (tcx, netkit, xdp)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  ifindex: u32,
  attach_type: u32,
})

/** `sockmap` of struct bpf_link_info. */
export const bpfLinkInfoSockmap = struct('struct bpf_link_info (sockmap)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  map_id: u32,
  attach_type: u32,
})

/** `netfilter` of struct bpf_link_info. */
export const bpfLinkInfoNetfilter = struct('struct bpf_link_info (netfilter)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  pf: u32,
  hooknum: u32,
  priority: s32,
  flags: u32,
})

/** `uprobe_multi` of struct bpf_link_info. */
export const bpfLinkInfoUprobeMulti = struct('struct bpf_link_info (uprobe_multi)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  path: u64,
  offsets: u64,
  ref_ctr_offsets: u64,
  cookies: u64,
  path_size: u32,
  count: u32,
  flags: u32,
  pid: u32,
})

/** `perf_event` of struct bpf_link_info for an event that counts. */
export const bpfLinkInfoEvent = struct('struct bpf_link_info (perf_event, event)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  perf_event_type: u32,
  pad1: u32,
  config: u64,
  event_type: u32,
})

/** `tracing` of struct bpf_link_info. */
export const bpfLinkInfoTracing = struct('struct bpf_link_info (tracing)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  attach_type: u32,
  target_obj_id: u32,
  target_btf_id: u32,
  pad1: u32,
  cookie: u64,
})

/** `kprobe_multi` of struct bpf_link_info. */
export const bpfLinkInfoKprobeMulti = struct('struct bpf_link_info (kprobe_multi)', {
  type: u32,
  id: u32,
  prog_id: u32,
  pad0: u32,
  addrs: u64,
  count: u32,
  flags: u32,
  missed: u64,
  cookies: u64,
})

export const BPF_LINK_INFO_SIZE = 64

/** `perf_event.type` of struct bpf_link_info. */
export const BPF_PERF_EVENT_TYPE = {
  BPF_PERF_EVENT_UNSPEC: 0,
  BPF_PERF_EVENT_UPROBE: 1,
  BPF_PERF_EVENT_URETPROBE: 2,
  BPF_PERF_EVENT_KPROBE: 3,
  BPF_PERF_EVENT_KRETPROBE: 4,
  BPF_PERF_EVENT_TRACEPOINT: 5,
  BPF_PERF_EVENT_EVENT: 6,
} as const
