import { BPF_OBJ_NAME_LEN } from '../abi/index.ts'

/**
 * A name as the kernel takes it: letters, digits, `_` and `.`, at most 15 of them.
 * Source: bpf_obj_name_cpy() in kernel/bpf/syscall.c.
 */
export const kernelName = (name: string): string =>
  name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, BPF_OBJ_NAME_LEN - 1)
