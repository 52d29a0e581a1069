/**
 * What the attribute of BPF_PROG_LOAD says and points to, copied in once, with Linux's checks in Linux's order.
 *
 * Source: bpf_prog_load(), bpf_prog_load_check_attach() of kernel/bpf/syscall.c of Linux.
 */
import {
  BPF_F_TOKEN_FD,
  BPF_MAXINSNS,
  BPF_PROG_TYPE,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOTSUPP,
  progLoadAttr,
  type StructValue,
} from '../../abi/index.ts'
import { decode, type Program } from '../../isa/index.ts'
import type { AttachTarget } from '../../verifier/index.ts'
import { objectName } from '../object-name.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import { targetOf } from '../program-target.ts'
import { type ProgramTypeRow, programType } from '../program-types.ts'
import { readBytes } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { btfOf, programOf, tokenError } from './descriptors.ts'

export type ProgramAttr = StructValue<typeof progLoadAttr>

const KNOWN_FLAGS = 0xff | BPF_F_TOKEN_FD
const LICENSE_BYTES = 128
const INSTRUCTION_BYTES = 8
/** Source: BTF_MAX_TYPE of Linux. */
const LARGEST_TYPE_ID = 0xf_ffff

export interface CopiedProgram {
  readonly type: ProgramTypeRow
  readonly name: string
  readonly license: string
  readonly program: Program
  readonly attach: AttachTarget | undefined
  /** The program that it is to attach to, if it is one. */
  readonly target: ProgramObject | undefined
}

/** The program and its surroundings, or -errno. */
export function copyProgram(call: BpfCall, attr: ProgramAttr): CopiedProgram | number {
  const { process, attr: bytes } = call
  if ((attr.prog_flags & ~KNOWN_FLAGS) !== 0) return -EINVAL
  if ((attr.prog_flags & BPF_F_TOKEN_FD) !== 0) return tokenError(process, attr.prog_token_fd)
  if (attr.insn_cnt === 0 || attr.insn_cnt > BPF_MAXINSNS) return -E2BIG
  const place = copyAttach(call, attr)
  if (typeof place === 'number') return place
  const code = readBytes(process.memory, attr.insns, attr.insn_cnt * INSTRUCTION_BYTES)
  if (code === undefined) return -EFAULT
  const license = copyLicense(process, attr.license)
  if (license === undefined) return -EFAULT
  // Signatures need a key ring, offloaded programs a device.
  if (attr.signature !== 0n || attr.signature_size !== 0 || attr.prog_ifindex !== 0) return -EINVAL
  const type = programType(attr.prog_type)
  if (type === undefined) return -EINVAL
  const name = objectName(bytes, progLoadAttr.offsets.prog_name)
  if (typeof name === 'number') return name
  const decoded = decode(code)
  if (!decoded.ok) return -EINVAL
  return { type, name, license, program: decoded.program, ...place }
}

const ATTACHING_TYPES: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE.BPF_PROG_TYPE_LSM,
  BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS,
  BPF_PROG_TYPE.BPF_PROG_TYPE_EXT,
]
const TYPES_ON_PROGRAMS: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE.BPF_PROG_TYPE_EXT,
]

type Place = Pick<CopiedProgram, 'attach' | 'target'>
const NOWHERE: Place = { attach: undefined, target: undefined }

/** What of another program, or of the kernel, the program is for; or -errno. */
function copyAttach({ core, process }: BpfCall, attr: ProgramAttr): Place | number {
  const { prog_type: type, attach_btf_id: btfId, attach_prog_fd: fd } = attr
  const allowed = programType(type)?.expectedAttachTypes
  if (allowed?.includes(attachTypeOf(attr)) === false) return -EINVAL
  if (btfId === 0 && fd === 0) return NOWHERE
  if (btfId > LARGEST_TYPE_ID || (btfId !== 0 && !ATTACHING_TYPES.includes(type))) return -EINVAL
  const target = fd === 0 ? undefined : programOf(process, fd)
  if (target !== undefined && typeof target !== 'number') {
    if (!TYPES_ON_PROGRAMS.includes(type)) return -EINVAL
    const btf = target.loaded.btf?.types
    const program = targetOf(target.loaded)
    return { attach: { btfId, isProgram: true, program, ...(btf === undefined ? {} : { btf }) }, target }
  }
  if (target !== undefined) {
    // The descriptor may be one of types, too.
    const types = btfOf(process, fd)
    if (typeof types === 'number') return -EINVAL
    if (!types.isKernel) return -ENOTSUPP
  }
  return core.kernelBtf === undefined || btfId === 0 ? -EINVAL : { attach: { btfId }, target: undefined }
}

/** What the program is loaded for: what the attribute says, or what the type means by saying nothing. */
export function attachTypeOf({ prog_type, expected_attach_type }: ProgramAttr): number {
  if (expected_attach_type !== 0) return expected_attach_type
  return programType(prog_type)?.defaultAttachType ?? 0
}

/** Up to 127 bytes; a longer text is cut, as in Linux. */
function copyLicense(process: KernelProcess, pointer: bigint): string | undefined {
  const one = new Uint8Array(1)
  let text = ''
  for (let i = 0; i < LICENSE_BYTES - 1; i++) {
    if (!process.memory.read(pointer + BigInt(i), one)) return undefined
    if (one[0] === 0) break
    text += String.fromCharCode(one[0] as number)
  }
  return text
}
