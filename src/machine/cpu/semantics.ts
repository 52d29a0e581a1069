/**
 * The small expression form in which the instruction table says what an instruction does.
 *
 * A value is 64 bits. Operators bear the names of WebAssembly's i64 instructions, because those are the
 * semantics: shifts take their amount modulo 64, comparisons give 0 or 1. `if` evaluates only the chosen side.
 * Being data, a row serves the interpreter, a translator, and tests that enumerate it.
 */

export type UnaryOperator = 'sext32' | 'zext32'
export type ArithmeticOperator =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div_s'
  | 'div_u'
  | 'rem_s'
  | 'rem_u'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shr_s'
  | 'shr_u'
/** The upper 64 bits of a product. */
export type HighProduct = 'mulh' | 'mulhu' | 'mulhsu'
export type Comparison = 'eq' | 'ne' | 'lt_s' | 'lt_u' | 'ge_s' | 'ge_u'

export type Value =
  | 'rs1'
  | 'rs2'
  /** The immediate, sign-extended. */
  | 'imm'
  /** The instruction's address plus the immediate. */
  | 'pc+imm'
  | bigint
  | readonly [UnaryOperator, Value]
  | readonly [ArithmeticOperator | HighProduct, Value, Value]
  | Condition
  | readonly ['if', Condition, Value, Value]

export type Condition = readonly [Comparison, Value, Value]

/** Operators of atomic read-modify-writes: the new value from the old one and rs2. */
export type AmoOperator = 'swap' | 'add' | 'xor' | 'and' | 'or' | 'min' | 'max' | 'minu' | 'maxu'

export type AccessBytes = 1 | 2 | 4 | 8

export type Semantics =
  | { readonly kind: 'nothing' }
  /** rd = value */
  | { readonly kind: 'compute'; readonly value: Value }
  /** rd = memory[rs1 + imm] */
  | { readonly kind: 'load'; readonly bytes: AccessBytes; readonly signed: boolean }
  /** memory[rs1 + imm] = rs2 */
  | { readonly kind: 'store'; readonly bytes: AccessBytes }
  /** Goes to pc + imm if the condition holds. */
  | { readonly kind: 'branch'; readonly condition: Condition }
  /** rd = next pc; goes to pc + imm. */
  | { readonly kind: 'jump' }
  /** rd = next pc; goes to (rs1 + imm) with bit 0 cleared. */
  | { readonly kind: 'jumpRegister' }
  | { readonly kind: 'loadReserved'; readonly bytes: 4 | 8 }
  | { readonly kind: 'storeConditional'; readonly bytes: 4 | 8 }
  | { readonly kind: 'amo'; readonly bytes: 4 | 8; readonly operator: AmoOperator }
  /** The source is rs1, or (immediate) the number in its field. */
  | { readonly kind: 'csr'; readonly action: 'write' | 'set' | 'clear'; readonly immediate: boolean }
  | { readonly kind: 'system'; readonly action: SystemAction }

export type SystemAction = 'ecall' | 'ebreak' | 'mret' | 'sret' | 'wfi' | 'sfence.vma' | 'fence.i'
