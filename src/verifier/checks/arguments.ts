/**
 * Arguments of helpers against the prototype table.
 *
 * Source: check_func_arg, check_reg_type, check_func_arg_reg_off in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_F_INNER_MAP, BPF_MAP_TYPE } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import type { HelperArgument } from '../../helpers/index.ts'
import { BASE, BYTE, byteAt, FLAG } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import type { MapSpec } from '../program.ts'
import { isAllocatedObject, isNull, isPacketPointer, type Proof } from '../proof.ts'
import { FIELD_NAMES, fieldAt, hasField, KPTR_KINDS } from '../records/records.ts'
import { EACCES, EINVAL } from '../refusal.ts'
import { markPrecise, markSlotPrecise } from '../state/precision.ts'
import { isScalarSpill, type Slot } from '../state/state.ts'
import { argumentKind, BTF_ID, type CallFacts, checkKind, HELPER } from './argument-kinds.ts'
import { checkDynptrArgument, dynptrBehind } from './dynptr-arguments.ts'
import { checkHelperMemory, checkSizedMemory } from './helper-memory.ts'
import { checkLock } from './locks.ts'
import { checkMapValue } from './map-value.ts'
import { checkAlignment, checkUnmodified, mayAccessPacket } from './region.ts'

const MOVABLE: ReadonlySet<number> = new Set([
  BASE.STACK,
  BASE.PACKET,
  BASE.PACKET_META,
  BASE.MAP_KEY,
  BASE.MAP_VALUE,
  BASE.MEM,
  BASE.MEM | FLAG.RDONLY,
  BASE.MEM | FLAG.RINGBUF,
  BASE.BUF,
  BASE.BUF | FLAG.RDONLY,
  BASE.ARENA,
  BASE.SCALAR,
])

const FIXED_OFFSET: ReadonlySet<number> = new Set([
  BTF_ID,
  BTF_ID | FLAG.ALLOC,
  BTF_ID | FLAG.TRUSTED,
  BTF_ID | FLAG.RCU,
  BTF_ID | FLAG.ALLOC | FLAG.NON_OWNING,
  BTF_ID | FLAG.ALLOC | FLAG.NON_OWNING | FLAG.RCU,
])

/** May a pointer of this kind be moved before it is passed? */
export function checkArgumentOffset(
  p: Proof,
  r: Register,
  n: number,
  isRelease: boolean,
  isDynptr: boolean,
): void {
  if (isRelease) {
    if (isDynptr && r.kind === BASE.STACK) return
    if (r.off !== 0) {
      throw p.refuse(
        EINVAL,
        `R${n} must have zero offset when passed to release func or trusted arg to kfunc`,
      )
    }
    checkUnmodified(p, r, n, false)
    return
  }
  if (MOVABLE.has(r.kind)) return
  checkUnmodified(p, r, n, FIXED_OFFSET.has(r.kind))
}

/** Whether all elements are there, and how many is known: inner maps may be replaced by longer or shorter ones. */
const hasKnownLength = ({ type, flags }: MapSpec): boolean =>
  (type === BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY || type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY) &&
  (flags & BPF_F_INNER_MAP) === 0

/** A key whose bytes are known: an array look-up with it cannot fail. */
function constantKey(p: Proof, r: Register, size: number): bigint {
  if (r.kind !== BASE.STACK || r.mask !== 0n) return -1n
  const offset = r.off + Number(BigInt.asIntN(32, r.value))
  const at = -offset - 1
  const index = Math.trunc(at / 8)
  const slot = p.frameOf(r).stack[index]
  if (slot === undefined) return -1n
  const start = at % 8
  const run = (byte: number): number => {
    let count = 0
    for (let i = start; i >= 0 && byteAt(slot.bytes, i) === byte; i--) count++
    return count
  }
  if (run(BYTE.ZERO) >= size) return 0n
  if (!isScalarSpill(slot as Slot) || run(BYTE.SPILL) !== size || slot.register.mask !== 0n) return -1n
  markSlotPrecise(p, r.frame, index)
  return BigInt.asIntN(64, slot.register.value)
}

export function checkConstantString(p: Proof, r: Register, n: number): void {
  const map = r.map as MapSpec
  if (!map.frozen || (map.flags & 0x80) === 0) {
    throw p.refuse(EACCES, `R${n} does not point to a readonly map'`)
  }
  if (r.mask !== 0n) throw p.refuse(EACCES, `R${n} is not a constant address'`)
  if (map.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY || map.maxEntries !== 1) {
    throw p.refuse(EACCES, 'no direct value access support for this map type')
  }
  checkMapValue(p, n, r.off, map.valueSize - r.off, false, false)
  const at = r.off + Number(r.value)
  if (map.value === undefined || map.value.indexOf(0, at) < 0) {
    throw p.refuse(EINVAL, 'string is not zero-terminated')
  }
}

/** The map and instance that a pointer into a value names. */
export interface MapPlace {
  map: MapSpec | undefined
  mapUid: number
}

/** A pointer to a timer, work queue or task work in a map value. */
export function checkMapField(
  p: Proof,
  r: Register,
  n: number,
  kind: 'timer' | 'wq' | 'task_work',
  facts: MapPlace,
): void {
  const map = r.map as MapSpec
  const name = FIELD_NAMES[kind]
  if (r.mask !== 0n) {
    throw p.refuse(EINVAL, `R${n} doesn't have constant offset. ${name} has to be at the constant offset`)
  }
  if (map.btf === undefined) {
    throw p.refuse(EINVAL, `map '${map.name}' has to have BTF in order to use ${name}`)
  }
  const field = p.records.ofMap(map)?.fields.find((f) => f.kind === kind)
  if (field === undefined) throw p.refuse(EINVAL, `map '${map.name}' has no valid ${name}`)
  const at = r.off + Number(r.value)
  if (field.offset !== at) {
    throw p.refuse(EINVAL, `off ${at} doesn't point to 'struct ${name}' that is at ${field.offset}`)
  }
  facts.map = map
  facts.mapUid = r.mapUid
}

function checkKptrDestination(p: Proof, r: Register, n: number, facts: CallFacts): void {
  if (!isAllocatedObject(r.kind)) {
    const map = r.map as MapSpec
    if (map.btf === undefined) {
      throw p.refuse(EINVAL, `map '${map.name}' has to have BTF in order to use bpf_kptr_xchg`)
    }
    facts.map = map
  }
  const record = p.records.of(r)
  if (r.mask !== 0n) {
    throw p.refuse(EINVAL, `R${n} doesn't have constant offset. kptr has to be at the constant offset`)
  }
  if (!hasField(record, 'kptr_unref', 'kptr_ref', 'kptr_percpu')) {
    throw p.refuse(EINVAL, `R${n} has no valid kptr`)
  }
  const at = r.off + Number(r.value)
  const field = fieldAt(record, at, KPTR_KINDS)
  if (field === undefined) throw p.refuse(EACCES, `off=${at} doesn't point to kptr`)
  if (field.kind === 'kptr_unref') throw p.refuse(EACCES, `off=${at} kptr isn't referenced kptr`)
  facts.kptr = field
}

/** Checks argument `index` (from 0) of a call. */
export function checkArgument(
  p: Proof,
  index: number,
  takes: readonly HelperArgument[],
  facts: CallFacts,
): void {
  const n = index + 1
  let argument = argumentKind(takes[index] as HelperArgument)
  const r = p.checkReadable(n)
  if (argument.type === 'ARG_ANYTHING') return
  if (isPacketPointer(r) && !mayAccessPacket(p, false, facts.packetAccess)) {
    throw p.refuse(EACCES, 'helper access to the packet is not allowed')
  }
  if (argument.type === 'ARG_PTR_TO_MAP_VALUE') {
    const type = facts.map?.type
    if (type === BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKMAP || type === BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKHASH) {
      argument = { ...argument, type: 'ARG_PTR_TO_BTF_ID_SOCK_COMMON' }
    } else if (type === BPF_MAP_TYPE.BPF_MAP_TYPE_BLOOM_FILTER && facts.id === 89) {
      argument = { ...argument, uninitialised: false, writes: false }
    }
  }
  if (!(isNull(r) && argument.maybeNull)) {
    const wanted =
      argument.btfType !== undefined && argument.btfType !== '*'
        ? p.kernel?.find(argument.btfType, BTF_KIND.STRUCT)
        : undefined
    checkKind(p, n, argument, wanted, facts)
    checkArgumentOffset(p, r, n, argument.isRelease, argument.type === 'ARG_PTR_TO_DYNPTR')
  }
  if (argument.isRelease) {
    if (argument.type === 'ARG_PTR_TO_DYNPTR') {
      if (r.kind !== BASE.STACK) throw p.refuse(EINVAL, 'cannot release unowned const bpf_dynptr')
      const held = dynptrBehind(p, r)
      if (held === undefined || held.refObjId === 0) {
        throw p.refuse(EINVAL, `arg ${n} is an unacquired reference`)
      }
    } else if (r.refObjId === 0 && !isNull(r)) {
      throw p.refuse(EINVAL, `R${n} must be referenced when passed to release function`)
    }
    facts.released = n
  }
  if (r.refObjId !== 0 && argument.type !== 'ARG_KPTR_XCHG_DEST') {
    if (facts.refObjId !== 0) {
      throw p.refuse(EACCES, `more than one arg with ref_obj_id R${n} ${r.refObjId} ${facts.refObjId}`)
    }
    facts.refObjId = r.refObjId
  }
  switch (argument.type) {
    case 'ARG_CONST_MAP_PTR':
      if (facts.map !== undefined && (facts.map !== r.map || facts.mapUid !== r.mapUid)) {
        throw p.refuse(
          EINVAL,
          `timer pointer in R1 map_uid=${facts.mapUid} doesn't match map pointer in R2 map_uid=${r.mapUid}`,
        )
      }
      facts.map = r.map
      facts.mapUid = r.mapUid
      return
    case 'ARG_PTR_TO_MAP_KEY': {
      const map = facts.map as MapSpec
      checkHelperMemory(p, n, map.keySize, { isWrite: false, zeroAllowed: false })
      if (hasKnownLength(map)) facts.constantKey = constantKey(p, r, map.keySize)
      return
    }
    case 'ARG_PTR_TO_MAP_VALUE':
      if (argument.maybeNull && isNull(r)) return
      checkHelperMemory(p, n, (facts.map as MapSpec).valueSize, {
        isWrite: argument.writes,
        zeroAllowed: false,
        raw: argument.uninitialised ? facts.raw : undefined,
      })
      return
    case 'ARG_PTR_TO_PERCPU_BTF_ID':
      if (r.btfId === 0) throw p.refuse(EACCES, `Helper has invalid btf_id in R${n}`)
      facts.returnBtf = r.btf
      facts.returnBtfId = r.btfId
      return
    case 'ARG_PTR_TO_SPIN_LOCK':
      if (p.inTreeCallback) throw p.refuse(EACCES, "can't spin_{lock,unlock} in rbtree cb")
      checkLock(p, n, {
        isLock: facts.id === HELPER.spinLock,
        isResilient: false,
        savesInterrupts: false,
      })
      return
    case 'ARG_PTR_TO_TIMER':
      checkMapField(p, r, n, 'timer', facts)
      return
    case 'ARG_PTR_TO_FUNC':
      facts.subprogram = r.subprogram
      return
    case 'ARG_PTR_TO_MEM':
      if (argument.fixedSize > 0) {
        checkHelperMemory(p, n, argument.fixedSize, {
          isWrite: argument.writes,
          zeroAllowed: false,
          raw: argument.uninitialised ? facts.raw : undefined,
        })
        if (argument.aligned) checkAlignment(p, p.reg(n), 0, argument.fixedSize, true)
      }
      return
    case 'ARG_CONST_SIZE':
    case 'ARG_CONST_SIZE_OR_ZERO': {
      const memory = argumentKind(takes[index - 1] as HelperArgument)
      facts.maxSize = r.umax
      checkSizedMemory(p, n, {
        isWrite: memory.writes,
        zeroAllowed: argument.type === 'ARG_CONST_SIZE_OR_ZERO',
        raw: memory.uninitialised ? facts.raw : undefined,
      })
      return
    }
    case 'ARG_PTR_TO_DYNPTR':
      checkDynptrArgument(p, n, {
        flags: argument.dynptr,
        uninitialised: argument.uninitialised,
        readOnly: argument.readOnly,
        cloneOf: 0,
      })
      return
    case 'ARG_CONST_ALLOC_SIZE_OR_ZERO':
      if (r.mask !== 0n) throw p.refuse(EACCES, `R${n} is not a known constant'`)
      facts.memSize = Number(BigInt.asUintN(32, r.value))
      markPrecise(p, n)
      return
    case 'ARG_PTR_TO_CONST_STR':
      checkConstantString(p, r, n)
      return
    case 'ARG_KPTR_XCHG_DEST':
      checkKptrDestination(p, r, n, facts)
      return
    default:
      return
  }
}
