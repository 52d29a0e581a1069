import { BPF_OBJ_NAME_LEN, EINVAL } from '../abi/index.ts'

/**
 * The name in a `char[16]` of an attribute: letters, digits, `_` and `.` up to a NUL; else -EINVAL.
 *
 * Source: bpf_obj_name_cpy() of kernel/bpf/syscall.c of Linux.
 */
export function objectName(attr: Uint8Array, offset: number): string | number {
  let name = ''
  for (let i = 0; i < BPF_OBJ_NAME_LEN; i++) {
    const byte = attr[offset + i] as number
    if (byte === 0) return name
    if (!isNameByte(byte)) return -EINVAL
    name += String.fromCharCode(byte)
  }
  return -EINVAL
}

function isNameByte(byte: number): boolean {
  const letter = byte | 0x20
  const isDigit = byte >= 0x30 && byte <= 0x39
  return (letter >= 0x61 && letter <= 0x7a) || isDigit || byte === 0x5f || byte === 0x2e
}
