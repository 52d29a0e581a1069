/**
 * The fast solver against the clear one, which the log of level 2 needs: both must find the same slots live, so that a
 * proof takes the same steps. Random programs that write, read and leave stack slots, with branches and loops.
 */
import { expect, test } from 'vitest'
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import { assemble } from '../../isa/index.ts'
import type { ProgramInput } from '../program.ts'
import { prove } from '../prover.ts'

const SEED = Number(process.env.ANYBPF_SEED ?? 20261128)
const PROGRAMS = 40

/** Numbers from 0 to `below`, the same for the same seed. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function randomProgram(next: (below: number) => number): string {
  const lines: string[] = ['r6 = *(u32 *)(r1 +0)', 'r7 = *(u32 *)(r1 +4)', 'r9 = 0']
  const slot = (): number => -8 * (1 + next(6))
  const blocks = 4 + next(5)
  for (let block = 0; block < blocks; block++) {
    lines.push(`block${block}:`)
    for (let i = next(5); i >= 0; i--) {
      const [a, b] = [slot(), slot()]
      lines.push(
        [
          `*(u64 *)(r10 ${a}) = r${6 + next(2)}`,
          `*(u64 *)(r10 ${a}) = ${next(3)}`,
          `*(u32 *)(r10 ${a}) = r6`,
          `r8 = *(u64 *)(r10 ${b})`,
          `*(u64 *)(r10 ${a}) = r6\nr8 = *(u64 *)(r10 ${a})\nr7 += r8`,
        ][next(5)] as string,
      )
    }
    const target = next(blocks)
    // Backwards only a few times.
    lines.push(
      target > block
        ? `if r${6 + next(2)} > ${next(100)} goto block${target}`
        : `r9 += 1\nif r9 < ${2 + next(6)} goto block${target}`,
    )
  }
  lines.push(
    'r1 = r9',
    'call sub',
    'r0 = 0',
    'exit',
    'sub:',
    `*(u64 *)(r10 ${slot()}) = r1`,
    `r0 = *(u64 *)(r10 ${slot()})`,
    'exit',
  )
  return lines.join('\n')
}

test(`fast and clear solver take the same steps (seed ${SEED})`, () => {
  const next = generator(SEED)
  let accepted = 0
  let pruned = 0
  for (let n = 0; n < PROGRAMS; n++) {
    const source = randomProgram(next)
    const assembled = assemble(source)
    if (!assembled.ok) throw new Error(`${source}\n${JSON.stringify(assembled.errors)}`)
    const input: ProgramInput = {
      instructions: assembled.program,
      programType: BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS,
      expectedAttachType: 0,
      flags: 0,
      license: 'GPL',
      name: 'test',
      maps: [],
      descriptors: [],
      functions: [],
      lines: [],
      logLevel: 0,
    }
    const fast = prove(input)
    const clear = prove({ ...input, logLevel: 2 })
    expect({ ...fast.statistics, message: fast.message }, source).toEqual({
      ...clear.statistics,
      message: clear.message,
    })
    if (fast.accepted) accepted++
    if (clear.log.includes(': safe')) pruned++
  }
  // The programs must be of some use.
  expect(accepted).toBeGreaterThan(PROGRAMS / 3)
  expect(pruned).toBeGreaterThan(PROGRAMS / 4)
})
