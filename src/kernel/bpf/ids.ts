/** Walks over objects by id, and descriptors for them. Source: kernel/bpf/syscall.c of Linux. */
import {
  BPF_F_RDONLY,
  BPF_F_TOKEN_FD,
  BPF_F_WRONLY,
  EFAULT,
  EINVAL,
  ENOENT,
  getIdAttr,
} from '../../abi/index.ts'
import { BtfFile } from '../btf-object.ts'
import type { IdTable } from '../ids.ts'
import { LinkFile } from '../link-object.ts'
import { MapFile } from '../map-object.ts'
import { ProgramFile } from '../program-object.ts'
import { writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { tokenError } from './descriptors.ts'

const INT_MAX = 0x7fff_ffff
const NEXT_ID = BigInt(getIdAttr.offsets.next_id)

function next({ process, attr, pointer }: BpfCall, table: IdTable<unknown>): number {
  const { id } = getIdAttr.read(attr)
  if (id >= INT_MAX) return -EINVAL
  const found = table.next(id)
  if (found === undefined) return -ENOENT
  return writeU32(process.memory, pointer + NEXT_ID, found) ? 0 : -EFAULT
}

export const nextProgram = (call: BpfCall): number => next(call, call.core.programs)
export const nextMap = (call: BpfCall): number => next(call, call.core.maps)
export const nextBtf = (call: BpfCall): number => next(call, call.core.btfs)
export const nextLink = (call: BpfCall): number => next(call, call.core.links)

export function programById({ core, process, attr }: BpfCall): number {
  const object = core.programs.get(getIdAttr.read(attr).id)
  return object === undefined ? -ENOENT : process.install(new ProgramFile(object), true)
}

export function mapById({ core, process, attr: bytes }: BpfCall): number {
  const attr = getIdAttr.read(bytes)
  if ((attr.open_flags & ~(BPF_F_RDONLY | BPF_F_WRONLY)) !== 0) return -EINVAL
  if ((attr.open_flags & BPF_F_RDONLY) !== 0 && (attr.open_flags & BPF_F_WRONLY) !== 0) return -EINVAL
  const object = core.maps.get(attr.id)
  return object === undefined ? -ENOENT : process.install(new MapFile(object, attr.open_flags), true)
}

export function btfById({ core, process, attr: bytes }: BpfCall): number {
  const attr = getIdAttr.read(bytes)
  if ((attr.open_flags & ~BPF_F_TOKEN_FD) !== 0) return -EINVAL
  if (attr.open_flags !== 0) return tokenError(process, attr.fd_by_id_token_fd)
  const object = core.btfs.get(attr.id)
  return object === undefined ? -ENOENT : process.install(new BtfFile(object), true)
}

export function linkById({ core, process, attr }: BpfCall): number {
  const object = core.links.get(getIdAttr.read(attr).id)
  return object === undefined ? -ENOENT : process.install(new LinkFile(object), true)
}
