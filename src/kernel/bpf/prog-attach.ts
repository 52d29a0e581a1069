/**
 * BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_QUERY.
 *
 * Of the places that programs are attached to, there is the network namespace; there are no control groups, devices
 * or receivers of infrared, so that a descriptor or number that should name one names none.
 *
 * Source: bpf_prog_attach(), bpf_prog_detach(), bpf_prog_query() of kernel/bpf/syscall.c and what they call of Linux.
 */
import {
  BPF_ATTACH_TYPE,
  EBADF,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOSPC,
  EOPNOTSUPP,
  progAttachAttr,
  progQueryAttr,
  type StructValue,
} from '../../abi/index.ts'
import { attachHook } from '../attach-types.ts'
import { NetNamespaceFile } from '../net-namespace.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import { writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { mapFile, programOf } from './descriptors.ts'

type Attr = StructValue<typeof progAttachAttr>

const BPF_F_ALLOW_OVERRIDE = 1
const BPF_F_ALLOW_MULTI = 2
const BPF_F_REPLACE = 4
const BPF_F_BEFORE = 8
const BPF_F_AFTER = 16
const BPF_F_ID = 32
const BPF_F_PREORDER = 64
const BPF_F_LINK = 1 << 13
const ORDERED_FLAGS = BPF_F_BEFORE | BPF_F_AFTER | BPF_F_ID | BPF_F_LINK | BPF_F_REPLACE
const PLAIN_FLAGS = BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI | BPF_F_REPLACE | BPF_F_PREORDER
const BPF_F_QUERY_EFFECTIVE = 1

/** The program of a descriptor, where it is of the type that goes there. */
function programOfType(process: KernelProcess, fd: number, type: number): ProgramObject | number {
  const program = programOf(process, fd)
  if (typeof program === 'number') return program
  return program.loaded.type.type === type ? program : -EINVAL
}

export function attachProgram({ core, process, attr: bytes }: BpfCall): number {
  const attr = progAttachAttr.read(bytes)
  const row = attachHook(attr.attach_type)
  if (row === undefined || row.hook === 'xdp') return -EINVAL
  if (!areAttachFlagsKnown(attr, row.hook)) return -EINVAL
  const program = programOfType(process, attr.attach_bpf_fd, row.programType)
  if (typeof program === 'number') return program
  const { type, expectedAttachType } = program.loaded
  if (type.linksAsLoaded === true && expectedAttachType !== attr.attach_type) return -EINVAL
  switch (row.hook) {
    case 'netns':
      if (attr.target_fd !== 0 || attr.attach_flags !== 0 || attr.replace_bpf_fd !== 0) return -EINVAL
      return attr.attach_type === BPF_ATTACH_TYPE.BPF_FLOW_DISSECTOR
        ? core.netNamespace.attach(attr.attach_type, program)
        : -EINVAL
    case 'cgroup':
      return -EBADF
    case 'sockmap':
      return attr.attach_flags !== 0 || attr.replace_bpf_fd !== 0 ? -EINVAL : socketMapError(process, attr)
    case 'lirc':
      return attr.attach_flags !== 0 ? -EINVAL : -EBADF
    case 'tcx':
      return -ENODEV
  }
}

function areAttachFlagsKnown(attr: Attr, hook: string): boolean {
  const isOrdered = hook === 'tcx' || hook === 'cgroup'
  const known = hook === 'cgroup' ? ORDERED_FLAGS | PLAIN_FLAGS : isOrdered ? ORDERED_FLAGS : PLAIN_FLAGS
  if ((attr.attach_flags & ~known) !== 0) return false
  return isOrdered || (attr.relative_fd === 0 && attr.expected_revision === 0n)
}

/** Socket maps take programs only where there are sockets. */
function socketMapError(process: KernelProcess, { target_fd }: Attr): number {
  const map = mapFile(process, target_fd)
  return typeof map === 'number' ? map : -EOPNOTSUPP
}

export function detachProgram({ core, process, attr: bytes }: BpfCall): number {
  const attr = progAttachAttr.read(bytes)
  const row = attachHook(attr.attach_type)
  const hook = row?.hook
  if (hook === 'tcx') {
    if ((attr.attach_flags & ~ORDERED_FLAGS) !== 0) return -EINVAL
    if (attr.attach_bpf_fd !== 0) {
      const program = programOfType(process, attr.attach_bpf_fd, (row as { programType: number }).programType)
      if (typeof program === 'number') return program
    }
    return -ENODEV
  }
  if (hook === 'cgroup') return attr.attach_flags !== 0 || attr.relative_fd !== 0 ? -EINVAL : -EBADF
  if (attr.attach_flags !== 0 || attr.relative_fd !== 0 || attr.expected_revision !== 0n) return -EINVAL
  switch (hook) {
    case 'sockmap':
      return attr.replace_bpf_fd !== 0 ? -EINVAL : socketMapError(process, attr)
    case 'lirc': {
      if (attr.attach_flags !== 0) return -EINVAL
      const program = programOfType(process, attr.attach_bpf_fd, (row as { programType: number }).programType)
      return typeof program === 'number' ? program : -EBADF
    }
    case 'netns': {
      if (attr.attach_type !== BPF_ATTACH_TYPE.BPF_FLOW_DISSECTOR || attr.target_fd !== 0) return -EINVAL
      const type = (row as { programType: number }).programType
      const program = programOfType(process, attr.attach_bpf_fd, type)
      return typeof program === 'number' ? program : core.netNamespace.detach(attr.attach_type, program)
    }
    default:
      return -EINVAL
  }
}

export function queryPrograms({ process, attr: bytes, pointer }: BpfCall): number {
  const attr = progQueryAttr.read(bytes)
  if ((attr.query_flags & ~BPF_F_QUERY_EFFECTIVE) !== 0) return -EINVAL
  if (attr.attach_type === BPF_ATTACH_TYPE.BPF_LSM_MAC) return -EINVAL
  switch (attachHook(attr.attach_type)?.hook) {
    case 'netns': {
      if (attr.query_flags !== 0) return -EINVAL
      const file = process.file(attr.target_fd | 0)
      if (file === undefined) return -EBADF
      if (!(file instanceof NetNamespaceFile)) return -EINVAL
      return tellPrograms(process, pointer, attr, file.namespace.programs(attr.attach_type))
    }
    case 'cgroup':
    case 'lirc':
      return -EBADF
    case 'sockmap': {
      if (attr.query_flags !== 0) return -EINVAL
      const map = mapFile(process, attr.target_fd)
      return typeof map === 'number' ? map : -EOPNOTSUPP
    }
    case 'tcx':
      return -ENODEV
    default:
      return -EINVAL
  }
}

function tellPrograms(
  { memory }: KernelProcess,
  pointer: bigint,
  attr: StructValue<typeof progQueryAttr>,
  programs: readonly ProgramObject[],
): number {
  const at = progQueryAttr.offsets
  const told =
    writeU32(memory, pointer + BigInt(at.attach_flags), 0) &&
    writeU32(memory, pointer + BigInt(at.prog_cnt), programs.length)
  if (!told) return -EFAULT
  if (attr.prog_cnt === 0 || attr.prog_ids === 0n || programs.length === 0) return 0
  const ids = Uint32Array.from(programs.slice(0, attr.prog_cnt), (program) => program.id)
  if (!memory.write(attr.prog_ids, new Uint8Array(ids.buffer))) return -EFAULT
  return programs.length > attr.prog_cnt ? -ENOSPC : 0
}
