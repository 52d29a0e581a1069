/** What a program type means to the verifier: its context, its packets, what it returns. */
import type { Btf } from '../../btf/index.ts'
import type { Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import type { ReturnRange } from '../state/state.ts'

/** What a load from the context gives. */
export interface ContextValue {
  /** Base and flags. */
  readonly kind: number
  readonly btf?: Btf
  readonly btfId?: number
  readonly refObjId?: number
  /** What a security hook is going to return: within the range of what it may. */
  readonly isReturnValue?: boolean
}

export interface ContextRequest {
  readonly offset: number
  readonly size: number
  readonly isWrite: boolean
  /** A sign-extending load. */
  readonly isSigned: boolean
}

export interface ProgramKind {
  /** A load or store in the context; undefined: not allowed. */
  context(p: Proof, request: ContextRequest): ContextValue | undefined
  /** May the program, or a helper for it, reach into the packet? */
  readonly packet: 'none' | 'read' | 'write'
  /** The context is not what the kernel holds; if it is, helpers may take it as memory. */
  readonly convertsContext: boolean
  /** Stores into kernel structs; throws a refusal. */
  readonly writeStruct?: (p: Proof, register: Register, offset: number, size: number) => void
}

/** What r0 must be when a program ends; undefined: anything. */
export type ReturnRule = (p: Proof) => ReturnRange | undefined
