/**
 * Variables and functions of the kernel that a program names by their types: in what runs, their addresses.
 *
 * Source: check_pseudo_btf_id() of kernel/bpf/verifier.c of Linux.
 */
import { BTF_KIND } from '../../btf/index.ts'
import { type Instruction, isWide, type Program, WIDE_SOURCE, wideInstruction } from '../../isa/index.ts'
import type { KernelCore } from '../core.ts'

const isSymbol = (insn: Instruction): boolean => isWide(insn) && insn.src === WIDE_SOURCE.BTF_ID

/**
 * Kernel functions have no address of their own where this kernel's bodies stand for them: programs only ask whether
 * they are there.
 */
const FUNCTIONS = 0xffff_ffff_0000_0000n

function addressOf({ kernelBtf, port }: KernelCore, id: number): bigint | undefined {
  const types = kernelBtf?.types
  const known = types?.id(id)
  if (types === undefined || known === undefined) return undefined
  const address = port.symbolByName(types.nameOf(known))?.address
  return address ?? (types.kindOf(known) === BTF_KIND.FUNC ? FUNCTIONS + BigInt(id) : undefined)
}

/** Slot and name of the first that the kernel has no address for. */
export function missingSymbol(
  core: KernelCore,
  program: Program,
): { readonly slot: number; readonly name: string } | undefined {
  const slot = program.findIndex((insn) => isSymbol(insn) && addressOf(core, insn.imm) === undefined)
  const insn = program[slot]
  if (insn === undefined) return undefined
  const types = core.kernelBtf?.types
  const id = types?.id(insn.imm)
  return { slot, name: types === undefined || id === undefined ? `#${insn.imm}` : types.nameOf(id) }
}

export function translateSymbols(core: KernelCore, program: Program): Program {
  if (!program.some(isSymbol)) return program
  const translated = [...program]
  for (const [slot, insn] of program.entries()) {
    if (!isSymbol(insn)) continue
    const address = addressOf(core, insn.imm) ?? 0n
    const [first, second] = wideInstruction(insn.dst, WIDE_SOURCE.IMM64, address)
    translated[slot] = first
    translated[slot + 1] = second
  }
  return translated
}
