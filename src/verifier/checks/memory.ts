/**
 * Loads and stores: may this pointer be used so, and what comes back.
 *
 * Source: check_mem_access and its parts in kernel/bpf/verifier.c of Linux 6.18.
 */
import { signExtend64 } from '../domain/arithmetic.ts'
import { syncBounds, truncate } from '../domain/bounds.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import { pointer, type Register, unknownScalar, unlink } from '../domain/register.ts'
import type { MapSpec } from '../program.ts'
import { sockCommonFields, socketFields, tcpSockFields, xdpSockFields } from '../program-types/contexts.ts'
import { lsmReturns } from '../program-types/lsm-hooks.ts'
import { isPacketPointer, mayBeNull, type Proof } from '../proof.ts'
import { EACCES } from '../refusal.ts'
import { holdsReference } from '../state/references.ts'
import type { ReturnRange } from '../state/state.ts'
import { checkMapPointer } from './map-value.ts'
import {
  checkAlignment,
  checkBuffer,
  checkPacket,
  checkRegion,
  checkUnmodified,
  mayAccessPacket,
} from './region.ts'
import { checkStackBounds, readStack, writeStack } from './stack.ts'
import { checkMapPointerAccess, checkStructAccess } from './struct-access.ts'

export interface Access {
  readonly isWrite: boolean
  readonly size: number
  /** Register that is loaded to, or stored from; -1: none, or something unknown. */
  readonly value: number
  readonly isSigned?: boolean
  /** This once, alignment matters. */
  readonly aligned?: boolean
}

function checkSocket(p: Proof, n: number, offset: number, access: Access): void {
  const r = p.reg(n)
  if (access.isWrite) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
  if (r.smin < 0n) {
    throw p.refuse(
      EACCES,
      `R${n} min value is negative, either use unsigned index or do a if (index >=0) check.`,
    )
  }
  const fields =
    r.kind === BASE.SOCKET
      ? socketFields
      : r.kind === BASE.SOCK_COMMON
        ? sockCommonFields
        : r.kind === BASE.TCP_SOCK
          ? tcpSockFields
          : r.kind === BASE.XDP_SOCK
            ? xdpSockFields
            : undefined
  const request = { offset, size: access.size, isWrite: false, isSigned: false }
  if (fields?.(p, request) === undefined) {
    throw p.refuse(EACCES, `R${n} invalid ${kindName(r.kind)} access off=${offset} size=${access.size}`)
  }
}

function checkContext(p: Proof, n: number, offset: number, access: Access): void {
  const r = p.reg(n)
  checkUnmodified(p, r, n, false)
  const found = p.kind.context(p, {
    offset,
    size: access.size,
    isWrite: access.isWrite,
    isSigned: access.isSigned ?? false,
  })
  if (found === undefined) {
    throw p.refuse(EACCES, `invalid bpf_context access off=${offset} size=${access.size}`)
  }
  if (found.refObjId !== undefined && !holdsReference(p.state, found.refObjId)) {
    const what = `invalid bpf_context access off=${offset}. Reference may already be released`
    throw p.refuse(EACCES, what)
  }
  if (access.isWrite || access.value < 0) return
  if (found.kind === BASE.SCALAR) {
    const returns = found.isReturnValue === true ? lsmReturns(p) : undefined
    if (returns === undefined) p.setUnknown(access.value)
    else p.setReg(access.value, scalarWithin(returns))
    return
  }
  const value = pointer(found.kind)
  if (mayBeNull(found.kind)) value.id = p.newId()
  if (baseOf(found.kind) === BASE.BTF_ID) {
    value.btf = found.btf
    value.btfId = found.btfId ?? 0
    value.refObjId = found.refObjId ?? 0
  }
  p.setReg(access.value, value)
}

/** Source: __mark_reg_s32_range. */
function scalarWithin({ min, max }: ReturnRange): Register {
  const r = unknownScalar()
  r.s32min = min
  r.s32max = max
  r.smin = BigInt(min)
  r.smax = BigInt(max)
  syncBounds(r)
  return r
}

/** Checks a load or store through register `n` at `offset` from it. */
export function checkMemory(p: Proof, n: number, offsetInInsn: number, access: Access): void {
  const r = p.reg(n)
  const { size, isWrite, value } = access
  checkAlignment(p, r, offsetInInsn, size, access.aligned ?? false)
  const offset = offsetInInsn + r.off
  const base = baseOf(r.kind)
  const isPlain = r.kind === base
  if (r.kind === BASE.MAP_KEY) {
    if (isWrite) throw p.refuse(EACCES, `write to change key R${n} not allowed`)
    checkRegion(p, n, offset, size, (r.map as MapSpec).keySize, false)
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (r.kind === BASE.MAP_VALUE) checkMapPointer(p, n, offset, access)
  else if (base === BASE.MEM) {
    if (mayBeNull(r.kind)) throw p.refuse(EACCES, `R${n} invalid mem access '${kindName(r.kind)}'`)
    const isReadOnly = (r.kind & FLAG.RDONLY) !== 0
    if (isWrite && isReadOnly) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
    if (!(isReadOnly && r.kind & FLAG.UNTRUSTED)) checkRegion(p, n, offset, size, r.memSize, false)
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (r.kind === BASE.CTX) checkContext(p, n, offset, access)
  else if (r.kind === BASE.STACK) {
    checkStackBounds(p, n, offset, size, isWrite)
    if (isWrite) writeStack(p, p.reg(n), offset, size, value)
    else readStack(p, n, offset, size, value)
  } else if (isPacketPointer(r)) {
    if (isWrite && !mayAccessPacket(p, true)) throw p.refuse(EACCES, 'cannot write into packet')
    checkPacket(p, n, offset, size, false)
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (r.kind === BASE.FLOW_KEYS) {
    if (offset < 0 || offset + size > 56) {
      throw p.refuse(EACCES, `invalid access to flow keys off=${offset} size=${size}`)
    }
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (
    isPlain &&
    (base === BASE.SOCKET || base === BASE.SOCK_COMMON || base === BASE.TCP_SOCK || base === BASE.XDP_SOCK)
  ) {
    checkSocket(p, n, offset, access)
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (r.kind === BASE.TP_BUFFER) {
    checkBuffer(p, r, n, offset, size, 'tracepoint')
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (base === BASE.BTF_ID && !mayBeNull(r.kind)) checkStructAccess(p, n, offset, size, isWrite, value)
  else if (r.kind === BASE.CONST_MAP) checkMapPointerAccess(p, n, offset, size, isWrite, value)
  else if (base === BASE.BUF && !mayBeNull(r.kind)) {
    if (isWrite && r.kind & FLAG.RDONLY) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
    checkBuffer(p, r, n, offset, size)
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else if (r.kind === BASE.ARENA) {
    if (!isWrite && value >= 0) p.setUnknown(value)
  } else throw p.refuse(EACCES, `R${n} invalid mem access '${kindName(r.kind)}'`)
  if (isWrite || value < 0 || size === 8) return
  const loaded = p.reg(value)
  if (loaded.kind !== BASE.SCALAR) return
  const copy = loaded.copy()
  // A spilled number that comes back with its sign extended is not the number that was spilled. (Linux forgets this.)
  if (access.isSigned && copy.id !== 0 && copy.umax >= 1n << BigInt(size * 8 - 1)) unlink(copy)
  if (access.isSigned) signExtend64(copy, size as 1 | 2 | 4)
  else truncate(copy, size)
  p.setReg(value, copy)
}
