/**
 * A variable of a `.struct_ops` section as the kernel wants it: the object's struct has what the programs' author knew,
 * the kernel's struct has what there is. Members are found by name.
 *
 * Source: bpf_map__init_kern_struct_ops() of libbpf, as it behaves.
 */
import {
  BTF_KIND,
  type Btf,
  type BtfComposite,
  type BtfId,
  type BtfMember,
  essentialName,
} from '../btf/index.ts'
import { type BtfValue, btfCodec } from './btf-codec.ts'
import { LoadError } from './errors.ts'
import type { TypeFacts } from './kernel-facts.ts'
import type { StructOpsSpec } from './spec/index.ts'

const VALUE_PREFIX = 'bpf_struct_ops_'

/** Members in the place of what the object says: values, and functions by the names of programs; null: none. */
export type StructOpsChanges = Readonly<Record<string, BtfValue | null>>

/** A function of the kernel's struct, and the program for it. */
export interface StructOpsFunction {
  readonly program: string
  /** The member's place in the order of the kernel's struct. */
  readonly member: number
  /** In the value, where the program's descriptor goes. */
  readonly offset: number
}

export interface StructOpsPlan {
  readonly name: string
  /** Whether a link is to register it. */
  readonly isLinked: boolean
  /** In the kernel's types, or in those of the module with the descriptor `btfFd`. */
  readonly typeId: number
  readonly valueTypeId: number
  readonly btfFd: number
  /** The value, without programs. */
  readonly value: Uint8Array
  readonly functions: readonly StructOpsFunction[]
}

interface KernelStruct {
  readonly types: Btf
  readonly btfFd: number
  readonly struct: BtfComposite
  readonly value: BtfComposite
  /** Of the struct in the value. */
  readonly dataOffset: number
}

export function planStructOps(
  types: Btf,
  facts: TypeFacts,
  spec: StructOpsSpec,
  changes: StructOpsChanges = {},
): StructOpsPlan | LoadError {
  const local = types.typeById(spec.type)
  const fail = (
    message: string,
    code: 'unsupported' | 'unknown-target' | 'bad-value' | 'unknown-name' = 'unsupported',
  ) => new LoadError(code, spec.name, `struct_ops '${spec.name}': ${message}`)
  if (local.kind !== BTF_KIND.STRUCT) return fail('its type is no struct')
  const kernel = kernelStruct(facts, essentialName(local.name))
  if (kernel instanceof LoadError) return kernel
  if (kernel === undefined) return fail(`the kernel has no '${VALUE_PREFIX}${local.name}'`, 'unknown-target')
  const unknown = Object.keys(changes).find((name) => !local.members.some((member) => member.name === name))
  if (unknown !== undefined) return fail(`there is no member '${unknown}'`, 'unknown-name')

  const data = spec.data.slice()
  const value = new Uint8Array(kernel.value.size)
  const functions: StructOpsFunction[] = []
  for (const member of local.members) {
    const offset = member.bitOffset >>> 3
    const size = types.sizeOf(member.type) ?? 0
    const change = changes[member.name]
    const isFunction = isFunctionPointer(types, member.type)
    let program = spec.members.find((one) => one.offset === offset)?.program
    if (isFunction && change !== undefined) {
      if (change !== null && typeof change !== 'string')
        return fail(`'${member.name}' is a function`, 'bad-value')
      program = change ?? undefined
    } else if (change !== undefined) {
      const refused = setMember(types, data, member, change)
      if (refused !== undefined) return fail(`'${member.name}': ${refused}`, 'bad-value')
    }
    const bytes = data.subarray(offset, offset + size)
    const index = kernel.struct.members.findIndex((one) => one.name === member.name)
    const target = kernel.struct.members[index]
    if (target === undefined) {
      // What an older kernel does not have may be left out where nothing is asked of it.
      if (program === undefined && bytes.every((byte) => byte === 0)) continue
      return fail(`the kernel's ${kernel.struct.name} has no member '${member.name}'`, 'unknown-target')
    }
    if (member.bitSize !== 0 || target.bitSize !== 0)
      return fail(`bit field '${member.name}' is not supported`)
    const place = kernel.dataOffset + (target.bitOffset >>> 3)
    if (isFunction) {
      if (!isFunctionPointer(kernel.types, target.type))
        return fail(`'${member.name}' is no function of the kernel`)
      if (program !== undefined) functions.push({ program, member: index, offset: place })
      continue
    }
    const kernelSize = kernel.types.sizeOf(target.type)
    if (size !== kernelSize) {
      return fail(`member '${member.name}' has ${size} bytes, in the kernel ${kernelSize}`)
    }
    value.set(bytes, place)
  }
  return {
    name: spec.name,
    isLinked: spec.section.endsWith('.link'),
    typeId: kernel.struct.id,
    valueTypeId: kernel.value.id,
    btfFd: kernel.btfFd,
    value,
    functions,
  }
}

/** The struct in the kernel's types or in those of a module; undefined where programs cannot implement it. */
function kernelStruct(facts: TypeFacts, name: string): KernelStruct | undefined | LoadError {
  const own = facts.types()
  if (own instanceof LoadError) return own
  const places = [{ types: own, btfFd: 0 }]
  for (const { btf, fd } of facts.modules()) places.push({ types: btf, btfFd: fd })
  for (const { types, btfFd } of places) {
    const valueId = types.find(`${VALUE_PREFIX}${name}`, BTF_KIND.STRUCT)
    const structId = types.find(name, BTF_KIND.STRUCT)
    if (valueId === undefined || structId === undefined) continue
    const [value, struct] = [types.typeById(valueId), types.typeById(structId)]
    if (value.kind !== BTF_KIND.STRUCT || struct.kind !== BTF_KIND.STRUCT) continue
    const data = value.members.find((member) => types.resolve(member.type) === structId)
    if (data !== undefined) return { types, btfFd, struct, value, dataOffset: data.bitOffset >>> 3 }
  }
  return undefined
}

function isFunctionPointer(types: Btf, type: BtfId): boolean {
  const pointer = types.typeById(types.resolve(type))
  return pointer.kind === BTF_KIND.PTR && types.kindOf(types.resolve(pointer.type)) === BTF_KIND.FUNC_PROTO
}

/** Why the value does not fit the member; undefined where it does. */
function setMember(
  types: Btf,
  data: Uint8Array,
  member: BtfMember,
  value: BtfValue | null,
): string | undefined {
  const codec = btfCodec(types, member.type)
  if (codec === undefined || member.bitSize !== 0 || value === null) return 'it cannot be set'
  try {
    codec.set(new DataView(data.buffer, data.byteOffset, data.byteLength), member.bitOffset >>> 3, value)
    return undefined
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return error.message
  }
}
