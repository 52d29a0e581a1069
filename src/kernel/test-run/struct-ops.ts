/**
 * Test runs of programs for bpf_dummy_ops: the context is the function's arguments, the first of which is the address
 * of a `struct bpf_dummy_ops_state` of the caller's, or 0.
 *
 * Source: bpf_struct_ops_test_run() of net/bpf/bpf_dummy_struct_ops.c of Linux.
 */
import { EFAULT, EINVAL, EOPNOTSUPP, progTestRunAttr } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId, type BtfPrototype } from '../../btf/index.ts'
import { callProgram } from '../struct-ops/call.ts'
import { dummyOps } from '../struct-ops/dummy-ops.ts'
import { readBytes, writeU32 } from '../user-copy.ts'
import type { TestRequest } from './request.ts'

const WORD_BYTES = 8
const MOST_ARGUMENTS = 12
/** struct bpf_dummy_ops_state. */
const STATE_BYTES = 4

export function runStructOps({ call, attr, program }: TestRequest): number {
  const { core, process, pointer } = call
  const { attach, expectedAttachType } = program.loaded
  const types = core.kernelBtf?.types
  const known = attach === undefined ? undefined : core.structOps.byType(attach.btfId)
  if (types === undefined || known?.type !== dummyOps) return -EOPNOTSUPP
  const member = known.layout.members[expectedAttachType]
  const prototype = member === undefined ? undefined : prototypeOf(types, known.typeId, expectedAttachType)
  if (member === undefined || prototype === undefined) return -EINVAL
  const count = prototype.parameters.length
  if (count === 0 || count > MOST_ARGUMENTS || attr.ctx_size_in !== count * WORD_BYTES) return -EINVAL
  const given = readBytes(process.memory, attr.ctx_in, attr.ctx_size_in)
  if (given === undefined) return -EFAULT
  const words = [...new BigUint64Array(given.slice().buffer)]
  const place = words[0] as bigint
  const state = place === 0n ? undefined : readBytes(process.memory, place, STATE_BYTES)
  if (place !== 0n && state === undefined) return -EFAULT
  const nullable = nullableParameters(types, `${known.type.name}__${member.name}`)
  const isNull = (parameter: { readonly type: BtfId }, index: number) =>
    words[index] === 0n && !nullable.has(index) && isPointer(types, parameter.type)
  if (prototype.parameters.some(isNull)) return -EINVAL
  const result = callProgram(core, program, [state ?? 0n, ...words.slice(1)], 0)
  if (result === undefined) return -EFAULT
  if (state !== undefined && !process.memory.write(place, state)) return -EFAULT
  const answer = pointer + BigInt(progTestRunAttr.offsets.retval)
  return writeU32(process.memory, answer, Number(BigInt.asUintN(32, result))) ? 0 : -EFAULT
}

const isPointer = (types: Btf, type: BtfId): boolean => types.kindOf(types.resolve(type)) === BTF_KIND.PTR

function prototypeOf(types: Btf, struct: number, member: number): BtfPrototype | undefined {
  const type = types.typeById(struct as BtfId)
  const place = type.kind === BTF_KIND.STRUCT ? type.members[member] : undefined
  const pointer = place === undefined ? undefined : types.typeById(types.resolve(place.type))
  const target = pointer?.kind === BTF_KIND.PTR ? types.typeById(types.resolve(pointer.type)) : undefined
  return target?.kind === BTF_KIND.FUNC_PROTO ? target : undefined
}

/** The function that stands in for the member names its parameters. */
function nullableParameters(types: Btf, name: string): ReadonlySet<number> {
  const id = types.find(name, BTF_KIND.FUNC)
  const stub = id === undefined ? undefined : types.typeById(id)
  const prototype = stub?.kind === BTF_KIND.FUNC ? types.typeById(stub.type) : undefined
  if (prototype?.kind !== BTF_KIND.FUNC_PROTO) return new Set()
  return new Set(
    prototype.parameters.flatMap((parameter, index) =>
      parameter.name.endsWith('__nullable') ? [index] : [],
    ),
  )
}
