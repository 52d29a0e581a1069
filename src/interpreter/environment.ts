import type { HelperFault, Thrown } from '../helpers/index.ts'
import type { PreparedProgram } from './prepared.ts'

/** A helper that ends the program by continuing with another one, as `bpf_tail_call` does. */
export interface TailCall {
  readonly tailCall: PreparedProgram
}

/** What a helper may ask of the run that called it. */
export interface HelperContext {
  /** The program that runs, and the slot of the call. */
  readonly program: PreparedProgram
  readonly pc: number
  /**
   * Calls the subprogram at `address` (what a `lddw_function` instruction loaded), with five arguments, and
   * returns its r0. Undefined where it could not run to its end: the helper then returns anything at once, since
   * the whole run ends with that fault.
   */
  callback(
    address: bigint,
    r1: bigint,
    r2?: bigint,
    r3?: bigint,
    r4?: bigint,
    r5?: bigint,
  ): bigint | undefined
}

/**
 * The body of a helper or kernel function: five unsigned 64-bit arguments, of which it uses what it needs. It gives
 * r0 (any integer, wrapped to 64 bits), or a reason not to go on after the call.
 */
export type HelperFunction = (
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
  context: HelperContext,
) => bigint | HelperFault | TailCall | Thrown

/** What programs find around them; the kernel supplies it. */
export interface Environment {
  /** The helper with this number; undefined where there is none, which is a fault when it is called. */
  helper(id: number): HelperFunction | undefined
  /** The kernel function with this BTF id in the BTF descriptor at `btfIndex`. Absent: there are none. */
  kfunc?(btfId: number, btfIndex: number): HelperFunction | undefined
  /**
   * Copies from where a typed kernel pointer leads, in the arena or in the operating system's memory: 0, or -errno.
   * Absent: nowhere.
   */
  readForeign?(address: bigint, into: Uint8Array): number
  /**
   * Legacy packet access: the big-endian unsigned value of `sizeBytes` bytes at `offset` of the packet whose context
   * r6 points to. Undefined outside the packet: the program then returns 0. Absent: no program may use it.
   */
  packet?(context: bigint, offset: number, sizeBytes: 1 | 2 | 4): number | undefined
}
