/**
 * Loads and stores in the program's own stack.
 *
 * Rules: a register that is stored whole and aligned is remembered (spilled) and comes back as it was; anything else
 * leaves bytes of unknown data, or zeros. A store through a pointer whose offset is not exact may have touched any
 * byte in its range.
 *
 * Source: check_stack_{read,write}* and check_stack_range_initialized in kernel/bpf/verifier.c of Linux 6.18.
 */
import { CLASS, classOf, type Instruction, MODE, modeOf } from '../../isa/index.ts'
import { BASE, BYTE, baseOf, byteAt, withByte } from '../domain/kinds.ts'
import { ADD_CONST, knownScalar, type Register, unknownScalar, unlink } from '../domain/register.ts'
import { bitLength, tnumText } from '../domain/tnum.ts'
import { checkFastcallStack } from '../flow/fastcall.ts'
import { isNull, type Proof } from '../proof.ts'
import { EACCES, EFAULT, EINVAL } from '../refusal.ts'
import { markPrecise, note } from '../state/precision.ts'
import {
  EMPTY_REGISTER,
  EMPTY_SLOT,
  type Frame,
  isScalarSpill,
  isSpill,
  Slot,
  STACK_LIMIT,
} from '../state/state.ts'
import { destroyDynptrAt } from './dynptr.ts'

/** Slot that holds the byte at frame offset `offset` (negative). */
export const slotOf = (offset: number): number => Math.trunc((-offset - 1) / 8)
const byteOf = (offset: number): number => (-offset - 1) & 7

export function growStack(p: Proof, frame: Frame, bytes: number): void {
  const slots = Math.ceil(bytes / 8)
  if (slots <= frame.stack.length) return
  while (frame.stack.length < slots) frame.stack.push(EMPTY_SLOT)
  const s = p.subprograms[frame.subprogram]!
  if (s.stackDepth < slots * 8) s.stackDepth = slots * 8
}

/** Gives the source of a copy an id, so that what is learnt of one holds for the other; answers the register. */
export function withScalarId(p: Proof, register: Register): Register {
  if (register.kind !== BASE.SCALAR) return register
  let r = register
  if (r.id & ADD_CONST) {
    r = r.copy()
    unlink(r)
  }
  if (r.id === 0 && r.mask !== 0n) {
    if (r === register) r = r.copy()
    r.id = p.newId()
  }
  return r
}

export const bitWidth = (register: Register): number => bitLength(register.umax)

const SPILLABLE: ReadonlySet<number> = new Set([
  BASE.MAP_VALUE,
  BASE.STACK,
  BASE.CTX,
  BASE.PACKET,
  BASE.PACKET_META,
  BASE.PACKET_END,
  BASE.FLOW_KEYS,
  BASE.CONST_MAP,
  BASE.SOCKET,
  BASE.SOCK_COMMON,
  BASE.TCP_SOCK,
  BASE.XDP_SOCK,
  BASE.BTF_ID,
  BASE.BUF,
  BASE.MEM,
  BASE.FUNC,
  BASE.MAP_KEY,
  BASE.ARENA,
])

const isPlainStore = (insn: Instruction): boolean =>
  classOf(insn.opcode) === CLASS.ST && modeOf(insn.opcode) === MODE.MEM

/** A byte that was not overwritten next to a spill. */
const leftOver = (byte: number): number => (byte === BYTE.ZERO || byte === BYTE.INVALID ? byte : BYTE.MISC)

function spill(p: Proof, frame: Frame, index: number, register: Register, size: number): void {
  let { bytes } = frame.stack[index] as Slot
  for (let i = 7; i >= 0; i--) {
    bytes = withByte(bytes, i, i >= 8 - size ? BYTE.SPILL : leftOver(byteAt(bytes, i)))
  }
  p.setSlot(frame, index, new Slot(bytes, register))
}

/** A spilled register or an object with meaning to the verifier: not plain bytes. */
const isSpecial = (bytes: number): boolean => {
  const byte = byteAt(bytes, 7)
  return byte === BYTE.SPILL || byte === BYTE.DYNPTR || byte === BYTE.ITER || byte === BYTE.IRQ_FLAG
}

function writeFixed(p: Proof, frame: Frame, offset: number, size: number, from: number): void {
  const insn = p.insn(p.index)
  const index = slotOf(offset)
  let register = from >= 0 ? p.reg(from) : undefined
  destroyDynptrAt(p, frame, index)
  const isAligned = offset % 8 === 0
  if (isAligned && size === 8) p.stackLiveness.write(frame.index, index)
  checkFastcallStack(p, frame.subprogram, offset)
  if (register !== undefined && isAligned && register.kind === BASE.SCALAR) {
    const fits = bitWidth(register) <= size * 8
    if (fits) {
      const linked = withScalarId(p, register)
      if (linked !== register) {
        p.regs[from] = linked
        register = linked
      }
      spill(p, frame, index, register, size)
    } else {
      const copy = register.copy()
      unlink(copy)
      spill(p, frame, index, copy, size)
    }
  } else if (register === undefined && isAligned && isPlainStore(insn)) {
    spill(p, frame, index, knownScalar(BigInt(insn.imm)), size)
  } else if (register !== undefined && SPILLABLE.has(baseOf(register.kind))) {
    if (size !== 8) throw p.refuse(EACCES, 'invalid size of register spill')
    if (frame !== p.frame && register.kind === BASE.STACK) {
      throw p.refuse(EINVAL, 'cannot spill pointers to stack into stack frame of the caller')
    }
    spill(p, frame, index, register, size)
  } else {
    let { bytes } = frame.stack[index] as Slot
    if (isSpecial(bytes)) bytes = scrubbed(bytes)
    let byte: number = BYTE.MISC
    if (
      (register !== undefined && isNull(register)) ||
      (register === undefined && isPlainStore(insn) && insn.imm === 0)
    ) {
      if (from >= 0) markPrecise(p, from)
      byte = BYTE.ZERO
    }
    for (let i = 0; i < size; i++) bytes = withByte(bytes, byteOf(offset + i), byte)
    p.setSlot(frame, index, new Slot(bytes, EMPTY_REGISTER))
    return
  }
  note(p, { stackFrame: frame.index, stackSlot: index })
}

/** The bytes of what was spilled or kept there are just bytes from now on. */
function scrubbed(bytes: number): number {
  let result = bytes
  for (let i = 0; i < 8; i++) {
    if (byteAt(bytes, i) !== BYTE.INVALID) result = withByte(result, i, BYTE.MISC)
  }
  return result
}

function writeVariable(
  p: Proof,
  frame: Frame,
  pointer: Register,
  offset: number,
  size: number,
  from: number,
): void {
  const insn = p.insn(p.index)
  const min = Number(pointer.smin) + offset
  const max = Number(pointer.smax) + offset + size
  const register = from >= 0 ? p.reg(from) : undefined
  const isZero =
    (register !== undefined && isNull(register)) ||
    (register === undefined && isPlainStore(insn) && insn.imm === 0)
  let usedZero = false
  checkFastcallStack(p, frame.subprogram, min)
  for (let i = min; i < max; i++) destroyDynptrAt(p, frame, slotOf(i))
  for (let i = min; i < max; i++) {
    const index = slotOf(i)
    p.scratchedSlots.add(index)
    const slot = frame.stack[index] as Slot
    const byte = byteAt(slot.bytes, byteOf(i))
    if (
      isZero &&
      byte === BYTE.SPILL &&
      isScalarSpill(slot) &&
      slot.register.mask === 0n &&
      slot.register.value === 0n
    ) {
      usedZero = true
      continue
    }
    const keepsZero = isZero && byte === BYTE.ZERO
    usedZero ||= keepsZero
    const rest = isSpecial(slot.bytes) ? scrubbed(slot.bytes) : slot.bytes
    const bytes = withByte(rest, byteOf(i), keepsZero ? BYTE.ZERO : BYTE.MISC)
    p.setSlot(frame, index, new Slot(bytes, EMPTY_REGISTER))
  }
  if (usedZero && from >= 0) markPrecise(p, from)
}

/** `*(pointer + offset) = register from` (-1: something unknown, or the store's immediate). */
export function writeStack(p: Proof, pointer: Register, offset: number, size: number, from: number): void {
  const frame = p.frameOf(pointer)
  if (pointer.mask === 0n) {
    writeFixed(p, frame, offset + Number(BigInt.asIntN(32, pointer.value)), size, from)
  } else writeVariable(p, frame, pointer, offset, size, from)
}

function readBytes(p: Proof, frame: Frame, min: number, max: number, into: number): void {
  let zeros = 0
  for (let i = min; i < max; i++) {
    p.scratchedSlots.add(slotOf(i))
    if (byteAt((frame.stack[slotOf(i)] as Slot).bytes, byteOf(i)) !== BYTE.ZERO) break
    zeros++
  }
  p.setReg(into, zeros === max - min ? knownScalar(0n) : unknownScalar())
}

const isReadable = (byte: number): boolean =>
  byte === BYTE.MISC || byte === BYTE.ZERO || byte === BYTE.INVALID

function readFixed(p: Proof, frame: Frame, offset: number, size: number, into: number): void {
  const index = slotOf(offset)
  const slot = frame.stack[index] as Slot
  const { bytes, register } = slot
  p.scratchedSlots.add(index)
  p.stackLiveness.read(frame.index, index)
  checkFastcallStack(p, frame.subprogram, offset)
  if (!isSpill(slot)) {
    for (let i = 0; i < size; i++) {
      if (isReadable(byteAt(bytes, byteOf(offset + i)))) continue
      throw p.refuse(EACCES, `invalid read from stack off ${offset}+${i} size ${size}`)
    }
    if (into >= 0) readBytes(p, frame, offset, offset + size, into)
    return
  }
  let spillSize = 1
  for (let i = 7; i > 0 && byteAt(bytes, i - 1) === BYTE.SPILL; i--) spillSize++
  if (size === 8 && spillSize === 8) {
    if (into >= 0) p.setReg(into, register)
    note(p, { stackFrame: frame.index, stackSlot: index })
    return
  }
  if (register.kind !== BASE.SCALAR) throw p.refuse(EACCES, 'invalid size of register fill')
  if (into < 0) return
  // Little-endian: a narrower load at the spill's own offset gets its low part.
  if (size <= spillSize && offset % 8 === 0) {
    let r = register
    if (bitWidth(r) > size * 8 && r.id !== 0) {
      r = r.copy()
      unlink(r)
    }
    p.setReg(into, r)
    note(p, { stackFrame: frame.index, stackSlot: index })
    return
  }
  let spills = 0
  let zeros = 0
  for (let i = 0; i < size; i++) {
    const byte = byteAt(bytes, byteOf(offset + i))
    if (byte === BYTE.SPILL) spills++
    else if (byte === BYTE.ZERO) zeros++
    else if (!isReadable(byte)) {
      throw p.refuse(EACCES, `invalid read from stack off ${offset}+${i} size ${size}`)
    }
  }
  if (spills === size && register.mask === 0n && register.value === 0n) {
    p.setReg(into, knownScalar(0n))
    note(p, { stackFrame: frame.index, stackSlot: index })
  } else p.setReg(into, zeros === size ? knownScalar(0n) : unknownScalar())
}

/** `register into = *(n + offset)` (-1: only look). */
export function readStack(p: Proof, n: number, offset: number, size: number, into: number): void {
  const pointer = p.reg(n)
  const frame = p.frameOf(pointer)
  if (pointer.mask === 0n) {
    readFixed(p, frame, offset + Number(BigInt.asIntN(32, pointer.value)), size, into)
    return
  }
  if (into < 0) {
    throw p.refuse(
      EACCES,
      `variable offset stack pointer cannot be passed into helper function; var_off=${tnumText(pointer.value, pointer.mask)} off=${offset} size=${size}`,
    )
  }
  checkStackRange(p, n, offset, size, { isWrite: false, zeroSizeAllowed: false })
  checkFastcallStack(p, frame.subprogram, Number(pointer.smin) + offset)
  readBytes(p, frame, Number(pointer.smin) + offset, Number(pointer.smax) + offset + size, into)
}

/** The access lies in the stack, and for reads in what is in use of it. Grows the stack to it. */
export function checkStackBounds(p: Proof, n: number, offset: number, size: number, isWrite: boolean): void {
  const pointer = p.reg(n)
  const frame = p.frameOf(pointer)
  const what = isWrite ? 'write to' : 'read from'
  let min: number
  let max: number
  if (pointer.mask === 0n) {
    min = Number(BigInt.asIntN(64, pointer.value)) + offset
    max = min + size
  } else {
    const limit = BigInt(1 << 29)
    if (pointer.smax >= limit || pointer.smin <= -limit) {
      throw p.refuse(EACCES, `invalid unbounded variable-offset ${what} stack R${n}`)
    }
    min = Number(pointer.smin) + offset
    max = Number(pointer.smax) + offset + size
  }
  const isOutside = min < -STACK_LIMIT || min > -1
  if (isOutside || max > 0 || size < 0) {
    const errno = isOutside ? EACCES : max > 0 ? EINVAL : EFAULT
    if (pointer.mask === 0n) {
      throw p.refuse(errno, `invalid ${what} stack R${n} off=${min} size=${size | 0}`)
    }
    throw p.refuse(
      errno,
      `invalid variable-offset ${what} stack R${n} var_off=${tnumText(pointer.value, pointer.mask)} off=${offset} size=${size | 0}`,
    )
  }
  growStack(p, frame, -min)
}

export interface RangeCheck {
  readonly isWrite: boolean
  readonly zeroSizeAllowed: boolean
  /** The callee fills it: it need not hold anything yet. */
  readonly raw?: boolean
}

/** All of a stack range can be handed out: nothing in it has a meaning to the verifier only. */
export function checkStackRange(p: Proof, n: number, offset: number, size: number, how: RangeCheck): boolean {
  const pointer = p.reg(n)
  const frame = p.frameOf(pointer)
  if (size === 0 && !how.zeroSizeAllowed) throw p.refuse(EACCES, 'invalid zero-sized read')
  checkStackBounds(p, n, offset, size, how.isWrite)
  let raw = how.raw ?? false
  let min: number
  let max: number
  if (pointer.mask === 0n) {
    min = Number(BigInt.asIntN(32, pointer.value)) + offset
    max = min
  } else {
    // What is not exactly known is not filled for sure.
    raw = false
    min = Number(pointer.smin) + offset
    max = Number(pointer.smax) + offset
  }
  if (raw) {
    for (let i = min; i < max + size; i++) {
      const index = slotOf(i)
      const slot = frame.stack[index] as Slot
      if (byteAt(slot.bytes, byteOf(i)) === BYTE.DYNPTR) {
        throw p.refuse(EACCES, `potential write to dynptr at off=${i} disallowed`)
      }
    }
    return true
  }
  for (let i = min; i < max + size; i++) {
    const index = slotOf(i)
    const slot = frame.stack[index]
    if (slot === undefined) throw p.refuse(EFAULT, 'allocated_stack too small')
    p.stackLiveness.read(frame.index, index)
    const byte = byteAt(slot.bytes, byteOf(i))
    if (byte === BYTE.MISC || byte === BYTE.INVALID) continue
    if (byte === BYTE.ZERO) {
      if (how.isWrite)
        frame.stack[index] = new Slot(withByte(slot.bytes, byteOf(i), BYTE.MISC), slot.register)
      continue
    }
    if (isSpill(slot)) {
      if (how.isWrite) {
        let { bytes } = slot
        for (let j = 0; j < 8; j++) if (byteAt(bytes, j) === BYTE.SPILL) bytes = withByte(bytes, j, BYTE.MISC)
        frame.stack[index] = new Slot(bytes, unknownScalar())
      }
      continue
    }
    if (pointer.mask === 0n) {
      throw p.refuse(EACCES, `invalid read from stack R${n} off ${min}+${i - min} size ${size}`)
    }
    throw p.refuse(
      EACCES,
      `invalid read from stack R${n} var_off ${tnumText(pointer.value, pointer.mask)}+${i - min} size ${size}`,
    )
  }
  return false
}
