/** Why the generated `run` came back. The slot `pc` says where the hart stands. */
export const exitReason = {
  /** The next block is longer than what is left of the budget. */
  budget: 8,
  /** No decoded code at `fetchOffset` in RAM, which is where `pc` points. */
  decode: 9,
  /** The instruction at `pc` crosses into a page other than the one that it was decoded with. */
  crossing: 10,
  /** A block that was cut short has ended. */
  cut: 11,
  /** An environment call from S-mode; `pc` is behind it. */
  supervisorCall: 12,
  /** An ebreak at `pc`. */
  breakpoint: 13,
  /** wfi; `pc` is behind it. */
  wait: 14,
  /** A device access has changed interrupts or timers; `pc` is behind it. */
  attention: 15,
  /** The trap handler itself cannot be fetched: the hart would trap for ever. */
  fault: 16,
  /** An instruction in the watched bytes has raised an exception: `cause` and `tval`, at `pc`, not delivered yet. */
  watched: 17,
} as const

export type ExitReason = (typeof exitReason)[keyof typeof exitReason]
