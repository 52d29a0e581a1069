/**
 * Loads and stores: may this pointer be used so, and what comes back.
 *
 * Source: check_mem_access and its parts in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { accessSize, type Instruction } from '../../isa/index.ts'
import { signExtend64 } from '../domain/arithmetic.ts'
import { truncate } from '../domain/bounds.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import { knownScalar, pointer, type Register, S64_MIN, unknownScalar } from '../domain/register.ts'
import { tnumAdd, tnumConst, tnumIsAligned, tnumText } from '../domain/tnum.ts'
import type { MapSpec } from '../program.ts'
import { sockCommonFields, socketFields, tcpSockFields, xdpSockFields } from '../program-types/contexts.ts'
import { isNull, isPacketPointer, MAX_VARIABLE_OFFSET, mayBeNull, type Proof } from '../proof.ts'
import { FIELD_NAMES, fieldAt, KPTR_KINDS, type RecordField } from '../records/records.ts'
import { EACCES, EINVAL } from '../refusal.ts'
import { settle } from './alu.ts'
import { kptrMatches, loadKptr } from './kptr.ts'
import { checkStackBounds, readStack, writeStack } from './stack.ts'
import { checkMapPointerAccess, checkStructAccess } from './struct-access.ts'

const F_RDONLY_PROG = 0x80
const F_WRONLY_PROG = 0x100

export interface Access {
  readonly isWrite: boolean
  readonly size: number
  /** Register that is loaded to, or stored from; -1: none, or something unknown. */
  readonly value: number
  readonly isSigned?: boolean
  /** This once, alignment matters. */
  readonly aligned?: boolean
}

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
  const fits = (at: bigint): boolean => at >= 0n && isSizeFine && at + BigInt(size) <= BigInt(limit >>> 0)
  const least = r.smin + BigInt(offset)
  if (r.smin < 0n && (r.smin === S64_MIN || BigInt.asIntN(32, least) !== least || least < 0n)) {
    throw p.refuse(
      EACCES,
      `R${n} min value is negative, either use unsigned index or do a if (index >=0) check.`,
    )
  }
  if (!fits(BigInt.asIntN(32, least))) {
    reportOutside(p, n, r, least, size, limit)
    throw p.refuse(EACCES, `R${n} min value is outside of the allowed memory range`)
  }
  if (r.umax >= LIMIT) {
    throw p.refuse(EACCES, `R${n} unbounded memory access, make sure to bounds check any such access`)
  }
  const most = r.umax + BigInt(offset)
  if (!fits(most)) {
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

export function checkMapAccessType(
  p: Proof,
  map: MapSpec,
  offset: number,
  size: number,
  isWrite: boolean,
): void {
  if (isWrite && (map.flags & F_RDONLY_PROG) !== 0) {
    throw p.refuse(EACCES, `write into map forbidden, value_size=${map.valueSize} off=${offset} size=${size}`)
  }
  if (!isWrite && (map.flags & F_WRONLY_PROG) !== 0) {
    throw p.refuse(EACCES, `read from map forbidden, value_size=${map.valueSize} off=${offset} size=${size}`)
  }
}

/** In the value, and not in a field that has a meaning to the kernel. */
export function checkMapValue(
  p: Proof,
  n: number,
  offset: number,
  size: number,
  zeroAllowed: boolean,
  isDirect: boolean,
): void {
  const r = p.reg(n)
  const map = r.map as MapSpec
  checkRegion(p, n, offset, size, map.valueSize, zeroAllowed)
  const record = p.records.ofMap(map)
  if (record === undefined) return
  const low = r.smin + BigInt(offset)
  const high = r.umax + BigInt(offset + size)
  for (const field of record.fields) {
    const name = FIELD_NAMES[field.kind]
    if (!(low < BigInt(field.offset + field.size) && BigInt(field.offset) < high)) continue
    if (!KPTR_KINDS.has(field.kind) && field.kind !== 'uptr') {
      throw p.refuse(EACCES, `${name} cannot be accessed directly by load/store`)
    }
    if (!isDirect) throw p.refuse(EACCES, `${name} cannot be accessed indirectly by helper`)
    if (r.mask !== 0n) throw p.refuse(EACCES, `${name} access cannot have variable offset`)
    const at = BigInt(offset) + r.value
    if (BigInt(field.offset) !== at) {
      throw p.refuse(EACCES, `${name} access misaligned expected=${field.offset} off=${at}`)
    }
    if (size !== 8) throw p.refuse(EACCES, `${name} access size must be BPF_DW`)
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
  if (access.isWrite || access.value < 0) return
  if (found.kind === BASE.SCALAR) {
    p.setUnknown(access.value)
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

/** What a program can know of a map that nobody writes any more. */
function readConstant(map: MapSpec, at: number, size: number, isSigned: boolean): bigint | undefined {
  const { value } = map
  if (!map.frozen || (map.flags & F_RDONLY_PROG) === 0 || value === undefined) return undefined
  if (map.type !== BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY || map.maxEntries !== 1) return undefined
  let result = 0n
  for (let i = size - 1; i >= 0; i--) result = (result << 8n) | BigInt(value[at + i] ?? 0)
  return isSigned ? BigInt.asIntN(size * 8, result) : result
}

function checkKptr(p: Proof, n: number, field: RecordField, access: Access): void {
  const insn = p.insn(p.index)
  const kind = insn.opcode & 7
  if ((insn.opcode & 0xe0) !== 0x60) {
    throw p.refuse(EACCES, 'kptr in map can only be accessed using BPF_MEM instruction mode')
  }
  if (kind !== 1 && (field.kind === 'kptr_ref' || field.kind === 'kptr_percpu')) {
    throw p.refuse(EACCES, 'store to referenced kptr disallowed')
  }
  if (kind !== 1 && field.kind === 'uptr') throw p.refuse(EACCES, 'store to uptr disallowed')
  if (kind === 1) {
    if (access.value >= 0) p.setReg(access.value, loadKptr(p, field))
  } else if (kind === 3) {
    const value = p.reg(access.value)
    if (!isNull(value)) kptrMatches(p, field, value, access.value)
  } else if (insn.imm !== 0) {
    throw p.refuse(EACCES, `BPF_ST imm must be 0 when storing to kptr at off=${field.offset}`)
  }
  void n
}

function checkMapPointer(p: Proof, n: number, offset: number, access: Access): void {
  const r = p.reg(n)
  const map = r.map as MapSpec
  const { size, isWrite, value } = access
  checkMapAccessType(p, map, offset, size, isWrite)
  checkMapValue(p, n, offset, size, false, true)
  const at = offset + Number(BigInt.asIntN(32, r.value))
  if (r.mask === 0n) {
    const record = p.records.ofMap(map)
    const field =
      fieldAt(record, at, KPTR_KINDS) ?? record?.fields.find((f) => f.kind === 'uptr' && f.offset === at)
    if (field !== undefined) {
      checkKptr(p, n, field, access)
      return
    }
  }
  if (isWrite || value < 0) return
  const known = r.mask === 0n ? readConstant(map, at, size, access.isSigned ?? false) : undefined
  p.setReg(value, known === undefined ? unknownScalar() : knownScalar(known))
}

/** Checks a load or store through register `n` at `offset` from it. */
export function checkMemory(p: Proof, n: number, offsetInInsn: number, access: Access): void {
  const r = p.reg(n)
  const { size, isWrite, value } = access
  checkAlignment(p, r, offsetInInsn, size, access.aligned ?? false)
  const offset = offsetInInsn + r.off
  const load = (): void => {
    if (!isWrite && value >= 0) p.setUnknown(value)
  }
  const base = baseOf(r.kind)
  const isPlain = r.kind === base
  if (r.kind === BASE.MAP_KEY) {
    if (isWrite) throw p.refuse(EACCES, `write to change key R${n} not allowed`)
    checkRegion(p, n, offset, size, (r.map as MapSpec).keySize, false)
    load()
  } else if (r.kind === BASE.MAP_VALUE) checkMapPointer(p, n, offset, access)
  else if (base === BASE.MEM) {
    if (mayBeNull(r.kind)) throw p.refuse(EACCES, `R${n} invalid mem access '${kindName(r.kind)}'`)
    const isReadOnly = (r.kind & FLAG.RDONLY) !== 0
    if (isWrite && isReadOnly) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
    if (!(isReadOnly && r.kind & FLAG.UNTRUSTED)) checkRegion(p, n, offset, size, r.memSize, false)
    load()
  } else if (r.kind === BASE.CTX) checkContext(p, n, offset, access)
  else if (r.kind === BASE.STACK) {
    checkStackBounds(p, n, offset, size, isWrite)
    if (isWrite) writeStack(p, p.reg(n), offset, size, value)
    else readStack(p, n, offset, size, value)
  } else if (isPacketPointer(r)) {
    if (isWrite && !mayAccessPacket(p, true)) throw p.refuse(EACCES, 'cannot write into packet')
    checkPacket(p, n, offset, size, false)
    load()
  } else if (r.kind === BASE.FLOW_KEYS) {
    if (offset < 0 || offset + size > 56) {
      throw p.refuse(EACCES, `invalid access to flow keys off=${offset} size=${size}`)
    }
    load()
  } else if (
    isPlain &&
    (base === BASE.SOCKET || base === BASE.SOCK_COMMON || base === BASE.TCP_SOCK || base === BASE.XDP_SOCK)
  ) {
    checkSocket(p, n, offset, access)
    load()
  } else if (r.kind === BASE.TP_BUFFER) {
    checkBuffer(p, r, n, offset, size, 'tracepoint')
    load()
  } else if (base === BASE.BTF_ID && !mayBeNull(r.kind)) checkStructAccess(p, n, offset, size, isWrite, value)
  else if (r.kind === BASE.CONST_MAP) checkMapPointerAccess(p, n, offset, size, isWrite, value)
  else if (base === BASE.BUF && !mayBeNull(r.kind)) {
    if (isWrite && r.kind & FLAG.RDONLY) throw p.refuse(EACCES, `R${n} cannot write into ${kindName(r.kind)}`)
    checkBuffer(p, r, n, offset, size)
    load()
  } else if (r.kind === BASE.ARENA) load()
  else throw p.refuse(EACCES, `R${n} invalid mem access '${kindName(r.kind)}'`)
  if (isWrite || value < 0 || size === 8) return
  const loaded = p.reg(value)
  if (loaded.kind !== BASE.SCALAR) return
  const copy = loaded.copy()
  if (access.isSigned) signExtend64(copy, size as 1 | 2 | 4)
  else truncate(copy, size)
  p.setReg(value, copy)
}

const DIFFERENT_KINDS_MATTER: ReadonlySet<number> = new Set([
  BASE.CTX,
  BASE.SOCKET,
  BASE.SOCK_COMMON,
  BASE.TCP_SOCK,
  BASE.XDP_SOCK,
  BASE.BTF_ID,
  BASE.ARENA,
])

/** One instruction is compiled once: it cannot go through a context on one path and the stack on another. */
export function rememberPointerKind(p: Proof, kind: number, mixesTrust: boolean): void {
  const { pointerKind } = p.notes
  const before = pointerKind[p.index] as number
  if (before === BASE.NOT_INIT) {
    pointerKind[p.index] = kind
    return
  }
  if (before === kind) return
  if (!DIFFERENT_KINDS_MATTER.has(baseOf(kind)) && !DIFFERENT_KINDS_MATTER.has(baseOf(before))) return
  const isMixable = (k: number): boolean => baseOf(k) === BASE.MEM || baseOf(k) === BASE.BTF_ID
  if (!mixesTrust || !isMixable(kind) || !isMixable(before)) {
    throw p.refuse(EINVAL, 'same insn cannot be used with different pointers')
  }
  let merged: number = baseOf(kind) === BASE.MEM || baseOf(before) === BASE.MEM ? BASE.MEM : BASE.BTF_ID
  merged |= (kind | before) & (FLAG.UNTRUSTED | FLAG.RDONLY)
  pointerKind[p.index] = merged
}

/**
 * A pointer that may be to memory of the operating system's kernel: a typed one, unless it is to what programs allocate,
 * or one to a variable.
 */
const isForeign = (kind: number): boolean =>
  (baseOf(kind) === BASE.BTF_ID && (kind & FLAG.ALLOC) === 0) ||
  (baseOf(kind) === BASE.MEM && (kind & FLAG.RDONLY) !== 0)

export function checkLoad(
  p: Proof,
  insn: Instruction,
  how: { aligned: boolean; isSigned: boolean; mixesTrust: boolean },
): void {
  const { kind } = p.checkReadable(insn.src)
  p.checkWritable(insn.dst)
  checkMemory(p, insn.src, insn.offset, {
    isWrite: false,
    size: accessSize(insn.opcode),
    value: insn.dst,
    isSigned: how.isSigned,
    aligned: how.aligned,
  })
  rememberPointerKind(p, kind, how.mixesTrust)
  if (isForeign(kind)) p.notes.foreignLoad[p.index] = 1
  settle(p, insn.dst, 'ldx')
}

export function checkStore(p: Proof, insn: Instruction, aligned: boolean): void {
  p.checkReadable(insn.src)
  const { kind } = p.checkReadable(insn.dst)
  checkMemory(p, insn.dst, insn.offset, {
    isWrite: true,
    size: accessSize(insn.opcode),
    value: insn.src,
    aligned,
  })
  rememberPointerKind(p, kind, false)
}

function atomicKindIsFine(r: Register, isArenaFine: boolean): boolean {
  switch (r.kind) {
    case BASE.CTX:
    case BASE.PACKET:
    case BASE.PACKET_META:
    case BASE.FLOW_KEYS:
    case BASE.SOCKET:
    case BASE.SOCK_COMMON:
    case BASE.TCP_SOCK:
    case BASE.XDP_SOCK:
      return false
    case BASE.ARENA:
      return isArenaFine
    default:
      return true
  }
}

const FETCH = 1
const CMPXCHG = 0xf1
const READ_MODIFY_WRITE: ReadonlySet<number> = new Set([
  0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1,
])

export function checkAtomic(p: Proof, insn: Instruction): void {
  const size = accessSize(insn.opcode)
  if (insn.imm === 0x100) {
    checkLoad(p, insn, { aligned: true, isSigned: false, mixesTrust: false })
    if (!atomicKindIsFine(p.reg(insn.src), true)) {
      throw p.refuse(
        EACCES,
        `BPF_ATOMIC loads from R${insn.src} ${kindName(p.reg(insn.src).kind)} is not allowed`,
      )
    }
    return
  }
  if (insn.imm === 0x110) {
    checkStore(p, insn, true)
    if (!atomicKindIsFine(p.reg(insn.dst), true)) {
      throw p.refuse(
        EACCES,
        `BPF_ATOMIC stores into R${insn.dst} ${kindName(p.reg(insn.dst).kind)} is not allowed`,
      )
    }
    return
  }
  if (!READ_MODIFY_WRITE.has(insn.imm)) {
    throw p.refuse(
      EINVAL,
      `BPF_ATOMIC uses invalid atomic opcode ${(insn.imm >>> 0).toString(16).padStart(2, '0')}`,
    )
  }
  if (size !== 4 && size !== 8) throw p.refuse(EINVAL, 'invalid atomic operand size')
  p.checkReadable(insn.src)
  const target = p.checkReadable(insn.dst)
  if (insn.imm === CMPXCHG) p.checkReadable(0)
  if (!atomicKindIsFine(target, true)) {
    throw p.refuse(EACCES, `BPF_ATOMIC stores into R${insn.dst} ${kindName(target.kind)} is not allowed`)
  }
  const loads = (insn.imm & FETCH) !== 0
  const into = !loads ? -1 : insn.imm === CMPXCHG ? 0 : insn.src
  if (loads) {
    p.checkWritable(into)
    p.setUnknown(into)
  }
  checkMemory(p, insn.dst, insn.offset, { isWrite: false, size, value: -1, aligned: true })
  if (loads) checkMemory(p, insn.dst, insn.offset, { isWrite: false, size, value: into, aligned: true })
  if (target.kind === BASE.ARENA) rememberPointerKind(p, BASE.ARENA, false)
  checkMemory(p, insn.dst, insn.offset, { isWrite: true, size, value: -1, aligned: true })
}
