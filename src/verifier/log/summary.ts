/** The parts of the log around the walk: live registers before it, counts behind it. */
import { OPCODE } from '../../isa/index.ts'
import { INSTRUCTION_LIMIT, type Proof } from '../proof.ts'
import { printedStackDepths } from './stack-depths.ts'

export function logLiveRegisters(p: Proof): void {
  p.say('Live regs before insn:\n')
  for (let i = 0; i < p.length; i++) {
    const loop = p.notes.component[i] as number
    const live = p.notes.liveRegisters[i] as number
    let text = ''
    for (let n = 0; n < 10; n++) text += live & (1 << n) ? `${n}` : '.'
    const { opcode } = p.insn(i)
    p.say(
      `${loop > 0 ? `${String(loop).padStart(3)} ` : '    '}${String(i).padStart(3)}: ${text} (${opcode.toString(16).padStart(2, '0')}) ${p.disassemble(i)}\n`,
    )
    if (opcode === OPCODE.LD_IMM64) i++
  }
}

/** What was done, as tools read it from the end of the log. */
export function logStatistics(p: Proof, tookNs: bigint, isAccepted: boolean): void {
  if (p.log.level === 0) return
  if (p.log.level & 4) {
    p.say(`verification time ${tookNs / 1000n} usec\n`)
    p.say(`stack depth ${printedStackDepths(p, isAccepted).join('+')}\n`)
  }
  p.say(
    `processed ${p.processed} insns (limit ${INSTRUCTION_LIMIT}) max_states_per_insn ${p.mostStatesAtOne} total_states ${p.totalStates} peak_states ${p.peakStates} mark_read 0\n`,
  )
}
