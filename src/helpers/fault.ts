import type { HelperFault } from './environment.ts'

/**
 * Why a run could not go on, in either engine: what a verifier would have refused, or a limit. `pc` is a slot of the
 * program.
 */
export type Fault = { readonly pc: number } & (
  | {
      readonly kind: 'memory'
      readonly address: bigint
      readonly sizeBytes: number
      readonly access: 'read' | 'write'
    }
  /** The instruction budget was used up. */
  | { readonly kind: 'budget'; readonly budget: number }
  /** A helper was passed a bad pointer. */
  | { readonly kind: 'helper'; readonly id: number; readonly cause: HelperFault }
  | { readonly kind: 'unknown-helper'; readonly id: number }
  | { readonly kind: 'unknown-kfunc'; readonly btfId: number; readonly btfIndex: number }
  | { readonly kind: 'unknown-instruction'; readonly opcode: number }
  /** Calls nested deeper than the engines have frames. */
  | { readonly kind: 'call-depth'; readonly depth: number }
  /** A callback or indirect call to what is no subprogram of the running program. */
  | { readonly kind: 'not-a-function'; readonly address: bigint }
  /** A program that stands for one of its functions could not go on; `pc` is where that function begins. */
  | { readonly kind: 'hook'; readonly reason: string }
  | { readonly kind: 'no-packet' }
  /** Execution ran past the last instruction. */
  | { readonly kind: 'out-of-program' }
  /** The arena has no room for another stack. */
  | { readonly kind: 'no-memory' }
)

/** One line in plain words. */
export function describeFault(fault: Fault): string {
  return `instruction ${fault.pc}: ${reason(fault)}`
}

function reason(fault: Fault): string {
  switch (fault.kind) {
    case 'memory':
      return `invalid ${fault.access} of ${fault.sizeBytes} bytes at 0x${fault.address.toString(16)}`
    case 'budget':
      return `the budget of ${fault.budget} instructions is used up`
    case 'helper':
      return `helper ${fault.id}, argument ${fault.cause.argument}: ${fault.cause.reason}`
    case 'unknown-helper':
      return `unknown helper ${fault.id}`
    case 'unknown-kfunc':
      return `unknown kernel function ${fault.btfId} of BTF descriptor ${fault.btfIndex}`
    case 'unknown-instruction':
      return `unknown instruction, opcode 0x${fault.opcode.toString(16).padStart(2, '0')}`
    case 'call-depth':
      return `calls are nested ${fault.depth} deep`
    case 'not-a-function':
      return `0x${fault.address.toString(16)} is no subprogram of the running program`
    case 'hook':
      return fault.reason
    case 'no-packet':
      return 'legacy packet access where there is no packet'
    case 'out-of-program':
      return 'execution ran past the last instruction'
    case 'no-memory':
      return 'the arena has no room for a stack'
  }
}
