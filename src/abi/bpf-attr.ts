/**
 * `union bpf_attr`, one struct per command.
 *
 * A caller passes the bytes that its headers know and their count; a kernel reads what it knows, takes
 * missing members as zero, and answers E2BIG when a byte past what it knows is not zero.
 *
 * Source: union bpf_attr in include/uapi/linux/bpf.h of Linux 6.18; sizes as the BTF of that kernel gives
 * them, held by bpf-attr.test.ts.
 */
import { chars, s32, struct, u32, u64 } from './struct.ts'

export const mapCreateAttr = struct('BPF_MAP_CREATE', {
  map_type: u32,
  key_size: u32,
  value_size: u32,
  max_entries: u32,
  map_flags: u32,
  inner_map_fd: u32,
  numa_node: u32,
  map_name: chars(16),
  map_ifindex: u32,
  btf_fd: u32,
  btf_key_type_id: u32,
  btf_value_type_id: u32,
  btf_vmlinux_value_type_id: u32,
  map_extra: u64,
  value_type_btf_obj_fd: s32,
  map_token_fd: s32,
  excl_prog_hash: u64,
  excl_prog_hash_size: u32,
})

/** MAP_{LOOKUP,UPDATE,DELETE,LOOKUP_AND_DELETE}_ELEM. `key` and `value` are user pointers. */
export const mapElemAttr = struct('BPF_MAP_*_ELEM', {
  map_fd: u32,
  key: u64,
  value: u64,
  flags: u64,
})

/** BPF_MAP_GET_NEXT_KEY. A `key` of 0 asks for the first. */
export const mapNextKeyAttr = struct('BPF_MAP_GET_NEXT_KEY', {
  map_fd: u32,
  key: u64,
  next_key: u64,
})

export const mapBatchAttr = struct('BPF_MAP_*_BATCH', {
  in_batch: u64,
  out_batch: u64,
  keys: u64,
  values: u64,
  count: u32,
  map_fd: u32,
  elem_flags: u64,
  flags: u64,
})

export const mapFreezeAttr = struct('BPF_MAP_FREEZE', { map_fd: u32 })

export const progLoadAttr = struct('BPF_PROG_LOAD', {
  prog_type: u32,
  insn_cnt: u32,
  insns: u64,
  license: u64,
  log_level: u32,
  log_size: u32,
  log_buf: u64,
  kern_version: u32,
  prog_flags: u32,
  prog_name: chars(16),
  prog_ifindex: u32,
  expected_attach_type: u32,
  prog_btf_fd: u32,
  func_info_rec_size: u32,
  func_info: u64,
  func_info_cnt: u32,
  line_info_rec_size: u32,
  line_info: u64,
  line_info_cnt: u32,
  attach_btf_id: u32,
  /** Shares its place with `attach_btf_obj_fd`. */
  attach_prog_fd: u32,
  core_relo_cnt: u32,
  fd_array: u64,
  core_relos: u64,
  core_relo_rec_size: u32,
  log_true_size: u32,
  prog_token_fd: s32,
  fd_array_cnt: u32,
  signature: u64,
  signature_size: u32,
  keyring_id: s32,
})

/** BPF_OBJ_PIN and BPF_OBJ_GET. */
export const objPinAttr = struct('BPF_OBJ_PIN', { pathname: u64, bpf_fd: u32, file_flags: u32, path_fd: s32 })

/** BPF_PROG_ATTACH and BPF_PROG_DETACH. */
export const progAttachAttr = struct('BPF_PROG_ATTACH', {
  target_fd: u32,
  attach_bpf_fd: u32,
  attach_type: u32,
  attach_flags: u32,
  replace_bpf_fd: u32,
  relative_fd: u32,
  expected_revision: u64,
})

export const progTestRunAttr = struct('BPF_PROG_TEST_RUN', {
  prog_fd: u32,
  retval: u32,
  data_size_in: u32,
  data_size_out: u32,
  data_in: u64,
  data_out: u64,
  repeat: u32,
  /** Nanoseconds per run, averaged over `repeat`. */
  duration: u32,
  ctx_size_in: u32,
  ctx_size_out: u32,
  ctx_in: u64,
  ctx_out: u64,
  flags: u32,
  cpu: u32,
  batch_size: u32,
})

/** *_GET_NEXT_ID and *_GET_FD_BY_ID; `id` is `start_id`, `prog_id`, `map_id`, `btf_id` or `link_id`. */
export const getIdAttr = struct('BPF_*_GET_*_ID', {
  id: u32,
  next_id: u32,
  open_flags: u32,
  fd_by_id_token_fd: s32,
})

export const objGetInfoAttr = struct('BPF_OBJ_GET_INFO_BY_FD', { bpf_fd: u32, info_len: u32, info: u64 })

export const progQueryAttr = struct('BPF_PROG_QUERY', {
  target_fd: u32,
  attach_type: u32,
  query_flags: u32,
  attach_flags: u32,
  prog_ids: u64,
  prog_cnt: u32,
  prog_attach_flags: u64,
  link_ids: u64,
  link_attach_flags: u64,
  revision: u64,
})

export const rawTracepointAttr = struct('BPF_RAW_TRACEPOINT_OPEN', { name: u64, prog_fd: u32, cookie: u64 })

export const btfLoadAttr = struct('BPF_BTF_LOAD', {
  btf: u64,
  btf_log_buf: u64,
  btf_size: u32,
  btf_log_size: u32,
  btf_log_level: u32,
  btf_log_true_size: u32,
  btf_flags: u32,
  btf_token_fd: s32,
})

export const taskFdQueryAttr = struct('BPF_TASK_FD_QUERY', {
  pid: u32,
  fd: u32,
  flags: u32,
  buf_len: u32,
  buf: u64,
  prog_id: u32,
  fd_type: u32,
  probe_offset: u64,
  probe_addr: u64,
})

/** BPF_LINK_CREATE with BPF_PERF_EVENT: `target_fd` is a perf event. */
export const linkCreatePerfEventAttr = struct('BPF_LINK_CREATE (perf_event)', {
  prog_fd: u32,
  target_fd: u32,
  attach_type: u32,
  flags: u32,
  bpf_cookie: u64,
})

/** BPF_LINK_CREATE with BPF_TRACE_FENTRY, _FEXIT, BPF_MODIFY_RETURN, BPF_TRACE_RAW_TP. */
export const linkCreateTracingAttr = struct('BPF_LINK_CREATE (tracing)', {
  prog_fd: u32,
  target_fd: u32,
  attach_type: u32,
  flags: u32,
  target_btf_id: u32,
  cookie: u64,
})

/** BPF_LINK_CREATE with BPF_TRACE_KPROBE_MULTI, BPF_TRACE_KPROBE_SESSION. */
export const linkCreateKprobeMultiAttr = struct('BPF_LINK_CREATE (kprobe_multi)', {
  prog_fd: u32,
  target_fd: u32,
  attach_type: u32,
  link_flags: u32,
  flags: u32,
  cnt: u32,
  syms: u64,
  addrs: u64,
  cookies: u64,
})

/** BPF_LINK_CREATE with BPF_TRACE_UPROBE_MULTI, BPF_TRACE_UPROBE_SESSION; pointers to a path and to `cnt` numbers each. */
export const linkCreateUprobeMultiAttr = struct('BPF_LINK_CREATE (uprobe_multi)', {
  prog_fd: u32,
  target_fd: u32,
  attach_type: u32,
  link_flags: u32,
  path: u64,
  offsets: u64,
  ref_ctr_offsets: u64,
  cookies: u64,
  cnt: u32,
  flags: u32,
  pid: u32,
})

/** BPF_LINK_CREATE with BPF_TRACE_ITER: `iter_info` points to a union bpf_iter_link_info of `iter_info_len` bytes. */
export const linkCreateIterAttr = struct('BPF_LINK_CREATE (iter)', {
  prog_fd: u32,
  target_fd: u32,
  attach_type: u32,
  flags: u32,
  iter_info: u64,
  iter_info_len: u32,
})

/** union bpf_iter_link_info, by what is walked. */
export const bpfIterLinkInfo = {
  map: struct('bpf_iter_link_info.map', { map_fd: u32 }),
  cgroup: struct('bpf_iter_link_info.cgroup', { order: u32, cgroup_fd: u32, cgroup_id: u64 }),
  task: struct('bpf_iter_link_info.task', { tid: u32, pid: u32, pid_fd: u32 }),
}

/**
 * BPF_LINK_CREATE at an interface, a control group or a network namespace. `target` is the descriptor or the index of
 * the interface; of a chain of programs, `relative` says whose neighbour the new one is, `expected_revision` which
 * state of the chain the caller knows.
 */
export const linkCreatePlaceAttr = struct('BPF_LINK_CREATE (tcx, netkit, cgroup, xdp, netns)', {
  prog_fd: u32,
  target: u32,
  attach_type: u32,
  flags: u32,
  relative: u32,
  expected_revision: u64,
})

export const linkCreateNetfilterAttr = struct('BPF_LINK_CREATE (netfilter)', {
  prog_fd: u32,
  target_fd: u32,
  attach_type: u32,
  flags: u32,
  pf: u32,
  hooknum: u32,
  priority: s32,
  netfilter_flags: u32,
})

export const linkUpdateAttr = struct('BPF_LINK_UPDATE', {
  link_fd: u32,
  new_prog_fd: u32,
  flags: u32,
  old_prog_fd: u32,
})

export const linkDetachAttr = struct('BPF_LINK_DETACH', { link_fd: u32 })

export const enableStatsAttr = struct('BPF_ENABLE_STATS', { type: u32 })

export const iterCreateAttr = struct('BPF_ITER_CREATE', { link_fd: u32, flags: u32 })

export const progBindMapAttr = struct('BPF_PROG_BIND_MAP', { prog_fd: u32, map_fd: u32, flags: u32 })

export const tokenCreateAttr = struct('BPF_TOKEN_CREATE', { flags: u32, bpffs_fd: u32 })

export const progStreamReadAttr = struct('BPF_PROG_STREAM_READ_BY_FD', {
  stream_buf: u64,
  stream_buf_len: u32,
  stream_id: u32,
  prog_fd: u32,
})

/** Bytes of `union bpf_attr` as a whole. */
export const BPF_ATTR_SIZE = progLoadAttr.size
