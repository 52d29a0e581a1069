import { encode, type Program, WIDE_SOURCE } from '../isa/index.ts'
import { sha256 } from './sha256.ts'

const TAG_BYTES = 8

/**
 * A program's tag: the first 8 bytes of the SHA-256 of its instructions, with the descriptors of maps left out, so
 * that a program has the same tag wherever it is loaded.
 *
 * Source: bpf_prog_calc_tag() of kernel/bpf/core.c of Linux 6.18; older kernels use SHA-1.
 */
export function programTag(program: Program): Uint8Array {
  const anonymous = program.map((insn, index) => {
    const before = program[index - 1]
    return namesMap(insn) || (before !== undefined && namesMap(before)) ? { ...insn, imm: 0 } : insn
  })
  return sha256(encode(anonymous)).slice(0, TAG_BYTES)
}

const namesMap = (insn: Program[number]): boolean =>
  insn.opcode === 0x18 && (insn.src === WIDE_SOURCE.MAP_FD || insn.src === WIDE_SOURCE.MAP_VALUE)
