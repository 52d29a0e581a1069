/**
 * Whether an address may carry a breakpoint.
 *
 * Instructions of variable length have no marks, so the only way to know where they begin is to walk the function
 * from its first byte. The walk reads the text as it was before any probe: a breakpoint that lies there already
 * would hide what it replaced.
 *
 * Source: the order of the answers follows register_kprobe() and arch_prepare_kprobe() (arch/riscv) of Linux.
 */
import { EILSEQ, EINVAL, ENOENT } from '../abi/errno.ts'
import type { DecodedInstruction, ProbeArchitecture } from './architecture.ts'
import type { FunctionSymbol, ProbeManagerOptions } from './probe.ts'
import type { ProbeTarget } from './target.ts'

/** Reads text as if nothing were attached. */
export type ReadOriginal = (address: bigint, into: Uint8Array) => number

/** An lr/sc loop has at most 16 instructions, both ends included. Source: volume I, section 13.3. */
const LONGEST_EXCLUSIVE = 16

/** Text is read in pieces of this many bytes. */
const PIECE = 4096

/** The instruction at `address` that may be probed, or -errno. */
export function probeableInstruction(
  architecture: ProbeArchitecture,
  target: ProbeTarget,
  options: ProbeManagerOptions,
  readOriginal: ReadOriginal,
  address: bigint,
): DecodedInstruction | number {
  const symbol = options.symbolAt?.(address)
  if (options.symbolAt !== undefined && symbol === undefined) return -ENOENT
  if (symbol !== undefined && (!symbol.isFunction || isRefused(symbol, options))) return -EINVAL
  if (target.isUnsafeToProbe?.(address) === true || isInStepArea(target, address)) return -EINVAL
  if (address % BigInt(architecture.alignmentBytes) !== 0n) return -EILSEQ
  const found = walk(architecture, readOriginal, symbol?.address ?? address, address)
  if (typeof found === 'number') return found
  return found.action === 'refuse' ? -EINVAL : found
}

const isRefused = (symbol: FunctionSymbol, options: ProbeManagerOptions): boolean =>
  options.refused?.some((pattern) => pattern.test(symbol.name)) === true

function isInStepArea({ stepArea }: ProbeTarget, address: bigint): boolean {
  return address >= stepArea.address && address < stepArea.address + BigInt(stepArea.sizeBytes)
}

function walk(
  architecture: ProbeArchitecture,
  readOriginal: ReadOriginal,
  start: bigint,
  address: bigint,
): DecodedInstruction | number {
  const total = Number(address - start) + architecture.longestInstructionBytes
  const text = new Uint8Array(total)
  let readable = 0
  while (readable < total) {
    const piece = text.subarray(readable, Math.min(readable + PIECE, total))
    if (readOriginal(start + BigInt(readable), piece) !== 0) break
    readable += piece.length
  }
  // The last instruction may be the last of its page.
  while (readable < total) {
    const piece = text.subarray(readable, Math.min(readable + architecture.alignmentBytes, total))
    if (readOriginal(start + BigInt(readable), piece) !== 0) break
    readable += piece.length
  }

  const goal = Number(address - start)
  let at = 0
  let sinceExclusive = LONGEST_EXCLUSIVE
  for (;;) {
    const instruction = architecture.decode(text.subarray(at, readable))
    if (instruction === undefined) return -EINVAL
    if (at === goal) return sinceExclusive < LONGEST_EXCLUSIVE ? -EINVAL : instruction
    if (instruction.exclusive === 'begin') sinceExclusive = 0
    if (instruction.exclusive === 'end') sinceExclusive = LONGEST_EXCLUSIVE
    sinceExclusive++
    at += instruction.lengthBytes
    if (at > goal) return -EILSEQ
  }
}
