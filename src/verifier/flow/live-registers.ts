/**
 * Which registers matter where: those that are read before they are written.
 *
 * Source: compute_live_registers, compute_insn_live_regs of Linux 6.18.
 */
import {
  CLASS,
  classOf,
  codeOf,
  type Instruction,
  MODE,
  modeOf,
  SIZE,
  SOURCE,
  sizeFieldOf,
  sourceOf,
} from '../../isa/index.ts'
import { isAllowed } from '../kfuncs/restrictions.ts'
import type { Proof } from '../proof.ts'
import { isHelperCall, isKfuncCall } from './subprograms.ts'

const CALLER_SAVED = 0x3f
const ALL = 0xffff

/** Bit masks of the registers that are read (low half) and written (upper half). */
const effect = (reads: number, writes: number): number => reads | (writes << 16)

function effectOf(p: Proof, insn: Instruction): number {
  const src = 1 << insn.src
  const dst = 1 << insn.dst
  switch (classOf(insn.opcode)) {
    case CLASS.LD:
      if (modeOf(insn.opcode) === MODE.IMM && sizeFieldOf(insn.opcode) === SIZE.DW) return effect(0, dst)
      return effect(ALL, 0)
    case CLASS.LDX:
      if (modeOf(insn.opcode) === MODE.MEM || modeOf(insn.opcode) === MODE.MEMSX) return effect(src, dst)
      return effect(ALL, 0)
    case CLASS.ST:
      return effect(modeOf(insn.opcode) === MODE.MEM ? dst : ALL, 0)
    case CLASS.STX:
      if (modeOf(insn.opcode) === MODE.MEM) return effect(dst | src, 0)
      if (modeOf(insn.opcode) !== MODE.ATOMIC) return effect(ALL, 0)
      switch (insn.imm) {
        case 0xf1:
          return effect(1 | dst | src, 1)
        case 0x100:
          return effect(src, dst)
        case 0x110:
          return effect(dst | src, 0)
        default:
          return effect(dst | src, insn.imm & 1 ? src : 0)
      }
    case CLASS.ALU:
    case CLASS.ALU64:
      switch (codeOf(insn.opcode)) {
        case 0xd0:
          return effect(dst, dst)
        case 0xb0:
          return effect(sourceOf(insn.opcode) === SOURCE.K ? 0 : src, dst)
        default:
          return effect(sourceOf(insn.opcode) === SOURCE.K ? dst : dst | src, dst)
      }
    default:
      switch (codeOf(insn.opcode)) {
        case 0x00:
        case 0xe0:
          return 0
        case 0x90:
          return effect(1, 0)
        case 0x80: {
          const count = argumentCount(p, insn)
          const reads = count === undefined ? CALLER_SAVED : (1 << (count + 1)) - 1
          return effect(reads & ~1, CALLER_SAVED)
        }
        default:
          return effect(sourceOf(insn.opcode) === SOURCE.K ? dst : dst | src, 0)
      }
  }
}

/** Undefined where it is not known, as of a local call. */
function argumentCount(p: Proof, insn: Instruction): number | undefined {
  if (isHelperCall(insn)) return p.helpers.get(insn.imm)?.arguments.length
  if (!isKfuncCall(insn)) return undefined
  const kfunc = p.kfuncs.find(insn.imm, insn.offset)
  return kfunc !== undefined && isAllowed(p, kfunc) ? kfunc.parameters.length : undefined
}

/** Takes the order in which the equations are solved: `postorder` of all functions. */
export function computeLiveRegisters(p: Proof, order: Int32Array): void {
  const { length } = p
  const { first, second } = p.edges
  const effects = new Uint32Array(length)
  const live = p.notes.liveRegisters
  for (let i = 0; i < length; i++) effects[i] = effectOf(p, p.insn(i))
  let changed = true
  while (changed) {
    changed = false
    for (let n = 0; n < order.length; n++) {
      const i = order[n] as number
      const next = first[i] as number
      const other = second[i] as number
      let after = 0
      if (next >= 0) after = live[next] as number
      if (other >= 0) after |= live[other] as number
      const effect = effects[i] as number
      const before = (after & ~(effect >>> 16)) | (effect & ALL)
      if (before === live[i]) continue
      live[i] = before
      changed = true
    }
  }
}
