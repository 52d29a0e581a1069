/** What came of attaching one program. */
export interface Outcome {
  readonly name: string
  /** How often it ran while it was attached, and when it was not any more. */
  readonly runs?: number
  readonly runsAfterwards?: number
  /** What `link list` says of it. */
  readonly listed?: string
  /** What a program gave before another was attached to it, meanwhile, and afterwards. */
  readonly answers?: readonly number[]
  /** Why it was not attached. */
  readonly error?: string
}

/** A program that only one of two kernels takes, with what the other one says. */
export interface Difference {
  readonly object: string
  readonly program: string
  readonly ours?: string
  readonly linux?: string
}

/** What two kernels made of the programs of objects, but for those of which they differ. */
export interface ToolCounts {
  objects: number
  programs: number
  takenByBoth: number
  refusedByBoth: number
  /** Linux did not look at it. */
  notAllowed: number
}
