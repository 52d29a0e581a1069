/**
 * Which loads and stores of a program go through its context, found without a verifier.
 *
 * A register or stack slot holds the context if it may on any path: the context comes in r1, is copied, spilled to
 * the frame by r10, and passed to subprograms. An instruction that the context reaches on one path can, in a program
 * that Linux accepts, only see the context on all others. What is not followed: a context that a subprogram reads
 * from the frame of its caller.
 */
import {
  CALL_SOURCE,
  CLASS,
  classOf,
  FRAME_POINTER,
  isWide,
  MODE,
  modeOf,
  OPCODE,
  type Program,
  SIZE,
  SOURCE,
  sizeFieldOf,
  WIDE_SOURCE,
} from '../../isa/index.ts'

const MOV = 0xb0
const SLOT_BYTES = 8
const CALLER_SAVED = 0b11_1111
const ARGUMENTS = 0b11_1110
/** The register in which a callback is given what its caller had in r3, by helper: for_each_map_elem, loop. */
const CALLBACK_CONTEXT: ReadonlyMap<number, number> = new Map([
  [164, 4],
  [181, 2],
])

/** Per slot of the program, what holds the context before it: a bit per register, two words of bits for the frame. */
class Facts {
  readonly seen: Uint8Array
  readonly registers: Uint16Array
  readonly low: Uint32Array
  readonly high: Uint32Array

  constructor(length: number) {
    this.seen = new Uint8Array(length)
    this.registers = new Uint16Array(length)
    this.low = new Uint32Array(length)
    this.high = new Uint32Array(length)
  }

  /** True where it says something new of `slot`. */
  join(slot: number, registers: number, low: number, high: number): boolean {
    const isNew =
      this.seen[slot] === 0 ||
      (registers & ~(this.registers[slot] as number)) !== 0 ||
      (low & ~(this.low[slot] as number)) !== 0 ||
      (high & ~(this.high[slot] as number)) !== 0
    this.seen[slot] = 1
    this.registers[slot] = (this.registers[slot] as number) | registers
    this.low[slot] = (this.low[slot] as number) | low
    this.high[slot] = (this.high[slot] as number) | high
    return isNew
  }
}

export function contextAccesses(program: Program): Set<number> {
  const facts = new Facts(program.length)
  const found = new Set<number>()
  const work: number[] = []
  const reach = (slot: number, registers: number, low: number, high: number) => {
    if (slot >= 0 && slot < program.length && facts.join(slot, registers, low, high)) work.push(slot)
  }
  const callbacks = program.flatMap((insn, slot) =>
    isWide(insn) && insn.src === WIDE_SOURCE.FUNCTION ? [slot + 1 + insn.imm] : [],
  )
  reach(0, 1 << 1, 0, 0)
  for (let slot = work.pop(); slot !== undefined; slot = work.pop()) {
    const insn = program[slot] as Program[number]
    const { opcode, dst, src, offset, imm } = insn
    let registers = facts.registers[slot] as number
    let low = facts.low[slot] as number
    let high = facts.high[slot] as number
    const holds = (register: number) => (registers & (1 << register)) !== 0
    const set = (register: number, isContext: boolean) => {
      registers = isContext ? registers | (1 << register) : registers & ~(1 << register)
    }
    const frameSlot = (base: number) =>
      base === FRAME_POINTER && offset < 0 && offset >= -512 ? (-offset - 1) >>> 3 : -1
    const next = (to = slot + 1) => reach(to, registers, low, high)

    switch (classOf(opcode)) {
      case CLASS.LDX: {
        if (holds(src)) found.add(slot)
        const from = frameSlot(src)
        const isWhole = sizeFieldOf(opcode) === SIZE.DW && offset % SLOT_BYTES === 0
        const word = from < 32 ? low : high
        set(dst, from >= 0 && isWhole && modeOf(opcode) === MODE.MEM && (word & (1 << (from & 31))) !== 0)
        next()
        break
      }
      case CLASS.ST:
      case CLASS.STX: {
        if (holds(dst)) found.add(slot)
        const to = frameSlot(dst)
        if (to >= 0) {
          const isContext =
            classOf(opcode) === CLASS.STX &&
            sizeFieldOf(opcode) === SIZE.DW &&
            modeOf(opcode) === MODE.MEM &&
            holds(src)
          const bit = 1 << (to & 31)
          if (to < 32) low = isContext ? low | bit : low & ~bit
          else high = isContext ? high | bit : high & ~bit
        }
        next()
        break
      }
      case CLASS.ALU64:
      case CLASS.ALU:
        set(dst, opcode === (CLASS.ALU64 | MOV | SOURCE.X) && offset === 0 && holds(src))
        next()
        break
      case CLASS.LD:
        if (isWide(insn)) {
          set(dst, false)
          if (src === WIDE_SOURCE.FUNCTION) reach(slot + 1 + imm, 0, 0, 0)
          next(slot + 2)
        } else {
          registers &= ~CALLER_SAVED
          next()
        }
        break
      default:
        if (opcode === OPCODE.CALL) {
          if (src === CALL_SOURCE.LOCAL) reach(slot + 1 + imm, registers & ARGUMENTS, 0, 0)
          const passed = src === CALL_SOURCE.HELPER && holds(3) ? CALLBACK_CONTEXT.get(imm) : undefined
          if (passed !== undefined) for (const callback of callbacks) reach(callback, 1 << passed, 0, 0)
          registers &= ~CALLER_SAVED
          next()
        } else if (opcode === OPCODE.EXIT) {
          break
        } else if (opcode === OPCODE.JA) {
          next(slot + 1 + offset)
        } else if (opcode === OPCODE.JA32) {
          next(slot + 1 + imm)
        } else {
          next(slot + 1 + offset)
          next()
        }
    }
  }
  return found
}
