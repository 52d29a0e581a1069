/** Where control can go from each slot, as numbers: four analyses ask for it, of each instruction of every program. */
import { CLASS, classOf, codeOf } from '../../isa/index.ts'
import type { Proof } from '../proof.ts'
import { isWideLoad } from './graph.ts'
import { jumpDistance } from './subprograms.ts'

/** No edge. */
export const NONE = -1

/** At most two ways lead on from an instruction; calls go on behind the call. */
export class Edges {
  readonly first: Int32Array
  readonly second: Int32Array

  constructor(p: Proof) {
    const { length } = p
    this.first = new Int32Array(length)
    this.second = new Int32Array(length).fill(NONE)
    for (let i = 0; i < length; i++) {
      const insn = p.insn(i)
      const { opcode } = insn
      const kind = classOf(opcode)
      const next = i + (isWideLoad(insn) ? 2 : 1)
      if (kind !== CLASS.JMP && kind !== CLASS.JMP32) this.first[i] = next
      else if (codeOf(opcode) === 0x90) this.first[i] = NONE
      else if (codeOf(opcode) === 0x80) this.first[i] = next
      else if (codeOf(opcode) === 0x00) this.first[i] = i + jumpDistance(insn) + 1
      else {
        this.first[i] = next
        const target = i + insn.offset + 1
        if (target !== next) this.second[i] = target
      }
    }
  }
}
