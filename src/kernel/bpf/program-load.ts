/**
 * BPF_PROG_LOAD: copies everything in once, checks in Linux's order, has the program verified, and makes it runnable.
 *
 * Source: bpf_prog_load() of kernel/bpf/syscall.c, bpf_check() of kernel/bpf/verifier.c of Linux.
 */
import {
  BPF_F_SLEEPABLE,
  BPF_F_TOKEN_FD,
  BPF_MAXINSNS,
  BPF_PROG_TYPE,
  E2BIG,
  EFAULT,
  EINVAL,
  progLoadAttr,
  type StructValue,
} from '../../abi/index.ts'
import { helperBodies, helperName } from '../../helpers/index.ts'
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  decode,
  type Instruction,
  MODE,
  modeOf,
  OPCODE,
  type Program,
} from '../../isa/index.ts'
import { type Acceptance, reject, type VerifierVerdict } from '../../verifier/index.ts'
import type { BtfObject } from '../btf-object.ts'
import { contextLayout } from '../contexts/layout.ts'
import { translateContext } from '../contexts/translate.ts'
import type { KernelCore } from '../core.ts'
import { isGplCompatible } from '../license.ts'
import type { MapObject } from '../map-object.ts'
import { objectName } from '../object-name.ts'
import type { KernelProcess } from '../process.ts'
import { ProgramFile } from '../program-object.ts'
import { programTag } from '../program-tag.ts'
import { type ProgramTypeRow, programType } from '../program-types.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { btfOf, programOf, tokenError } from './descriptors.ts'
import { isValidLogRequest, type LogRequest, writeLog } from './log.ts'
import { ProgramReferences } from './program-references.ts'

type Attr = StructValue<typeof progLoadAttr>

const KNOWN_FLAGS = 0xff | BPF_F_TOKEN_FD
const LICENSE_BYTES = 128
const INSTRUCTION_BYTES = 8
const TRUE_SIZE = progLoadAttr.offsets.log_true_size
/** Sizes of struct bpf_func_info and bpf_line_info, and how large a record of a later kernel may be. */
const FUNC_INFO_BYTES = 8
const LINE_INFO_BYTES = 16
const LARGEST_RECORD = 252
const PACKET_MESSAGE = 'BPF_LD_[ABS|IND] instructions not allowed for this program type'
const SLEEP_MESSAGE = 'Programs of this type sleep always or never'

/** What the attribute points to, copied in. */
interface Copied {
  readonly type: ProgramTypeRow
  readonly name: string
  readonly isGplCompatible: boolean
  readonly program: Program
}

export function loadProgram(call: BpfCall): number {
  const attr = progLoadAttr.read(call.attr)
  const copied = copyIn(call, attr)
  if (typeof copied === 'number') return copied
  const log: LogRequest = { level: attr.log_level, sizeBytes: attr.log_size, pointer: attr.log_buf }
  if (!isValidLogRequest(log)) return -EINVAL
  const types = copyTypes(call.process, attr)
  if (typeof types === 'number') return types
  const references = new ProgramReferences(call.process, attr, copied.program)
  if (references.error !== 0) return references.error

  const verdict = verify(call.core, attr, copied, references, types)
  // Linux writes statistics after an accepted program only where they are asked for.
  const text = verdict.accepted && (log.level & 7) === 0 ? '' : verdict.log
  const written = writeLog(call.process.memory, log, text)
  if (call.sizeBytes >= TRUE_SIZE + 4) {
    if (!writeU32(call.process.memory, call.pointer + BigInt(TRUE_SIZE), written.trueSize)) return -EFAULT
  }
  if (written.errno !== 0) return written.errno
  if (!verdict.accepted) return -verdict.errno
  return finish(call, attr, copied, references, types, verdict)
}

function copyIn({ process, attr: bytes }: BpfCall, attr: Attr): Copied | number {
  if ((attr.prog_flags & ~KNOWN_FLAGS) !== 0) return -EINVAL
  if ((attr.prog_flags & BPF_F_TOKEN_FD) !== 0) return tokenError(process, attr.prog_token_fd)
  if (attr.insn_cnt === 0 || attr.insn_cnt > BPF_MAXINSNS) return -E2BIG
  const error = checkAttach(process, attr)
  if (error !== 0) return error
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
  return { type, name, isGplCompatible: isGplCompatible(license), program: decoded.program }
}

function checkAttach(process: KernelProcess, attr: Attr): number {
  if (attr.attach_prog_fd !== 0) {
    const isTracing =
      attr.prog_type === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING ||
      attr.prog_type === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
    const target = programOf(process, attr.attach_prog_fd)
    if (typeof target === 'number' || !isTracing) return -EINVAL
  }
  if (attr.attach_btf_id !== 0) return -EINVAL
  const allowed = programType(attr.prog_type)?.expectedAttachTypes
  return allowed?.includes(attachTypeOf(attr)) === false ? -EINVAL : 0
}

/** What the program is loaded for: what the attribute says, or what the type means by saying nothing. */
function attachTypeOf({ prog_type, expected_attach_type }: Attr): number {
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

interface CopiedTypes {
  readonly btf: BtfObject | undefined
  readonly funcInfo: Uint8Array
  readonly lineInfo: Uint8Array
}

/** The program's types and what they say of its functions and lines. Source: check_btf_info(). */
function copyTypes(process: KernelProcess, attr: Attr): CopiedTypes | number {
  const nothing = new Uint8Array(0)
  if (attr.func_info_cnt === 0 && attr.line_info_cnt === 0) {
    return { btf: undefined, funcInfo: nothing, lineInfo: nothing }
  }
  const btf = btfOf(process, attr.prog_btf_fd)
  if (typeof btf === 'number') return btf
  const funcInfo = copyRecords(process, {
    pointer: attr.func_info,
    count: attr.func_info_cnt,
    recordBytes: attr.func_info_rec_size,
    knownBytes: FUNC_INFO_BYTES,
    most: attr.insn_cnt,
  })
  if (typeof funcInfo === 'number') return funcInfo
  const lineInfo = copyRecords(process, {
    pointer: attr.line_info,
    count: attr.line_info_cnt,
    recordBytes: attr.line_info_rec_size,
    knownBytes: LINE_INFO_BYTES,
    most: attr.insn_cnt,
  })
  if (typeof lineInfo === 'number') return lineInfo
  return { btf, funcInfo, lineInfo }
}

interface Records {
  readonly pointer: bigint
  readonly count: number
  readonly recordBytes: number
  readonly knownBytes: number
  readonly most: number
}

/** The known part of each record; what a longer one holds beyond must be zero. */
function copyRecords(process: KernelProcess, records: Records): Uint8Array | number {
  const { count, recordBytes, knownBytes } = records
  if (count === 0) return new Uint8Array(0)
  if (recordBytes < knownBytes || recordBytes > LARGEST_RECORD || recordBytes % 4 !== 0) return -EINVAL
  if (count > records.most) return -EINVAL
  const bytes = readBytes(process.memory, records.pointer, count * recordBytes)
  if (bytes === undefined) return -EFAULT
  const known = new Uint8Array(count * knownBytes)
  for (let i = 0; i < count; i++) {
    const record = bytes.subarray(i * recordBytes, (i + 1) * recordBytes)
    if (record.subarray(knownBytes).some((byte) => byte !== 0)) return -E2BIG
    known.set(record.subarray(0, knownBytes), i * knownBytes)
  }
  return known
}

function verify(
  core: KernelCore,
  attr: Attr,
  { type, program, isGplCompatible }: Copied,
  references: ProgramReferences,
  types: CopiedTypes,
): VerifierVerdict {
  const verdict = core.verifier.verify({
    program,
    programType: attr.prog_type,
    expectedAttachType: attachTypeOf(attr),
    gplCompatible: isGplCompatible,
    sleepable: (attr.prog_flags & BPF_F_SLEEPABLE) !== 0,
    hasFunctionInfo: types.funcInfo.length > 0,
    mapAt: (index) => references.propertiesAt(index),
  })
  if (!verdict.accepted) return verdict
  const load = type.loadsPackets === true ? -1 : program.findIndex(isPacketLoad)
  if (load >= 0) return reject(EINVAL, load, PACKET_MESSAGE)
  if (!maySleepAs(attr)) return reject(EINVAL, undefined, SLEEP_MESSAGE)
  const index = program.findIndex(
    (insn) =>
      insn.opcode === OPCODE.CALL &&
      insn.src === CALL_SOURCE.HELPER &&
      helperName(insn.imm) !== undefined &&
      !helperBodies.has(insn.imm),
  )
  if (index >= 0) {
    const { imm } = program[index] as Program[number]
    return reject(EINVAL, index, `helper ${helperName(imm)}#${imm} is not available in this kernel`)
  }
  for (const map of references.programArrays()) {
    if (!map.admits({ type })) return reject(EINVAL, undefined, '')
  }
  return verdict
}

const isPacketLoad = ({ opcode }: Instruction): boolean =>
  classOf(opcode) === CLASS.LD && (modeOf(opcode) === MODE.ABS || modeOf(opcode) === MODE.IND)

/** Source: check_attach_btf_id() of kernel/bpf/verifier.c of Linux. */
function maySleepAs({ prog_type, prog_flags }: Attr): boolean {
  const sleeps = (prog_flags & BPF_F_SLEEPABLE) !== 0
  const rule = programType(prog_type)?.sleeps ?? 'never'
  return rule === 'may' || sleeps === (rule === 'always')
}

function finish(
  { core, process }: BpfCall,
  attr: Attr,
  { type, name, isGplCompatible, program }: Copied,
  references: ProgramReferences,
  types: CopiedTypes,
  verdict: Acceptance,
): number {
  const maps: MapObject[] = references.maps.map((map) => map.get())
  const layout = contextLayout(attr.prog_type)
  const accesses = verdict.contextAccesses
  const translated = (what: 'ids' | 'addresses') => {
    const resolved = references.instructions(what)
    return layout === undefined ? resolved : translateContext(resolved, layout, accesses)
  }
  const object = core.newProgram({
    type,
    expectedAttachType: attachTypeOf(attr),
    name,
    tag: programTag(program),
    isGplCompatible,
    instructions: translated('ids'),
    executable: core.engine.prepare(translated('addresses'), { isProved: verdict.proved, name }),
    maps,
    btf: types.btf?.get(),
    funcInfo: types.funcInfo,
    lineInfo: types.lineInfo,
    loadTimeNs: core.port.clockNs('boot'),
    uid: process.uid,
    verifiedInstructions: 0,
  })
  const fd = process.install(new ProgramFile(object), true)
  object.put()
  return fd
}
