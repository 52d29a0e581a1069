/** Asks the verifier, then for what of Linux this kernel does not have. */
import { BPF_F_SLEEPABLE, BPF_PROG_TYPE, EINVAL, ENOENT } from '../../abi/index.ts'
import type { BtfId } from '../../btf/index.ts'
import { helperBodies, helperName } from '../../helpers/index.ts'
import { CALL_SOURCE, OPCODE } from '../../isa/index.ts'
import { type ProgramInput, reject, type VerifierVerdict } from '../../verifier/index.ts'
import type { KernelCore } from '../core.ts'
import { programType } from '../program-types.ts'
import { registerLayouts } from '../registers.ts'
import { dummyOps } from '../struct-ops/dummy-ops.ts'
import { tailCallKind } from '../tail-call-kind.ts'
import { tracedFunction } from '../traced-function.ts'
import { attachTypeOf, type CopiedProgram, type ProgramAttr } from './program-attr.ts'
import { type DebugInfo, functionsOf, lineRecordsOf, linesOf } from './program-debug-info.ts'
import { missingKfunc } from './program-kfuncs.ts'
import type { ProgramReferences } from './program-references.ts'

export interface ProgramToLoad {
  readonly attr: ProgramAttr
  readonly copied: CopiedProgram
  readonly references: ProgramReferences
  readonly debugInfo: DebugInfo
}

const SLEEP_MESSAGE = 'Programs of this type sleep always or never'
/** Levels that the verifier knows; the rest is about the buffer. */
const LOG_LEVELS = 7

export function verifyProgram(core: KernelCore, load: ProgramToLoad): VerifierVerdict {
  const { attr, copied, references } = load
  const verdict = core.verifier.verify(inputOf(core, load))
  if (!verdict.accepted) return verdict
  const { attach } = copied
  if (attach !== undefined && attach.isProgram !== true && attachesToFunction(attr)) {
    const types = core.kernelBtf?.types
    const name = types?.nameOf(attach.btfId as BtfId) ?? ''
    if (types === undefined || tracedFunction(core, types, attach.btfId) === undefined) {
      return reject(ENOENT, undefined, `The address of function ${name} cannot be found`)
    }
  }
  if (!maySleepAs(attr)) return reject(EINVAL, undefined, SLEEP_MESSAGE)
  const missing = copied.program.findIndex(
    ({ opcode, src, imm }, slot) =>
      opcode === OPCODE.CALL &&
      src === CALL_SOURCE.HELPER &&
      verdict.proof?.reached[slot] !== 0 &&
      helperName(imm) !== undefined &&
      !helperBodies.has(imm),
  )
  if (missing >= 0) {
    const imm = copied.program[missing]?.imm ?? 0
    return reject(EINVAL, missing, `helper ${helperName(imm)}#${imm} is not available in this kernel`)
  }
  const kfunc = missingKfunc(core, copied.program, verdict.proof?.reached)
  if (kfunc !== undefined) {
    return reject(EINVAL, kfunc.slot, `kernel function ${kfunc.name} is not available in this kernel`)
  }
  for (const map of references.programArrays()) {
    const kind = tailCallKind({
      type: copied.type,
      expectedAttachType: attachTypeOf(attr),
      flags: attr.prog_flags,
      attach,
      attachedTo: verdict.proof?.attachedTo,
    })
    if (!map.admits(kind)) return reject(EINVAL, undefined, '')
  }
  return verdict
}

function inputOf(core: KernelCore, load: ProgramToLoad): ProgramInput {
  const { port, kernelBtf } = core
  const { attr, copied, references, debugInfo } = load
  const { program, name, license, attach } = copied
  const btf = debugInfo.btf?.types
  const kernelTypes = kernelBtf?.types
  const registersBytes = registerLayouts[port.architecture]?.sizeBytes
  return {
    ...(attr.prog_type === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS ? { structOps: rulesOf(core) } : {}),
    clockNs: () => port.clockNs('monotonic'),
    instructions: program,
    programType: attr.prog_type,
    expectedAttachType: attachTypeOf(attr),
    flags: attr.prog_flags,
    license,
    name,
    maps: references.byDescriptor,
    descriptors: references.byIndex,
    functions: functionsOf(debugInfo),
    lines: linesOf(debugInfo),
    lineRecords: lineRecordsOf(debugInfo),
    mayWriteUserMemory: true,
    logLevel: attr.log_level & LOG_LEVELS,
    ...(btf === undefined ? {} : { btf }),
    ...(kernelTypes === undefined ? {} : { kernelTypes }),
    ...(attach === undefined ? {} : { attach }),
    ...(registersBytes === undefined ? {} : { registersBytes }),
  }
}

/** Whether the program is for a function, which must be there; raw tracepoints and iterators are types alone. */
function attachesToFunction(attr: ProgramAttr): boolean {
  if (attr.prog_type !== BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING) return false
  const places = programType(attr.prog_type)?.linkAttachTypes ?? []
  return places === 'any' || places.includes(attachTypeOf(attr))
}

/** Source: check_attach_btf_id() of kernel/bpf/verifier.c of Linux. */
function maySleepAs({ prog_type, prog_flags }: ProgramAttr): boolean {
  const sleeps = (prog_flags & BPF_F_SLEEPABLE) !== 0
  const rule = programType(prog_type)?.sleeps ?? 'never'
  return rule === 'may' || sleeps === (rule === 'always')
}

/** What programs may implement here, and how. */
function rulesOf({ structOps }: KernelCore): NonNullable<ProgramInput['structOps']> {
  return Object.fromEntries(
    structOps.types.map((type) => {
      const { name, unsupported = [], sleepable = [], writable = {} } = type
      return [name, { unsupported, sleepable, writable, isTerse: type === dummyOps }]
    }),
  )
}
