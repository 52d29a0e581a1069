/**
 * Security hooks: which of them programs may attach to, which may sleep, what they return.
 *
 * Source: bpf_lsm_verify_prog, sleepable_lsm_hooks, bpf_lsm_get_retval_range in kernel/bpf/bpf_lsm.c of Linux 6.18.
 */
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'
import type { ReturnRange } from '../state/state.ts'

const MAX_ERRNO = 4095

/** Hooks that answer yes or no. */
export const BOOLEAN_LSM_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_audit_rule_known',
  'bpf_lsm_inode_xattr_skipcap',
])

/** Hooks whose callers expect more than a program can give. */
const DISABLED_LSM_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_vm_enough_memory',
  'bpf_lsm_inode_need_killpriv',
  'bpf_lsm_inode_getsecurity',
  'bpf_lsm_inode_listsecurity',
  'bpf_lsm_inode_copy_up_xattr',
  'bpf_lsm_getselfattr',
  'bpf_lsm_getprocattr',
  'bpf_lsm_setprocattr',
  'bpf_lsm_key_getsecurity',
  'bpf_lsm_audit_rule_match',
  'bpf_lsm_xfrm_decode_session',
  'bpf_lsm_ismaclabel',
  'bpf_lsm_file_alloc_security',
])

/** Hooks that are called where sleeping is allowed. */
export const SLEEPABLE_LSM_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_bpf',
  'bpf_lsm_bpf_map',
  'bpf_lsm_bpf_map_create',
  'bpf_lsm_bpf_map_free',
  'bpf_lsm_bpf_prog',
  'bpf_lsm_bpf_prog_load',
  'bpf_lsm_bpf_token_create',
  'bpf_lsm_bpf_token_free',
  'bpf_lsm_bpf_token_cmd',
  'bpf_lsm_bpf_token_capable',
  'bpf_lsm_bprm_check_security',
  'bpf_lsm_bprm_committed_creds',
  'bpf_lsm_bprm_committing_creds',
  'bpf_lsm_bprm_creds_for_exec',
  'bpf_lsm_bprm_creds_from_file',
  'bpf_lsm_capget',
  'bpf_lsm_capset',
  'bpf_lsm_cred_prepare',
  'bpf_lsm_file_ioctl',
  'bpf_lsm_file_lock',
  'bpf_lsm_file_open',
  'bpf_lsm_file_post_open',
  'bpf_lsm_file_receive',
  'bpf_lsm_inode_create',
  'bpf_lsm_inode_free_security',
  'bpf_lsm_inode_getattr',
  'bpf_lsm_inode_getxattr',
  'bpf_lsm_inode_mknod',
  'bpf_lsm_inode_need_killpriv',
  'bpf_lsm_inode_post_setxattr',
  'bpf_lsm_inode_post_removexattr',
  'bpf_lsm_inode_readlink',
  'bpf_lsm_inode_removexattr',
  'bpf_lsm_inode_rename',
  'bpf_lsm_inode_rmdir',
  'bpf_lsm_inode_setattr',
  'bpf_lsm_inode_setxattr',
  'bpf_lsm_inode_symlink',
  'bpf_lsm_inode_unlink',
  'bpf_lsm_kernel_module_request',
  'bpf_lsm_kernel_read_file',
  'bpf_lsm_kernfs_init_security',
  'bpf_lsm_path_unlink',
  'bpf_lsm_path_mkdir',
  'bpf_lsm_path_rmdir',
  'bpf_lsm_path_truncate',
  'bpf_lsm_path_symlink',
  'bpf_lsm_path_link',
  'bpf_lsm_path_rename',
  'bpf_lsm_path_chmod',
  'bpf_lsm_path_chown',
  'bpf_lsm_mmap_file',
  'bpf_lsm_netlink_send',
  'bpf_lsm_path_notify',
  'bpf_lsm_release_secctx',
  'bpf_lsm_sb_alloc_security',
  'bpf_lsm_sb_eat_lsm_opts',
  'bpf_lsm_sb_kern_mount',
  'bpf_lsm_sb_mount',
  'bpf_lsm_sb_remount',
  'bpf_lsm_sb_set_mnt_opts',
  'bpf_lsm_sb_show_options',
  'bpf_lsm_sb_statfs',
  'bpf_lsm_sb_umount',
  'bpf_lsm_settime',
  'bpf_lsm_socket_accept',
  'bpf_lsm_socket_bind',
  'bpf_lsm_socket_connect',
  'bpf_lsm_socket_create',
  'bpf_lsm_socket_getpeername',
  'bpf_lsm_socket_getpeersec_dgram',
  'bpf_lsm_socket_getsockname',
  'bpf_lsm_socket_getsockopt',
  'bpf_lsm_socket_listen',
  'bpf_lsm_socket_post_create',
  'bpf_lsm_socket_recvmsg',
  'bpf_lsm_socket_sendmsg',
  'bpf_lsm_socket_shutdown',
  'bpf_lsm_socket_socketpair',
  'bpf_lsm_syslog',
  'bpf_lsm_task_alloc',
  'bpf_lsm_task_prctl',
  'bpf_lsm_task_setscheduler',
  'bpf_lsm_userns_create',
])

/** Whether a program may attach to the kernel's function `name`, whose type is `btfId`, as a security hook. */
export function checkLsmHook(p: Proof, name: string, btfId: number): void {
  if (!p.isGpl) throw p.refuse(EINVAL, 'LSM programs must have a GPL compatible license')
  if (DISABLED_LSM_HOOKS.has(name)) {
    throw p.refuse(EINVAL, `attach_btf_id ${btfId} points to disabled hook ${name}`)
  }
  if (!name.startsWith('bpf_lsm_')) {
    throw p.refuse(EINVAL, `attach_btf_id ${btfId} points to wrong type name ${name}`)
  }
}

/** The range that a program at this hook may return; undefined: the hook returns nothing. */
export function lsmReturns(p: Proof): ReturnRange | undefined {
  const { target } = p
  if (target?.prototype === undefined || target.prototype.returns === 0) return undefined
  if (BOOLEAN_LSM_HOOKS.has(target.name)) return { min: 0, max: 1 }
  return { min: -MAX_ERRNO, max: 0 }
}
