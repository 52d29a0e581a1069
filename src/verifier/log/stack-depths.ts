/**
 * The stack of each function as Linux prints it: after it has rewritten the program.
 *
 * Source: optimize_bpf_loop, do_misc_fixups, opt_remove_dead_code in kernel/bpf/verifier.c of Linux 6.18.
 */
import { isMayGoto } from '../flow/graph.ts'
import { isHelperCall } from '../flow/subprograms.ts'
import type { Proof } from '../proof.ts'

const LOOP_HELPER = 181
/** Three registers that the inlined loop saves. */
const LOOP_STACK = 24
/** A counter and the time of the last look at the clock. */
const MAY_GOTO_STACK = 16

export function printedStackDepths(p: Proof, isAccepted: boolean): readonly number[] {
  if (!isAccepted) return p.subprograms.map((s) => s.stackDepth)
  const { seen } = p.notes
  const depths: number[] = []
  for (const s of p.subprograms) {
    if (s !== p.subprograms[0] && !seen.subarray(s.start, s.end).includes(1)) continue
    let depth = s.stackDepth
    let hasLoop = false
    let hasMayGoto = false
    for (let i = s.start; i < s.end; i++) {
      if (seen[i] !== 1) continue
      const insn = p.insn(i)
      if (isHelperCall(insn) && insn.imm === LOOP_HELPER && p.inlinedLoops.get(i) !== undefined) {
        hasLoop ||= p.inlinedLoops.get(i)!.fits
      }
      hasMayGoto ||= isMayGoto(insn) && insn.offset !== 0
    }
    if (hasLoop) depth += LOOP_STACK
    if (hasMayGoto) depth += MAY_GOTO_STACK
    depths.push(depth)
  }
  // Programs that throw without saying where to get a function that catches.
  if (p.seenException && p.exceptionCallback === 0) depths.push(0)
  return depths
}
