/**
 * Writing a relocation's number into its instruction.
 *
 * Where the number goes follows from the instruction: the immediate of an ALU operation, the offset of a load or
 * store, the two immediates of `ldimm64`. A load or store also takes the target's width, where that is safe:
 * pointers and unsigned integers, which a load extends by zeros.
 */
import type { Btf } from '../btf.ts'
import { BTF_INT, BTF_KIND } from '../kinds.ts'
import type { BtfId } from '../types.ts'

const SLOT_BYTES = 8

/** Classes of opcodes, and the bits that matter here. Source: RFC 9669 sections 3 and 4. */
const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, ALU64: 7 } as const
const SOURCE_REGISTER = 0x08
const LDIMM64 = 0x18
const CALL = 0x85
const MAX_OFFSET = 0x7fff

/** Bits 3 and 4 of a load or store by the bytes that it moves. */
const SIZE_BITS: Readonly<Record<number, number>> = { 4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18 }

/**
 * The number of a helper that no kernel has: what stands in place of an instruction that must not run. A verifier
 * that meets it says `invalid func unknown#195896080`, which is 0xbad2310, "bad relo".
 */
export const POISON_HELPER = 195_896_080

/** What an instruction is to become. */
export type CorePatch =
  | { readonly kind: 'poison' }
  | {
      readonly kind: 'number'
      /** What the compiler wrote, unsigned 64 bits; `undefined` where it may be anything. */
      readonly expected: bigint | undefined
      /** Unsigned, 64 bits. */
      readonly value: bigint
      /** Widths of a load or store, where they differ; `isSafe` says whether the instruction may change. */
      readonly width: { readonly from: number; readonly to: number; readonly isSafe: boolean } | undefined
    }

/** Why an instruction cannot be patched. */
export interface PatchFailure {
  readonly code: 'bad-instruction' | 'out-of-range'
  readonly reason: string
}

/** What became of an instruction; on a failure it is as it was. */
type Patched = 'patched' | 'poisoned' | PatchFailure

/** Patches the instruction at `slot` in place. */
export function patchInstruction(
  instructions: Uint8Array,
  slot: number,
  patch: CorePatch,
  little: boolean,
): Patched {
  const at = slot * SLOT_BYTES
  if (at + SLOT_BYTES > instructions.length)
    return bad(`expected an instruction, found the end of the ${instructions.length / SLOT_BYTES}`)
  const code = new InstructionEditor(instructions, at, little)
  const isWide = code.opcode === LDIMM64
  if (isWide && at + 2 * SLOT_BYTES > instructions.length) return bad('expected a second slot of ldimm64')
  if (patch.kind === 'poison') return poison(code, isWide)
  switch (code.opcode & 7) {
    case CLASS.ALU:
    case CLASS.ALU64:
      return patchImmediate(code, patch)
    case CLASS.LDX:
    case CLASS.ST:
    case CLASS.STX:
      return patchMemory(code, patch)
    case CLASS.LD:
      return patchWide(code, patch)
    default:
      return bad(`expected an ALU operation, a load or a store, found opcode 0x${code.opcode.toString(16)}`)
  }
}

type NumberPatch = Extract<CorePatch, { kind: 'number' }>

function patchImmediate(code: InstructionEditor, patch: NumberPatch): Patched {
  if ((code.opcode & SOURCE_REGISTER) !== 0)
    return bad('expected an operation on a number, found one on a register')
  const failure = checkOld(patch, BigInt(code.immediate(0)))
  if (failure !== undefined) return failure
  code.setImmediate(0, Number(BigInt.asIntN(32, patch.value)))
  return 'patched'
}

function patchMemory(code: InstructionEditor, patch: NumberPatch): Patched {
  const failure = checkOld(patch, BigInt(code.offset))
  if (failure !== undefined) return failure
  if (patch.value > BigInt(MAX_OFFSET)) {
    return {
      code: 'out-of-range',
      reason: `expected an offset of at most ${MAX_OFFSET}, found ${patch.value}`,
    }
  }
  const { width } = patch
  if (width !== undefined) {
    // A signed number of another width would be read wrongly: the instruction must not run.
    if (!width.isSafe) return poison(code, false)
    const size = SIZE_BITS[width.to]
    if (SIZE_BITS[width.from] !== (code.opcode & 0x18))
      return bad(
        `expected a load or store of ${width.from} bytes, found opcode 0x${code.opcode.toString(16)}`,
      )
    if (size === undefined) return bad(`expected a field of 1, 2, 4 or 8 bytes, found ${width.to}`)
    code.opcode = (code.opcode & ~0x18) | size
  }
  code.offset = Number(patch.value)
  return 'patched'
}

function patchWide(code: InstructionEditor, patch: NumberPatch): Patched {
  if (!code.isPlainWide()) return bad('expected ldimm64 of a plain number')
  const old = (BigInt(code.immediate(1)) << 32n) | BigInt(code.immediate(0) >>> 0)
  const failure = checkOld(patch, old)
  if (failure !== undefined) return failure
  code.setImmediate(0, Number(BigInt.asIntN(32, patch.value)))
  code.setImmediate(1, Number(BigInt.asIntN(32, patch.value >> 32n)))
  return 'patched'
}

function checkOld(patch: NumberPatch, found: bigint): PatchFailure | undefined {
  const { expected } = patch
  if (expected === undefined || BigInt.asUintN(64, found) === expected) return undefined
  return bad(`expected an instruction with the number ${expected}, found ${found}`)
}

function poison(code: InstructionEditor, isWide: boolean): 'poisoned' {
  // The second half, too: alone it would be an opcode 0, which confuses verifiers.
  for (let half = 0; half < (isWide ? 2 : 1); half++) code.setCall(half, POISON_HELPER)
  return 'poisoned'
}

const bad = (reason: string): PatchFailure => ({ code: 'bad-instruction', reason })

/**
 * Whether a load of `local` may become a load of `target`, another width: for pointers and for integers that are
 * extended by zeros.
 */
export function isWidthAdjustable(local: Btf, localId: BtfId, target: Btf, targetId: BtfId): boolean {
  const [ours, theirs] = [local.typeById(localId), target.typeById(targetId)]
  if (ours.kind === BTF_KIND.PTR && theirs.kind === BTF_KIND.PTR) return true
  return isZeroExtended(ours) && isZeroExtended(theirs)
}

function isZeroExtended(type: ReturnType<Btf['typeById']>): boolean {
  if (type.kind !== BTF_KIND.INT) return false
  const encoding =
    (type.isSigned ? BTF_INT.SIGNED : 0) | (type.isChar ? BTF_INT.CHAR : 0) | (type.isBool ? BTF_INT.BOOL : 0)
  return encoding !== BTF_INT.SIGNED
}

/** Fields of the slots from one instruction on: | opcode (8) | registers (8) | offset (16) | immediate (32) |. */
class InstructionEditor {
  readonly #view: DataView
  readonly #little: boolean

  constructor(instructions: Uint8Array, at: number, little: boolean) {
    this.#view = new DataView(instructions.buffer, instructions.byteOffset + at)
    this.#little = little
  }

  get opcode(): number {
    return this.#view.getUint8(0)
  }

  set opcode(value: number) {
    this.#view.setUint8(0, value)
  }

  get offset(): number {
    return this.#view.getInt16(2, this.#little)
  }

  set offset(value: number) {
    this.#view.setInt16(2, value, this.#little)
  }

  /** Signed. */
  immediate(half: number): number {
    return this.#view.getInt32(half * SLOT_BYTES + 4, this.#little)
  }

  setImmediate(half: number, value: number): void {
    this.#view.setInt32(half * SLOT_BYTES + 4, value, this.#little)
  }

  setCall(half: number, helper: number): void {
    this.#view.setUint8(half * SLOT_BYTES, CALL)
    this.#view.setUint8(half * SLOT_BYTES + 1, 0)
    this.#view.setUint16(half * SLOT_BYTES + 2, 0)
    this.setImmediate(half, helper)
  }

  /** `ldimm64` of a number: no source register, no offset, a second slot with nothing but its immediate. */
  isPlainWide(): boolean {
    if (this.opcode !== LDIMM64) return false
    const source = this.#little ? this.#view.getUint8(1) >> 4 : this.#view.getUint8(1) & 15
    return source === 0 && this.offset === 0 && this.#view.getUint32(SLOT_BYTES) === 0
  }
}
