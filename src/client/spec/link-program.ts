/**
 * Joining a program with the functions that it reaches.
 *
 * Rules, the same as libbpf's, so that offsets and logs agree with what is known from Linux: code is read from
 * the start; a function that is met for the first time (called, or its address taken) goes to the end of the
 * program, and is read right then, before the rest of its caller. Calls and function addresses then count slots
 * from the next instruction. Function and line records follow their code. The program's own lack of records
 * means that none are given; a subprogram's lack drops function records as a whole, since the kernel wants one
 * for each function or none.
 */
import { BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC } from '../../abi/bpf.ts'
import type { CoreRelocation } from '../../btf/index.ts'
import { exceptionCallback } from './exception-callback.ts'
import { ObjectError } from './object-error.ts'
import { SLOT_BYTES, Slots } from './slots.ts'
import type { CollectionSpec, FunctionSpec, LinkedProgram, LinkReference } from './types.ts'

/** BPF_MAX_SUBPROGS of the kernel. */
const MAX_FUNCTIONS = 256
/** BPF_COMPLEXITY_LIMIT_INSNS: the kernel takes no larger program. */
const MAX_SLOTS = 1_000_000

interface Placed {
  readonly function: FunctionSpec
  /** Slot in the program. */
  readonly start: number
}

/** The program called `programName` with all that it calls, in one stretch of instructions. */
export function linkProgram(spec: CollectionSpec, programName: string): LinkedProgram | ObjectError {
  const program = spec.programs.find((one) => one.name === programName)
  if (program === undefined) {
    const known = spec.programs.map((one) => one.name).join(', ') || 'none'
    return new ObjectError(
      'unknown-program',
      `expected a program of this object (${known}), found '${programName}'`,
    )
  }
  const placed = place(spec, program)
  if (placed instanceof ObjectError) return placed
  const last = placed.at(-1) as Placed
  const slotCount = last.start + last.function.instructions.length / SLOT_BYTES
  const instructions = new Uint8Array(slotCount * SLOT_BYTES)
  for (const { function: one, start } of placed) instructions.set(one.instructions, start * SLOT_BYTES)
  return {
    name: program.name,
    program,
    instructions,
    references: patchCalls(spec, placed, new Slots(instructions, spec.byteOrder === 'little')),
    functions: placed,
    funcInfo: funcInfo(spec, placed),
    lineInfo: lineInfo(spec, placed),
    coreRelocations: coreRelocations(placed),
  }
}

/** Two functions with one place in the file are one: its key. */
const keyOf = (one: FunctionSpec): string => `${one.sectionIndex}+${one.sectionOffset}`

function place(spec: CollectionSpec, program: FunctionSpec): readonly Placed[] | ObjectError {
  const placed: Placed[] = []
  const seen = new Set<string>()
  let end = 0
  const add = (one: FunctionSpec): void => {
    seen.add(keyOf(one))
    placed.push({ function: one, start: end })
    end += one.instructions.length / SLOT_BYTES
  }
  // The functions being read, each with its next relocation: an explicit stack, as depth is up to the file.
  const reading: { one: FunctionSpec; next: number }[] = [{ one: program, next: 0 }]
  const handler = exceptionCallback(spec, program)
  add(program)
  for (let top = reading.at(-1); top !== undefined; top = reading.at(-1)) {
    const relocation = top.one.relocations[top.next++]
    if (relocation === undefined) {
      reading.pop()
      // Nothing calls it: it goes behind all that is called.
      if (reading.length === 0 && handler !== undefined && !seen.has(keyOf(handler))) {
        add(handler)
        reading.push({ one: handler, next: 0 })
      }
      continue
    }
    if (relocation.kind !== 'call' && relocation.kind !== 'functionAddress') continue
    const callee = spec.functions[relocation.callee] as FunctionSpec
    if (seen.has(keyOf(callee))) continue
    add(callee)
    reading.push({ one: callee, next: 0 })
    if (placed.length > MAX_FUNCTIONS || end > MAX_SLOTS) {
      const reason = `expected at most ${MAX_FUNCTIONS} functions and ${MAX_SLOTS} instructions, found more`
      return new ObjectError('too-large', reason, { program: program.name })
    }
  }
  return placed
}

/** Writes call distances into `slots`; returns what needs a kernel. */
function patchCalls(spec: CollectionSpec, placed: readonly Placed[], slots: Slots): readonly LinkReference[] {
  const starts = new Map(placed.map(({ function: one, start }) => [keyOf(one), start]))
  const references: LinkReference[] = []
  for (const { function: one, start } of placed) {
    for (const relocation of one.relocations) {
      const instruction = start + relocation.instruction
      if (relocation.kind === 'call' || relocation.kind === 'functionAddress') {
        const callee = spec.functions[relocation.callee] as FunctionSpec
        slots.setSource(instruction, relocation.kind === 'call' ? BPF_PSEUDO_CALL : BPF_PSEUDO_FUNC)
        slots.setImmediate(instruction, (starts.get(keyOf(callee)) as number) - instruction - 1)
      } else {
        references.push({ ...relocation, instruction })
      }
    }
  }
  return references
}

function funcInfo(spec: CollectionSpec, placed: readonly Placed[]): Uint8Array {
  const recordBytes = 8
  if (placed.some(({ function: one }) => one.btfFunction === undefined)) return new Uint8Array(0)
  const bytes = new Uint8Array(placed.length * recordBytes)
  const view = new DataView(bytes.buffer)
  const little = spec.byteOrder === 'little'
  placed.forEach(({ function: one, start }, i) => {
    view.setUint32(i * recordBytes, start, little)
    view.setUint32(i * recordBytes + 4, one.btfFunction as number, little)
  })
  return bytes
}

function lineInfo(spec: CollectionSpec, placed: readonly Placed[]): Uint8Array {
  const recordBytes = 16
  // The kernel wants a line for the first instruction of every function, or no lines.
  if (placed.some(({ function: one }) => one.lineInfos[0]?.instructionOffset !== 0)) return new Uint8Array(0)
  let count = 0
  for (const { function: one } of placed) count += one.lineInfos.length
  const bytes = new Uint8Array(count * recordBytes)
  const view = new DataView(bytes.buffer)
  const little = spec.byteOrder === 'little'
  let at = 0
  for (const { function: one, start } of placed) {
    for (const line of one.lineInfos) {
      view.setUint32(at, start + line.instructionOffset, little)
      view.setUint32(at + 4, line.fileNameOffset, little)
      view.setUint32(at + 8, line.lineOffset, little)
      view.setUint32(at + 12, ((line.lineNumber << 10) | line.column) >>> 0, little)
      at += recordBytes
    }
  }
  return bytes
}

function coreRelocations(placed: readonly Placed[]): readonly CoreRelocation[] {
  return placed.flatMap(({ function: one, start }) =>
    one.coreRelocations.map((record) => ({ ...record, instructionOffset: start + record.instructionOffset })),
  )
}
