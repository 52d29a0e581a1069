/** What PROG_LOAD would be given for a program of an object, made without a kernel. */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND, Btf, BtfError, CoreError, CoreRelocator } from '../../btf/index.ts'
import type { CollectionSpec, LinkedProgram } from '../../client/index.ts'
import { CALL_SOURCE, decode, type Instruction, WIDE_SOURCE } from '../../isa/index.ts'
import type { FunctionInfo, MapSpec, ProgramInput, SourceLine } from '../../verifier/index.ts'
import { CliFailure } from '../failure.ts'

const BPF_F_SLEEPABLE = 0x10
const BPF_F_RDONLY_PROG = 0x80

/** What PROG_LOAD would be given. */
export function inputOf(
  spec: CollectionSpec,
  linked: LinkedProgram,
  kernelTypes: Btf | undefined,
): ProgramInput | CliFailure {
  const failure = kernelTypes === undefined ? undefined : relocate(spec, linked, kernelTypes)
  if (failure !== undefined) return failure
  const decoded = decode(linked.instructions)
  if (!decoded.ok) return new CliFailure(`${spec.name}: ${decoded.error.message}`)
  const types = spec.kernelBtf === undefined ? undefined : Btf.parse(spec.kernelBtf)
  const btf = types instanceof BtfError ? undefined : types
  const maps = spec.maps.map((map) => mapOf(map, btf))
  const program = [...decoded.program]
  for (const reference of linked.references) {
    const at = reference.instruction
    const first = program[at] as Instruction
    if (reference.kind === 'map' || reference.kind === 'mapValue') {
      const imm = spec.maps.findIndex(({ name }) => name === reference.map)
      const isValue = reference.kind === 'mapValue'
      program[at] = { ...first, src: isValue ? WIDE_SOURCE.MAP_VALUE : WIDE_SOURCE.MAP_FD, imm }
      if (isValue) program[at + 1] = { ...(program[at + 1] as Instruction), imm: reference.offset }
      continue
    }
    const extern = spec.externs.find(({ name }) => name === reference.name)
    if (reference.kind === 'externCall') {
      if (extern?.kind === 'ksym' && extern.type === undefined) {
        const where = `${spec.name}: program '${linked.name}', instruction ${at}`
        return new CliFailure(`${where}: nothing defines the function '${reference.name}' that it calls`)
      }
      const imm = kernelTypes?.find(reference.name, BTF_KIND.FUNC) ?? 0
      program[at] = { ...first, src: CALL_SOURCE.KFUNC, imm, offset: 0 }
      continue
    }
    const kconfig = spec.maps.findIndex(({ origin }) => origin === 'kconfig')
    if (extern?.kind !== 'kconfig' || kconfig < 0) continue
    program[at] = { ...first, src: WIDE_SOURCE.MAP_VALUE, imm: kconfig }
  }
  const { definition } = linked.program
  const attach = attachOf(linked, kernelTypes)
  return {
    instructions: program,
    programType: definition.programType,
    expectedAttachType: definition.expectedAttachType,
    flags: definition.sleepable ? BPF_F_SLEEPABLE : 0,
    license: spec.license,
    name: linked.name,
    maps,
    descriptors: [],
    functions: btf === undefined ? [] : functionsOf(linked.funcInfo),
    lines: btf === undefined ? [] : linesOf(btf, linked.lineInfo),
    logLevel: 0,
    ...(btf === undefined ? {} : { btf }),
    ...(kernelTypes === undefined ? {} : { kernelTypes }),
    ...(attach === undefined ? {} : { attach: { btfId: attach } }),
  }
}

/** Type of the kernel that the program attaches by. */
function attachOf({ program }: LinkedProgram, kernelTypes: Btf | undefined): number | undefined {
  const { attach, expectedAttachType, programType } = program.definition
  if (attach.kind !== 'btf' || kernelTypes === undefined) return undefined
  const { name } = attach
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM) {
    return kernelTypes.find(`bpf_lsm_${name}`, BTF_KIND.FUNC)
  }
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_RAW_TP) {
    return kernelTypes.find(`btf_trace_${name}`, BTF_KIND.TYPEDEF)
  }
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_ITER) {
    return kernelTypes.find(`bpf_iter_${name}`, BTF_KIND.FUNC)
  }
  return kernelTypes.find(name, BTF_KIND.FUNC)
}

/** Offsets of the kernel's own types, where they are known. */
function relocate(spec: CollectionSpec, linked: LinkedProgram, kernelTypes: Btf): CliFailure | undefined {
  if (spec.btf === undefined) return undefined
  const relocator = new CoreRelocator(spec.btf, () => [kernelTypes])
  for (const record of linked.coreRelocations) relocator.prepare(record)
  for (const record of linked.coreRelocations) {
    const applied = relocator.apply(linked.instructions, record)
    if (applied instanceof CoreError) return new CliFailure(`${linked.name}: ${applied.message}`)
  }
  return undefined
}

function mapOf(map: CollectionSpec['maps'][number], btf: Btf | undefined): MapSpec {
  const isConstant = map.origin === 'rodata' || map.origin === 'kconfig'
  return {
    type: map.type,
    name: map.kernelName,
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    flags: map.flags | (isConstant ? BPF_F_RDONLY_PROG : 0),
    extra: map.mapExtra,
    keyTypeId: map.keyType ?? 0,
    valueTypeId: map.valueType ?? 0,
    frozen: map.frozen,
    ...(map.inner === undefined ? {} : { inner: mapOf(map.inner, btf) }),
    ...(btf === undefined ? {} : { btf }),
    ...(map.origin === 'rodata' && map.initialValue !== undefined ? { value: map.initialValue } : {}),
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function functionsOf(funcInfo: Uint8Array): FunctionInfo[] {
  const view = viewOf(funcInfo)
  const functions: FunctionInfo[] = []
  for (let at = 0; at + 8 <= funcInfo.length; at += 8) {
    functions.push({ instruction: view.getUint32(at, true), typeId: view.getUint32(at + 4, true) })
  }
  return functions
}

function linesOf(btf: Btf, lineInfo: Uint8Array): SourceLine[] {
  const view = viewOf(lineInfo)
  const lines: SourceLine[] = []
  for (let at = 0; at + 16 <= lineInfo.length; at += 16) {
    const place = view.getUint32(at + 12, true)
    lines.push({
      instruction: view.getUint32(at, true),
      file: btf.string(view.getUint32(at + 4, true)),
      text: btf.string(view.getUint32(at + 8, true)),
      line: place >>> 10,
      column: place & 0x3ff,
    })
  }
  return lines
}
