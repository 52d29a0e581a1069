/**
 * The checks that Linux makes of one instruction's fields when its verifier first comes to it: reserved fields,
 * sub-codes, register numbers, writes to the frame pointer, immediates that can never be right.
 *
 * A verifier that follows paths calls `checkFields` at each instruction before it asks about values.
 */
import { EACCES, EINVAL } from '../abi/index.ts'
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  codeOf,
  FRAME_POINTER,
  type Instruction,
  MODE,
  modeOf,
  REGISTER_COUNT,
  SIZE,
  sizeFieldOf,
  sourceOf,
} from '../isa/index.ts'

export interface FieldFault {
  /** Positive. */
  readonly errno: number
  readonly message: string
}

const CODE = {
  MUL: 0x20,
  DIV: 0x30,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  MOD: 0x90,
  MOV: 0xb0,
  ARSH: 0xc0,
  END: 0xd0,
}
const JUMP = { JA: 0x00, CALL: 0x80, EXIT: 0x90, JCOND: 0xe0 }

const invalid = (message: string): FieldFault => ({ errno: EINVAL, message })

/** What is wrong with the fields of `insn`, whose opcode is a known one; undefined where nothing is. */
export function checkFields(insn: Instruction): FieldFault | undefined {
  switch (classOf(insn.opcode)) {
    case CLASS.ALU:
    case CLASS.ALU64:
      return checkAlu(insn)
    case CLASS.JMP:
    case CLASS.JMP32:
      return checkJump(insn)
    case CLASS.LDX:
      return readable(insn.src) ?? writable(insn.dst)
    case CLASS.ST:
      if (insn.src !== 0) return invalid('BPF_ST uses reserved fields')
      return readable(insn.dst)
    case CLASS.STX:
      if (modeOf(insn.opcode) === MODE.ATOMIC) return checkAtomic(insn)
      if (insn.imm !== 0) return invalid('BPF_STX uses reserved fields')
      return readable(insn.src) ?? readable(insn.dst)
    default:
      return checkLoadImmediateOrPacket(insn)
  }
}

const readable = (register: number): FieldFault | undefined =>
  register >= REGISTER_COUNT ? invalid(`R${register} is invalid`) : undefined

function writable(register: number): FieldFault | undefined {
  if (register === FRAME_POINTER) return { errno: EACCES, message: 'frame pointer is read only' }
  return readable(register)
}

function checkAlu(insn: Instruction): FieldFault | undefined {
  const { opcode, dst, src, offset, imm } = insn
  const code = codeOf(opcode)
  const is64 = classOf(opcode) === CLASS.ALU64
  const isRegister = sourceOf(opcode) !== 0
  if (code === CODE.NEG) {
    if (src !== 0 || offset !== 0 || imm !== 0) return invalid('BPF_NEG uses reserved fields')
    return readable(dst) ?? writable(dst)
  }
  if (code === CODE.END) {
    if (src !== 0 || offset !== 0 || (imm !== 16 && imm !== 32 && imm !== 64)) {
      return invalid('BPF_END uses reserved fields')
    }
    return readable(dst) ?? writable(dst)
  }
  if (code === CODE.MOV) {
    if (!isRegister) {
      if (src !== 0 || offset !== 0) return invalid('BPF_MOV uses reserved fields')
      return writable(dst)
    }
    if (is64 && offset === 1) {
      if (imm !== 1 && imm !== 0x10000) {
        return invalid('addr_space_cast insn can only convert between address space 1 and 0')
      }
    } else {
      const widths = is64 ? [0, 8, 16, 32] : [0, 8, 16]
      if (!widths.includes(offset) || imm !== 0) return invalid('BPF_MOV uses reserved fields')
    }
    return readable(src) ?? writable(dst)
  }
  const isDivision = code === CODE.DIV || code === CODE.MOD
  const reserved = isRegister ? imm : src
  if (reserved !== 0 || (offset !== 0 && !(offset === 1 && isDivision))) {
    return invalid('BPF_ALU uses reserved fields')
  }
  const operands = (isRegister ? readable(src) : undefined) ?? readable(dst)
  if (operands !== undefined) return operands
  if (isDivision && !isRegister && imm === 0) return invalid('div by zero')
  const isShift = code === CODE.LSH || code === CODE.RSH || code === CODE.ARSH
  if (isShift && !isRegister && (imm < 0 || imm >= (is64 ? 64 : 32))) return invalid(`invalid shift ${imm}`)
  return writable(dst)
}

function checkJump(insn: Instruction): FieldFault | undefined {
  const { opcode, dst, src, offset, imm } = insn
  const isRegister = sourceOf(opcode) !== 0
  switch (codeOf(opcode)) {
    case JUMP.CALL: {
      const isKfunc = src === CALL_SOURCE.KFUNC
      const isKnown = src === CALL_SOURCE.HELPER || src === CALL_SOURCE.LOCAL || isKfunc
      if (dst !== 0 || !isKnown || (offset !== 0 && !isKfunc)) return invalid('BPF_CALL uses reserved fields')
      return undefined
    }
    case JUMP.JA: {
      const unused = classOf(opcode) === CLASS.JMP ? imm : offset
      return src !== 0 || dst !== 0 || unused !== 0 ? invalid('BPF_JA uses reserved fields') : undefined
    }
    case JUMP.EXIT:
      return imm !== 0 || src !== 0 || dst !== 0 ? invalid('BPF_EXIT uses reserved fields') : undefined
    case JUMP.JCOND:
      return src !== 0 || dst !== 0 || imm !== 0 ? invalid(`invalid may_goto imm ${imm}`) : undefined
    default:
      if ((isRegister ? imm : src) !== 0) return invalid('BPF_JMP/JMP32 uses reserved fields')
      return (isRegister ? readable(src) : undefined) ?? readable(dst)
  }
}

const FETCHES = [0x00, 0x40, 0x50, 0xa0]
  .flatMap((operation) => [operation, operation | 1])
  .concat([0xe1, 0xf1])
const LOAD_ACQUIRE = 0x100
const STORE_RELEASE = 0x110

function checkAtomic(insn: Instruction): FieldFault | undefined {
  const { opcode, dst, src, imm } = insn
  if (imm === LOAD_ACQUIRE) return readable(src) ?? writable(dst)
  if (imm === STORE_RELEASE) return readable(src) ?? readable(dst)
  if (!FETCHES.includes(imm)) {
    const code = (imm >>> 0).toString(16).padStart(2, '0')
    return invalid(`BPF_ATOMIC uses invalid atomic opcode ${code}`)
  }
  const size = sizeFieldOf(opcode)
  if (size !== SIZE.W && size !== SIZE.DW) return invalid('invalid atomic operand size')
  const returnsOld = (imm & 1) !== 0 && imm !== 0xf1
  return readable(src) ?? readable(dst) ?? (returnsOld ? writable(src) : undefined)
}

function checkLoadImmediateOrPacket(insn: Instruction): FieldFault | undefined {
  const { opcode, dst, src, offset } = insn
  const mode = modeOf(opcode)
  if (mode === MODE.IMM) {
    if (offset !== 0) return invalid('BPF_LD_IMM64 uses reserved fields')
    return writable(dst)
  }
  if (dst !== 0 || offset !== 0 || (mode === MODE.ABS && src !== 0)) {
    return invalid('BPF_LD_[ABS|IND] uses reserved fields')
  }
  return mode === MODE.IND ? readable(src) : undefined
}
