/** Where nothing counts frames: proved programs, and tail calls between them. */
import { describe, expect, it } from 'vitest'
import { assemble } from '../isa/index.ts'
import { Arena } from '../memory/index.ts'
import { type CompiledProgram, Jit } from './index.ts'

function runChain(sources: readonly string[], next: number) {
  const programs: CompiledProgram[] = []
  const arena = new Arena()
  const jit = new Jit(arena, {
    helper: () => () => ({ tailCall: programs[next] as CompiledProgram }),
    argumentCount: () => 5,
  })
  for (const source of sources) {
    const assembled = assemble(source)
    if (!assembled.ok) throw new Error(assembled.errors[0].message)
    programs.push(jit.compile(assembled.program, { isProved: true }))
  }
  return jit.run(programs[0] as CompiledProgram, 0n)
}

/** Seven calls deep. */
const deep = (last: string) =>
  `call s1\nexit\n${[1, 2, 3, 4, 5, 6].map((n) => `s${n}: call s${n + 1}\nexit`).join('\n')}\ns7: ${last}`

describe('tail calls of proved programs', () => {
  it('find all frames, even from the last one', () => {
    const sources = [deep('call 12\nr0 = 1\nexit'), deep('r0 = 40\n*(u64 *)(r10 - 512) = r0\nexit')]
    expect(runChain(sources, 1)).toEqual({ ok: true, value: 40n })
  })

  it('find them for each of 33 tail calls, the last of which goes on', () => {
    const result = runChain([deep('call 12\nr0 = 1\n*(u64 *)(r10 - 512) = r0\nexit')], 0)
    expect(result).toEqual({ ok: true, value: 1n })
  })
})
