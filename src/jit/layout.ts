/**
 * The block of arena memory that one run needs, for compiled code and for the JavaScript that serves it.
 *
 *     0            arguments of the call that is being made, its result, and what a run counts
 *     FRAMES       the stacks of 239 frames, the first one highest, with gaps that no program may touch
 *
 * A program has 8 frames at most, of which the first is the one that the tail call to it was made in: each of 33 tail
 * calls finds 7 more. What a verifier has accepted is not checked for that while it runs.
 *
 * Blocks are aligned to their size, so that the block of a frame is `frame & -RUN_BYTES`. Compiled code passes the offset
 * of a frame's stack from function to function; r10 is 512 more.
 */

export const STACK_BYTES = 512
export const MAX_FRAMES = 8
export const MAX_TAIL_CALLS = 33
const ALL_FRAMES = MAX_FRAMES + MAX_TAIL_CALLS * (MAX_FRAMES - 1)
export const MAX_MAY_GOTO = 8 * 1024 * 1024

export const RUN_BYTES = 128 * 1024
const GAP_BYTES = 8
/** From a frame to the one that it calls, downward. */
export const FRAME_STEP = STACK_BYTES + GAP_BYTES

/** Offsets in the block; words of 32 bits unless said otherwise. */
export const runBlock = {
  /** r1 to r5, 64 bits each. */
  arguments: 0,
  /** r0, 64 bits. */
  result: 40,
  /** The caller's frame, while a helper runs. */
  frame: 48,
  /** The CPU that the run is on. */
  cpu: 52,
  tailCalls: 56,
  /** Instructions that the run may still execute, signed. */
  fuel: 60,
  /** The last frame that the running program may have. */
  lastFrame: 64,
} as const

export const FRAMES = 128
export const FRAMES_BYTES = ALL_FRAMES * FRAME_STEP

/** Offset in the block of the stack of the first frame. */
export const FIRST_FRAME = FRAMES + (ALL_FRAMES - 1) * FRAME_STEP
/** The last frame of a program that begins in `frame`. */
export const lastFrameFrom = (frame: number): number => frame - (MAX_FRAMES - 1) * FRAME_STEP
