/** BPF_BTF_LOAD. Source: btf_new_fd(), btf_parse() of kernel/bpf/btf.c of Linux. */
import { BPF_F_TOKEN_FD, btfLoadAttr, E2BIG, EFAULT, EINVAL, ENOTSUPP } from '../../abi/index.ts'
import { Btf, BtfError } from '../../btf/index.ts'
import { BtfFile } from '../btf-object.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { tokenError } from './descriptors.ts'
import { type LogRequest, writeLog } from './log.ts'

const BTF_MAX_SIZE = 16 << 20
const BTF_MAGIC = 0xeb9f
const BTF_VERSION = 1
/** Up to and with `hdr_len`. */
const FIRST_MEMBERS = 8
const KNOWN_HEADER = 24

export function loadBtf({ core, process, attr: bytes, pointer, sizeBytes }: BpfCall): number {
  const attr = btfLoadAttr.read(bytes)
  if ((attr.btf_flags & ~BPF_F_TOKEN_FD) !== 0) return -EINVAL
  if (attr.btf_flags !== 0) return tokenError(process, attr.btf_token_fd)
  if (attr.btf_size > BTF_MAX_SIZE) return -E2BIG
  const request: LogRequest = {
    level: attr.btf_log_level,
    sizeBytes: attr.btf_log_size,
    pointer: attr.btf_log_buf,
  }
  const data = readBytes(process.memory, attr.btf, attr.btf_size)
  const checked = data === undefined ? { errno: -EFAULT, log: '' } : check(data)
  const log = writeLog(process.memory, request, checked.log)
  if (log.errno === -EINVAL) return -EINVAL
  const end = btfLoadAttr.offsets.btf_log_true_size + 4
  if (sizeBytes >= end && data !== undefined) {
    const place = pointer + BigInt(btfLoadAttr.offsets.btf_log_true_size)
    if (!writeU32(process.memory, place, log.trueSize)) return -EFAULT
  }
  if (checked.errno !== 0 || data === undefined) return checked.errno
  if (log.errno !== 0) return log.errno
  const object = core.newBtf(data)
  const fd = process.install(new BtfFile(object), true)
  object.put()
  return fd
}

function check(data: Uint8Array): { readonly errno: number; readonly log: string } {
  const refuse = (log: string, errno = EINVAL) => ({ errno: -errno, log: `${log}\n` })
  if (data.length < FIRST_MEMBERS) return refuse('hdr_len not found')
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const headerBytes = view.getUint32(4, true)
  if (data.length < headerBytes) return refuse('btf_header not found')
  if (data.subarray(KNOWN_HEADER, Math.max(KNOWN_HEADER, headerBytes)).some((byte) => byte !== 0)) {
    return refuse('Unsupported btf_header', E2BIG)
  }
  if (view.getUint16(0, true) !== BTF_MAGIC) return refuse('Invalid magic')
  if (view.getUint8(2) !== BTF_VERSION) return refuse('Unsupported version', ENOTSUPP)
  if (view.getUint8(3) !== 0) return refuse('Unsupported flags', ENOTSUPP)
  if (data.length === headerBytes) return refuse('No data')
  const parsed = Btf.parse(data)
  return parsed instanceof BtfError ? refuse(parsed.message) : { errno: 0, log: '' }
}
