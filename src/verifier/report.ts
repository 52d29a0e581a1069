/**
 * A rejection for a person: where, what was required, what the registers held and since when, and what to do.
 *
 * The path that led there is read from the log of level 1, which keeps the failing path only; so a proof that
 * succeeds pays nothing for it.
 */
import type { ProgramInput, SourceLine } from './program.ts'
import { type ProofVerdict, prove } from './prover.ts'

export interface RegisterReport {
  /** `R1`. */
  readonly name: string
  /** What it held, in Linux's words. */
  readonly holds: string
  /** Slot of the instruction on the failing path that wrote it last; undefined: it came with the program's start. */
  readonly since: number | undefined
  readonly sinceText: string | undefined
  readonly sinceSource: SourceLine | undefined
}

export interface RejectionReport {
  /** Linux's last line. */
  readonly message: string
  readonly errno: number
  /** Slot. */
  readonly instruction: number
  /** The instruction as the kernel writes it. */
  readonly text: string
  readonly source: SourceLine | undefined
  /** Those that the instruction or the message names. */
  readonly registers: readonly RegisterReport[]
  /** What would have had to hold. */
  readonly requirement: string
  readonly suggestion: string
  readonly log: string
}

interface Advice {
  readonly when: RegExp
  readonly requirement: string
  readonly suggestion: string
}

/** First match counts. */
const ADVICE: readonly Advice[] = [
  {
    when: /(invalid mem access|pointer arithmetic on) '?\w*_or_null|Possibly NULL pointer/,
    requirement: 'a pointer that is not null',
    suggestion: 'test the result for NULL before this line, on every path that leads here',
  },
  {
    when: /invalid mem access 'scalar'/,
    requirement: 'a pointer to memory that the program may use',
    suggestion:
      'the register holds a plain number: either the pointer was lost in arithmetic, or it points to memory that only bpf_probe_read_kernel(), bpf_probe_read_user() or BPF_CORE_READ() may read',
  },
  {
    when: /invalid access to packet|outside of the packet|pkt pointer .* out/,
    requirement: 'an access that lies before the end of the packet',
    suggestion:
      'compare first: if (data + offset + size > data_end) return; and use that same pointer afterwards',
  },
  {
    when: /unbounded memory access|min value is negative|unbounded min value|makes .* pointer be out of bounds/,
    requirement: 'an offset or size with known bounds',
    suggestion:
      'bound the value right before its use, as unsigned: if (n > MAX) return; or n &= MAX - 1; and keep the compiler from moving the test away (barrier_var(n))',
  },
  {
    when: /invalid access to map value|invalid access to map_value/,
    requirement: 'an access inside the value of the map',
    suggestion: 'check the index against the size of the value, or make the value larger',
  },
  {
    when: /invalid access to (map key|memory|ringbuf|alloc_mem)|outside of the allowed memory range/,
    requirement: 'an access inside the memory that the pointer stands for',
    suggestion: 'check the offset against the size that was asked for',
  },
  {
    when: /R\d+ !read_ok/,
    requirement: 'a register that was written on this path',
    suggestion:
      'give the variable a value on every path; after a call r1 to r5 hold nothing, and a function without a return value leaves nothing in r0',
  },
  {
    when: /invalid (variable-offset )?(indirect )?(read|access|write).*stack|invalid stack/,
    requirement: 'bytes of stack inside the frame that were written before they are read',
    suggestion:
      'initialise the whole variable (struct s v = {};), its padding included, and index it within its size',
  },
  {
    when: /combined stack size|stack depth|call stack/,
    requirement: 'at most 512 bytes of stack along every chain of calls',
    suggestion: 'move large variables into a per-CPU array map',
  },
  {
    when: /reference leak|Unreleased reference|reference has not been acquired/,
    requirement: 'every acquired reference given back exactly once',
    suggestion:
      'release it on every way out, early returns included (bpf_ringbuf_submit or _discard, bpf_sk_release, ...)',
  },
  {
    when: /holding a lock|spin_lock|_unlock/,
    requirement: 'locks taken and given back in pairs, with no other calls in between',
    suggestion: 'unlock before returning or calling anything',
  },
  {
    when: /too large|too complex|infinite loop|back-edge/,
    requirement: 'a program whose every path ends within the limits',
    suggestion:
      'bound the loop by a constant, or use bpf_for(), bpf_loop() or an iterator, whose bodies are verified once',
  },
  {
    when: /GPL/,
    requirement: 'a licence that is compatible with the GPL',
    suggestion: 'declare it: char LICENSE[] SEC("license") = "GPL";',
  },
  {
    when: /cannot use helper|calling kernel function .* is not allowed/,
    requirement: 'a function that programs of this type may call',
    suggestion: 'choose another section (program type) or another function',
  },
  {
    when: /invalid bpf_context access/,
    requirement: 'a field of the context that this type of program may use this way',
    suggestion: 'access whole fields, with their own size, and write only those that may be written',
  },
  {
    when: /should have been in/,
    requirement: 'a return value in the range that the kernel expects',
    suggestion: 'return one of the constants that the program type defines',
  },
  {
    when: /misaligned/,
    requirement: 'an access aligned to its size',
    suggestion: 'align the field, or read it byte by byte (__attribute__((packed)))',
  },
  {
    when: /only read is supported|cannot write|write into|write to/,
    requirement: 'memory that the program may write',
    suggestion: 'copy the data to the stack or to a map first',
  },
  {
    when: /type=\S+ expected=/,
    requirement: 'an argument of the kind that the function takes',
    suggestion: 'pass what the message calls expected; fp is the stack, map_ptr the map itself (&map)',
  },
  {
    when: /sleep/,
    requirement: 'a place where the program may sleep',
    suggestion: 'use a sleepable section (.s), or call it outside of RCU, lock and preempt-disabled sections',
  },
]

const GENERAL: Omit<Advice, 'when'> = {
  requirement: 'what the message says',
  suggestion: 'the log above the message shows what the verifier knew on the way here',
}

interface Step {
  readonly instruction: number
  readonly text: string
}

/** Instructions of the failing path, in order. */
function pathOf(log: string): readonly Step[] {
  const steps: Step[] = []
  for (const line of log.split('\n')) {
    const match = /^(\d+): \([0-9a-f]{2}\) (.*?)(?: +;.*)?(?: \d+: .*)?$/.exec(line)
    if (match !== null) steps.push({ instruction: Number(match[1]), text: match[2] as string })
  }
  return steps
}

const writes = (text: string, n: number): boolean =>
  new RegExp(`^[rw]${n} (?:[^=!<>]{0,3})?=`).test(text) || (n <= 5 && text.startsWith('call '))

export function sourceOf(lines: readonly SourceLine[], instruction: number): SourceLine | undefined {
  return lines.findLast((line) => line.instruction <= instruction)
}

/** Undefined: the program is accepted. */
export function explainRejection(input: ProgramInput): RejectionReport | undefined {
  const verdict: ProofVerdict = prove({ ...input, logLevel: 1 })
  if (verdict.accepted) return undefined
  const { message, instruction, registers, log } = verdict
  const path = pathOf(log)
  const last = path.findLast((step) => step.instruction === instruction)
  const text = last?.text ?? ''
  const before = last === undefined ? path : path.slice(0, path.lastIndexOf(last))
  const named = new Set<number>()
  for (const match of message.matchAll(/\bR(\d+)\b/g)) named.add(Number(match[1]))
  for (const match of text.matchAll(/\b[rw](\d+)\b/g)) named.add(Number(match[1]))
  const reports = [...named]
    .filter((n) => n < 10 && (registers[n] ?? '') !== '')
    .sort((a, b) => a - b)
    .map((n): RegisterReport => {
      const since = before.findLast((step) => writes(step.text, n))
      return {
        name: `R${n}`,
        holds: registers[n] as string,
        since: since?.instruction,
        sinceText: since?.text,
        sinceSource: since === undefined ? undefined : sourceOf(input.lines, since.instruction),
      }
    })
  const advice = ADVICE.find(({ when }) => when.test(message)) ?? GENERAL
  return {
    message,
    errno: verdict.errno,
    instruction,
    text,
    source: sourceOf(input.lines, instruction),
    registers: reports,
    requirement: advice.requirement,
    suggestion: advice.suggestion,
    log,
  }
}
