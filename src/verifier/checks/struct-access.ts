/**
 * Reading members of kernel structs, and writing those of allocated objects.
 *
 * Source: btf_struct_walk, btf_struct_access, btf_struct_ids_match in kernel/bpf/btf.c, check_ptr_to_btf_access in
 * kernel/bpf/verifier.c of Linux 6.18.
 */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId, type BtfType } from '../../btf/index.ts'
import { BASE, FLAG } from '../domain/kinds.ts'
import { pointer, type Register, unknownScalar } from '../domain/register.ts'
import { tnumText } from '../domain/tnum.ts'
import { isAllocatedObject, isRcu, isTrusted, mayBeNull, type Proof } from '../proof.ts'
import { FIELD_NAMES } from '../records/records.ts'
import { EACCES, EINVAL, ENOTSUPP } from '../refusal.ts'
import { SAFE_MEMBERS } from './safe-members.ts'

type Walk =
  | { readonly kind: 'scalar' }
  /** A pointer to something that is no struct: read by probing. */
  | { readonly kind: 'memory' }
  | { readonly kind: 'pointer'; readonly id: BtfId; readonly flags: number; readonly member: string }
  | { readonly kind: 'struct'; readonly id: BtfId }
  | { readonly kind: 'error'; readonly errno: number; readonly message: string }

const isStruct = (type: BtfType): boolean => type.kind === BTF_KIND.STRUCT || type.kind === BTF_KIND.UNION

/** Past modifiers. */
export const skipModifiers = (btf: Btf, id: BtfId): BtfType => btf.typeById(btf.resolve(id))

const POINTER_TAGS: Readonly<Record<string, number>> = {
  user: FLAG.USER,
  percpu: FLAG.PERCPU,
  rcu: FLAG.RCU,
}

/** As messages name it. */
const nameOf = ({ name }: { readonly name: string }): string => (name === '' ? '(anon)' : name)

interface WalkFlags {
  untrusted: boolean
}

/** One step: what lies at `at` of the struct, going down into nested ones until one begins there. */
function walk(btf: Btf, start: BtfId, at: number, size: number, flags: WalkFlags, flexible: boolean): Walk {
  let type = skipModifiers(btf, start)
  let offset = at
  for (;;) {
    const name = nameOf(type)
    if (type.kind !== BTF_KIND.STRUCT && type.kind !== BTF_KIND.UNION) {
      return { kind: 'error', errno: EINVAL, message: `Type '${name}' is not a struct` }
    }
    const { members } = type
    if (type.kind === BTF_KIND.UNION && members.length !== 1) flags.untrusted = true
    if (offset + size > type.size) {
      // Past the end may be a flexible array.
      const error: Walk = {
        kind: 'error',
        errno: EACCES,
        message: `access beyond struct ${name} at off ${offset} size ${size}`,
      }
      const last = members.at(-1)
      if (!flexible || last === undefined) return error
      const array = skipModifiers(btf, last.type)
      if (array.kind !== BTF_KIND.ARRAY || array.count !== 0) return error
      const begin = last.bitOffset / 8
      if (offset < begin) return error
      const element = skipModifiers(btf, array.element)
      if (element.kind === BTF_KIND.INT) return { kind: 'scalar' }
      if ((element.kind !== BTF_KIND.STRUCT && element.kind !== BTF_KIND.UNION) || element.size === 0) {
        return error
      }
      offset = (offset - begin) % element.size
      type = element
      continue
    }
    let inner: BtfType | undefined
    for (const member of members) {
      let begin = Math.floor(member.bitOffset / 8)
      if (offset + size <= begin) break
      if (member.bitSize !== 0) {
        if (offset <= begin && Math.ceil((member.bitOffset + member.bitSize) / 8) <= offset + size) {
          return { kind: 'scalar' }
        }
        continue
      }
      if (offset < begin) break
      let memberSize = btf.sizeOf(member.type)
      if (memberSize === undefined) {
        return { kind: 'error', errno: EINVAL, message: `field ${nameOf(member)} doesn't have size` }
      }
      const end = begin + memberSize
      if (offset >= end) continue
      let id = btf.resolve(member.type)
      let memberType = btf.typeById(id)
      let count = 1
      const isArray = memberType.kind === BTF_KIND.ARRAY
      while (memberType.kind === BTF_KIND.ARRAY) {
        count *= memberType.count
        id = btf.resolve(memberType.element)
        memberType = btf.typeById(id)
      }
      if (isArray) {
        if (begin === end) continue
        memberSize /= count
        begin += Math.floor((offset - begin) / memberSize) * memberSize
      }
      if (isStruct(memberType)) {
        if (offset === begin) return { kind: 'struct', id }
        offset -= begin
        inner = memberType
        break
      }
      if (memberType.kind === BTF_KIND.PTR) {
        if (memberSize !== size || offset !== begin) {
          return {
            kind: 'error',
            errno: EACCES,
            message: `cannot access ptr member ${nameOf(member)} with moff ${begin} in struct ${name} with off ${offset} size ${size}`,
          }
        }
        const tag = btf.typeById(memberType.type)
        const tagFlags = tag.kind === BTF_KIND.TYPE_TAG ? (POINTER_TAGS[tag.name] ?? 0) : 0
        const target = btf.resolve(memberType.type)
        if (isStruct(btf.typeById(target))) {
          return { kind: 'pointer', id: target, flags: tagFlags, member: member.name }
        }
        return { kind: 'memory' }
      }
      if (offset + size > end && !flags.untrusted) {
        return {
          kind: 'error',
          errno: EACCES,
          message: `access beyond the end of member ${nameOf(member)} (mend:${end}) in struct ${name} with off ${offset} size ${size}`,
        }
      }
      return { kind: 'scalar' }
    }
    if (inner === undefined) {
      return {
        kind: 'error',
        errno: EINVAL,
        message: `struct ${name} doesn't have field at offset ${offset}`,
      }
    }
    type = inner
  }
}

export type MemberAccess =
  | { readonly kind: 'scalar' }
  | { readonly kind: 'memory' }
  | { readonly kind: 'pointer'; readonly id: BtfId; readonly flags: number; readonly member: string }

/** What is at `offset` of the struct that `register` points to; refuses what is no whole member. */
export function structAccess(p: Proof, register: Register, offset: number, size: number): MemberAccess {
  const btf = register.btf as Btf
  const isAllocation = (register.kind & FLAG.ALLOC) !== 0
  if (isAllocation) {
    for (const field of p.records.ofStruct(btf, register.btfId)?.fields ?? []) {
      if (offset < field.offset + field.size && field.offset < offset + size) {
        throw p.refuse(EACCES, `direct access to ${FIELD_NAMES[field.kind]} is disallowed`)
      }
    }
  }
  const flags: WalkFlags = { untrusted: false }
  let id = register.btfId as BtfId
  let at = offset
  for (;;) {
    const found = walk(btf, id, at, size, flags, !isAllocation)
    switch (found.kind) {
      case 'error':
        throw p.refuse(found.errno, found.message)
      case 'struct':
        id = found.id
        at = 0
        continue
      case 'scalar':
        return found
      case 'memory':
        return found
      case 'pointer':
        if (isAllocation) return { kind: 'scalar' }
        return { ...found, flags: found.flags | (flags.untrusted ? FLAG.UNTRUSTED : 0) }
    }
  }
}

/** Is there, at `offset` of one type, the other (or is it the same)? */
export function typesMatch(
  p: Proof,
  btf: Btf,
  btfId: number,
  offset: number,
  wanted: Btf,
  wantedId: number,
  strict: boolean,
): boolean {
  if (offset === 0 && btf === wanted && btfId === wantedId) return true
  if (strict) return false
  let id = btfId as BtfId
  let at = offset
  for (;;) {
    const found = walk(btf, id, at, 1, { untrusted: false }, false)
    if (found.kind === 'error') p.say(`${found.message}\n`)
    if (found.kind !== 'struct') return false
    if (btf === wanted && found.id === wantedId) return true
    id = found.id
    at = 0
  }
}

/** Is a member listed as one that keeps its holder's trust? */
function isListed(list: keyof typeof SAFE_MEMBERS, register: Register, member: string): boolean {
  const struct = (register.btf as Btf).nameOf(register.btfId as BtfId)
  return SAFE_MEMBERS[list][struct]?.includes(member) ?? false
}

/** Flags of a pointer that was read through `register`. */
function inheritedFlags(p: Proof, register: Register, found: { flags: number; member: string }): number {
  let { flags } = found
  if (register.kind & FLAG.UNTRUSTED) return FLAG.UNTRUSTED
  const withoutTrust = ~(FLAG.ALLOC | FLAG.TRUSTED | FLAG.NON_OWNING | FLAG.RCU)
  if (!isTrusted(register) && !isRcu(register)) return flags & withoutTrust
  if (isListed('trusted', register, found.member)) return flags | FLAG.TRUSTED
  if (isListed('trustedOrNull', register, found.member)) return flags | FLAG.TRUSTED | FLAG.MAYBE_NULL
  if (p.inRcuSection && !mayBeNull(register.kind)) {
    if (isListed('rcu', register, found.member)) return flags | FLAG.RCU
    const rcuOrNull = isListed('rcuOrNull', register, found.member)
    if (flags & FLAG.RCU || rcuOrNull) {
      flags |= FLAG.RCU | FLAG.MAYBE_NULL
      return rcuOrNull ? flags & ~FLAG.UNTRUSTED : flags
    }
    if (flags & (FLAG.PERCPU | FLAG.USER)) return flags
    return flags & withoutTrust
  }
  return FLAG.UNTRUSTED
}

/** What a register holds after it was loaded from such a member. */
export function loadedPointer(p: Proof, btf: Btf, id: number, flags: number): Register {
  const r = pointer(BASE.BTF_ID | flags)
  r.btf = btf
  r.btfId = id
  if (mayBeNull(flags)) r.id = p.newId()
  return r
}

function loaded(
  p: Proof,
  btf: Btf,
  found: MemberAccess,
  flagsOf: (pointed: { flags: number; member: string }) => number,
): Register {
  switch (found.kind) {
    case 'scalar':
      return unknownScalar()
    case 'memory':
      return pointer(BASE.MEM | FLAG.RDONLY | FLAG.UNTRUSTED)
    default:
      return loadedPointer(p, btf, found.id, flagsOf(found))
  }
}

/** A load or store through a pointer to a BTF type; `offset` includes the fixed one. */
export function checkStructAccess(
  p: Proof,
  n: number,
  offset: number,
  size: number,
  isWrite: boolean,
  into: number,
): void {
  const register = p.reg(n)
  const btf = register.btf as Btf
  const name = btf.nameOf(register.btfId as BtfId)
  if (!p.isGpl && btf === p.kernel) {
    throw p.refuse(EINVAL, `Cannot access kernel 'struct ${name}' from non-GPL compatible program`)
  }
  if (offset < 0) throw p.refuse(EACCES, `R${n} is ptr_${name} invalid negative access: off=${offset}`)
  if (register.mask !== 0n || register.value !== 0n) {
    throw p.refuse(
      EACCES,
      `R${n} is ptr_${name} invalid variable offset: off=${offset}, var_off=${tnumText(register.value, register.mask)}`,
    )
  }
  if (register.kind & FLAG.USER) {
    throw p.refuse(EACCES, `R${n} is ptr_${name} access user memory: off=${offset}`)
  }
  if (register.kind & FLAG.PERCPU) {
    throw p.refuse(EACCES, `R${n} is ptr_${name} access percpu memory: off=${offset}`)
  }
  let found: MemberAccess
  if (isWrite && (register.kind & FLAG.ALLOC) === 0 && p.kind.writeStruct !== undefined) {
    p.kind.writeStruct(p, register, offset, size)
    found = { kind: 'scalar' }
  } else {
    if (isWrite && !isAllocatedObject(register.kind)) throw p.refuse(EACCES, 'only read is supported')
    found = structAccess(p, register, offset, size)
  }
  if (isWrite || into < 0) return
  p.setReg(
    into,
    loaded(p, btf, found, (pointed) => inheritedFlags(p, register, pointed)),
  )
}

/** Kernel struct behind a map, by map type. */
const MAP_STRUCTS: Readonly<Record<number, string>> = {
  [BPF_MAP_TYPE.BPF_MAP_TYPE_HASH]: 'bpf_htab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_HASH]: 'bpf_htab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_HASH]: 'bpf_htab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_LRU_PERCPU_HASH]: 'bpf_htab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_HASH_OF_MAPS]: 'bpf_htab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY]: 'bpf_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_ARRAY]: 'bpf_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY]: 'bpf_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY]: 'bpf_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_ARRAY]: 'bpf_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY_OF_MAPS]: 'bpf_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_STACK_TRACE]: 'bpf_stack_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_LPM_TRIE]: 'lpm_trie',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP]: 'bpf_dtab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP_HASH]: 'bpf_dtab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKMAP]: 'bpf_stab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_SOCKHASH]: 'bpf_shtab',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_CPUMAP]: 'bpf_cpu_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_XSKMAP]: 'xsk_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_CGROUP_STORAGE]: 'bpf_cgroup_storage_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE]: 'bpf_cgroup_storage_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY]: 'reuseport_array',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_QUEUE]: 'bpf_queue_stack',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_STACK]: 'bpf_queue_stack',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_SK_STORAGE]: 'bpf_local_storage_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_INODE_STORAGE]: 'bpf_local_storage_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_TASK_STORAGE]: 'bpf_local_storage_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_CGRP_STORAGE]: 'bpf_local_storage_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF]: 'bpf_ringbuf_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_USER_RINGBUF]: 'bpf_ringbuf_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_BLOOM_FILTER]: 'bpf_bloom_filter',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS]: 'bpf_struct_ops_map',
  [BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA]: 'bpf_arena',
}

/** A load through a pointer to a map: members of the kernel's own struct. */
export function checkMapPointerAccess(
  p: Proof,
  n: number,
  offset: number,
  size: number,
  isWrite: boolean,
  into: number,
): void {
  const register = p.reg(n)
  const btf = p.kernel
  if (btf === undefined) {
    throw p.refuse(ENOTSUPP, 'map_ptr access not supported without CONFIG_DEBUG_INFO_BTF')
  }
  const type = register.map?.type ?? 0
  const name = MAP_STRUCTS[type] ?? ''
  const id = btf.find(name, BTF_KIND.STRUCT)
  if (id === undefined) throw p.refuse(ENOTSUPP, `map_ptr access not supported for map type ${type}`)
  if (offset < 0) throw p.refuse(EACCES, `R${n} is ${name} invalid negative access: off=${offset}`)
  if (isWrite) throw p.refuse(EACCES, `only read from ${name} is supported`)
  const fake = pointer(BASE.BTF_ID)
  fake.btf = btf
  fake.btfId = id
  const found = structAccess(p, fake, offset, size)
  if (into < 0) return
  p.setReg(
    into,
    loaded(p, btf, found, ({ flags }) => flags),
  )
}
