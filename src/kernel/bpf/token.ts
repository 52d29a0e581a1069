import { EBADF, EINVAL, EOPNOTSUPP, tokenCreateAttr } from '../../abi/index.ts'
import { DirectoryFile } from '../bpffs.ts'
import type { BpfCall } from './call.ts'

/**
 * BPF_TOKEN_CREATE. There is one user namespace, the initial one, in which Linux makes no tokens.
 *
 * Source: bpf_token_create() of kernel/bpf/token.c of Linux.
 */
export function createToken({ core, process, attr: bytes }: BpfCall): number {
  const attr = tokenCreateAttr.read(bytes)
  if (attr.flags !== 0) return -EINVAL
  const file = process.file(attr.bpffs_fd | 0)
  if (file === undefined) return -EBADF
  const isRoot = file instanceof DirectoryFile && file.directory === core.files.root
  return isRoot ? -EOPNOTSUPP : -EINVAL
}
