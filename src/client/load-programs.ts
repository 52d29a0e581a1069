/** The programs of an object: what is still symbolic becomes descriptors, then BPF_PROG_LOAD. */
import {
  BPF_F_SLEEPABLE,
  BPF_F_XDP_HAS_FRAGS,
  BPF_PROG_TYPE,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  ENOSPC,
  EPERM,
  errnoName,
  type Syscalls,
} from '../abi/index.ts'
import { loadProgram, type ProgramToLoad, readTextFile } from './calls.ts'
import { LoadError, VerifierError } from './errors.ts'
import { viewOf } from './globals.ts'
import { kernelName } from './kernel-name.ts'
import type { LoadOptions } from './load-options.ts'
import type { BpfMap } from './map.ts'
import type { Descriptor } from './owner.ts'
import { Program } from './program.ts'
import {
  type CollectionSpec,
  type LinkReference,
  linkProgram,
  ObjectError,
  type ProgramSpec,
} from './spec/index.ts'

/** A refused program is loaded again with a log of this size, doubled until it fits or is the largest allowed. */
const FIRST_LOG_BYTES = 64 * 1024
const LARGEST_LOG_BYTES = 16 * 1024 * 1024

/** What the programs of one load have in common. */
export interface ProgramContext {
  readonly syscalls: Syscalls
  readonly spec: CollectionSpec
  readonly options: LoadOptions
  readonly maps: ReadonlyMap<string, BpfMap>
  readonly btfFd: number | undefined
  /** Address of a kernel symbol, if there is one; reads the symbols when first asked. */
  readonly addressOf: (symbol: string) => bigint | undefined
}

/** Addresses from `/proc/kallsyms`, read once when first needed. */
export function kernelAddresses(syscalls: Syscalls): (symbol: string) => bigint | undefined {
  let addresses: Map<string, bigint> | undefined
  return (symbol) => {
    if (addresses === undefined) {
      addresses = new Map()
      const text = readTextFile(syscalls, '/proc/kallsyms')
      for (const line of typeof text === 'string' ? text.split('\n') : []) {
        const [address, , name] = line.split(/\s+/)
        if (address && name && !addresses.has(name)) addresses.set(name, BigInt(`0x${address}`))
      }
    }
    return addresses.get(symbol)
  }
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
  if (definition.attach.kind === 'btf') {
    return new LoadError(
      'unsupported',
      name,
      `program '${name}' (${section}) attaches by a type of the kernel's BTF, which this client does not do yet`,
    )
  }
  const linked = linkProgram(context.spec, name)
  if (linked instanceof ObjectError) return new LoadError('program', name, linked.message)
  if (linked.coreRelocations.length > 0) {
    return new LoadError(
      'unsupported',
      name,
      `program '${name}' (${section}) is to be adapted to the kernel's types (CO-RE, ` +
        `${linked.coreRelocations.length} relocations), which this client does not do yet`,
    )
  }
  for (const reference of linked.references) {
    const failure = patch(context, linked.instructions, reference, name)
    if (failure !== undefined) return failure
  }
  const program: ProgramToLoad = {
    name: kernelName(name),
    type,
    expectedAttachType: definition.expectedAttachType,
    flags: (definition.sleepable ? BPF_F_SLEEPABLE : 0) | (definition.xdpFrags ? BPF_F_XDP_HAS_FRAGS : 0),
    license: context.spec.license,
    kernelVersion: context.spec.version,
    instructions: linked.instructions,
    btf:
      context.btfFd === undefined
        ? undefined
        : { fd: context.btfFd, funcInfo: linked.funcInfo, lineInfo: linked.lineInfo },
  }
  const loaded = loadWithLog(syscalls, program, options.logLevel ?? 0)
  if (typeof loaded.result === 'number') return refusal(spec, loaded.result, loaded)
  if (options.logLevel) options.onLog?.(name, loaded.log)
  return new Program(syscalls, spec, loaded.result)
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
  for (let sizeBytes = FIRST_LOG_BYTES; ; sizeBytes *= 2) {
    const { result, log } = loadProgram(syscalls, program, { level: logLevel || 1, sizeBytes })
    if (result !== -ENOSPC || sizeBytes >= LARGEST_LOG_BYTES) {
      return { result, log, isTruncated: result === -ENOSPC }
    }
  }
}

function refusal(spec: ProgramSpec, result: number, { log, isTruncated }: Loaded): LoadError {
  if (log.trim() !== '') return new VerifierError(spec.name, spec.section, -result, log, isTruncated)
  const advice = result === -EPERM ? ' (loading programs needs CAP_BPF and CAP_PERFMON)' : ''
  return new LoadError(
    'program',
    spec.name,
    `program '${spec.name}' (${spec.section}) cannot be loaded: ${errnoName(result)}${advice}`,
    -result,
  )
}

/** Writes what a reference stands for into its instruction. */
function patch(
  context: ProgramContext,
  instructions: Uint8Array,
  reference: LinkReference,
  program: string,
): LoadError | undefined {
  const unresolved = (name: string, what: string) =>
    new LoadError('unresolved-extern', name, `program '${program}': extern '${name}': ${what}`)
  switch (reference.kind) {
    case 'map':
      patchWide(instructions, reference.instruction, BPF_PSEUDO_MAP_FD, fdOf(context, reference.map), 0)
      return undefined
    case 'mapValue':
      patchWide(
        instructions,
        reference.instruction,
        BPF_PSEUDO_MAP_VALUE,
        fdOf(context, reference.map),
        reference.offset,
      )
      return undefined
    case 'extern': {
      const extern = context.spec.externs.find(({ name }) => name === reference.name)
      if (extern?.kind === 'kconfig') {
        const map = context.spec.maps.find(({ origin }) => origin === 'kconfig')
        if (map === undefined) throw new Error('a __kconfig extern without a .kconfig map')
        const fd = fdOf(context, map.name)
        patchWide(instructions, reference.instruction, BPF_PSEUDO_MAP_VALUE, fd, extern.offset)
        return undefined
      }
      const address = context.addressOf(reference.name) ?? (extern?.isWeak ? 0n : undefined)
      if (address === undefined) return unresolved(reference.name, 'the kernel has no such symbol')
      const low = Number(BigInt.asIntN(32, address))
      patchWide(instructions, reference.instruction, 0, low, Number(BigInt.asIntN(32, address >> 32n)))
      return undefined
    }
    case 'externCall':
      return unresolved(reference.name, 'this client does not call kernel functions (kfuncs) yet')
    default: {
      const unreachable: never = reference
      throw new Error(`no such reference: ${JSON.stringify(unreachable)}`)
    }
  }
}

/**
 * The two slots of a 64-bit immediate load: `source` in the high nibble of byte 1, `low` and `high` where the
 * halves of the number were.
 */
function patchWide(instructions: Uint8Array, slot: number, source: number, low: number, high: number): void {
  const view = viewOf(instructions)
  const at = slot * 8
  view.setUint8(at + 1, (view.getUint8(at + 1) & 0x0f) | (source << 4))
  view.setInt32(at + 4, low, true)
  view.setInt32(at + 12, high, true)
}

function fdOf(context: ProgramContext, map: string): number {
  const found = context.maps.get(map)
  if (found === undefined) throw new Error(`a reference to map '${map}', which the Spec does not have`)
  return found.fd
}
