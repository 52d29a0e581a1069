/**
 * The instructions that load, store, or do both at once.
 *
 * Source: check_load_mem, check_store_reg, check_atomic in kernel/bpf/verifier.c of Linux 6.18.
 */
import { accessSize, type Instruction } from '../../isa/index.ts'
import { BASE, baseOf, FLAG, kindName } from '../domain/kinds.ts'
import type { Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EACCES, EINVAL } from '../refusal.ts'
import { settle } from './invariants.ts'
import { checkMemory } from './memory.ts'

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
    // The load may put something else into the register of the pointer.
    const source = p.checkReadable(insn.src)
    checkLoad(p, insn, { aligned: true, isSigned: false, mixesTrust: false })
    if (!atomicKindIsFine(source, true)) {
      throw p.refuse(EACCES, `BPF_ATOMIC loads from R${insn.src} ${kindName(source.kind)} is not allowed`)
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
