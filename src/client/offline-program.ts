/**
 * A program as BPF_PROG_LOAD is given it, made without a kernel: for those who verify or disassemble it elsewhere.
 *
 * Rules: what a kernel would answer comes from its types alone. Addresses of its symbols are not in them: a program sees
 * some address of a kernel's. What the types of no kernel are given for stays as it was compiled.
 */
import { BPF_PROG_TYPE } from '../abi/index.ts'
import { type Btf, CoreError } from '../btf/index.ts'
import { kernelTarget } from './attach-btf.ts'
import { coreRelocator, relocateCore } from './core.ts'
import { LoadError, RelocationError } from './errors.ts'
import { gunzip } from './gunzip.ts'
import { type ConfigurationFacts, kconfigValue } from './kconfig.ts'
import { type KernelFacts, parseConfiguration } from './kernel-facts.ts'
import { patchReference } from './references.ts'
import { type CollectionSpec, type LinkedProgram, linkProgram, ObjectError } from './spec/index.ts'
import { planStructOps } from './struct-ops-plan.ts'

export interface OfflineProgram {
  /** Fitted to the kernel's types. Maps are named by their place in the Spec's list of maps. */
  readonly linked: LinkedProgram
  /** `BPF_*` attach type; of a struct_ops program, the place of its member. */
  readonly expectedAttachType: number
  /** The function, tracepoint or struct of the kernel's types that the program is for. */
  readonly attachTo: number | undefined
  /** What is in the map of the kernel's settings; undefined: anything. */
  readonly kconfig: Uint8Array | undefined
}

/** What is known of the kernel that a program is for. */
export interface OfflineKernel {
  readonly types?: Btf | undefined
  /** Its configuration: the text of a `.config`, or that with gzip, as in /proc/config.gz. */
  readonly configuration?: Uint8Array | undefined
}

/** `_stext` of Linux on x86-64. */
const SOME_ADDRESS = 0xffff_ffff_8100_0000n

type Facts = Pick<KernelFacts, 'types' | 'allTypes' | 'modules' | 'addressesOf'>

/** The program of this name, as it is for the kernel of which this is known. */
export function offlineProgram(
  spec: CollectionSpec,
  programName: string,
  { types: kernelTypes, configuration }: OfflineKernel = {},
): OfflineProgram | LoadError | ObjectError {
  const linked = linkProgram(spec, programName)
  if (linked instanceof ObjectError) return linked
  const { program } = linked
  const facts = factsOf(kernelTypes)
  if (kernelTypes !== undefined) {
    const relocator = coreRelocator(spec, [program], facts)
    if (relocator instanceof LoadError) return relocator
    const applied = relocator === undefined ? [] : relocateCore(linked, relocator)
    if (applied instanceof CoreError) return new RelocationError(programName, program.section, applied)
  }
  const places = new Map(spec.maps.map(({ name }, place) => [name, place]))
  const fdOf = (map: string) => places.get(map)
  for (const reference of linked.references) {
    const failure = patchReference({ spec, fdOf, facts }, linked.instructions, reference, [])
    if (failure !== undefined)
      return new LoadError(failure.code, failure.subject, `program '${programName}': ${failure.message}`)
  }
  const kconfig = configuration === undefined ? undefined : settings(spec, configuration)
  if (kconfig instanceof LoadError) return kconfig
  const { definition } = program
  if (definition.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS) {
    const member = kernelTypes === undefined ? undefined : structOpsMember(spec, programName, facts)
    if (member instanceof LoadError) return member
    return { linked, expectedAttachType: member?.member ?? 0, attachTo: member?.typeId, kconfig }
  }
  const target = kernelTypes === undefined ? undefined : kernelTarget(facts, program)
  if (target instanceof LoadError) return target
  return { linked, expectedAttachType: definition.expectedAttachType, attachTo: target?.id, kconfig }
}

function factsOf(kernelTypes: Btf | undefined): Facts {
  const types = () => kernelTypes ?? new LoadError('environment', '', "the kernel's types are not given")
  return {
    types,
    allTypes: () => (kernelTypes === undefined ? [] : [kernelTypes]),
    modules: () => [],
    addressesOf: () => [SOME_ADDRESS],
  }
}

/** The first lines of a configuration say what it is of. */
const HEADING = /^# Linux\/\S+ (\d+)\.(\d+)\.(\d+)/m

function settings(spec: CollectionSpec, file: Uint8Array): Uint8Array | undefined | LoadError {
  const map = spec.maps.find(({ origin }) => origin === 'kconfig')
  if (map === undefined) return undefined
  const bytes = file[0] === 0x1f && file[1] === 0x8b ? gunzip(file) : file
  if (bytes === undefined) return new LoadError('bad-value', '', "the kernel's configuration is damaged")
  const text = new TextDecoder().decode(bytes)
  const configuration = parseConfiguration(text)
  const [, major, minor, patch] = HEADING.exec(text) ?? []
  const facts: ConfigurationFacts = {
    configuration: () => configuration,
    version: () =>
      major === undefined
        ? undefined
        : (Number(major) << 16) | (Number(minor) << 8) | Math.min(255, Number(patch)),
    hasSyscallWrapper: () => configuration.get('CONFIG_ARCH_HAS_SYSCALL_WRAPPER') === 'y',
    // Since Linux 5.15, which is older than any kernel that this verifier is like.
    hasCookies: () => true,
  }
  return kconfigValue(spec, map, undefined, facts)
}

/** The function of the kernel's struct that the program is for, in the first variable that has it. */
function structOpsMember(
  spec: CollectionSpec,
  program: string,
  facts: Facts,
): { readonly typeId: number; readonly member: number } | undefined | LoadError {
  const variable = spec.structOps.find(({ members }) => members.some((one) => one.program === program))
  if (variable === undefined || spec.btf === undefined) return undefined
  const plan = planStructOps(spec.btf, facts, variable)
  if (plan instanceof LoadError) return plan
  const found = plan.functions.find((one) => one.program === program)
  return found && { typeId: plan.typeId, member: found.member }
}
