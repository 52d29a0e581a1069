/**
 * The numbers of ELF that this project reads.
 *
 * Source: the System V gABI (ELF-64), and for relocations the BPF and RISC-V supplements.
 */

/** `e_type`. */
export const ET = { NONE: 0, REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const

/** `e_machine`. */
export const EM = { NONE: 0, X86_64: 62, AARCH64: 183, RISCV: 243, BPF: 247, LOONGARCH: 258 } as const

const machineNames: Readonly<Record<number, string>> = {
  0: 'no machine',
  2: 'SPARC',
  3: 'x86',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC 64',
  22: 'S/390',
  40: 'ARM',
  43: 'SPARC V9',
  62: 'x86-64',
  183: 'AArch64',
  190: 'CUDA',
  224: 'AMD GPU',
  243: 'RISC-V',
  247: 'BPF',
  258: 'LoongArch',
}

/** Name of an `e_machine`, for messages. */
export const machineName = (machine: number): string => machineNames[machine] ?? `machine ${machine}`

const typeNames: Readonly<Record<number, string>> = {
  1: 'relocatable object',
  2: 'executable',
  3: 'shared object',
  4: 'core dump',
}

/** Name of an `e_type`, for messages. */
export const fileTypeName = (type: number): string => typeNames[type] ?? `file of type ${type}`

/** `sh_type`. */
export const SHT = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  HASH: 5,
  DYNAMIC: 6,
  NOTE: 7,
  NOBITS: 8,
  REL: 9,
  DYNSYM: 11,
} as const

/** `sh_flags`. */
export const SHF = { WRITE: 1, ALLOC: 2, EXECINSTR: 4, MERGE: 16, STRINGS: 32, COMPRESSED: 0x800 } as const

/** Reserved section indexes. */
export const SHN = { UNDEF: 0, LORESERVE: 0xff00, ABS: 0xfff1, COMMON: 0xfff2, XINDEX: 0xffff } as const

/** Symbol types (`st_info & 15`). */
export const STT = {
  NOTYPE: 0,
  OBJECT: 1,
  FUNC: 2,
  SECTION: 3,
  FILE: 4,
  COMMON: 5,
  TLS: 6,
  GNU_IFUNC: 10,
} as const

/** Symbol bindings (`st_info >> 4`). */
export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2 } as const

/** Symbol visibilities (`st_other & 3`). */
export const STV = { DEFAULT: 0, INTERNAL: 1, HIDDEN: 2, PROTECTED: 3 } as const

/** `p_type`. */
export const PT = { NULL: 0, LOAD: 1, DYNAMIC: 2, INTERP: 3, NOTE: 4, PHDR: 6, TLS: 7 } as const

/** `p_flags`. */
export const PF = { X: 1, W: 2, R: 4 } as const

/**
 * BPF relocation types. `64_64` patches a `ldimm64`, `64_32` the `imm` of a call, the others are data.
 *
 * Source: llvm/docs, Documentation/bpf/llvm_reloc.rst.
 */
export const R_BPF = {
  NONE: 0,
  '64_64': 1,
  '64_ABS64': 2,
  '64_ABS32': 3,
  '64_NODYLD32': 4,
  '64_32': 10,
} as const
