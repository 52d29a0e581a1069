/**
 * Calls of kernel functions in a program that was accepted: from ids of types to the numbers that engines know.
 *
 * Source: fixup_kfunc_call() of kernel/bpf/verifier.c of Linux.
 */
import { BTF_KIND } from '../../btf/index.ts'
import type { KfuncCall } from '../../helpers/index.ts'
import { CALL_SOURCE, type Instruction, OPCODE, type Program } from '../../isa/index.ts'
import type { KfuncCallFacts, ProgramFacts } from '../../verifier/index.ts'
import { hasKernelContext } from '../contexts/kernel-context.ts'
import type { KernelCore } from '../core.ts'
import { objectTypeOf } from '../object-types.ts'

const isKfuncCall = ({ opcode, src }: Instruction): boolean =>
  opcode === OPCODE.CALL && src === CALL_SOURCE.KFUNC

/** The function of the kernel's own types that is called; undefined for one of a module. */
function nameOf({ kernelBtf }: KernelCore, { imm, offset }: Instruction): string | undefined {
  const types = kernelBtf?.types
  const id = types?.id(imm)
  if (types === undefined || id === undefined || offset !== 0) return undefined
  return types.kindOf(id) === BTF_KIND.FUNC ? types.nameOf(id) : undefined
}

/** Slot and name of the first call that is reached and has no body here, or none for programs of this type. */
export function missingKfunc(
  core: KernelCore,
  program: Program,
  programType: number,
  reached: Uint8Array | undefined,
): { readonly slot: number; readonly name: string } | undefined {
  for (let slot = 0; slot < program.length; slot++) {
    const insn = program[slot] as Instruction
    if (!isKfuncCall(insn) || reached?.[slot] === 0) continue
    const name = nameOf(core, insn)
    const isHere = name !== undefined && core.kfuncs.plain(name) !== undefined
    if (!isHere || (name === 'bpf_cast_to_kern_ctx' && !hasKernelContext(core, programType))) {
      return { slot, name: name ?? `#${insn.imm}` }
    }
  }
  return undefined
}

export interface TranslatedCalls {
  readonly program: Program
  /** Numbers that are the program's own, to be released with it. */
  readonly numbers: readonly number[]
}

export function translateKfuncs(
  core: KernelCore,
  program: Program,
  proof: ProgramFacts | undefined,
): TranslatedCalls {
  if (!program.some(isKfuncCall)) return { program, numbers: [] }
  const numbers: number[] = []
  const translated = program.map((insn, slot) => {
    const name = isKfuncCall(insn) ? nameOf(core, insn) : undefined
    // What is never reached stays: the engines have no number 0.
    if (name === undefined) return isKfuncCall(insn) ? { ...insn, imm: 0, offset: 0 } : insn
    const facts = proof?.kfuncCalls.get(slot)
    const number = facts === undefined ? core.kfuncs.plain(name) : core.kfuncs.bind(name, callOf(core, facts))
    if (facts !== undefined && number !== undefined) numbers.push(number)
    return { ...insn, imm: number ?? 0, offset: 0 }
  })
  return { program: translated, numbers }
}

const callOf = ({ kernelBtf }: KernelCore, { allocated, nodeOffset }: KfuncCallFacts): KfuncCall => ({
  ...(allocated === undefined ? {} : { objectType: objectTypeOf(kernelBtf?.types, allocated) }),
  ...(nodeOffset === undefined ? {} : { nodeOffset }),
})
