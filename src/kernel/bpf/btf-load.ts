/** BPF_BTF_LOAD. Source: btf_new_fd(), btf_parse() of kernel/bpf/btf.c of Linux. */
import { BPF_F_TOKEN_FD, btfLoadAttr, E2BIG, EFAULT, EINVAL } from '../../abi/index.ts'
import { checkBtf } from '../btf-check/check.ts'
import { BtfFile } from '../btf-object.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { tokenError } from './descriptors.ts'
import { type LogRequest, writeLog } from './log.ts'

const BTF_MAX_SIZE = 16 << 20

export function loadBtf({ core, process, attr: bytes, pointer, sizeBytes }: BpfCall): number {
  const attr = btfLoadAttr.view(bytes)
  if ((attr.btf_flags & ~BPF_F_TOKEN_FD) !== 0) return -EINVAL
  if (attr.btf_flags !== 0) return tokenError(process, attr.btf_token_fd)
  if (attr.btf_size > BTF_MAX_SIZE) return -E2BIG
  const request: LogRequest = {
    level: attr.btf_log_level,
    sizeBytes: attr.btf_log_size,
    pointer: attr.btf_log_buf,
  }
  const data = readBytes(process.memory, attr.btf, attr.btf_size)
  const checked = data === undefined ? { errno: -EFAULT, log: '' } : checkBtf(data, attr.btf_log_level !== 0)
  const log = writeLog(process.memory, request, checked.log)
  if (log.errno === -EINVAL) return -EINVAL
  const end = btfLoadAttr.offsets.btf_log_true_size + 4
  if (sizeBytes >= end) {
    const place = pointer + BigInt(btfLoadAttr.offsets.btf_log_true_size)
    if (!writeU32(process.memory, place, log.trueSize)) return -EFAULT
  }
  if (log.errno !== 0) return log.errno
  if (checked.errno !== 0 || data === undefined) return checked.errno
  const object = core.newBtf(data)
  const fd = process.install(new BtfFile(object), true)
  object.put()
  return fd
}
