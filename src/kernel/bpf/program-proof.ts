/** Asks the verifier, then for what of Linux this kernel does not have. */
import { BPF_ATTACH_TYPE, BPF_F_SLEEPABLE, BPF_PROG_TYPE, EINVAL, ENOENT } from '../../abi/index.ts'
import { helperBodies, helperName } from '../../helpers/index.ts'
import { CALL_SOURCE, type Instruction, OPCODE, type Program } from '../../isa/index.ts'
import { type ProgramInput, reject, type VerifierVerdict } from '../../verifier/index.ts'
import type { KernelCore } from '../core.ts'
import { runsAs } from '../program-target.ts'
import { programType } from '../program-types.ts'
import { registerLayouts } from '../registers.ts'
import { dummyOps } from '../struct-ops/dummy-ops.ts'
import { tailCallKind } from '../tail-call-kind.ts'
import { targetOf } from './iterators.ts'
import { attachTypeOf, type CopiedProgram, type ProgramAttr } from './program-attr.ts'
import { type DebugInfo, functionsOf, lineRecordsOf, linesOf } from './program-debug-info.ts'
import { missingKfunc } from './program-kfuncs.ts'
import type { ProgramReferences } from './program-references.ts'
import { missingSymbol } from './program-symbols.ts'

export interface ProgramToLoad {
  readonly attr: ProgramAttr
  readonly copied: CopiedProgram
  readonly references: ProgramReferences
  readonly debugInfo: DebugInfo
}

const SLEEP_MESSAGE = 'Programs of this type sleep always or never'
const BPF_OVERRIDE_RETURN = 58
/** Levels that the verifier knows; the rest is about the buffer. */
const LOG_LEVELS = 7

export function verifyProgram(core: KernelCore, load: ProgramToLoad): VerifierVerdict {
  const { attr, copied, references } = load
  const verdict = core.verifier.verify(inputOf(core, load))
  if (!verdict.accepted) return verdict
  const { attach } = copied
  if (isIterator(attr) && targetOf(core, attach?.btfId) === undefined) {
    return reject(EINVAL, undefined, 'this kernel has no such iterator')
  }
  if (!maySleepAs(attr)) return reject(EINVAL, undefined, SLEEP_MESSAGE)
  const missing = missingHelper(core, copied.program, verdict.proof?.reached)
  if (missing !== undefined) {
    // Whoever asks what a kernel has looks for these words.
    const message = `program of this type cannot use helper ${helperName(missing.id)}#${missing.id}`
    return reject(EINVAL, missing.slot, message)
  }
  const type = runsAs(attr.prog_type, attach?.program)
  const kfunc = missingKfunc(core, copied.program, type, verdict.proof?.reached)
  if (kfunc !== undefined) {
    return reject(EINVAL, kfunc.slot, `kernel function ${kfunc.name} is not available in this kernel`)
  }
  const symbol = missingSymbol(core, copied.program)
  if (symbol !== undefined) {
    const message = `ldimm64 failed to find the address for kernel symbol '${symbol.name}'.`
    return reject(ENOENT, symbol.slot, message)
  }
  for (const map of references.programArrays()) {
    const kind = tailCallKind({
      type: copied.type,
      expectedAttachType: attachTypeOf(attr),
      flags: attr.prog_flags,
      attach,
      attachedTo: verdict.proof?.attachedTo,
      overridesReturn: overridesReturn(load, verdict.proof?.reached),
    })
    // The proof has been told by then.
    if (!map.admits(kind)) return { ...reject(EINVAL, undefined, ''), log: verdict.log }
  }
  return verdict
}

function hasHelper({ port }: KernelCore, id: number): boolean {
  return helperBodies.has(id) && (id !== BPF_OVERRIDE_RETURN || port.mayOverride !== undefined)
}

const isHelperCall = ({ opcode, src }: Instruction): boolean =>
  opcode === OPCODE.CALL && src === CALL_SOURCE.HELPER

/** Slot and number of the first call that is reached of a helper of Linux's that this kernel lacks. */
function missingHelper(
  core: KernelCore,
  program: Program,
  reached: Uint8Array | undefined,
): { readonly slot: number; readonly id: number } | undefined {
  for (let slot = 0; slot < program.length; slot++) {
    const insn = program[slot] as Instruction
    if (!isHelperCall(insn) || reached?.[slot] === 0) continue
    const id = insn.imm
    if (helperName(id) !== undefined && !hasHelper(core, id)) return { slot, id }
  }
  return undefined
}

/** Whether a path of the program leads to a call of bpf_override_return. */
export function overridesReturn({ copied }: ProgramToLoad, reached: Uint8Array | undefined): boolean {
  const { program } = copied
  for (let slot = 0; slot < program.length; slot++) {
    const insn = program[slot] as Instruction
    if (insn.imm === BPF_OVERRIDE_RETURN && isHelperCall(insn) && reached?.[slot] !== 0) return true
  }
  return false
}

function isErrorInjectable({ port }: KernelCore, name: string): boolean {
  const symbol = port.symbolByName(name)
  return symbol !== undefined && port.mayOverride?.(symbol.address) === true
}

function inputOf(core: KernelCore, load: ProgramToLoad): ProgramInput {
  const { port, kernelBtf } = core
  const { attr, copied, references, debugInfo } = load
  const { program, name, license, attach } = copied
  const btf = debugInfo.btf?.types
  const kernelTypes = kernelBtf?.types
  const registersBytes = registerLayouts[port.architecture]?.sizeBytes
  const logLevel = attr.log_level & LOG_LEVELS
  const input: { -readonly [K in keyof ProgramInput]: ProgramInput[K] } = {
    clockNs: () => port.clockNs('monotonic'),
    hasHelper: (id) => hasHelper(core, id),
    instructions: program,
    programType: attr.prog_type,
    expectedAttachType: attachTypeOf(attr),
    flags: attr.prog_flags,
    license,
    name,
    maps: references.byDescriptor,
    descriptors: references.byIndex,
    functions: functionsOf(debugInfo),
    // Their texts are read for a log only.
    lines: logLevel === 0 ? [] : linesOf(debugInfo),
    lineRecords: lineRecordsOf(debugInfo),
    mayWriteUserMemory: true,
    hasFunction: (name) => port.symbolByName(name) !== undefined,
    logLevel,
  }
  if (attr.prog_type === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS) input.structOps = rulesOf(core)
  if (port.mayOverride !== undefined) input.isErrorInjectable = (name) => isErrorInjectable(core, name)
  if (btf !== undefined) input.btf = btf
  if (kernelTypes !== undefined) input.kernelTypes = kernelTypes
  if (attach !== undefined) input.attach = attach
  if (registersBytes !== undefined) input.registersBytes = registersBytes
  return input
}

const isIterator = (attr: ProgramAttr): boolean =>
  attr.prog_type === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING &&
  attachTypeOf(attr) === BPF_ATTACH_TYPE.BPF_TRACE_ITER

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
