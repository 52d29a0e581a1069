/**
 * Is a state covered by one from which every way on is known to be safe?
 *
 * `old` covers `current` when each live register and slot of `old` admits what `current` holds. Ids need not be the
 * same, but must be alike: what was one id in `old` must be one id in `current`.
 *
 * Source: states_equal, func_states_equal, regsafe, stacksafe, refsafe in kernel/bpf/verifier.c of Linux 6.18.
 */
import { allBytes, BASE, BYTE, baseOf } from '../domain/kinds.ts'
import { ADD_CONST, type Register, unknownScalar } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EMPTY_REGISTER, type Frame, isWholeScalarSpill, type Slot, type State } from './state.ts'

/** How much `current` may differ from `old`. */
export type Exactness = 'precise values only' | 'within ranges' | 'exact'

/** Pairs of ids that were found to correspond. */
class IdMap {
  readonly #old: number[] = []
  readonly #current: number[] = []
  #count = 0
  #temporary = 0

  /** Forgets all pairs. */
  begin(lastId: number): this {
    this.#temporary = lastId
    this.#count = 0
    return this
  }

  matches(old: number, current: number): boolean {
    if ((old !== 0) !== (current !== 0)) return false
    if (old === 0) return true
    for (let i = 0; i < this.#count; i++) {
      if (this.#old[i] === old) return this.#current[i] === current
      if (this.#current[i] === current) return false
    }
    this.#old[this.#count] = old
    this.#current[this.#count++] = current
    return true
  }

  /** A scalar without an id is like no other. */
  matchesScalar(old: number, current: number): boolean {
    if (old === 0) return true
    const b = current === 0 ? ++this.#temporary : current
    if (!this.matches(old, b)) return false
    if ((old & ADD_CONST) === 0) return true
    return this.matches(old & ~ADD_CONST, b & ~ADD_CONST)
  }
}

const isWithin = (old: Register, current: Register): boolean =>
  old.umin <= current.umin &&
  old.umax >= current.umax &&
  old.smin <= current.smin &&
  old.smax >= current.smax &&
  old.u32min <= current.u32min &&
  old.u32max >= current.u32max &&
  old.s32min <= current.s32min &&
  old.s32max >= current.s32max

const containsBits = (old: Register, current: Register): boolean =>
  (current.mask & ~old.mask) === 0n && old.value === (current.value & ~old.mask)

/** Everything but ids and numbers. */
const sameIdentity = (a: Register, b: Register): boolean =>
  a.kind === b.kind &&
  a.off === b.off &&
  a.range === b.range &&
  a.map === b.map &&
  a.mapUid === b.mapUid &&
  a.btf === b.btf &&
  a.btfId === b.btfId &&
  a.memSize === b.memSize &&
  a.dynptrType === b.dynptrType &&
  a.firstSlot === b.firstSlot &&
  a.iterState === b.iterState &&
  a.iterDepth === b.iterDepth &&
  a.irqClass === b.irqClass &&
  a.subprogram === b.subprogram

const sameNumbers = (a: Register, b: Register): boolean =>
  a.value === b.value &&
  a.mask === b.mask &&
  a.smin === b.smin &&
  a.smax === b.smax &&
  a.umin === b.umin &&
  a.umax === b.umax &&
  a.s32min === b.s32min &&
  a.s32max === b.s32max &&
  a.u32min === b.u32min &&
  a.u32max === b.u32max

/** The same, ids and frame included. */
export const sameRegister = (a: Register, b: Register): boolean =>
  a === b ||
  (sameIdentity(a, b) &&
    sameNumbers(a, b) &&
    a.id === b.id &&
    a.refObjId === b.refObjId &&
    a.dynptrId === b.dynptrId)

/** Are registers the same, but for ids that are consistently others? One for each pair of states. */
export function exactMatcher(p: Proof): (old: Register, current: Register) => boolean {
  const ids = new IdMap().begin(p.lastId)
  return (old, current) => isExact(old, current, ids)
}

const isExact = (old: Register, current: Register, ids: IdMap): boolean =>
  (old === current || (sameIdentity(old, current) && sameNumbers(old, current))) &&
  ids.matches(old.id, current.id) &&
  ids.matches(old.refObjId, current.refObjId)

function registerCovers(old: Register, current: Register, ids: IdMap, exactness: Exactness): boolean {
  if (exactness === 'exact') return isExact(old, current, ids)
  if (old.kind === BASE.NOT_INIT && (exactness === 'precise values only' || current.kind === BASE.NOT_INIT)) {
    return true
  }
  if (old.kind !== current.kind) return false
  switch (baseOf(old.kind)) {
    case BASE.SCALAR:
      if (!old.precise && exactness === 'precise values only') return true
      if (old.id !== 0 && (old.id & ADD_CONST) !== (current.id & ADD_CONST)) return false
      if ((old.id & ADD_CONST) !== 0 && old.off !== current.off) return false
      return (
        (old === current || (isWithin(old, current) && containsBits(old, current))) &&
        ids.matchesScalar(old.id, current.id)
      )
    case BASE.MAP_KEY:
    case BASE.MAP_VALUE:
    case BASE.MEM:
    case BASE.BUF:
    case BASE.TP_BUFFER:
      return (
        (old === current ||
          (sameIdentity(old, current) && isWithin(old, current) && containsBits(old, current))) &&
        ids.matches(old.id, current.id) &&
        ids.matches(old.refObjId, current.refObjId)
      )
    case BASE.PACKET_META:
    case BASE.PACKET:
      // At or beyond the end is something else than so many bytes before it, or none.
      if (old.range < 0 || current.range < 0 ? old.range !== current.range : old.range > current.range) {
        return false
      }
      if (old.off !== current.off) return false
      if (!ids.matches(old.id, current.id)) return false
      return isWithin(old, current) && containsBits(old, current)
    case BASE.STACK:
      return isExact(old, current, ids) && old.frame === current.frame
    case BASE.ARENA:
      return true
    default:
      return isExact(old, current, ids)
  }
}

const UNKNOWN = unknownScalar()

/** MISC and INVALID, and no other kind of byte, have no bit outside of these. */
const MISC_BITS = allBytes(BYTE.MISC)

/** Every byte is MISC or INVALID: a load gives an unknown scalar. */
const isAllMisc = (bytes: number): boolean => (bytes & ~MISC_BITS) === 0

/** All bits of the bytes that are neither MISC nor INVALID. */
function tellingBits(bytes: number): number {
  const bits = bytes & ~MISC_BITS
  const lowest = (bits | (bits >>> 1) | (bits >>> 2) | (bits >>> 3)) & 0x1111_1111
  return Math.imul(lowest, 0xf)
}

function asScalar(slot: Slot): Register | undefined {
  if (isWholeScalarSpill(slot)) return slot.register
  return isAllMisc(slot.bytes) ? UNKNOWN : undefined
}

function slotCovers(old: Slot, current: Slot | undefined, ids: IdMap, exactness: Exactness): boolean {
  if (old === current && old.register === EMPTY_REGISTER) return true
  if (exactness !== 'precise values only' && (current === undefined || old.bytes !== current.bytes))
    return false
  if (isAllMisc(old.bytes)) return true
  if (current === undefined) return false
  const oldScalar = asScalar(old)
  const currentScalar = oldScalar === undefined ? undefined : asScalar(current)
  if (oldScalar !== undefined && currentScalar !== undefined) {
    return registerCovers(oldScalar, currentScalar, ids, exactness)
  }
  const telling = tellingBits(old.bytes)
  if (((old.bytes ^ current.bytes) & telling) !== 0) return false
  const a = old.register
  const b = current.register
  switch ((old.bytes & telling) >>> 28) {
    case BYTE.SPILL:
      return registerCovers(a, b, ids, exactness)
    case BYTE.DYNPTR:
      return (
        a.dynptrType === b.dynptrType && a.firstSlot === b.firstSlot && ids.matches(a.refObjId, b.refObjId)
      )
    case BYTE.ITER:
      return (
        a.btf === b.btf &&
        a.btfId === b.btfId &&
        a.iterState === b.iterState &&
        ids.matches(a.refObjId, b.refObjId)
      )
    case BYTE.IRQ_FLAG:
      return ids.matches(a.refObjId, b.refObjId) && a.irqClass === b.irqClass
    default:
      return true
  }
}

function referencesCover(old: State, current: State, ids: IdMap): boolean {
  if (
    old.references.length !== current.references.length ||
    old.activeLocks !== current.activeLocks ||
    old.activePreemptLocks !== current.activePreemptLocks ||
    old.activeRcuLocks !== current.activeRcuLocks ||
    !ids.matches(old.activeIrqId, current.activeIrqId) ||
    !ids.matches(old.activeLockId, current.activeLockId) ||
    old.activeLockOwner !== current.activeLockOwner
  ) {
    return false
  }
  if (old.references.length === 0) return true
  return old.references.every((a, i) => {
    const b = current.references[i]!
    if (!ids.matches(a.id, b.id) || a.kind !== b.kind) return false
    return a.kind === 'pointer' || a.kind === 'irq' || a.owner === b.owner
  })
}

/** Slot of the instruction that frame `f` goes on from. */
export const frameInstruction = (state: State, f: number): number =>
  f === state.frames.length - 1 ? state.instruction : (state.frames[f + 1] as Frame).callsite

/** For `covers`, which is asked too often to make one each time. */
const pairs = new IdMap()

export function covers(p: Proof, old: State, current: State, exactness: Exactness): boolean {
  if (old.frames.length !== current.frames.length || old.inSleepable !== current.inSleepable) return false
  const ids = pairs.begin(p.lastId)
  if (!referencesCover(old, current, ids)) return false
  for (let f = 0; f < old.frames.length; f++) {
    const a = old.frames[f] as Frame
    const b = current.frames[f] as Frame
    if (a.callsite !== b.callsite || a.callbackDepth > b.callbackDepth) return false
    const live = p.notes.liveRegisters[frameInstruction(old, f)] as number
    for (let i = 0; i < 11; i++) {
      if ((live & (1 << i)) === 0) continue
      if (!registerCovers(a.regs[i] as Register, b.regs[i] as Register, ids, exactness)) return false
    }
    for (let i = 0; i < a.stack.length; i++) {
      if (!slotCovers(a.stack[i] as Slot, b.stack[i], ids, exactness)) return false
    }
  }
  return true
}

/** A quick look: the same registers, so that the path may be going round in a circle. */
export function mayBeLooping(old: State, current: State): boolean {
  if (old.frames.length !== current.frames.length) return false
  const a = old.current.regs
  const b = current.current.regs
  for (let i = 0; i < 11; i++) if (!sameRegister(a[i] as Register, b[i] as Register)) return false
  return true
}

/** An open-coded iterator went on in between: not an endless loop. */
export function iteratorDepthsDiffer(old: State, current: State): boolean {
  for (let f = old.frames.length - 1; f >= 0; f--) {
    const a = old.frames[f] as Frame
    for (let i = 0; i < a.stack.length; i++) {
      const slot = a.stack[i] as Slot
      if ((slot.bytes & 0xf) !== BYTE.ITER || slot.register.iterState !== 1) continue
      if ((current.frames[f] as Frame).stack[i]?.register.iterDepth !== slot.register.iterDepth) return true
    }
  }
  return false
}
