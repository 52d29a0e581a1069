/**
 * Members of kernel structs that keep what is known of their holder: a pointer read from one is valid, too.
 *
 * Source: BTF_TYPE_SAFE_* in kernel/bpf/verifier.c of Linux 6.18.
 */
export const SAFE_MEMBERS: Readonly<
  Record<'rcu' | 'rcuOrNull' | 'trusted' | 'trustedOrNull', Readonly<Record<string, readonly string[]>>>
> = {
  rcu: {
    task_struct: ['cpus_ptr', 'cgroups', 'real_parent', 'group_leader'],
    cgroup: ['kn'],
    css_set: ['dfl_cgrp'],
    cgroup_subsys_state: ['cgroup'],
  },
  rcuOrNull: {
    mm_struct: ['exe_file'],
    sk_buff: ['sk'],
    request_sock: ['sk'],
  },
  trusted: {
    bpf_iter_meta: ['seq'],
    bpf_iter__task: ['meta', 'task'],
    linux_binprm: ['file'],
    file: ['f_inode'],
  },
  trustedOrNull: {
    socket: ['sk'],
    dentry: ['d_inode'],
    vm_area_struct: ['vm_mm', 'vm_file'],
  },
}
