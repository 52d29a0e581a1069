/**
 * Programs that Linux has judged, changed and given to the verifier: whatever it says, it says it with a reason.
 *
 * An input is the number of the program, whose maps and types it keeps, and instructions.
 */
import { E2BIG } from '../../../src/abi/index.ts'
import { decode } from '../../../src/isa/index.ts'
import type { ProgramInput } from '../../../src/verifier/program.ts'
import { prove } from '../../../src/verifier/prover.ts'
import { slotsWindow } from '../fields.ts'
import { mutated, tweaked } from '../mutate.ts'
import type { Random } from '../random.ts'
import { checkMessage, Flaw, type Seed, type Target } from '../target.ts'

const HEAD = 4

export interface JudgedProgram {
  readonly name: string
  readonly instructions: Uint8Array
  readonly input: ProgramInput
}

export class VerifierTarget implements Target {
  readonly name = 'verifier'
  readonly runsBetweenSettling = 1
  /** Linux walks at most a million instructions, which takes it a second. */
  readonly runMs = 60_000
  /** A loop of five instructions that never ends has 200,000 states by then, each behind the next; Linux keeps them, too. */
  readonly runBytes = 512 << 20
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #programs: readonly JudgedProgram[]
  readonly #donors: readonly Uint8Array[]

  constructor(programs: readonly JudgedProgram[]) {
    this.#programs = programs
    this.#donors = programs.map(({ instructions }) => instructions)
    this.seeds = programs.map(({ name, instructions }, i) => {
      const bytes = new Uint8Array(HEAD + instructions.length)
      new DataView(bytes.buffer).setUint32(0, i, true)
      bytes.set(instructions, HEAD)
      return { name, bytes }
    })
  }

  mutate(random: Random, _: Seed, bytes: Uint8Array): Uint8Array {
    const code = bytes.slice(HEAD)
    const rough = random.oneIn(8) ? mutated(random, code, slotsWindow(code), this.#donors) : undefined
    const changed = rough?.subarray(0, rough.length & ~7) ?? tweaked(random, code, slotsWindow(code))
    const result = new Uint8Array(HEAD + changed.length)
    result.set(bytes.subarray(0, HEAD))
    result.set(changed, HEAD)
    return result
  }

  run(bytes: Uint8Array): string {
    const index = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
    const program = this.#programs[index] as JudgedProgram
    const decoded = decode(bytes.slice(HEAD))
    if (!decoded.ok) throw new Error('whole slots were made')
    if (decoded.program.length === 0) return 'refused: empty'
    const input = { ...program.input, instructions: decoded.program }
    // What is endless is walked for a million instructions, and their log takes longer than they do.
    const silent = prove({ ...input, logLevel: 0 })
    if (silent.accepted) return 'accepted'
    if (silent.errno === E2BIG) return 'errno 7'
    const verdict = prove({ ...input, logLevel: 1 })
    if (verdict.accepted || verdict.errno !== silent.errno)
      throw new Flaw('with a log, the verdict is another')
    if (!(verdict.errno > 0)) throw new Flaw(`refused with errno ${verdict.errno}`)
    const lines = verdict.log.trimEnd().split('\n')
    const reason = lines.findLast((line) => !/^(processed|verification time|stack depth)/.test(line)) ?? ''
    return checkMessage(`errno ${verdict.errno}`, `${reason} .......`)
  }

  settle(): void {}
}
