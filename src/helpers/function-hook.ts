/** What may stand where a function of a program is called: a program that replaces it, or programs around it. */

/** Why the run that made the call cannot go on. */
export interface HookFault {
  readonly kind: 'fault'
  readonly reason: string
}

export interface FunctionHook {
  /** How many of r1 to r5 the function takes, as its type says; it may look at fewer. */
  readonly argumentCount: number
  /**
   * Called with r1 to r5, gives r0. `proceed` runs the function itself with them, once, and gives its r0; undefined where
   * the whole run is at an end: then what is given does not matter.
   */
  call(args: readonly bigint[], proceed: () => bigint | undefined): bigint | HookFault
}

/** By the slot of the function's first instruction. */
export type FunctionHooks = ReadonlyMap<number, FunctionHook>
