import { EINVAL } from '../abi/index.ts'
import { codeOf, isWide, OPCODE, type Program } from '../isa/index.ts'
import { after, atEntry, type Constants, isTaken, meet, nothingKnown } from './constants.ts'
import {
  isCallCode,
  isExitCode,
  isFunctionPointer,
  isJumpClass,
  isLocalCall,
  jumpDistance,
} from './subprograms.ts'
import { type Rejection, reject } from './verdict.ts'

/**
 * The slots that may be executed right after the one at `index`, calls included, the one that follows in the text
 * first. They may lie outside the program.
 */
export function successors(program: Program, index: number): number[] {
  const insn = program[index]!
  const next = index + (isWide(insn) ? 2 : 1)
  if (isFunctionPointer(insn) || isLocalCall(insn)) return [next, index + 1 + insn.imm]
  if (!isJumpClass(insn) || isCallCode(insn)) return [next]
  if (isExitCode(insn)) return []
  const target = index + 1 + jumpDistance(insn)
  return codeOf(insn.opcode) === codeOf(OPCODE.JA) ? [target] : [next, target]
}

/** Every slot can be reached, except second halves of wide instructions, which must not be. */
export function checkReachability(
  program: Program,
  exceptionCallback: number | undefined,
): Rejection | undefined {
  const reached = new Uint8Array(program.length)
  const pending = exceptionCallback === undefined ? [0] : [0, exceptionCallback]
  for (const index of pending) reached[index] = 1
  for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
    for (const next of successors(program, index)) {
      if (next < 0 || next >= program.length) {
        return reject(EINVAL, index, `jump out of range from insn ${index} to ${next}`)
      }
      if (reached[next] === 1) continue
      reached[next] = 1
      pending.push(next)
    }
  }
  for (let index = 0; index < program.length; index++) {
    if (reached[index] === 0) return reject(EINVAL, index, `unreachable insn ${index}`)
    if (!isWide(program[index])) continue
    if (reached[index + 1] === 1) {
      return reject(EINVAL, index, `jump into the middle of ldimm64 insn ${index}`)
    }
    index++
  }
  return undefined
}

/**
 * The slots that can be executed, in the order in which Linux's verifier first comes to them: the subprogram at a
 * call, then on; the branch that is not taken, then the one that is. A branch that constants rule out is not
 * followed.
 */
export function* executionOrder(program: Program): Generator<number> {
  const states: (Constants | undefined)[] = new Array(program.length)
  const pending: { readonly index: number; readonly known: Constants }[] = [{ index: 0, known: nothingKnown }]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const { index, known: arriving } = path
    const before = states[index]
    const known = before === undefined ? arriving : meet(before, arriving)
    if (before === undefined) yield index
    else if (known === before) continue
    states[index] = known
    const insn = program[index]!
    const [next, other] = successors(program, index)
    if (next === undefined) continue
    if (isFunctionPointer(insn) || isLocalCall(insn)) {
      pending.push({ index: next, known: after(program, index, known) })
      pending.push({ index: other!, known: atEntry(insn, known) })
    } else if (other === undefined) {
      const isGoto = isJumpClass(insn) && !isCallCode(insn)
      pending.push({ index: next, known: isGoto ? known : after(program, index, known) })
    } else {
      const taken = isTaken(insn, known)
      if (taken !== false) pending.push({ index: other, known })
      if (taken !== true) pending.push({ index: next, known })
    }
  }
}
