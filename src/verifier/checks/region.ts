/**
 * Does an access stay inside what a pointer points to?
 *
 * Source: check_mem_region_access, check_ptr_alignment, check_packet_access in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BASE, FLAG, kindName } from '../domain/kinds.ts'
import { type Register, S64_MIN } from '../domain/register.ts'
import { tnumAdd, tnumConst, tnumIsAligned, tnumText } from '../domain/tnum.ts'
import { isPacketPointer, MAX_VARIABLE_OFFSET, type Proof } from '../proof.ts'
import { EACCES, EINVAL } from '../refusal.ts'

const ALIGNMENT_NAMES: Readonly<Record<number, string>> = {
  [BASE.FLOW_KEYS]: 'flow keys ',
  [BASE.MAP_KEY]: 'key ',
  [BASE.MAP_VALUE]: 'value ',
  [BASE.CTX]: 'context ',
  [BASE.STACK]: 'stack ',
  [BASE.SOCKET]: 'sock ',
  [BASE.SOCK_COMMON]: 'sock_common ',
  [BASE.TCP_SOCK]: 'tcp_sock ',
  [BASE.XDP_SOCK]: 'xdp_sock ',
}

export function checkAlignment(p: Proof, r: Register, offset: number, size: number, once: boolean): void {
  if (r.kind === BASE.ARENA) return
  const isStrict = p.isStrictAlignment || once || r.kind === BASE.STACK
  if (!isStrict || size === 1) return
  const isPacket = isPacketPointer(r)
  // Ethernet headers are aligned so that what follows them is.
  const extra = isPacket ? 2 : 0
  const at = tnumAdd(r, tnumConst(BigInt(extra + r.off + offset)))
  if (tnumIsAligned(at, BigInt(size))) return
  const variable = tnumText(r.value, r.mask)
  if (isPacket) {
    throw p.refuse(
      EACCES,
      `misaligned packet access off ${extra}+${variable}+${r.off}+${offset} size ${size}`,
    )
  }
  throw p.refuse(
    EACCES,
    `misaligned ${ALIGNMENT_NAMES[r.kind] ?? ''}access off ${variable}+${r.off}+${offset} size ${size}`,
  )
}

function reportOutside(
  p: Proof,
  n: number,
  r: Register,
  offset: number | bigint,
  size: number,
  limit: number,
): void {
  switch (r.kind) {
    case BASE.MAP_KEY:
      p.say(`invalid access to map key, key_size=${limit} off=${offset} size=${size}\n`)
      break
    case BASE.MAP_VALUE:
      p.say(`invalid access to map value, value_size=${limit} off=${offset} size=${size}\n`)
      break
    case BASE.PACKET:
    case BASE.PACKET_META:
    case BASE.PACKET_END:
      p.say(
        `invalid access to packet, off=${offset} size=${size}, R${n}(id=${r.id},off=${offset},r=${limit})\n`,
      )
      break
    default:
      p.say(`invalid access to memory, mem_size=${limit} off=${offset} size=${size}\n`)
  }
}

const LIMIT = BigInt(MAX_VARIABLE_OFFSET)

const fits = (at: bigint, size: number, limit: number): boolean =>
  at >= 0n && at + BigInt(size) <= BigInt(limit >>> 0)

/** `size` bytes at `offset` (the fixed one included) lie in a region of `limit` bytes, wherever the variable part is. */
export function checkRegion(
  p: Proof,
  n: number,
  offset: number,
  size: number,
  limit: number,
  zeroAllowed: boolean,
): void {
  const r = p.reg(n)
  const isSizeFine = size > 0 || (size === 0 && zeroAllowed)
  // Most pointers have a fixed offset only.
  if (r.mask === 0n && r.smin === 0n && r.umax === 0n && r.smax === 0n) {
    if (isSizeFine && offset >= 0 && offset + size <= limit >>> 0) return
  }
  const least = r.smin + BigInt(offset)
  if (r.smin < 0n && (r.smin === S64_MIN || BigInt.asIntN(32, least) !== least || least < 0n)) {
    throw p.refuse(
      EACCES,
      `R${n} min value is negative, either use unsigned index or do a if (index >=0) check.`,
    )
  }
  if (!isSizeFine || !fits(BigInt.asIntN(32, least), size, limit)) {
    reportOutside(p, n, r, least, size, limit)
    throw p.refuse(EACCES, `R${n} min value is outside of the allowed memory range`)
  }
  if (r.umax >= LIMIT) {
    throw p.refuse(EACCES, `R${n} unbounded memory access, make sure to bounds check any such access`)
  }
  const most = r.umax + BigInt(offset)
  if (!isSizeFine || !fits(most, size, limit)) {
    reportOutside(p, n, r, most, size, limit)
    throw p.refuse(EACCES, `R${n} max value is outside of the allowed memory range`)
  }
}

/** Only in its original, unmodified form. */
export function checkUnmodified(p: Proof, r: Register, n: number, fixedOffsetIsFine: boolean): void {
  const name = kindName(r.kind)
  if (r.off < 0) throw p.refuse(EACCES, `negative offset ${name} ptr R${n} off=${r.off} disallowed`)
  if (!fixedOffsetIsFine && r.off !== 0) {
    throw p.refuse(EACCES, `dereference of modified ${name} ptr R${n} off=${r.off} disallowed`)
  }
  if (r.mask !== 0n || r.value !== 0n) {
    throw p.refuse(EACCES, `variable ${name} access var_off=${tnumText(r.value, r.mask)} disallowed`)
  }
}

/** May packets be touched this way? `helperAllows` is asked when a helper does it. */
export function mayAccessPacket(p: Proof, isWrite: boolean, helperAllows?: boolean): boolean {
  if (p.input.programType === 25) {
    if (isWrite) p.seenDirectWrite = true
    return true
  }
  const { packet } = p.kind
  if (packet === 'none' || (packet === 'read' && isWrite)) return false
  return helperAllows ?? true
}

export function checkPacket(p: Proof, n: number, offset: number, size: number, zeroAllowed: boolean): void {
  const r = p.reg(n)
  if (r.smin < 0n) {
    throw p.refuse(
      EACCES,
      `R${n} min value is negative, either use unsigned index or do a if (index >=0) check.`,
    )
  }
  const isSizeFine = size > 0 || (size === 0 && zeroAllowed)
  if (r.range < 0) throw p.refuse(EINVAL, `R${n} offset is outside of the packet`)
  if (offset < 0 || !isSizeFine || offset + size > r.range) {
    reportOutside(p, n, r, offset, size, r.range)
    throw p.refuse(EACCES, `R${n} offset is outside of the packet`)
  }
}

export function checkBuffer(
  p: Proof,
  r: Register,
  n: number,
  offset: number,
  size: number,
  what?: string,
): void {
  const name = what ?? (r.kind & FLAG.RDONLY ? 'rdonly' : 'rdwr')
  if (offset < 0) throw p.refuse(EACCES, `R${n} invalid ${name} buffer access: off=${offset}, size=${size}`)
  if (r.mask !== 0n || r.value !== 0n) {
    throw p.refuse(
      EACCES,
      `R${n} invalid variable buffer offset: off=${offset}, var_off=${tnumText(r.value, r.mask)}`,
    )
  }
  if (what !== undefined) return
  const { bufferBytes } = p.notes
  const part = r.kind & FLAG.RDONLY ? 'readOnly' : 'writable'
  bufferBytes[part] = Math.max(bufferBytes[part], offset + size)
}
