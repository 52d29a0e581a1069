/**
 * A rejection for a person: where, what was required, what the registers held and since when, and what to do.
 *
 * The path that led there is read from the log of level 1, which keeps the failing path only; so a proof that
 * succeeds pays nothing for it.
 */
import { helperByName } from '../../helpers/index.ts'
import type { ProgramInput, SourceLine } from '../program.ts'
import { type ProofVerdict, prove } from '../prover.ts'
import { ADVICE, type Findings, GENERAL, wordsOf } from './advice.ts'
import { calleeOf, lastSaid, pathOf, type Step, tailOf, writes } from './path.ts'
import { inWords } from './words.ts'

export interface RegisterReport {
  /** `R1`. */
  readonly name: string
  /** What it held, in Linux's words. */
  readonly holds: string
  /** The same in plain words; empty where those say all. */
  readonly meaning: string
  /** Slot of the instruction on the failing path that gave it what it held; undefined: it came with the start. */
  readonly since: number | undefined
  readonly sinceText: string | undefined
  readonly sinceSource: SourceLine | undefined
}

/** An instruction that has to do with the rejection: where a reference was acquired, a lock taken. */
export interface RelatedStep {
  readonly instruction: number
  readonly source: SourceLine | undefined
  readonly what: string
}

export interface RejectionReport {
  /** Linux's last line, or the one before it that says what is wrong. */
  readonly message: string
  readonly errno: number
  /** Slot. */
  readonly instruction: number
  /** The instruction as the kernel writes it. */
  readonly text: string
  readonly source: SourceLine | undefined
  /** Those that the instruction or the message names, and the arguments of a call. */
  readonly registers: readonly RegisterReport[]
  readonly related: readonly RelatedStep[]
  /** Other lines that Linux wrote about it. */
  readonly notes: readonly string[]
  /** What would have had to hold. */
  readonly requirement: string
  readonly suggestion: string
  /** Of level 1; of a very long one the end. */
  readonly log: string
}

export function sourceOf(lines: readonly SourceLine[], instruction: number): SourceLine | undefined {
  return lines.findLast((line) => line.instruction <= instruction)
}

/** Of an endless loop the last line is but a state. */
const HEADLINE = /^(infinite loop detected at insn \d+)/

/** Numbers of the registers that matter, the ones that the message names first. */
function namedRegisters(message: string, text: string): readonly number[] {
  const named = new Set<number>()
  for (const match of message.matchAll(/\bR(\d+)\b/g)) named.add(Number(match[1]))
  for (const match of text.matchAll(/\b[rw](\d+)\b/g)) named.add(Number(match[1]))
  // Of a call's arguments one is at fault only where the message says so.
  const callee = named.size === 0 ? undefined : calleeOf(text)
  const count = callee === undefined ? 0 : (helperByName(callee)?.arguments.length ?? 0)
  for (let n = 1; n <= count; n++) named.add(n)
  return [...named].filter((n) => n < 10)
}

/** A call after which packet pointers are void. */
const movesPacket = ({ text }: Step): boolean => {
  const callee = calleeOf(text)
  return callee !== undefined && helperByName(callee)?.changesPacket === true
}

function relatedSteps(
  message: string,
  notes: readonly string[],
  steps: readonly Step[],
  lines: readonly SourceLine[],
): readonly RelatedStep[] {
  const at = (instruction: number, what: string): RelatedStep => ({
    instruction,
    source: sourceOf(lines, instruction),
    what,
  })
  const found: RelatedStep[] = []
  for (const line of [...notes, message]) {
    const match = /^Unreleased reference id=(\d+) alloc_insn=(\d+)/.exec(line)
    if (match === null) continue
    const instruction = Number(match[2])
    const callee = calleeOf(steps.find((step) => step.instruction === instruction)?.text)
    found.push(
      at(
        instruction,
        `reference ${match[1]} is acquired here${callee === undefined ? '' : ` by ${callee}()`}`,
      ),
    )
  }
  const lock = /lock/.test(message)
    ? steps.findLast(({ text }) => /^call bpf_(res_)?spin_lock/.test(text))
    : undefined
  if (lock !== undefined) found.push(at(lock.instruction, 'the lock is taken here'))
  const isWayOut = /^BPF_EXIT/.test(message)
  const branch = isWayOut ? steps.findLast(({ text }) => text.startsWith('if ')) : undefined
  if (branch !== undefined) found.push(at(branch.instruction, 'this way out is taken'))
  const pointer = /^R(\d) (unbounded memory access|max value|min value)|to stack R(\d) var_off/.exec(message)
  if (pointer !== null) {
    const n = Number(pointer[1] ?? pointer[3])
    const origin = offsetOrigin(steps.slice(0, -1), n)
    if (origin !== undefined) found.push(at(origin.instruction, 'the offset comes from here'))
  }
  return found
}

/** Instructions that compute a number from itself and a constant, or from another register. */
const COPIED = /^[rw]\d+ = [rw](\d+)$/
const STEPPED = /^[rw]\d+ (?:[^\s=]+)= (?:-?\d|0x)/

/** Where the number in register `n` came into being, before step `end`: a load, a call, a constant. */
function numberOrigin(steps: readonly Step[], end: number, n: number): Step | undefined {
  let register = n
  for (let i = end - 1; i >= 0; i--) {
    const step = steps[i] as Step
    if (!writes(step, register)) continue
    const copied = COPIED.exec(step.text)?.[1]
    if (copied !== undefined) register = Number(copied)
    else if (!STEPPED.test(step.text)) return step
  }
  return undefined
}

/** The number that was added to the pointer in register `n`. */
function offsetOrigin(steps: readonly Step[], n: number): Step | undefined {
  const at = steps.findLastIndex((step) => writes(step, n))
  const added = /^r\d+ \+= r(\d+)$/.exec(steps[at]?.text ?? '')?.[1]
  return added === undefined ? undefined : numberOrigin(steps, at, Number(added))
}

/** The path of a program that was walked for longer is not read: its log takes seconds, and says little. */
const LONGEST = 200_000

/** Undefined: the program is accepted. `known` is the verdict, where it was proved already. */
export function explainRejection(input: ProgramInput, known?: ProofVerdict): RejectionReport | undefined {
  const first = known ?? prove({ ...input, logLevel: 0 })
  if (first.accepted) return undefined
  const verdict = first.statistics.processed > LONGEST ? first : prove({ ...input, logLevel: 1 })
  const { instruction, log } = verdict
  const path = pathOf(log)
  const { steps } = path
  const headline = path.notes.map((note) => HEADLINE.exec(note)?.[1]).find((found) => found !== undefined)
  const message = headline ?? verdict.message
  const last = steps.findLast((step) => step.instruction === instruction)
  const text = last?.text ?? ''
  const before = last === undefined ? steps : steps.slice(0, steps.lastIndexOf(last))
  const movedBy = before.findLast(movesPacket)
  let packetMovedBy: string | undefined
  const registers: RegisterReport[] = []
  for (const n of namedRegisters(message, text)) {
    const holds = verdict.registers[n] ?? ''
    if (holds === '') continue
    let since = before.findLast((step) => writes(step, n))
    // A pointer into a packet that was moved since.
    const isVoid = /^P?scalar/.test(holds) && movedBy !== undefined && /^pkt/.test(lastSaid(before, n) ?? '')
    if (isVoid) {
      since = movedBy
      packetMovedBy = calleeOf(movedBy?.text)
    }
    registers.push({
      name: `R${n}`,
      holds,
      meaning: inWords(holds),
      since: since?.instruction,
      sinceText: since?.text,
      sinceSource: since === undefined ? undefined : sourceOf(input.lines, since.instruction),
    })
  }
  const related = relatedSteps(message, path.notes, steps, input.lines)
  const cause = steps.find((step) => step.instruction === (related[0]?.instruction ?? registers[0]?.since))
  const findings: Omit<Findings, 'match'> = {
    message,
    notes: path.notes,
    steps,
    givenBy: originOf(steps, cause, registers[0]?.name),
    packetMovedBy,
  }
  let advice: { requirement: string; suggestion: string } | undefined
  for (const { when, requirement, suggestion } of ADVICE) {
    const match = when.exec(message)
    if (match === null) continue
    const all = { ...findings, match }
    advice = { requirement: wordsOf(requirement, all), suggestion: wordsOf(suggestion, all) }
    break
  }
  const stack = /stack size/.test(message)
    ? [`stack of each function: ${verdict.statistics.stackDepths.join(', ')} bytes`]
    : []
  return {
    message,
    errno: verdict.errno,
    instruction,
    text,
    source: sourceOf(input.lines, instruction),
    registers,
    related,
    notes: [
      ...path.notes.filter((note) => !HEADLINE.test(note) && !/^(cur|old) state:/.test(note)),
      ...stack,
    ],
    requirement: advice?.requirement ?? (GENERAL.requirement as string),
    suggestion: advice?.suggestion ?? (GENERAL.suggestion as string),
    log: tailOf(log),
  }
}

/** The function whose result it is, also where the result was copied since. */
function originOf(
  steps: readonly Step[],
  cause: Step | undefined,
  name: string | undefined,
): string | undefined {
  let step = cause
  for (let hops = 0; step !== undefined && hops < 8; hops++) {
    const callee = calleeOf(step.text)
    if (callee !== undefined) return callee
    const copied = /^r\d+ = r(\d+)$/.exec(step.text)?.[1]
    if (copied === undefined || name === undefined) return undefined
    const earlier = steps.slice(0, steps.indexOf(step))
    step = earlier.findLast((candidate) => writes(candidate, Number(copied)))
  }
  return undefined
}
