/**
 * Memory that is handed to a helper or kfunc.
 *
 * Source: check_helper_mem_access, check_mem_size_reg in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import type { MapSpec } from '../program.ts'
import { isNull, mayBeNull, type Proof } from '../proof.ts'
import { EACCES } from '../refusal.ts'
import { markPrecise } from '../state/precision.ts'
import { checkMapAccessType, checkMapValue } from './map-value.ts'
import { checkMemory } from './memory.ts'
import { notNull } from './null.ts'
import { checkBuffer, checkPacket, checkRegion } from './region.ts'
import { checkStackRange } from './stack.ts'
import { checkStructAccess } from './struct-access.ts'

/** Bytes of stack that the callee will have written. */
export interface RawRange {
  register: number
  size: number
}

export interface HelperAccess {
  readonly isWrite: boolean
  readonly zeroAllowed: boolean
  /** Where to note that the callee fills the range itself; left out: it must be readable. */
  readonly raw?: RawRange | undefined
}

const MAX_SIZE = 1n << 29n

function refuseReadOnly(p: Proof, r: Register, n: number): void {
  if (r.kind & FLAG.RDONLY) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
}

/** `size` bytes at register `n` can be handed out. */
export function checkHelperMemory(p: Proof, n: number, size: number, how: HelperAccess): void {
  const r = p.reg(n)
  const { isWrite, zeroAllowed } = how
  switch (baseOf(r.kind)) {
    case BASE.PACKET:
    case BASE.PACKET_META:
      checkPacket(p, n, r.off, size, zeroAllowed)
      return
    case BASE.MAP_KEY:
      if (isWrite) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
      checkRegion(p, n, r.off, size, (r.map as MapSpec).keySize, false)
      return
    case BASE.MAP_VALUE:
      checkMapAccessType(p, r.map as MapSpec, r.off, size, isWrite)
      checkMapValue(p, n, r.off, size, zeroAllowed, false)
      return
    case BASE.MEM:
      if (isWrite) refuseReadOnly(p, r, n)
      checkRegion(p, n, r.off, size, r.memSize, zeroAllowed)
      return
    case BASE.BUF:
      if (isWrite) refuseReadOnly(p, r, n)
      checkBuffer(p, r, n, r.off, size)
      return
    case BASE.STACK: {
      const filled = checkStackRange(p, n, r.off, size, {
        isWrite,
        zeroSizeAllowed: zeroAllowed,
        raw: how.raw !== undefined,
      })
      if (filled && how.raw !== undefined) {
        how.raw.register = n
        how.raw.size = size
      }
      return
    }
    case BASE.BTF_ID:
      checkStructAccess(p, n, r.off, size, false, -1)
      return
    case BASE.CTX:
      if (!p.kind.convertsContext && p.input.programType === 31) {
        if (size === 0) {
          if (zeroAllowed) return
          throw p.refuse(EACCES, '')
        }
        checkMemory(p, n, size - 1, { isWrite, size: 1, value: -1 })
        return
      }
      break
    default:
      break
  }
  if (zeroAllowed && size === 0 && isNull(r)) return
  throw p.refuse(EACCES, `R${n} type=${kindName(r.kind)} expected=${kindName(BASE.STACK)}`)
}

/** A pair of pointer (in the register before) and size (in `n`). */
export function checkSizedMemory(p: Proof, n: number, how: HelperAccess): void {
  const r = p.reg(n)
  if (r.smin < 0n) {
    throw p.refuse(EACCES, `R${n} min value is negative, either use unsigned or 'var &= const'`)
  }
  if (r.umin === 0n && !how.zeroAllowed) {
    throw p.refuse(EACCES, `R${n} invalid zero-sized read: u64=[${r.umin},${BigInt.asIntN(64, r.umax)}]`)
  }
  if (r.umax >= MAX_SIZE) {
    throw p.refuse(EACCES, `R${n} unbounded memory access, use 'var &= const' or 'if (var < const)'`)
  }
  checkHelperMemory(p, n - 1, Number(r.umax), { ...how, raw: r.mask === 0n ? how.raw : undefined })
  markPrecise(p, n)
}

/** A pointer to memory of known size, which may be null, that the callee reads and writes. */
export function checkFixedMemory(p: Proof, n: number, size: number): void {
  const r = p.reg(n)
  if (isNull(r)) return
  asIfNotNull(p, n, () => {
    checkHelperMemory(p, n, size, { isWrite: false, zeroAllowed: true })
    checkHelperMemory(p, n, size, { isWrite: true, zeroAllowed: true })
  })
}

/** Runs checks with register `n` taken for not null, whatever it is. */
export function asIfNotNull(p: Proof, n: number, check: () => void): void {
  const saved = p.reg(n)
  if (!mayBeNull(saved.kind)) {
    check()
    return
  }
  p.regs[n] = notNull(p, saved)
  try {
    check()
  } finally {
    p.regs[n] = saved
  }
}
