/**
 * Many subjects, one after the other: each proved, run if accepted, and shown to Linux if it may be asked. What does not
 * fit is made small and kept.
 */
import { disassemble, type Instruction } from '../../src/isa/index.ts'
import { type ProofVerdict, prove } from '../../src/verifier/index.ts'
import { check } from './check.ts'
import { PALETTE } from './fixtures.ts'
import { Generator } from './generate/index.ts'
import { helperCall } from './helper-calls.ts'
import type { LinuxKernel, LinuxVerdict } from './linux.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import type { RecordedSubject } from './recorded.ts'
import { shrink } from './shrink.ts'
import type { Subject } from './subject.ts'
import { TooLong, Walk } from './walk.ts'
import { World } from './world.ts'

export interface CampaignOptions {
  readonly seed: number
  readonly kernel?: LinuxKernel
  /** Programs to make changes to; without them, all are generated. */
  readonly recorded?: readonly RecordedSubject[]
  /** Whether findings are made small first. Default true. */
  readonly shrinks?: boolean
}

export interface Finding {
  /** Number of the program, from which it can be made again. */
  readonly index: number
  readonly kind: string
  readonly text: string
  readonly subject: Subject
}

/** A disagreement with Linux that was looked into, and why it stays. */
export type KnownDifference =
  /** Linux refuses with a "verifier bug": a function pointer whose function is never called, a failing packet load. */
  | 'linux gives up'
  /** Accepted although a packet pointer that moved back need not be at the end any more. */
  | 'linux packet end'
  /** Accepted although a round of a callback was cut at a state that does not cover it. */
  | 'linux callback rounds'
  /** A spilled number stays linked with what comes back of it sign-extended. */
  | 'linux sign-extended spills'
  /** Tracepoint contexts can be read at negative offsets: their sign is lost where Linux compares. */
  | 'linux negative offset'
  /** A constant null is taken for an argument that must not be null. */
  | 'linux null argument'
  /** Without the kernel's types, which generated programs are not given here, or with those of another kernel. */
  | 'types of the kernel'
  /** Whether the kernel lets programs write to user memory is how it was started. */
  | 'writing user memory'

const MOST_STEPS = 20_000
/** How often a program's own kind is drawn: generated, generated and changed, recorded and changed. */
const SHARES = { generated: 6, changed: 1, recorded: 3 } as const

export class Campaign {
  readonly generator = new Generator()
  readonly #world: World
  readonly #options: CampaignOptions
  readonly findings: Finding[] = []
  readonly counts = {
    programs: 0,
    accepted: 0,
    refused: 0,
    run: 0,
    notRun: 0,
    tooLong: 0,
    runs: 0,
    stopped: 0,
    shown: 0,
    sameVerdict: 0,
    refusedByBoth: 0,
    sameLine: 0,
    sameProcessed: 0,
    comparedProcessed: 0,
    helperCalls: 0,
    accesses: 0,
  }
  /** Disagreements with Linux that are known, by kind. */
  readonly known = new Map<KnownDifference, number>()

  constructor(options: CampaignOptions) {
    this.#options = options
    this.#world = new World(new Random(options.seed))
  }

  get steps(): number {
    return this.#world.stepsObserved
  }

  get values(): number {
    return this.#world.valuesHeld
  }

  /** Program number `index`, with the bytes of its types. */
  subject(index: number): { subject: Subject; types: Uint8Array | undefined } {
    const { seed, recorded } = this.#options
    const random = new Random(seed, 0x4000_0000 | index)
    const hasRecorded = recorded !== undefined && recorded.length > 0
    const how = random.weighted<keyof typeof SHARES>([
      [SHARES.generated, 'generated'],
      [SHARES.changed, 'changed'],
      [hasRecorded ? SHARES.recorded : 0, 'recorded'],
    ])
    if (how === 'recorded') {
      const { subject, types } = random.pick(recorded as readonly RecordedSubject[])
      return { subject: mutate(subject, random, random.between(1, 4)), types }
    }
    const made = this.generator.generate(seed, index)
    const subject = how === 'generated' ? made : mutate(made, random, random.between(1, 3))
    return { subject, types: subject.btf && this.generator.typesOf(subject.programType).bytes }
  }

  /** Tries program number `index`. */
  try(index: number): void {
    const { kernel } = this.#options
    const { subject, types } = this.subject(index)
    const { counts } = this
    counts.programs++
    const checked = check(this.#world, subject, index)
    this.#world.maps.forget(subject, PALETTE)
    const { verdict } = checked
    if (checked.failure !== undefined) {
      const { kind } = checked.failure
      const fails = (candidate: Subject): boolean => {
        const again = check(this.#world, candidate, index)
        this.#world.maps.forget(candidate, PALETTE)
        return again.failure?.kind === kind
      }
      this.#find(index, kind, checked.failure.text, subject, fails)
    }
    if (verdict === undefined) {
      counts.tooLong++
      return
    }
    if (verdict.accepted) counts.accepted++
    else counts.refused++
    if (checked.runs > 0) counts.run++
    else if (verdict.accepted) counts.notRun++
    counts.runs += checked.runs
    counts.stopped += checked.long
    if (kernel !== undefined) this.#compare(kernel, index, subject, types, verdict)
  }

  /** A call of helper `id` from a program of the type, shown to Linux. */
  tryHelper(id: number, programType: number, round: number): void {
    const { kernel, seed } = this.#options
    if (kernel === undefined) return
    const subject = helperCall(id, programType, new Random(seed, (id * 64 + programType) * 256 + round))
    if (subject === undefined) return
    this.counts.helperCalls++
    this.#compare(kernel, id, subject, undefined, prove(subject))
  }

  /** A load or store of a context, or of a socket, shown to Linux; `index` is its place among them. */
  tryAccess(subject: Subject, index: number): void {
    const { kernel } = this.#options
    if (kernel === undefined) return
    this.counts.accesses++
    this.#compare(kernel, index, subject, undefined, prove(subject))
  }

  #compare(
    kernel: LinuxKernel,
    index: number,
    subject: Subject,
    types: Uint8Array | undefined,
    ours: ProofVerdict,
  ): void {
    const theirs = kernel.ask(subject, types)
    kernel.forget(PALETTE)
    if (typeof theirs === 'string') return
    const { counts } = this
    counts.shown++
    if (theirs.processed !== undefined) {
      counts.comparedProcessed++
      if (theirs.processed === ours.statistics.processed) counts.sameProcessed++
    }
    const difference = differenceOf(ours, theirs)
    if (theirs.accepted === ours.accepted) counts.sameVerdict++
    if (!theirs.accepted && !ours.accepted) {
      counts.refusedByBoth++
      if (difference === undefined) counts.sameLine++
    }
    if (difference === undefined) return
    const known = knownDifference(subject, ours, theirs)
    if (known !== undefined) {
      this.known.set(known, (this.known.get(known) ?? 0) + 1)
      return
    }
    const differs = (candidate: Subject): boolean => {
      const answer = kernel.ask(candidate, types)
      if (typeof answer === 'string') return false
      const verdict = proveShort(candidate)
      return verdict !== undefined && differenceOf(verdict, answer) === difference
    }
    this.#find(index, difference, `linux: ${saying(theirs)}\nhere:  ${saying(ours)}`, subject, differs)
  }

  #find(
    index: number,
    kind: string,
    text: string,
    subject: Subject,
    holds: (candidate: Subject) => boolean,
  ): void {
    const small = this.#options.shrinks === false ? subject : shrink(subject, holds)
    this.findings.push({ index, kind, text, subject: small })
  }
}

function proveShort(subject: Subject): ProofVerdict | undefined {
  try {
    return prove(subject, new Walk(MOST_STEPS))
  } catch (error) {
    if (error instanceof TooLong) return undefined
    throw error
  }
}

const saying = ({ accepted, message }: { accepted: boolean; message: string }): string =>
  accepted ? 'accepts' : message

/** A call of bpf_for_each_map_elem, bpf_find_vma, bpf_loop or bpf_user_ringbuf_drain. */
const callsBack = ({ opcode, src, imm }: Instruction): boolean =>
  opcode === 0x85 && src === 0 && (imm === 164 || imm === 180 || imm === 181 || imm === 209)

/** A sign-extending load of 1, 2 or 4 bytes. */
const signExtends = ({ opcode }: Instruction): boolean =>
  opcode === 0x91 || opcode === 0x89 || opcode === 0x81

/** Without the numbers that a smaller program would change. */
const shape = (message: string): string => message.replace(/0x[0-9a-f]+|-?\d+/g, 'N')

/** Linux is given another number: that of a program's could be a descriptor of ours. */
const BAD_DESCRIPTOR = 'fd N is not pointing to valid bpf_map'

/** How the two verdicts differ, in a way that stays while a program is made smaller; undefined: they do not. */
function differenceOf(ours: ProofVerdict, theirs: LinuxVerdict): string | undefined {
  if (ours.accepted && theirs.accepted) return undefined
  if (ours.accepted) return `only linux refuses: ${shape(theirs.message)}`
  if (theirs.accepted) return `only linux accepts: ${shape(ours.message)}`
  const isBadDescriptor = [ours, theirs].every(({ message }) => shape(message) === BAD_DESCRIPTOR)
  const same = ours.message === theirs.message || isBadDescriptor
  return same ? undefined : `${shape(theirs.message)} / ${shape(ours.message)}`
}

function knownDifference(
  subject: Subject,
  ours: ProofVerdict,
  theirs: LinuxVerdict,
): KnownDifference | undefined {
  if (theirs.message.startsWith('verifier bug: ') && !theirs.message.includes('INVARIANTS'))
    return 'linux gives up'
  const { message } = ours
  if (
    /without CONFIG_DEBUG_INFO_BTF|^invalid return type 8 of func|^ldimm64 failed to find the address/.test(
      message,
    )
  )
    return 'types of the kernel'
  if (theirs.message.includes('bpf_probe_write_user')) return 'writing user memory'
  if (theirs.accepted && subject.instructions.some(callsBack)) return 'linux callback rounds'
  if (theirs.accepted && /^invalid bpf_context access off=-/.test(message)) return 'linux negative offset'
  if (message.endsWith("('subprog_nonnull_ptr_good')")) return 'linux null argument'
  if (theirs.accepted && subject.instructions.some(signExtends)) return 'linux sign-extended spills'
  if (theirs.accepted) {
    const { log } = prove({ ...subject, logLevel: 2 })
    if (log.includes('r=0xffffffff')) return 'linux packet end'
  }
  return undefined
}

/** The program with slot numbers, and what makes it again. */
export function describeFinding(seed: number, { index, kind, text, subject }: Finding): string {
  const lines = disassemble(subject.instructions).split('\n')
  let slot = 0
  const listing = lines.map((line) => {
    const at = slot
    slot += subject.instructions[slot]?.opcode === 0x18 ? 2 : 1
    return `${String(at).padStart(5)}: ${line}`
  })
  return [
    `seed ${seed}, program ${index}: ${kind}`,
    text,
    `program type ${subject.programType}, flags ${subject.flags}, functions at ${subject.functions.map((f) => f.instruction).join(', ') || '-'}`,
    ...listing,
  ].join('\n')
}
