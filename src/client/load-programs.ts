/** The programs of an object: what is still symbolic becomes descriptors, then BPF_PROG_LOAD. */
import {
  BPF_F_SLEEPABLE,
  BPF_F_XDP_HAS_FRAGS,
  BPF_PROG_TYPE,
  EINVAL,
  ENOSPC,
  EPERM,
  errnoName,
  type Syscalls,
} from '../abi/index.ts'
import { type AppliedRelocation, CoreError, type CoreRelocator, POISON_HELPER } from '../btf/index.ts'
import { attachTarget } from './attach-btf.ts'
import { loadProgram, type ProgramToLoad } from './calls.ts'
import { relocateCore } from './core.ts'
import { LoadError, RelocationError, VerifierError } from './errors.ts'
import type { KernelFacts } from './kernel-facts.ts'
import { kernelName } from './kernel-name.ts'
import type { LoadOptions } from './load-options.ts'
import type { BpfMap } from './map.ts'
import type { Descriptor } from './owner.ts'
import { Program } from './program.ts'
import { patchReference } from './references.ts'
import { type CollectionSpec, linkProgram, ObjectError, type ProgramSpec } from './spec/index.ts'
import type { UsdtSpecs } from './usdt/specs.ts'
import { type SourceLine, sourceLookup } from './verifier-report.ts'

/**
 * A refused program is loaded again with a log of this size, then of the size that the kernel says it takes; where it
 * does not say, doubled until it fits or is the largest allowed.
 */
const FIRST_LOG_BYTES = 64 * 1024
const LARGEST_LOG_BYTES = 16 * 1024 * 1024

/** A function of a struct of the kernel's. */
export interface Implementation {
  readonly typeId: number
  readonly btfFd: number
  readonly member: number
}

/** What the programs of one load have in common. */
export interface ProgramContext {
  readonly syscalls: Syscalls
  readonly spec: CollectionSpec
  readonly options: LoadOptions
  readonly maps: ReadonlyMap<string, BpfMap>
  readonly btfFd: number | undefined
  readonly facts: KernelFacts
  /** What struct_ops programs are for, by their names. */
  readonly implementations: ReadonlyMap<string, Implementation>
  /** Where USDT programs find their arguments, where the object has such. */
  readonly usdt: UsdtSpecs | undefined
  /** What fits programs to the kernel's types, where anything is to be fitted. */
  readonly relocator: CoreRelocator | undefined
}

export function loadOneProgram(context: ProgramContext, spec: ProgramSpec): Program | LoadError {
  const { syscalls, options } = context
  const { definition, name, section } = spec
  const type = options.programTypes?.[name] ?? definition.programType
  if (type === BPF_PROG_TYPE.BPF_PROG_TYPE_UNSPEC) {
    return new LoadError(
      'unknown-section',
      name,
      `program '${name}': the section name '${section}' says no program type; rename it, or give the option programTypes`,
    )
  }
  const implementation = context.implementations.get(name)
  if (type === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS && implementation === undefined) {
    const message = `program '${name}' (${section}) is in no struct that is to be created`
    return new LoadError('unknown-target', name, message)
  }
  const attachTo =
    implementation === undefined
      ? attachTarget(context.facts, spec, options.targetPrograms?.[name])
      : { id: implementation.typeId, btfFd: implementation.btfFd }
  if (attachTo instanceof LoadError) return attachTo
  const linked = linkProgram(context.spec, name)
  if (linked instanceof ObjectError) return new LoadError('program', name, linked.message)
  const relocated = context.relocator === undefined ? [] : relocateCore(linked, context.relocator)
  if (relocated instanceof CoreError) return new RelocationError(name, section, relocated)
  const { facts, maps } = context
  const references = { spec: context.spec, facts, fdOf: (map: string) => maps.get(map)?.fd }
  const fdArray: number[] = []
  for (const reference of linked.references) {
    const failure = patchReference(references, linked.instructions, reference, fdArray)
    if (failure !== undefined)
      return new LoadError(failure.code, failure.subject, `program '${name}': ${failure.message}`)
  }
  const program: ProgramToLoad = {
    name: kernelName(name),
    type,
    expectedAttachType: implementation?.member ?? definition.expectedAttachType,
    flags: (definition.sleepable ? BPF_F_SLEEPABLE : 0) | (definition.xdpFrags ? BPF_F_XDP_HAS_FRAGS : 0),
    license: context.spec.license,
    kernelVersion: context.spec.version,
    instructions: linked.instructions,
    attachTo,
    fdArray,
    btf:
      context.btfFd === undefined
        ? undefined
        : { fd: context.btfFd, funcInfo: linked.funcInfo, lineInfo: linked.lineInfo },
  }
  const loaded = loadWithLog(syscalls, program, options.logLevel ?? 0)
  if (typeof loaded.result === 'number') {
    const sourceOf = sourceLookup(context.spec.btf, linked.lineInfo)
    return refusal(spec, loaded.result, loaded, relocated, sourceOf)
  }
  if (options.logLevel) options.onLog?.(name, loaded.log)
  return new Program(syscalls, spec, loaded.result, context.usdt)
}

interface Loaded {
  readonly result: Descriptor | number
  readonly log: string
  readonly isTruncated: boolean
}

/**
 * Loads without a log, as that costs the verifier least; a program that is refused is loaded again with one, which
 * grows while the kernel answers ENOSPC. A caller who wants a log of success gets one the first time.
 */
function loadWithLog(syscalls: Syscalls, program: ProgramToLoad, logLevel: number): Loaded {
  if (logLevel === 0) {
    const { result } = loadProgram(syscalls, program, undefined)
    if (typeof result !== 'number') return { result, log: '', isTruncated: false }
  }
  let sizeBytes = FIRST_LOG_BYTES
  for (;;) {
    const { result, log, wholeLogBytes } = loadProgram(syscalls, program, { level: logLevel || 1, sizeBytes })
    if (result !== -ENOSPC || sizeBytes >= LARGEST_LOG_BYTES) {
      return { result, log, isTruncated: result === -ENOSPC }
    }
    sizeBytes = Math.min(LARGEST_LOG_BYTES, Math.max(sizeBytes * 2, wholeLogBytes))
  }
}

function refusal(
  spec: ProgramSpec,
  result: number,
  { log, isTruncated }: Loaded,
  relocated: readonly AppliedRelocation[],
  sourceOf: (instruction: number) => SourceLine | undefined,
): LoadError {
  if (log.trim() !== '') {
    const reason = poisonIn(log, relocated)
    return new VerifierError(spec.name, spec.section, -result, log, isTruncated, reason, sourceOf)
  }
  const advice = adviceOn(spec, result)
  return new LoadError(
    'program',
    spec.name,
    `program '${spec.name}' (${spec.section}) cannot be loaded: ${errnoName(result)}${advice}`,
    -result,
  )
}

/** What may be behind a refusal without a log. */
function adviceOn({ definition }: ProgramSpec, result: number): string {
  if (result === -EPERM) {
    const orForbids =
      definition.attach.kind === 'btf' ? ', and a kernel that lets its functions be traced' : ''
    return ` (loading programs needs CAP_BPF and CAP_PERFMON${orForbids})`
  }
  const replaces = definition.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT
  return replaces && result === -EINVAL
    ? ' (the kernel has no programs that replace functions of others)'
    : ''
}

/** What the verifier's log means that ends at an instruction which stands for a relocation that found nothing. */
function poisonIn(log: string, relocated: readonly AppliedRelocation[]): string | undefined {
  if (!new RegExp(`invalid func unknown#${POISON_HELPER}\\b`).test(log)) return undefined
  const places = [...log.matchAll(new RegExp(`^(\\d+): .*call unknown#${POISON_HELPER}\\b`, 'gm'))]
  const instruction = Number(places.at(-1)?.[1] ?? Number.NaN)
  const found = relocated.find((one) => one.poisoned !== undefined && one.instruction === instruction)
  if (found === undefined) return undefined
  const why =
    found.poisoned === 'missing'
      ? 'the kernel has nothing for the relocation'
      : 'a number of another width in the kernel would be read wrongly by the relocation'
  return `instruction ${instruction}: ${why} ${found.relocation}`
}
