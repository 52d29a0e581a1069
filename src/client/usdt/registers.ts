/** Where struct pt_regs keeps registers, by the assembler's names. Source: asm/ptrace.h of Linux's architectures. */

/** Bytes from the start of struct pt_regs. */
export type RegisterOffsets = ReadonlyMap<string, number>

/** The words of x86-64's struct pt_regs, with the names of their 64, 32, 16 and 8 bits. */
const X64_WORDS = [
  'r15 r15d r15w r15b',
  'r14 r14d r14w r14b',
  'r13 r13d r13w r13b',
  'r12 r12d r12w r12b',
  'rbp ebp bp bpl',
  'rbx ebx bx bl',
  'r11 r11d r11w r11b',
  'r10 r10d r10w r10b',
  'r9 r9d r9w r9b',
  'r8 r8d r8w r8b',
  'rax eax ax al',
  'rcx ecx cx cl',
  'rdx edx dx dl',
  'rsi esi si sil',
  'rdi edi di dil',
  // The number of a system call, the instruction pointer, cs, flags, the stack pointer.
  '',
  'rip eip',
  '',
  '',
  'rsp esp sp spl',
]

/** The registers of RISC-V by their numbers; struct pt_regs has the program counter in the place of x0. */
const RISCV_WORDS = [
  'pc',
  ...[
    'ra',
    'sp',
    'gp',
    'tp',
    't0',
    't1',
    't2',
    's0 fp',
    's1',
    'a0',
    'a1',
    'a2',
    'a3',
    'a4',
    'a5',
    'a6',
    'a7',
  ],
  ...['s2', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 's10', 's11', 't3', 't4', 't5', 't6'],
].map((names, number) => (number === 0 ? names : `${names} x${number}`))

const offsets = (words: readonly string[]): RegisterOffsets =>
  new Map(words.flatMap((names, index) => names.split(' ').map((name) => [name, 8 * index] as const)))

export const x64Registers = offsets(X64_WORDS)
export const riscv64Registers = offsets(RISCV_WORDS)
