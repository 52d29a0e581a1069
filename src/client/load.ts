/**
 * From a Spec to a Collection: types, maps, constants, programs, in this order, as libbpf does it.
 *
 * Rules: on failure nothing stays open. The Spec is not changed, so it can be loaded again, here or elsewhere.
 */
import type { Syscalls } from '../abi/index.ts'
import { Btf, type BtfError } from '../btf/index.ts'
import { closestNames } from '../elf/index.ts'
import { loadBtf } from './calls.ts'
import { Collection } from './collection.ts'
import { coreRelocator } from './core.ts'
import { LoadError } from './errors.ts'
import { Globals, type GlobalVariable, globalVariables, viewOf } from './globals.ts'
import { kconfigValue } from './kconfig.ts'
import { KernelFacts } from './kernel-facts.ts'
import { loadMap } from './load-maps.ts'
import type { LoadOptions } from './load-options.ts'
import { loadOneProgram } from './load-programs.ts'
import { createStructOps, implementationsOf } from './load-struct-ops.ts'
import type { BpfMap } from './map.ts'
import { Descriptor, Owner } from './owner.ts'
import { PIN_ROOT } from './pinned-maps.ts'
import { possibleCpuCount } from './possible-cpus.ts'
import type { Program } from './program.ts'
import type { CollectionSpec, MapSpec, ProgramSpec } from './spec/index.ts'
import { UsdtSpecs } from './usdt/specs.ts'

/** Creates the object's maps and loads its programs; nothing is attached yet. */
export function load(
  spec: CollectionSpec,
  syscalls: Syscalls,
  options: LoadOptions = {},
): Collection | LoadError {
  if (spec.byteOrder === 'big') {
    return new LoadError(
      'unsupported',
      spec.name,
      `'${spec.name}' is big endian (compiled with -target bpfeb)`,
    )
  }
  const selected = selectPrograms(spec, options)
  if (selected instanceof LoadError) return selected
  const types = laidOutTypes(spec)
  let found: ReadonlyMap<string, GlobalVariable> | undefined
  const variables = () => {
    found ??= globalVariables(spec.maps, types(), options.values)
    return found
  }
  const overrides = initialValues(variables, options)
  if (overrides instanceof LoadError) return overrides
  const unknown = unknownName('map', Object.keys(options.maxEntries ?? {}), spec.maps)
  if (unknown !== undefined) return unknown

  using owner = new Owner()
  using facts = new KernelFacts(syscalls, options)
  const loadedTypes = spec.kernelBtf === undefined ? undefined : loadBtf(syscalls, spec.kernelBtf)
  // A kernel without types, or with older ones, loads the programs all the same.
  const btfFd = loadedTypes instanceof Descriptor ? owner.own(loadedTypes).fd : undefined

  let cpus: number | undefined
  const cpuCount = (): number | LoadError => {
    const count = cpus ?? possibleCpuCount(syscalls)
    if (count < 1) {
      const message = 'how many CPUs the kernel has cannot be read from /sys/devices/system/cpu/possible'
      return new LoadError('environment', '', message, -count)
    }
    cpus = count
    return count
  }
  const maps = new Map<string, BpfMap>()
  const fresh: MapSpec[] = []
  const initialValueOf = (map: MapSpec) =>
    map.origin === 'kconfig'
      ? kconfigValue(spec, map, options.kconfig, facts)
      : (overrides.get(map.name) ?? map.initialValue)
  const mapContext = {
    syscalls,
    types,
    btfFd,
    maxEntries: options.maxEntries ?? {},
    pinRoot: options.pinRoot ?? PIN_ROOT,
    values: options.values ?? {},
    initialValueOf,
    cpuCount,
  }
  for (const map of spec.maps) {
    const loaded = loadMap(mapContext, map)
    if (loaded instanceof LoadError) return loaded
    maps.set(map.name, owner.own(loaded.map))
    if (!loaded.isReused) fresh.push(map)
  }
  const innerFailure = fillReferences(fresh, maps, 'map', (name) => maps.get(name)?.fd)
  if (innerFailure !== undefined) return innerFailure

  const programs = new Map<string, Program>()
  const relocator = coreRelocator(spec, selected, facts)
  if (relocator instanceof LoadError) return relocator
  const structOps = createStructOps({ spec, syscalls, options, facts, btfFd, owner })
  if (structOps instanceof LoadError) return structOps
  const implementations = implementationsOf(structOps)
  if (implementations instanceof LoadError) return implementations
  const usdt = UsdtSpecs.of(maps, spec.btf)
  const context = { syscalls, spec, options, maps, btfFd, facts, implementations, relocator, usdt }
  for (const program of selected) {
    // As libbpf does: what is in no struct is not loaded, unless it is asked for.
    const isUnused = program.definition.attach.kind === 'structOps' && !implementations.has(program.name)
    if (isUnused && options.programs === undefined) continue
    const loaded = loadOneProgram(context, program)
    if (loaded instanceof LoadError) return loaded
    programs.set(program.name, owner.own(loaded))
  }
  const tailCallFailure = fillReferences(spec.maps, maps, 'program', (name) => programs.get(name)?.fd)
  if (tailCallFailure !== undefined) return tailCallFailure
  for (const each of structOps.values()) each.setPrograms(programs)

  return new Collection({
    spec,
    maps,
    programs,
    structOps,
    globals: new Globals(variables, maps),
    cpuCount: cpus,
    syscalls,
    owner: owner.release(),
  })
}

/**
 * The types with data sections laid out; clang leaves that to the loader. Read when first asked for: a load needs them
 * for global variables only, those who look at maps for what is in them.
 */
function laidOutTypes(spec: CollectionSpec): () => Btf | undefined {
  if (spec.kernelBtf === undefined) return () => spec.btf
  const bytes = spec.kernelBtf
  let laidOut: Btf | BtfError | undefined
  return () => {
    laidOut ??= Btf.parse(bytes)
    return laidOut instanceof Btf ? laidOut : spec.btf
  }
}

function selectPrograms(spec: CollectionSpec, options: LoadOptions): readonly ProgramSpec[] | LoadError {
  if (spec.programs.length === 0) {
    return new LoadError('no-program', spec.name, `'${spec.name}' has no programs, only maps and functions`)
  }
  const wanted = options.programs
  if (wanted === undefined) {
    const unknown = unknownName('program', Object.keys(options.programTypes ?? {}), spec.programs)
    return unknown ?? spec.programs.filter((program) => program.autoload)
  }
  const unknown = unknownName('program', wanted, spec.programs)
  return unknown ?? spec.programs.filter((program) => wanted.includes(program.name))
}

function unknownName(
  what: string,
  names: readonly string[],
  known: Iterable<{ readonly name: string }>,
): LoadError | undefined {
  if (names.length === 0) return undefined
  const all = [...known].map(({ name }) => name)
  const unknown = names.find((name) => !all.includes(name))
  if (unknown === undefined) return undefined
  const near = closestNames(unknown, all, 3)
  const hint = near.length > 0 ? `did you mean ${near.join(', ')}?` : `there are ${all.join(', ') || 'none'}`
  return new LoadError('unknown-name', unknown, `the object has no ${what} '${unknown}'; ${hint}`)
}

/** First values of the data sections whose variables the caller sets, by map name. */
function initialValues(
  variablesOf: () => ReadonlyMap<string, GlobalVariable>,
  options: LoadOptions,
): Map<string, Uint8Array> | LoadError {
  const values = new Map<string, Uint8Array>()
  const settings = Object.entries(options.globals ?? {})
  if (settings.length === 0) return values
  const variables = variablesOf()
  const unknown = unknownName(
    'global variable',
    settings.map(([name]) => name),
    variables.values(),
  )
  if (unknown !== undefined) return unknown
  for (const [name, value] of settings) {
    const variable = variables.get(name) as GlobalVariable
    const { map, codec, offset } = variable
    let bytes = values.get(map.name)
    if (bytes === undefined) {
      bytes = new Uint8Array(Math.max(map.valueSize, map.initialValue?.length ?? 0))
      bytes.set(map.initialValue ?? [])
      values.set(map.name, bytes)
    }
    try {
      codec.set(viewOf(bytes), offset, value)
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      return new LoadError('bad-value', name, `global variable '${name}': ${error.message}`)
    }
  }
  return values
}

/** Elements that the object declares as other maps or programs, by descriptor. */
function fillReferences(
  specs: readonly MapSpec[],
  maps: ReadonlyMap<string, BpfMap>,
  kind: 'map' | 'program',
  fdOf: (name: string) => number | undefined,
): LoadError | undefined {
  for (const spec of specs) {
    for (const value of spec.values) {
      if (value.kind !== kind) continue
      const { key, name } = value
      const fd = fdOf(name)
      // A program that was not loaded leaves its slot empty, as libbpf does.
      if (fd === undefined) continue
      const map = maps.get(spec.name) as BpfMap
      const result = map.handle.update(word(key, map.handle.keySize), word(fd, 4), 0)
      if (result < 0) {
        const message = `map '${spec.name}': element ${key} cannot be set to ${kind} '${name}'`
        return new LoadError('map', spec.name, message, -result)
      }
    }
  }
  return undefined
}

function word(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  viewOf(bytes).setUint32(0, value, true)
  return bytes
}
