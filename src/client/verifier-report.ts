/**
 * What a verifier's log says, in parts: why, at which instruction, in which line of C, with what in the registers.
 *
 * The log is text for people, and its words change between kernels; what is not found in it is left out. It follows one
 * path after another and ends at the instruction that is refused:
 *
 *     from 3 to 7: R0=0 R10=fp0                         the whole state at the start of a path
 *     ; return *value; @ refused.bpf.c:21               the line of C, with its place from Linux 6.9 on
 *     7: (79) r0 = *(u64 *)(r0 +0)     ; R0=scalar()    an instruction, and what it changes
 *     R0 invalid mem access 'map_value_or_null'         the reason
 *     processed 7 insns (limit 1000000) ...             figures
 */
import type { Btf } from '../btf/index.ts'

/** A line of C. */
export interface SourceLine {
  readonly file: string
  /** From 1; 0 where it is not known. */
  readonly line: number
  /** From 1; 0 where it is not known. */
  readonly column: number
  /** The line itself, without the space around it. */
  readonly text: string
}

export interface VerifierReport {
  /** The kernel's own words, one line; empty where it gave none. */
  readonly reason: string
  /** Slot of the instruction that was refused, counted in the whole program. */
  readonly instruction: number | undefined
  /** That instruction as the kernel writes it: `(79) r0 = *(u64 *)(r0 +0)`. */
  readonly disassembly: string | undefined
  readonly source: SourceLine | undefined
  /** Registers (`R0`) and places of the stack (`fp-8`) before that instruction, as far as the log tells. */
  readonly state: ReadonlyMap<string, string>
  /** Instructions that the verifier walked over, on all paths. */
  readonly processedInstructions: number | undefined
}

const STATISTIC = /^(processed \d+ insns|verification time|stack depth|peak_states|insns_processed)/
const INSTRUCTION = /^(\d+): (\([0-9a-f]{2}\) .*?)(?:\s+; (.*))?$/
/** A state in full: at the start of a path, or between instructions. */
const STATE = /^(?:from (\d+) to \d+(?: \(speculative execution\))?|\d+):(?: (?=R\d|fp-))(.*)$/
const SOURCE = /^; (.*) @ (.+):(\d+)$/

/** `sourceOf` says what line of C an instruction is of, from the object; better than the log, which may not. */
export function parseVerifierLog(
  log: string,
  sourceOf: (instruction: number) => SourceLine | undefined = () => undefined,
): VerifierReport {
  let instruction: number | undefined
  let disassembly: string | undefined
  let source: SourceLine | undefined
  let reason = ''
  let processed: number | undefined
  const state = new Map<string, string>()
  // What an instruction changes holds from the next one on.
  let changes = ''
  for (const line of log.split('\n').map((text) => text.trim())) {
    if (line === '') continue
    const [, figure] = /^processed (\d+) insns/.exec(line) ?? []
    if (figure !== undefined) processed = Number(figure)
    if (STATISTIC.test(line)) continue
    const walked = INSTRUCTION.exec(line)
    const whole = STATE.exec(line)
    const place = SOURCE.exec(line)
    if (walked !== null) {
      applyState(state, changes)
      instruction = Number(walked[1])
      disassembly = walked[2]
      changes = walked[3] ?? ''
      reason = ''
    } else if (whole !== null) {
      if (whole[1] === undefined) applyState(state, changes)
      else state.clear()
      applyState(state, whole[2] ?? '')
      changes = ''
    } else if (place !== null) {
      const [, text = '', file = '', number = '0'] = place
      source = { file, line: Number(number), column: 0, text }
    } else if (!line.startsWith(';')) {
      reason = line
    }
  }
  // Before the walk begins, the structure of the program is checked: then the number stands in the message.
  const named = disassembly === undefined ? /\binsn (\d+)/.exec(reason)?.[1] : undefined
  if (named !== undefined) instruction = Number(named)
  const known = instruction === undefined ? undefined : sourceOf(instruction)
  return {
    reason,
    instruction,
    disassembly,
    source: known ?? source,
    state,
    processedInstructions: processed,
  }
}

function applyState(state: Map<string, string>, text: string): void {
  for (const part of text.split(/\s+(?=(?:R\d+|fp-\d+)(?:_\w+)?=)/)) {
    const [, name, value] = /^(R\d+|fp-\d+)(?:_\w+)?=(.*)$/.exec(part.trim()) ?? []
    if (name !== undefined && value !== undefined) state.set(name, value.trim())
  }
}

const RECORD_BYTES = 16

/** Looks lines of C up in `struct bpf_line_info[]`, each of which holds until the next. */
export function sourceLookup(
  btf: Btf | undefined,
  lineInfo: Uint8Array,
): (instruction: number) => SourceLine | undefined {
  return (instruction) => {
    if (btf === undefined) return undefined
    const view = new DataView(lineInfo.buffer, lineInfo.byteOffset, lineInfo.byteLength)
    let found: number | undefined
    for (let at = 0; at + RECORD_BYTES <= lineInfo.length; at += RECORD_BYTES) {
      if (view.getUint32(at, true) > instruction) break
      found = at
    }
    if (found === undefined) return undefined
    const place = view.getUint32(found + 12, true)
    return {
      file: btf.string(view.getUint32(found + 4, true)),
      line: place >>> 10,
      column: place & 0x3ff,
      text: btf.string(view.getUint32(found + 8, true)).trim(),
    }
  }
}
