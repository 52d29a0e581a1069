/** What a proof found out about the instructions of a program, for whoever makes it runnable. */
import type { Btf } from '../btf/index.ts'
import { BASE } from './domain/kinds.ts'
import type { Proof } from './proof.ts'

/** A part of the program that is called: slots `start` to `end`, the latter excluded. */
export interface SlotRange {
  readonly start: number
  readonly end: number
}

/** What a call of a kernel function works on, where its arguments do not say. */
export interface KfuncCallFacts {
  /** Struct of the program's types that is allocated. */
  readonly allocated?: { readonly btf: Btf; readonly btfId: number; readonly isPerCpu: boolean }
  /** Where in the object the node lies that goes into a list or tree. */
  readonly nodeOffset?: number
}

/** A function of the program, as far as others may attach to it. */
export interface ProvedFunction {
  /** Slot of its first instruction. */
  readonly start: number
  /** FUNC in the program's types. */
  readonly typeId: number
  /** Callers pass what its type says: nothing else is known of it where they do not. */
  readonly isReliable: boolean
  readonly isExceptionCallback: boolean
  readonly changesPacket: boolean
  readonly mightSleep: boolean
}

export interface ProgramFacts {
  /** In the order of their starts; the first is the program's entry. */
  readonly subprograms: readonly SlotRange[]
  /** 1 for each slot that some path reaches. */
  readonly reached: Uint8Array
  /** Whether the program ever looks at the register that holds its context. */
  readonly usesContext: boolean
  /** Slots whose loads and stores go through the context. */
  readonly contextAccesses: ReadonlySet<number>
  /**
   * Slots whose loads may reach memory of the operating system's kernel: through a pointer that its types describe, or
   * to one of its variables. They must ask where the address leads, and give 0 where it leads nowhere.
   */
  readonly foreignLoads: ReadonlySet<number>
  /** Slots that access memory of an arena map. */
  readonly arenaAccesses: ReadonlySet<number>
  /** Slots of arithmetic on pointers into an arena, which is done on the low 32 bits. */
  readonly arenaArithmetic: ReadonlySet<number>
  /** By the slot of the call. */
  readonly kfuncCalls: ReadonlyMap<number, KfuncCallFacts>
  /** How many bytes of the buffers that it is given, as an iterator's keys and values, the program touches. */
  readonly bufferBytes: { readonly readOnly: number; readonly writable: number }
  /** Slot of the subprogram that exceptions go to; undefined: there is none. */
  readonly exceptionCallback: number | undefined
  /** The type of the function that the program is for, where that has one. */
  readonly attachedTo: { readonly btf: Btf; readonly prototypeId: number } | undefined
  /** Those that the program's types name and some path reaches; Linux has removed the others. */
  readonly functions: readonly ProvedFunction[]
}

/** Where in `marks` the value is: few have it, if any. */
function slotsWith(marks: Uint8Array | Int32Array, value: number): Set<number> {
  const found = new Set<number>()
  for (let slot = marks.indexOf(value); slot >= 0; slot = marks.indexOf(value, slot + 1)) found.add(slot)
  return found
}

/** Bit of r1. */
const CONTEXT_REGISTER = 1 << 1

export function factsOf({
  input,
  notes,
  subprograms,
  length,
  exceptionCallback,
  target,
}: Proof): ProgramFacts {
  return {
    subprograms: subprograms.map(({ start, end }) => ({ start, end })),
    usesContext: ((notes.liveRegisters[0] ?? 0) & CONTEXT_REGISTER) !== 0,
    reached: notes.seen.subarray(0, length),
    contextAccesses: slotsWith(notes.pointerKind, BASE.CTX),
    foreignLoads: slotsWith(notes.foreignLoad, 1),
    arenaAccesses: slotsWith(notes.pointerKind, BASE.ARENA),
    arenaArithmetic: slotsWith(notes.arenaArithmetic, 1),
    kfuncCalls: notes.kfuncCalls,
    bufferBytes: notes.bufferBytes,
    exceptionCallback: exceptionCallback === 0 ? undefined : subprograms[exceptionCallback]?.start,
    attachedTo:
      target?.prototype === undefined ? undefined : { btf: target.btf, prototypeId: target.prototype.id },
    functions:
      input.functions.length === 0
        ? []
        : subprograms
            .filter(({ start, end }) => notes.seen.subarray(start, end).includes(1))
            .map((s) => ({
              start: s.start,
              typeId: s.typeId,
              isReliable: !s.argumentsAreUnreliable,
              isExceptionCallback: s.isExceptionCallback,
              changesPacket: s.changesPacket,
              mightSleep: s.mightSleep,
            })),
  }
}
