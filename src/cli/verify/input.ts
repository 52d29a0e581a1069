/** What PROG_LOAD would be given for a program of an object, made without a kernel. */
import { BPF_F_RDONLY_PROG, BPF_F_SLEEPABLE } from '../../abi/index.ts'
import { Btf, BtfError } from '../../btf/index.ts'
import {
  type CollectionSpec,
  type LoadError,
  type ObjectError,
  type OfflineKernel,
  offlineProgram,
} from '../../client/index.ts'
import { decode } from '../../isa/index.ts'
import type { FunctionInfo, MapSpec, ProgramInput, SourceLine } from '../../verifier/index.ts'
import { CliFailure } from '../failure.ts'

/** What PROG_LOAD would be given. */
export function inputOf(
  spec: CollectionSpec,
  program: string,
  kernel: OfflineKernel,
): ProgramInput | LoadError | ObjectError | CliFailure {
  const offline = offlineProgram(spec, program, kernel)
  if ('code' in offline) return offline
  const { linked, expectedAttachType, attachTo, kconfig } = offline
  const decoded = decode(linked.instructions)
  if (!decoded.ok) return new CliFailure(`${spec.name}: ${decoded.error.message}`)
  const types = spec.kernelBtf === undefined ? undefined : Btf.parse(spec.kernelBtf)
  const btf = types instanceof BtfError ? undefined : types
  const { definition } = linked.program
  return {
    instructions: decoded.program,
    programType: definition.programType,
    expectedAttachType,
    flags: definition.sleepable ? BPF_F_SLEEPABLE : 0,
    license: spec.license,
    name: linked.name,
    maps: spec.maps.map((map) => mapOf(map, btf, kconfig)),
    descriptors: [],
    functions: btf === undefined ? [] : functionsOf(linked.funcInfo),
    lines: btf === undefined ? [] : linesOf(btf, linked.lineInfo),
    logLevel: 0,
    ...(btf === undefined ? {} : { btf }),
    ...(kernel.types === undefined ? {} : { kernelTypes: kernel.types }),
    ...(attachTo === undefined ? {} : { attach: { btfId: attachTo } }),
  }
}

function mapOf(
  map: CollectionSpec['maps'][number],
  btf: Btf | undefined,
  kconfig?: Uint8Array | undefined,
): MapSpec {
  const isConstant = map.origin === 'rodata' || map.origin === 'kconfig'
  const value = map.origin === 'kconfig' ? kconfig : map.origin === 'rodata' ? map.initialValue : undefined
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
    ...(value === undefined ? {} : { value }),
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
