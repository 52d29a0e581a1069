/**
 * Arithmetic: on scalars, on pointers with a scalar, and moves.
 *
 * Source: check_alu_op, adjust_reg_min_max_vals, adjust_ptr_min_max_vals in kernel/bpf/verifier.c of Linux 6.18.
 */
import { CLASS, classOf, codeOf, type Instruction, SOURCE, sourceOf } from '../../isa/index.ts'
import {
  type AluOperation,
  changeByteOrder,
  scalarOperation,
  setKnown32,
  signExtend32,
  signExtend64,
} from '../domain/arithmetic.ts'
import { syncBounds, zeroExtend32 } from '../domain/bounds.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import {
  ADD_CONST,
  ADD_CONST32,
  ADD_CONST64,
  type Register,
  S64_MAX,
  S64_MIN,
  U64_MAX,
  unknownScalar,
  unlink,
} from '../domain/register.ts'
import { tnumAdd, tnumSubtract } from '../domain/tnum.ts'
import { pushBranch } from '../flow/paths.ts'
import { isPacketPointer, MAX_VARIABLE_OFFSET, mayBeNull, type Proof } from '../proof.ts'
import { EACCES, EINVAL } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import { settle } from './invariants.ts'
import { bitWidth, withScalarId } from './stack.ts'

const OPERATIONS: Readonly<Record<number, AluOperation>> = {
  0: 'add',
  16: 'sub',
  32: 'mul',
  48: 'div',
  64: 'or',
  80: 'and',
  96: 'lsh',
  112: 'rsh',
  128: 'neg',
  144: 'mod',
  160: 'xor',
  192: 'arsh',
}

const SIGNS: Readonly<Record<number, string>> = {
  0: '+=',
  16: '-=',
  32: '*=',
  48: '/=',
  64: '|=',
  80: '&=',
  96: '<<=',
  112: '>>=',
  128: 'neg',
  144: '%=',
  160: '^=',
  176: '=',
  192: 's>>=',
  208: 'endian',
}

const LIMIT = BigInt(MAX_VARIABLE_OFFSET)

/** Offsets of pointers stay far away from where they could overflow. */
function checkOffset(p: Proof, register: Register, kind: number): void {
  const name = kindName(kind)
  const signed = BigInt.asIntN(64, register.value)
  if (register.mask === 0n && (signed >= LIMIT || signed <= -LIMIT)) {
    throw p.refuse(EINVAL, `math between ${name} pointer and ${signed} is not allowed`)
  }
  if (register.off >= MAX_VARIABLE_OFFSET || register.off <= -MAX_VARIABLE_OFFSET) {
    throw p.refuse(EINVAL, `${name} pointer offset ${register.off} is not allowed`)
  }
  if (register.smin === S64_MIN) {
    throw p.refuse(
      EINVAL,
      `math between ${name} pointer and register with unbounded min value is not allowed`,
    )
  }
  if (register.smin >= LIMIT || register.smin <= -LIMIT) {
    throw p.refuse(EINVAL, `value ${register.smin} makes ${name} pointer be out of bounds`)
  }
}

const ARITHMETIC_KINDS: ReadonlySet<number> = new Set([
  BASE.CTX,
  BASE.MAP_VALUE,
  BASE.MAP_KEY,
  BASE.STACK,
  BASE.PACKET_META,
  BASE.PACKET,
  BASE.TP_BUFFER,
  BASE.BTF_ID,
  BASE.MEM,
  BASE.BUF,
  BASE.FUNC,
  BASE.DYNPTR,
])

const fits32 = (x: bigint): boolean => BigInt.asIntN(32, x) === x

/** In place: what was at or beyond the end of the packet need not be, once it has moved back. (Linux forgets this.) */
function moveBy(r: Register, offset: number): void {
  if (isPacketPointer(r) && r.range < 0 && offset < r.off) r.range = 0
  r.off = offset
}

function pointerArithmetic(p: Proof, insn: Instruction, pointer: Register, offset: Register): void {
  const { dst } = insn
  const code = codeOf(insn.opcode)
  const known = offset.mask === 0n
  if (
    (known && (offset.smin !== offset.smax || offset.umin !== offset.umax)) ||
    offset.smin > offset.smax ||
    offset.umin > offset.umax
  ) {
    p.setUnknown(dst)
    return
  }
  if (classOf(insn.opcode) !== CLASS.ALU64) {
    if (code === 0x10) {
      p.setUnknown(dst)
      return
    }
    throw p.refuse(EACCES, `R${dst} 32-bit pointer arithmetic prohibited`)
  }
  const name = kindName(pointer.kind)
  if (mayBeNull(pointer.kind)) {
    throw p.refuse(EACCES, `R${dst} pointer arithmetic on ${name} prohibited, null-check it first`)
  }
  const base = baseOf(pointer.kind)
  // Memory that is read by probing needs no offset: the target keeps what it was.
  if (base === BASE.MEM && pointer.kind & FLAG.UNTRUSTED) return
  const isAddZero = known && offset.smin === 0n && code === 0x00
  const isAllowed =
    ARITHMETIC_KINDS.has(base) ||
    (base === BASE.FLOW_KEYS && (known || isAddZero)) ||
    isAddZeroKind(base, isAddZero)
  if (!isAllowed) throw p.refuse(EACCES, `R${dst} pointer arithmetic on ${name} prohibited`)
  const isOwn = p.reg(dst) === pointer
  checkOffset(p, offset, pointer.kind)
  checkOffset(p, pointer, pointer.kind)
  const r = pointer.copy()
  r.setUnbounded32()
  if (code === 0x00) {
    const fixed = BigInt(pointer.off) + offset.smin
    if (known && fits32(fixed)) moveBy(r, Number(fixed))
    else {
      const smin = pointer.smin + offset.smin
      const smax = pointer.smax + offset.smax
      const overflows = smin < S64_MIN || smin > S64_MAX || smax < S64_MIN || smax > S64_MAX
      r.smin = overflows ? S64_MIN : smin
      r.smax = overflows ? S64_MAX : smax
      const umin = pointer.umin + offset.umin
      const umax = pointer.umax + offset.umax
      const wraps = umin > U64_MAX || umax > U64_MAX
      r.umin = wraps ? 0n : umin
      r.umax = wraps ? U64_MAX : umax
      r.setTnum(tnumAdd(pointer, offset))
      if (isPacketPointer(pointer)) {
        r.id = p.newId()
        r.range = 0
      }
    }
  } else if (code === 0x10) {
    if (!isOwn) throw p.refuse(EACCES, `R${dst} tried to subtract pointer from scalar`)
    if (pointer.kind === BASE.STACK) {
      throw p.refuse(EACCES, `R${dst} subtraction from stack pointer prohibited`)
    }
    const fixed = BigInt(pointer.off) - offset.smin
    if (known && fits32(fixed)) moveBy(r, Number(fixed))
    else {
      const smin = pointer.smin - offset.smax
      const smax = pointer.smax - offset.smin
      const overflows = smin < S64_MIN || smin > S64_MAX || smax < S64_MIN || smax > S64_MAX
      r.smin = overflows ? S64_MIN : smin
      r.smax = overflows ? S64_MAX : smax
      if (pointer.umin < offset.umax) {
        r.umin = 0n
        r.umax = U64_MAX
      } else {
        r.umin = pointer.umin - offset.umax
        r.umax = pointer.umax - offset.umin
      }
      r.setTnum(tnumSubtract(pointer, offset))
      if (isPacketPointer(pointer)) {
        r.id = p.newId()
        if (offset.smin < 0n) r.range = 0
      }
    }
  } else if (code === 0x50 || code === 0x40 || code === 0xa0) {
    throw p.refuse(EACCES, `R${dst} bitwise operator ${SIGNS[code]} on pointer prohibited`)
  } else {
    throw p.refuse(EACCES, `R${dst} pointer arithmetic with ${SIGNS[code]} operator prohibited`)
  }
  checkOffset(p, r, pointer.kind)
  syncBounds(r)
  p.setReg(dst, r)
}

/** Adding 0 is harmless on these only. */
const isAddZeroKind = (base: number, isAddZero: boolean): boolean =>
  isAddZero && (base === BASE.CONST_MAP || base === BASE.FLOW_KEYS)

/** The register, with an id that its copies will share. */
function linkable(p: Proof, n: number): Register {
  const register = p.reg(n)
  const linked = withScalarId(p, register)
  if (linked !== register) p.regs[n] = linked
  return linked
}

function move(p: Proof, insn: Instruction, is64: boolean): void {
  const { dst, src } = insn
  if (sourceOf(insn.opcode) === SOURCE.K) {
    p.setReg(dst, p.constant(is64))
    return
  }
  if (is64 && insn.imm !== 0) {
    const r = unknownScalar()
    if (insn.imm === 1) r.kind = BASE.ARENA
    p.setReg(dst, r)
    return
  }
  let source = p.reg(src)
  if (is64 && insn.offset === 0) {
    p.setReg(dst, linkable(p, src))
    return
  }
  if (source.kind !== BASE.SCALAR) {
    const r = unknownScalar()
    if (!is64) zeroExtend32(r)
    p.setReg(dst, r)
    return
  }
  const keepsValue = insn.offset === 0 ? bitWidth(source) <= 32 : source.umax < 1n << BigInt(insn.offset - 1)
  if (keepsValue) source = linkable(p, src)
  const r = source.copy()
  if (!keepsValue) unlink(r)
  const bytes = (insn.offset >> 3) as 1 | 2 | 4
  if (is64) signExtend64(r, bytes)
  else {
    if (insn.offset !== 0) signExtend32(r, bytes as 1 | 2)
    zeroExtend32(r)
  }
  p.setReg(dst, r)
}

function operate(p: Proof, insn: Instruction, is64: boolean): void {
  const { dst, src } = insn
  const code = codeOf(insn.opcode)
  const target = p.reg(dst)
  const other = sourceOf(insn.opcode) === SOURCE.X ? p.reg(src) : undefined
  if (target.kind === BASE.ARENA || other?.kind === BASE.ARENA) {
    // Whatever is done to a pointer into an arena gives one.
    if (target.kind !== BASE.ARENA) p.setReg(dst, p.reg(src))
    p.notes.arenaArithmetic[p.index] = 1
    return
  }
  let operand: Register
  if (sourceOf(insn.opcode) === SOURCE.X) {
    operand = p.reg(src)
    if (operand.kind !== BASE.SCALAR) {
      if (target.kind !== BASE.SCALAR) {
        if (code === 0x10) {
          p.setUnknown(dst)
          return
        }
        throw p.refuse(EACCES, `R${dst} pointer ${SIGNS[code]} pointer prohibited`)
      }
      markPrecise(p, dst)
      pointerArithmetic(p, insn, operand, p.reg(dst))
      return
    }
    if (target.kind !== BASE.SCALAR) {
      markPrecise(p, src)
      pointerArithmetic(p, insn, target, p.reg(src))
      return
    }
    if (target.precise) markPrecise(p, src)
    operand = p.reg(src)
  } else {
    operand = p.constant(true)
    if (target.kind !== BASE.SCALAR) {
      pointerArithmetic(p, insn, target, operand)
      return
    }
  }
  const r = p.reg(dst).copy()
  const signed = insn.offset === 1
  const name = OPERATIONS[code] as AluOperation
  const operation = signed ? (name === 'div' ? 'sdiv' : 'smod') : name
  const { id, umax } = r
  if ((name === 'and' || name === 'or') && operand.mask === 0n) forkOnSign(p, r, dst)
  scalarOperation(operation, r, operand, !is64)
  const distance = linkDistance(name, umax, operand, is64)
  const isSelf = sourceOf(insn.opcode) === SOURCE.X && dst === src
  // A known distance from a linked register is kept, once.
  if (distance === undefined || id === 0 || (id & ADD_CONST) !== 0 || isSelf) unlink(r)
  else {
    r.id = id | (is64 ? ADD_CONST64 : ADD_CONST32)
    r.off = distance
  }
  p.setReg(dst, r)
}

/** How far an addition moves a register from what it was copied from; undefined: not by a fixed distance. */
function linkDistance(
  name: AluOperation,
  umaxBefore: bigint,
  operand: Register,
  is64: boolean,
): number | undefined {
  if (name !== 'add' && name !== 'sub') return undefined
  const isConst = is64 ? operand.mask === 0n : (operand.mask & 0xffff_ffffn) === 0n
  if (!isConst || (!is64 && umaxBefore > 0xffff_ffffn)) return undefined
  const by = is64 ? BigInt.asIntN(64, operand.value) : BigInt.asIntN(32, operand.value)
  if (by < -0x8000_0000n || by > 0x7fff_ffffn) return undefined
  if (name === 'add') return Number(by)
  return by === -0x8000_0000n ? undefined : Number(-by)
}

/** What is 0 or -1 (a sign spread over the register) is walked as each of them. */
function forkOnSign(p: Proof, r: Register, dst: number): void {
  if (r.smin === -1n && r.smax === 0n) {
    const zero = p.reg(dst).copy()
    zero.setKnownBits(0n)
    pushBranch(p, p.index, p.index).current.regs[dst] = zero
    r.setKnownBits(-1n)
  } else if (r.s32min === -1 && r.s32max === 0) {
    const zero = p.reg(dst).copy()
    setKnown32(zero, 0n)
    pushBranch(p, p.index, p.index).current.regs[dst] = zero
    setKnown32(r, 0xffff_ffffn)
  }
}

export function checkAlu(p: Proof, insn: Instruction): void {
  const { opcode, dst, src } = insn
  const code = codeOf(opcode)
  const is64 = classOf(opcode) === CLASS.ALU64
  const isRegisterForm = sourceOf(opcode) === SOURCE.X
  if (code === 0xd0 || code === 0x80) {
    if (code === 0x80) {
      if (isRegisterForm || src !== 0 || insn.offset !== 0 || insn.imm !== 0) {
        throw p.refuse(EINVAL, 'BPF_NEG uses reserved fields')
      }
    } else if (
      src !== 0 ||
      insn.offset !== 0 ||
      (insn.imm !== 16 && insn.imm !== 32 && insn.imm !== 64) ||
      (is64 && isRegisterForm)
    ) {
      throw p.refuse(EINVAL, 'BPF_END uses reserved fields')
    }
    const target = p.checkReadable(dst)
    p.checkWritable(dst)
    if (target.kind !== BASE.SCALAR) p.setUnknown(dst)
    else {
      const r = target.copy()
      if (code === 0x80) {
        scalarOperation('neg', r, target, !is64)
        unlink(r)
      } else {
        const swaps = is64 || isRegisterForm
        if (swaps || insn.imm !== 64) unlink(r)
        changeByteOrder(r, insn.imm, swaps)
      }
      p.setReg(dst, r)
    }
    settle(p, dst, 'alu')
    return
  }
  if (code === 0xb0) {
    if (isRegisterForm) {
      if (is64 && insn.offset === 1) {
        if (insn.imm !== 1 && insn.imm !== 1 << 16) {
          throw p.refuse(EINVAL, 'addr_space_cast insn can only convert between address space 1 and 0')
        }
        if (!p.hasArena) {
          throw p.refuse(
            EINVAL,
            'addr_space_cast insn can only be used in a program that has an associated arena',
          )
        }
      } else {
        const isOffsetFine = is64
          ? insn.offset === 0 || insn.offset === 8 || insn.offset === 16 || insn.offset === 32
          : insn.offset === 0 || insn.offset === 8 || insn.offset === 16
        if (insn.imm !== 0 || !isOffsetFine) throw p.refuse(EINVAL, 'BPF_MOV uses reserved fields')
      }
      p.checkReadable(src)
    } else if (src !== 0 || insn.offset !== 0) throw p.refuse(EINVAL, 'BPF_MOV uses reserved fields')
    p.checkWritable(dst)
    move(p, insn, is64)
    settle(p, dst, 'alu')
    return
  }
  if (code > 0xd0) throw p.refuse(EINVAL, `invalid BPF_ALU opcode ${code.toString(16)}`)
  const offsetFits = insn.offset === 0 || (insn.offset === 1 && (code === 0x30 || code === 0x90))
  if (isRegisterForm) {
    if (insn.imm !== 0 || !offsetFits) throw p.refuse(EINVAL, 'BPF_ALU uses reserved fields')
    p.checkReadable(src)
  } else if (src !== 0 || !offsetFits) throw p.refuse(EINVAL, 'BPF_ALU uses reserved fields')
  p.checkReadable(dst)
  if ((code === 0x90 || code === 0x30) && !isRegisterForm && insn.imm === 0) {
    throw p.refuse(EINVAL, 'div by zero')
  }
  if ((code === 0x60 || code === 0x70 || code === 0xc0) && !isRegisterForm) {
    if (insn.imm < 0 || insn.imm >= (is64 ? 64 : 32)) throw p.refuse(EINVAL, `invalid shift ${insn.imm}`)
  }
  p.checkWritable(dst)
  operate(p, insn, is64)
  settle(p, dst, 'alu')
}
