import { BPF_OBJ_NAME_LEN, EINVAL } from '../abi/index.ts'

/**
 * The name in a `char[16]` of an attribute: letters, digits, `_` and `.` up to a NUL; else -EINVAL.
 *
 * Source: bpf_obj_name_cpy() of kernel/bpf/syscall.c of Linux.
 */
export function objectName(attr: Uint8Array, offset: number): string | number {
  const field = attr.subarray(offset, offset + BPF_OBJ_NAME_LEN)
  const end = field.indexOf(0)
  if (end < 0) return -EINVAL
  const name = String.fromCharCode(...field.subarray(0, end))
  return /^[A-Za-z0-9_.]*$/.test(name) ? name : -EINVAL
}
