/**
 * The fields of the opcode byte.
 *
 * ```text
 *            7       4   3   2     0
 *          +----------+---+--------+
 * ALU, JMP |   code   | s | class  |   s: 0 = the operand is imm (K), 1 = it is src (X)
 *          +----------+---+--------+
 *            7     5  4  3  2     0
 *          +--------+------+-------+
 * LD*, ST* |  mode  | size | class |
 *          +--------+------+-------+
 * ```
 *
 * Source: RFC 9669, section 3.2; `include/uapi/linux/bpf_common.h`, `include/uapi/linux/bpf.h`.
 */
export const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, JMP32: 6, ALU64: 7 } as const
export const MODE = { IMM: 0x00, ABS: 0x20, IND: 0x40, MEM: 0x60, MEMSX: 0x80, ATOMIC: 0xc0 } as const
export const SIZE = { W: 0x00, H: 0x08, B: 0x10, DW: 0x18 } as const
export const SOURCE = { K: 0x00, X: 0x08 } as const

/** Opcodes that other code asks for by name; every other one is looked up in the table. */
export const OPCODE = {
  LD_IMM64: 0x18,
  CALL: 0x85,
  EXIT: 0x95,
  JA: 0x05,
  JA32: 0x06,
  JCOND: 0xe5,
} as const

/** `src` of a call instruction. Source: RFC 9669, section 4.3.1. */
export const CALL_SOURCE = { HELPER: 0, LOCAL: 1, KFUNC: 2 } as const

/** `src` of a 64-bit immediate load. Source: RFC 9669, section 5.4; `BPF_PSEUDO_*` in Linux. */
export const WIDE_SOURCE = {
  IMM64: 0,
  MAP_FD: 1,
  MAP_VALUE: 2,
  BTF_ID: 3,
  FUNCTION: 4,
  MAP_INDEX: 5,
  MAP_INDEX_VALUE: 6,
} as const

/** The instruction class: the low three bits of an opcode. */
export const classOf = (opcode: number): number => opcode & 0x07
export const modeOf = (opcode: number): number => opcode & 0xe0
export const sizeFieldOf = (opcode: number): number => opcode & 0x18
export const sourceOf = (opcode: number): number => opcode & 0x08
/** The operation of an ALU or jump opcode: its upper four bits. */
export const codeOf = (opcode: number): number => opcode & 0xf0

/** Bytes that a load, store or atomic opcode moves. */
export function accessSize(opcode: number): 1 | 2 | 4 | 8 {
  switch (sizeFieldOf(opcode)) {
    case SIZE.B:
      return 1
    case SIZE.H:
      return 2
    case SIZE.W:
      return 4
    default:
      return 8
  }
}

/** The number of registers, r10 (the read-only frame pointer) included; also Linux's `MAX_BPF_REG`. */
export const REGISTER_COUNT = 11
/** The register that points past the end of the current frame's stack. */
export const FRAME_POINTER = 10
