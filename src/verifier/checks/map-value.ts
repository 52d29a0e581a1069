/**
 * Loads and stores in the values of maps.
 *
 * Source: check_map_access, check_map_kptr_access, bpf_map_direct_read in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { knownScalar, unknownScalar } from '../domain/register.ts'
import type { MapSpec } from '../program.ts'
import { isNull, type Proof } from '../proof.ts'
import { FIELD_NAMES, fieldAt, KPTR_KINDS, type RecordField } from '../records/records.ts'
import { EACCES } from '../refusal.ts'
import { kptrMatches, loadKptr } from './kptr.ts'
import type { Access } from './memory.ts'
import { checkRegion } from './region.ts'

const F_RDONLY_PROG = 0x80

const F_WRONLY_PROG = 0x100

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

export function checkMapPointer(p: Proof, n: number, offset: number, access: Access): void {
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
