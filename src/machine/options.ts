/** What a machine is made of, and why it stops. */
import { board } from './board.ts'
import { MAX_HARTS } from './cpu/layout.ts'
import type { Hart } from './hart.ts'

export interface MachineOptions {
  /** 1 to 8; 1 where it is not given. */
  readonly harts?: number
  /** A multiple of 64 KiB; 64 MiB where it is not given. */
  readonly ramBytes?: number
  /** An ELF executable, loaded by its program headers, or a flat image, loaded at 0x8020_0000. */
  readonly kernel: { readonly elf: Uint8Array } | { readonly image: Uint8Array }
  /**
   * `sbi`: hart 0 starts in S-mode at the kernel's entry, as OpenSBI would start it, and the machine answers
   * its calls. `none`: all harts start in M-mode at the kernel's entry. a0 is the hart's number, a1 the device
   * tree's address. `sbi` where it is not given.
   */
  readonly firmware?: 'sbi' | 'none'
  readonly bootargs?: string
  readonly initrd?: Uint8Array
  /** Virtio block devices, whole sectors of 512 bytes each; at most 8. The guest writes into these arrays. */
  readonly disks?: readonly Uint8Array[]
  /** `/chosen/rng-seed`; a fixed one where it is not given, since nothing here is random. */
  readonly rngSeed?: Uint8Array
  /** What the guest writes to its console, as it comes. */
  readonly onConsole?: (bytes: Uint8Array) => void
  /** Memory for decoded code; 32 MiB where it is not given. */
  readonly codeCacheBytes?: number
}

/** Why `run` came back. */
export type StopReason =
  /** `maxInstructions` are done. */
  | { readonly kind: 'budget' }
  /** Somebody called `requestStop`. */
  | { readonly kind: 'requested' }
  /** All harts wait, and no timer is set: only input can wake them. */
  | { readonly kind: 'idle' }
  /** The guest ended it, by SBI's system reset (`reason` is its reason) or the test device (`reason` is its code). */
  | { readonly kind: 'shutdown'; readonly type: 'poweroff' | 'reboot'; readonly reason: number }
  /** An exception that nobody in the guest handles. */
  | {
      readonly kind: 'fault'
      readonly hart: number
      readonly cause: bigint
      readonly tval: bigint
      readonly pc: bigint
    }

/** A breakpoint instruction at `pc`. True: handled, go on at the hart's pc. False: it is the guest's. */
export type BreakpointHandler = (hart: Hart, pc: bigint) => boolean

/** An exception, with the hart's pc on the instruction that raised it. */
export type ExceptionHandler = (hart: Hart) => void

/** Nanoseconds of virtual time that an instruction takes. */
export const INSTRUCTION_NS = 10

const DEFAULT_RAM_BYTES = 64 << 20
const DEFAULT_CODE_CACHE_BYTES = 32 << 20
/** Room for the longest page's records. */
const LEAST_CODE_CACHE_BYTES = 256 << 10
const MEBIBYTE = 1 << 20

/** The options with their defaults. Throws a RangeError for what no machine can have. */
export function checkOptions(options: MachineOptions) {
  const harts = options.harts ?? 1
  const ramBytes = options.ramBytes ?? DEFAULT_RAM_BYTES
  if (!Number.isInteger(harts) || harts < 1 || harts > MAX_HARTS) {
    throw new RangeError(`harts must be 1 to ${MAX_HARTS}, not ${harts}`)
  }
  if (ramBytes < MEBIBYTE || ramBytes % 65536 !== 0 || ramBytes > 2 ** 32 - 256 * MEBIBYTE) {
    throw new RangeError(`ramBytes must be a multiple of 65536 from 1 MiB to 3.75 GiB, not ${ramBytes}`)
  }
  const codeCacheBytes = options.codeCacheBytes ?? DEFAULT_CODE_CACHE_BYTES
  if (codeCacheBytes < LEAST_CODE_CACHE_BYTES) {
    throw new RangeError(`codeCacheBytes must be at least ${LEAST_CODE_CACHE_BYTES}, not ${codeCacheBytes}`)
  }
  const disks = options.disks ?? []
  if (disks.length > board.virtio.count) {
    throw new RangeError(`at most ${board.virtio.count} disks, not ${disks.length}`)
  }
  return { harts, ramBytes, codeCacheBytes, disks }
}
