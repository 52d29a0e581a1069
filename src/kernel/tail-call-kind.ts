/**
 * What programs have in common that may call each other by a program array.
 *
 * Source: __bpf_prog_map_compatible() of kernel/bpf/core.c of Linux.
 */
import { BPF_F_XDP_HAS_FRAGS, BPF_PROG_TYPE } from '../abi/index.ts'
import type { AttachTarget, ProgramFacts } from '../verifier/index.ts'
import { runsAs } from './program-target.ts'

export interface TailCallKind {
  readonly programType: number
  readonly expectedAttachType: number
  readonly takesFragments: boolean
  readonly attachedTo: ProgramFacts['attachedTo']
  /** Whether it has the function return that it is attached to. */
  readonly overridesReturn: boolean
}

/** Types whose context is the arguments of what they attach to. */
const WITH_ARGUMENTS: readonly number[] = [
  BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE.BPF_PROG_TYPE_LSM,
  BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS,
]

interface Program {
  readonly type: { readonly type: number }
  readonly expectedAttachType: number
  /** BPF_F_* of BPF_PROG_LOAD. */
  readonly flags: number
  readonly attach: AttachTarget | undefined
  readonly attachedTo: ProgramFacts['attachedTo']
  readonly overridesReturn: boolean
}

/** An extension is of the type of what it extends, but was loaded for no attach type. */
export function tailCallKind(program: Program): TailCallKind {
  const { type, attach, expectedAttachType, flags, attachedTo, overridesReturn } = program
  return {
    programType: runsAs(type.type, attach?.program),
    expectedAttachType,
    takesFragments: (flags & BPF_F_XDP_HAS_FRAGS) !== 0,
    attachedTo,
    overridesReturn,
  }
}

export function isSameKind(a: TailCallKind, b: TailCallKind): boolean {
  const isSameFunction =
    a.attachedTo?.btf === b.attachedTo?.btf && a.attachedTo?.prototypeId === b.attachedTo?.prototypeId
  return (
    a.programType === b.programType &&
    a.expectedAttachType === b.expectedAttachType &&
    a.takesFragments === b.takesFragments &&
    (isSameFunction || !WITH_ARGUMENTS.includes(a.programType))
  )
}
