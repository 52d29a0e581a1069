/**
 * Where GNU as has put the value of a symbol twice.
 *
 * What a relocation of an instruction adds to its symbol stands in the instruction. GNU as up to 2.40 writes there
 * the sum of both: `ldimm64` of a variable at byte 8 of its section holds 8, and a call of a function at byte 64 holds
 * 63, not -1. Relocations against a section are right, since a section's symbol is 0.
 *
 * Such a file is told by the numbers of its data relocations, which became those of LLVM in 2.41. Where it has none,
 * the compiler that it names must do: GCC 12 and older came before that assembler.
 *
 * Source: binutils, bfd/elf64-bpf.c and include/elf/bpf.h.
 */
import { SHT } from './constants.ts'
import type { ElfFile } from './elf.ts'
import { ElfError } from './error.ts'

/** R_BPF_DATA_8 to R_BPF_DATA_64 of GNU as up to 2.40. */
const OLD_DATA_TYPES: readonly number[] = [8, 9, 11, 12]
/** R_BPF_64_ABS64, R_BPF_64_ABS32, R_BPF_64_NODYLD32. */
const NEW_DATA_TYPES: readonly number[] = [2, 3, 4]

const LAST_GCC_WITH_OLD_AS = 12

/** Each compiler of a linked file has its line; the first is near the start. */
const MAX_COMMENT_BYTES = 1024

/** Whether instructions that are relocated against a symbol with a name hold that symbol's value, too. */
export function hasGnuAddends(file: ElfFile): boolean {
  const comment = file.section('.comment')
  if (comment === undefined) return false
  const text = new TextDecoder().decode(comment.data.subarray(0, MAX_COMMENT_BYTES))
  const major = /GCC: \(.*?\) (\d+)\./.exec(text)?.[1]
  if (major === undefined) return false
  return areDataTypesOld(file) ?? Number(major) <= LAST_GCC_WITH_OLD_AS
}

/** Undefined where nothing but instructions is relocated. */
function areDataTypesOld(file: ElfFile): boolean | undefined {
  for (const section of file.sections) {
    const target = section.type === SHT.REL ? file.sections[section.info] : undefined
    const relocations = target === undefined ? [] : file.relocations(target)
    if (relocations instanceof ElfError) return undefined
    for (const { type } of relocations) {
      if (OLD_DATA_TYPES.includes(type)) return true
      if (NEW_DATA_TYPES.includes(type)) return false
    }
  }
  return undefined
}
