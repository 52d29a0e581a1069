/**
 * Writes a TypeScript module for an object: its maps, programs, global variables and records with their types, and a
 * class that loads it, as `bpftool gen skeleton` writes a header and bpf2go a Go file.
 *
 * Rules: the text depends on the object and the options only, so that a committed module can be held to its object.
 */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { BTF_KIND, Btf, type BtfId } from '../../btf/index.ts'
import { btfCodec } from '../btf-codec.ts'
import { typeName } from '../load-maps.ts'
import { isPerCpu } from '../map.ts'
import { guessRecordType, type RecordType, recordType } from '../record-types.ts'
import { type CollectionSpec, type MapSpec, ObjectError, openObject } from '../spec/index.ts'
import { encodeBase64 } from './base64.ts'
import { pascalCase, propertyName, TypeNames } from './type-names.ts'

export interface SkeletonSettings {
  /** Of the object; the class is named after it. */
  readonly name: string
  /** What the module imports the client from. Default `anybpf`. */
  readonly client?: string
  /** What the module imports `Syscalls` from. Default `anybpf/abi`. */
  readonly abi?: string
  /** Whether the object's bytes are in the module; if not, its `load` takes them. Default true. */
  readonly embed?: boolean
  /** Structs of the records of buffers by map, where the object does not say (see `guessRecordType`). */
  readonly records?: Readonly<Record<string, string>>
  /** Shown at the top: how to write the module again. */
  readonly command?: string
}

/** The module could not be written: the settings name what the object does not have. */
export class SkeletonError {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

/** Names of the module that no type of the object may take. */
const RESERVED = [
  ...['BpfMap', 'Collection', 'LoadError', 'ObjectError', 'PerfReader', 'PerfReaderOptions', 'Program'],
  ...['RingBufferOptions', 'RingBufferReader', 'Skeleton', 'SkeletonOptions', 'SyscallError', 'Syscalls'],
  ...['Omit', 'Record', 'String', 'Number', 'Boolean', 'BigInt', 'Symbol', 'Object', 'Array', 'Map', 'Set'],
  ...['Uint8Array', 'Error', 'Promise', 'Function', 'Date', 'Proxy', 'Reflect', 'JSON', 'Math'],
]

/** The module's text for the object in `bytes`. */
export function generateSkeleton(
  bytes: Uint8Array,
  settings: SkeletonSettings,
): string | ObjectError | SkeletonError {
  const spec = openObject(bytes, { name: settings.name })
  if (spec instanceof ObjectError) return spec
  const parsed = spec.kernelBtf === undefined ? undefined : Btf.parse(spec.kernelBtf)
  const btf = parsed instanceof Btf ? parsed : spec.btf
  if (btf === undefined) {
    return new SkeletonError(
      `'${settings.name}' has no BTF, from which the types come: compile it with clang -g`,
    )
  }
  return new Generator(bytes, spec, btf, settings).write()
}

class Generator {
  readonly #bytes: Uint8Array
  readonly #spec: CollectionSpec
  readonly #btf: Btf
  readonly #settings: SkeletonSettings
  readonly #types: TypeNames
  readonly #class: string
  readonly #imports = new Set(['Collection', 'LoadError', 'ObjectError', 'Skeleton', 'SkeletonOptions'])

  constructor(bytes: Uint8Array, spec: CollectionSpec, btf: Btf, settings: SkeletonSettings) {
    this.#bytes = bytes
    this.#spec = spec
    this.#btf = btf
    this.#settings = settings
    const own = pascalCase(settings.name)
    this.#class = RESERVED.includes(own) ? `${own}Object` : own
    const parts = ['', 'Maps', 'Programs', 'Globals', 'Readers'].map((part) => this.#class + part)
    this.#types = new TypeNames(btf, [...RESERVED, ...parts])
  }

  write(): string | SkeletonError {
    const readers = this.#readers()
    if (readers instanceof SkeletonError) return readers
    const maps = this.#maps()
    const programs = this.#programs()
    const globals = this.#globals()
    const [strayEnums, constants] = this.#enums()
    for (const id of strayEnums) this.#types.declareEnum(id)
    const text = [
      this.#header(),
      this.#importLines(readers.length > 0),
      ...this.#types.declarations,
      ...(constants === ''
        ? []
        : [
            `/** Constants of the object's enums without a name. */\nexport const constants = {\n${constants}} as const\n`,
          ]),
      `/** The maps, by name. */\nexport interface ${this.#class}Maps {\n${maps}}\n`,
      `/** The programs, by name. */\nexport interface ${this.#class}Programs {\n${programs}}\n`,
      `/** The global variables; what is read-only is set before loading. */\nexport interface ${this.#class}Globals {\n${globals}}\n`,
      ...(readers.length === 0
        ? []
        : [
            `/** Opens the buffers that programs send records through. */\nexport interface ${this.#class}Readers {\n${readers.map((one) => one.signature).join('')}}\n`,
          ]),
      this.#classText(readers),
      ...(this.#settings.embed === false ? [] : [this.#embedded()]),
    ]
    return text.join('\n')
  }

  #header(): string {
    const { name, command } = this.#settings
    const how = command === undefined ? '' : `\n * Written by \`${command}\`; do not edit.`
    return `/**\n * The eBPF object \`${name}\`, with its types.${how}\n */`
  }

  #importLines(hasReaders: boolean): string {
    const { client = 'anybpf', abi = 'anybpf/abi', embed } = this.#settings
    const values = ['Collection', 'Skeleton', 'loadSkeleton', ...(embed === false ? [] : ['decodeBase64'])]
    if (hasReaders) this.#imports.add('SyscallError')
    const names = [...new Set([...this.#imports, ...values])].sort()
    const lines = names.map((name) => `  ${values.includes(name) ? name : `type ${name}`},\n`).join('')
    return `import {\n${lines}} from ${quote(client)}\nimport type { Syscalls } from ${quote(abi)}\n`
  }

  #maps(): string {
    let text = ''
    for (const map of this.#spec.maps) {
      if (map.origin !== 'btf' && map.origin !== 'legacy') continue
      this.#imports.add('BpfMap')
      const comment = `  /** ${typeName(map.type)}, ${describeSize(map)} */\n`
      text += `${comment}  readonly ${propertyName(map.name)}: BpfMap<${this.#elementTypes(map)}>\n`
    }
    return text
  }

  /** Key and value, as `loadMap` chooses their codecs. */
  #elementTypes(map: MapSpec): string {
    const { BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_USER_RINGBUF } = BPF_MAP_TYPE
    if (map.type === BPF_MAP_TYPE_RINGBUF || map.type === BPF_MAP_TYPE_USER_RINGBUF) return 'never, never'
    const ofType = (id: BtfId | undefined, size: number): string => {
      const fits = id !== undefined && size > 0 && btfCodec(this.#btf, id)?.size === size
      return (fits ? this.#types.typeOf(id) : undefined) ?? 'Uint8Array'
    }
    const key = map.keyType === undefined && map.keySize === 4 ? 'number' : ofType(map.keyType, map.keySize)
    const value = ofType(map.valueType, map.valueSize)
    return `${key}, ${isPerCpu(map.type) ? arrayOf(value) : value}`
  }

  #programs(): string {
    let text = ''
    for (const { name, section } of this.#spec.programs) {
      this.#imports.add('Program')
      text += `  /** ${section.replaceAll('*/', '*\\/')} */\n  readonly ${propertyName(name)}: Program\n`
    }
    return text
  }

  #globals(): string {
    let text = ''
    for (const map of this.#spec.maps) {
      if (map.origin === 'btf' || map.origin === 'legacy' || map.origin === 'kconfig') continue
      const section = map.valueType === undefined ? undefined : this.#btf.typeById(map.valueType)
      if (section?.kind !== BTF_KIND.DATASEC) continue
      for (const { type } of section.variables) {
        const name = this.#btf.nameOf(type)
        const expression =
          btfCodec(this.#btf, type) === undefined ? undefined : this.#types.typeOf(type, '  ')
        if (expression === undefined || isFormat(name) || this.#keepsType(type)) continue
        text += `  ${map.frozen ? 'readonly ' : ''}${propertyName(name)}: ${expression}\n`
      }
    }
    return text
  }

  /** A pointer that is there only to keep a record's type in the object. */
  #keepsType(variable: BtfId): boolean {
    const type = this.#btf.typeById(variable)
    if (type.kind !== BTF_KIND.VAR || !type.name.startsWith('unused')) return false
    return this.#btf.kindOf(this.#btf.resolve(type.type)) === BTF_KIND.PTR
  }

  /** Enums that the object declares: those with names, and the constants of those without. */
  #enums(): [BtfId[], string] {
    const named: BtfId[] = []
    const constants = new Map<string, string>()
    for (const id of this.#btf.ids()) {
      const type = this.#btf.typeById(id)
      if (type.kind !== BTF_KIND.ENUM && type.kind !== BTF_KIND.ENUM64) continue
      if (type.values.length === 0) continue
      if (type.name !== '') named.push(id)
      else if (!this.#isTypedefed(id)) {
        for (const { name, value } of type.values) {
          constants.set(name, `  ${propertyName(name)}: ${value}${type.size > 4 ? 'n' : ''},\n`)
        }
      }
    }
    return [[...named, ...this.#typedefedEnums()], [...constants.values()].join('')]
  }

  *#typedefedEnums(): Iterable<BtfId> {
    for (const id of this.#btf.ids()) {
      const type = this.#btf.typeById(id)
      if (type.kind !== BTF_KIND.TYPEDEF) continue
      const target = this.#btf.typeById(this.#btf.resolve(id))
      if ((target.kind === BTF_KIND.ENUM || target.kind === BTF_KIND.ENUM64) && target.name === '') yield id
    }
  }

  #isTypedefed(id: BtfId): boolean {
    for (const typedef of this.#typedefedEnums()) if (this.#btf.resolve(typedef) === id) return true
    return false
  }

  #readers(): Reader[] | SkeletonError {
    const readers: Reader[] = []
    const wanted = this.#settings.records ?? {}
    const buffers = this.#spec.maps.filter(
      ({ type }) =>
        type === BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF || type === BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    )
    for (const map of Object.keys(wanted)) {
      if (buffers.some(({ name }) => name === map)) continue
      const known = buffers.map(({ name }) => name).join(', ') || 'none'
      return new SkeletonError(`the object has no buffer '${map}', only ${known}`)
    }
    for (const { name, type } of buffers) {
      const record = this.#recordOf(name, wanted[name])
      if (record instanceof SkeletonError) return record
      if (record === undefined) continue
      const isRing = type === BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF
      const reader = isRing ? 'RingBufferReader' : 'PerfReader'
      const options = isRing ? 'RingBufferOptions' : 'PerfReaderOptions'
      this.#imports.add(reader).add(options)
      const value = this.#types.typeOf(record.id) ?? 'Uint8Array'
      const parameter = `options?: Omit<${options}<${value}>, 'decode'>`
      const result = `${reader}<${value}> | SyscallError`
      readers.push({
        signature: `  ${propertyName(name)}(${parameter}): ${result}\n`,
        property:
          `    ${propertyName(name)}: (options = {}) =>\n` +
          `      this.${isRing ? 'ringBuffer' : 'perfBuffer'}<${value}>(${quote(name)}, ${quote(record.name)}, options),\n`,
      })
    }
    return readers
  }

  #recordOf(map: string, wanted: string | undefined): RecordType | SkeletonError | undefined {
    if (wanted === undefined) return guessRecordType(this.#btf, map)
    return recordType(this.#btf, wanted) ?? new SkeletonError(`the object has no struct '${wanted}'`)
  }

  #classText(readers: readonly Reader[]): string {
    const name = this.#class
    const isEmbedded = this.#settings.embed !== false
    const readerText =
      readers.length === 0
        ? ''
        : `  /** Opens readers of the buffers. */\n  readonly readers: ${name}Readers = {\n${readers.map((one) => one.property).join('')}  }\n\n`
    const options = `SkeletonOptions<${name}Globals>`
    const parameter = isEmbedded
      ? `options: ${options} = {}`
      : `options: ${options} & { readonly object: Uint8Array }`
    const bytes = isEmbedded ? 'objectBytes' : '() => options.object'
    return (
      `/** The loaded object. */\n` +
      `export class ${name} extends Skeleton<${name}Maps, ${name}Programs, ${name}Globals> {\n` +
      readerText +
      `  /** Creates the maps and loads the programs; \`attach\` is the next step. */\n` +
      `  static load(syscalls: Syscalls, ${parameter}): ${name} | LoadError | ObjectError {\n` +
      `    const loaded = loadSkeleton<${name}Globals>(${quote(this.#settings.name)}, ${bytes}, syscalls, options)\n` +
      `    return loaded instanceof Collection ? new ${name}(loaded) : loaded\n` +
      `  }\n}\n`
    )
  }

  #embedded(): string {
    const encoded = encodeBase64(this.#bytes).replace(/.{1,110}/g, '$&\n')
    return (
      `/** The object file. */\n` +
      `export const objectBytes = (): Uint8Array => decodeBase64(encodedObject)\n\n` +
      `const encodedObject = \`\n${encoded}\`\n`
    )
  }
}

interface Reader {
  readonly signature: string
  readonly property: string
}

function describeSize(map: MapSpec): string {
  if (map.type === BPF_MAP_TYPE.BPF_MAP_TYPE_RINGBUF) return `${map.maxEntries} bytes`
  return map.maxEntries === 0 ? 'one element for each CPU' : `room for ${map.maxEntries}`
}

/** What `bpf_printk` declares. */
const isFormat = (name: string): boolean => /\.?____?fmt\b/.test(name)

const arrayOf = (type: string): string => `readonly ${/^[{]|^readonly /.test(type) ? `(${type})` : type}[]`

const quote = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`
