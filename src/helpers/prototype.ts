/**
 * What a helper takes and gives, in the terms of Linux's `struct bpf_func_proto`.
 *
 * Source: enum bpf_arg_type, enum bpf_return_type and enum bpf_type_flag in include/linux/bpf.h of Linux.
 */
import { type PrototypeRow, prototypeRows } from './prototype-rows.ts'

const ARGUMENT_TYPES = [
  'ARG_ANYTHING',
  'ARG_SCALAR',
  'ARG_CONST_MAP_PTR',
  'ARG_PTR_TO_MAP_KEY',
  'ARG_PTR_TO_MAP_VALUE',
  'ARG_PTR_TO_MEM',
  'ARG_PTR_TO_ARENA',
  'ARG_CONST_SIZE',
  'ARG_CONST_SIZE_OR_ZERO',
  'ARG_CONST_ALLOC_SIZE_OR_ZERO',
  'ARG_PTR_TO_CTX',
  'ARG_PTR_TO_SPIN_LOCK',
  'ARG_PTR_TO_SOCK_COMMON',
  'ARG_PTR_TO_SOCKET',
  'ARG_PTR_TO_BTF_ID',
  'ARG_PTR_TO_BTF_ID_SOCK_COMMON',
  'ARG_PTR_TO_RINGBUF_MEM',
  'ARG_PTR_TO_PERCPU_BTF_ID',
  'ARG_PTR_TO_FUNC',
  'ARG_PTR_TO_STACK',
  'ARG_PTR_TO_CONST_STR',
  'ARG_PTR_TO_TIMER',
  'ARG_KPTR_XCHG_DEST',
  'ARG_PTR_TO_DYNPTR',
] as const
export type ArgumentType = (typeof ARGUMENT_TYPES)[number]

const TYPE_FLAGS = [
  'PTR_MAYBE_NULL',
  'PTR_TRUSTED',
  'MEM_RDONLY',
  'MEM_RINGBUF',
  'MEM_UNINIT',
  'MEM_WRITE',
  'MEM_FIXED_SIZE',
  'MEM_ALIGNED',
  'OBJ_RELEASE',
  'DYNPTR_TYPE_LOCAL',
  'DYNPTR_TYPE_RINGBUF',
] as const
export type TypeFlag = (typeof TYPE_FLAGS)[number]

const RETURN_TYPES = [
  'RET_INTEGER',
  'RET_VOID',
  'RET_PTR_TO_MAP_VALUE',
  'RET_PTR_TO_SOCKET',
  'RET_PTR_TO_TCP_SOCK',
  'RET_PTR_TO_SOCK_COMMON',
  'RET_PTR_TO_MEM',
  'RET_PTR_TO_MEM_OR_BTF_ID',
  'RET_PTR_TO_BTF_ID',
] as const
export type ReturnType = (typeof RETURN_TYPES)[number]

export interface HelperArgument {
  readonly type: ArgumentType
  readonly flags: readonly TypeFlag[]
  /** Bytes of an ARG_PTR_TO_MEM with MEM_FIXED_SIZE. */
  readonly sizeBytes?: number
  /** Kernel struct that it points to; `*`: the verifier decides. */
  readonly btfType?: string
}

export interface HelperReturn {
  readonly type: ReturnType
  readonly flags: readonly TypeFlag[]
  readonly btfType?: string
}

export interface HelperPrototype {
  /** What a call instruction's immediate holds. */
  readonly id: number
  /** `bpf_map_lookup_elem`. */
  readonly name: string
  readonly arguments: readonly HelperArgument[]
  readonly returns: HelperReturn
  /** BPF_PROG_TYPE_* that may call it in this form. */
  readonly programTypes: readonly number[]
  /** Only for programs with a GPL-compatible licence. */
  readonly gplOnly: boolean
  /** May sleep: only for sleepable programs. */
  readonly mightSleep: boolean
  /** Its memory arguments may point into a packet. */
  readonly packetAccess: boolean
  /** May change packet data, so that packet pointers are void after it. */
  readonly changesPacket: boolean
  /** Leaves the caller-saved registers alone that it does not take or give. */
  readonly fastCall: boolean
}

const argumentTypes = new Set<string>(ARGUMENT_TYPES)
const returnTypes = new Set<string>(RETURN_TYPES)
const typeFlags = new Set<string>(TYPE_FLAGS)

/** `ARG_PTR_TO_MEM | MEM_FIXED_SIZE: 8` in its parts; throws on a word that is none of Linux's. */
function parseType<Type extends string>(text: string, known: ReadonlySet<string>) {
  const [types = '', detail] = text.split(': ')
  const [type = '', ...flags] = types.split(' | ')
  const unknown = known.has(type) ? flags.find((flag) => !typeFlags.has(flag)) : type
  if (unknown !== undefined) throw new Error(`helper table: ${unknown} in "${text}"`)
  return {
    type: type as Type,
    flags: flags as TypeFlag[],
    ...(detail === undefined
      ? {}
      : /^\d+$/.test(detail)
        ? { sizeBytes: Number(detail) }
        : { btfType: detail }),
  }
}

function parseRow(row: PrototypeRow): HelperPrototype {
  const is = new Set(row.is?.split(' '))
  return {
    id: row.id,
    name: row.name,
    arguments:
      row.takes === ''
        ? []
        : row.takes.split(', ').map((text) => parseType<ArgumentType>(text, argumentTypes)),
    returns: parseType<ReturnType>(row.returns, returnTypes),
    programTypes: row.types,
    gplOnly: is.has('gplOnly'),
    mightSleep: is.has('mightSleep'),
    packetAccess: is.has('packetAccess'),
    changesPacket: is.has('changesPacket'),
    fastCall: is.has('fastCall'),
  }
}

/** All helpers in the order of their ids; one with several forms comes once for each. */
export const helperPrototypes: readonly HelperPrototype[] = prototypeRows.map(parseRow)

const formsById: ReadonlyMap<number, readonly HelperPrototype[]> = new Map(
  helperPrototypes.map(({ id }) => [id, helperPrototypes.filter((prototype) => prototype.id === id)]),
)
const idByName: ReadonlyMap<string, number> = new Map(helperPrototypes.map(({ name, id }) => [name, id]))

/**
 * The form of a helper that programs of `programType` call; without a type the form that most types call.
 * Undefined where there is no such helper, or not for that type.
 */
export function helperById(id: number, programType?: number): HelperPrototype | undefined {
  const forms = formsById.get(id) ?? []
  if (programType !== undefined) return forms.find((form) => form.programTypes.includes(programType))
  return forms.reduce<HelperPrototype | undefined>(
    (most, form) => (most && most.programTypes.length >= form.programTypes.length ? most : form),
    undefined,
  )
}

/** `helperById` by name, such as `bpf_map_lookup_elem`. */
export function helperByName(name: string, programType?: number): HelperPrototype | undefined {
  const id = idByName.get(name)
  return id === undefined ? undefined : helperById(id, programType)
}

/** `bpf_map_lookup_elem` for 1; undefined for a number that is no helper. */
export function helperName(id: number): string | undefined {
  return formsById.get(id)?.[0]?.name
}
