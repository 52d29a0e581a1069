/**
 * Which kinds of register an argument of a helper takes.
 *
 * Source: compatible_reg_types, check_reg_type in kernel/bpf/verifier.c of Linux 6.18.
 */
import { BTF_KIND, type Btf, type BtfId } from '../../btf/index.ts'
import { type HelperArgument, helperPrototypes } from '../../helpers/index.ts'
import { BASE, baseOf, DYNPTR_FLAGS, FLAG, kindName } from '../domain/kinds.ts'
import type { MapSpec } from '../program.ts'
import { mayBeNull, type Proof } from '../proof.ts'
import type { RecordField } from '../records/records.ts'
import { EACCES, EFAULT } from '../refusal.ts'
import type { RawRange } from './helper-memory.ts'
import { kptrMatches } from './kptr.ts'
import { typesMatch } from './struct-access.ts'

export const BTF_ID = BASE.BTF_ID

const SOCKETS: readonly number[] = [BASE.SOCK_COMMON, BASE.SOCKET, BASE.TCP_SOCK, BASE.XDP_SOCK]

const MEMORY: readonly number[] = [
  BASE.STACK,
  BASE.PACKET,
  BASE.PACKET_META,
  BASE.MAP_KEY,
  BASE.MAP_VALUE,
  BASE.MEM,
  BASE.MEM | FLAG.RINGBUF,
  BASE.BUF,
  BTF_ID | FLAG.TRUSTED,
]

const ALLOCATED: readonly number[] = [BASE.MAP_VALUE, BTF_ID | FLAG.ALLOC]

/** Kinds of register that an argument type takes. */
const COMPATIBLE: Readonly<Record<string, readonly number[]>> = {
  ARG_PTR_TO_MAP_KEY: MEMORY,
  ARG_PTR_TO_MAP_VALUE: MEMORY,
  ARG_SCALAR: [BASE.SCALAR],
  ARG_CONST_SIZE: [BASE.SCALAR],
  ARG_CONST_SIZE_OR_ZERO: [BASE.SCALAR],
  ARG_CONST_ALLOC_SIZE_OR_ZERO: [BASE.SCALAR],
  ARG_CONST_MAP_PTR: [BASE.CONST_MAP],
  ARG_PTR_TO_CTX: [BASE.CTX],
  ARG_PTR_TO_SOCK_COMMON: SOCKETS,
  ARG_PTR_TO_BTF_ID_SOCK_COMMON: [...SOCKETS, BTF_ID, BTF_ID | FLAG.TRUSTED],
  ARG_PTR_TO_SOCKET: [BASE.SOCKET],
  ARG_PTR_TO_BTF_ID: [BTF_ID, BTF_ID | FLAG.TRUSTED, BTF_ID | FLAG.RCU],
  ARG_PTR_TO_SPIN_LOCK: ALLOCATED,
  ARG_PTR_TO_MEM: MEMORY,
  ARG_PTR_TO_RINGBUF_MEM: [BASE.MEM | FLAG.RINGBUF],
  ARG_PTR_TO_PERCPU_BTF_ID: [
    BTF_ID | FLAG.PERCPU,
    BTF_ID | FLAG.PERCPU | FLAG.RCU,
    BTF_ID | FLAG.PERCPU | FLAG.TRUSTED,
  ],
  ARG_PTR_TO_FUNC: [BASE.FUNC],
  ARG_PTR_TO_STACK: [BASE.STACK],
  ARG_PTR_TO_CONST_STR: [BASE.MAP_VALUE],
  ARG_PTR_TO_TIMER: [BASE.MAP_VALUE],
  ARG_KPTR_XCHG_DEST: ALLOCATED,
  ARG_PTR_TO_DYNPTR: [BASE.STACK, BASE.DYNPTR],
}

export const HELPER = { spinLock: 93, spinUnlock: 94, skRelease: 86, kptrXchg: 194 } as const

/** What is learnt from the arguments of one call. */
export interface CallFacts {
  readonly id: number
  readonly packetAccess: boolean
  map: MapSpec | undefined
  mapUid: number
  /** Value of a constant key; -1: not known. */
  constantKey: bigint
  /** Register of the argument that is released; 0: none. */
  released: number
  refObjId: number
  dynptrId: number
  memSize: number
  /** Most that a size argument can be. */
  maxSize: bigint
  subprogram: number
  returnBtf: Btf | undefined
  returnBtfId: number
  kptr: RecordField | undefined
  readonly raw: RawRange
}

export const newFacts = (id: number, packetAccess: boolean): CallFacts => ({
  id,
  packetAccess,
  map: undefined,
  mapUid: 0,
  constantKey: -1n,
  released: 0,
  refObjId: 0,
  dynptrId: 0,
  memSize: 0,
  maxSize: 0n,
  subprogram: 0,
  returnBtf: undefined,
  returnBtfId: 0,
  kptr: undefined,
  raw: { register: 0, size: 0 },
})

export interface ArgumentKind {
  readonly type: string
  readonly maybeNull: boolean
  readonly readOnly: boolean
  readonly isRelease: boolean
  readonly uninitialised: boolean
  readonly writes: boolean
  readonly fixedSize: number
  readonly aligned: boolean
  readonly btfType: string | undefined
  /** `FLAG.DYNPTR_*`. */
  readonly dynptr: number
}

function kindOf(a: HelperArgument): ArgumentKind {
  const has = (flag: string): boolean => (a.flags as readonly string[]).includes(flag)
  return {
    type: a.type,
    maybeNull: has('PTR_MAYBE_NULL'),
    readOnly: has('MEM_RDONLY'),
    isRelease: has('OBJ_RELEASE'),
    uninitialised: has('MEM_UNINIT'),
    writes: has('MEM_WRITE'),
    fixedSize: has('MEM_FIXED_SIZE') ? (a.sizeBytes ?? 0) : 0,
    aligned: has('MEM_ALIGNED'),
    btfType: a.btfType,
    dynptr: has('DYNPTR_TYPE_LOCAL')
      ? FLAG.DYNPTR_LOCAL
      : has('DYNPTR_TYPE_RINGBUF')
        ? FLAG.DYNPTR_RINGBUF
        : 0,
  }
}

/** The rows' arguments in the verifier's terms, worked out once where the rows are read. */
const ARGUMENT_KINDS: ReadonlyMap<HelperArgument, ArgumentKind> = new Map(
  helperPrototypes.flatMap((row) => row.arguments.map((a) => [a, kindOf(a)] as const)),
)

export const argumentKind = (a: HelperArgument): ArgumentKind => ARGUMENT_KINDS.get(a) ?? kindOf(a)

/** Is the register of a kind that the argument takes, and of the right type? */
export function checkKind(
  p: Proof,
  n: number,
  argument: ArgumentKind,
  wantedId: number | undefined,
  facts: CallFacts,
): void {
  const r = p.reg(n)
  const compatible = COMPATIBLE[argument.type]
  if (compatible === undefined) throw p.refuse(EFAULT, `unsupported arg type ${argument.type}`)
  let { kind } = r
  if (argument.readOnly) kind &= ~FLAG.RDONLY
  if (argument.maybeNull) kind &= ~FLAG.MAYBE_NULL
  if (argument.type === 'ARG_PTR_TO_MEM') kind &= ~DYNPTR_FLAGS
  if (facts.id === HELPER.kptrXchg && kind & FLAG.ALLOC && n === 2) kind &= ~(FLAG.ALLOC | FLAG.PERCPU)
  if (!compatible.includes(kind)) {
    const expected = compatible.map(kindName).join(', ')
    throw p.refuse(EACCES, `R${n} type=${kindName(r.kind)} expected=${expected}`)
  }
  if (baseOf(r.kind) !== BTF_ID) return
  if (compatible === MEMORY) {
    if (argument.readOnly) return
    throw p.refuse(
      EACCES,
      `${p.helperName(facts.id)}() may write into memory pointed by R${n} type=${kindName(r.kind)}`,
    )
  }
  if (r.kind & FLAG.PERCPU && (r.kind & FLAG.ALLOC) === 0) return
  if (r.kind & FLAG.ALLOC) {
    if (facts.id === HELPER.kptrXchg && n === 2 && facts.kptr !== undefined) kptrMatches(p, facts.kptr, r, n)
    return
  }
  if (mayBeNull(r.kind) && (!argument.maybeNull || argument.isRelease)) {
    throw p.refuse(EACCES, `Possibly NULL pointer passed to helper arg${n}`)
  }
  if (facts.id === HELPER.kptrXchg) {
    if (facts.kptr !== undefined) kptrMatches(p, facts.kptr, r, n)
    return
  }
  const { kernel } = p
  let id = wantedId
  if (id === undefined && argument.type === 'ARG_PTR_TO_BTF_ID_SOCK_COMMON') {
    id = kernel?.find('sock_common', BTF_KIND.STRUCT)
  }
  if (id === undefined || kernel === undefined) throw p.refuse(EFAULT, 'missing arg compatible BTF ID')
  const strict = argument.isRelease && facts.id !== HELPER.skRelease
  if (typesMatch(p, r.btf as Btf, r.btfId, r.off, kernel, id, strict)) return
  const have = (r.btf as Btf).nameOf(r.btfId as BtfId)
  throw p.refuse(EACCES, `R${n} is of type ${have} but ${kernel.nameOf(id as BtfId)} is expected`)
}
