/** Everything that is done with types once they are parsed. */
import {
  BTF_KIND,
  Btf,
  BtfError,
  type BtfId,
  BtfWriter,
  CORE_KINDS,
  CoreError,
  CoreRelocator,
  cDeclaration,
  dumpC,
  dumpRaw,
  findMember,
  findPrototype,
  fixupDatasec,
} from '../../src/btf/index.ts'
import { btfCodec, decodeWith, encodeWith, guessRecordType } from '../../src/client/index.ts'
import { checkBtfError, checkCoreError } from './checks.ts'
import { Flaw } from './target.ts'

/** The largest value whose codec is tried; the caller of a codec brings as many bytes. */
const LARGEST_VALUE = 1 << 16

export function useTypes(btf: Btf): string {
  for (const id of btf.ids()) {
    const type = btf.typeById(id)
    if (type.name !== btf.nameOf(id)) throw new Flaw(`type ${id} has two names`)
    const size = btf.sizeOf(id)
    if (size !== undefined && !(size >= 0)) throw new Flaw(`type ${id} has a size of ${size}`)
    btf.alignOf(id)
    cDeclaration(btf, id, 'x')
    if ('members' in type) {
      const member = type.members.at(-1)
      if (member !== undefined && member.name !== '') findMember(btf, id, member.name)
    }
  }
  for (const text of ['.maps', 'int', 'event']) btf.find(text)
  btf.flavouredIds()
  findPrototype(btf, 'main')
  guessRecordType(btf, 'events')
  return 'accepted'
}

/** C and raw listings; C may say that there is none. */
export function dump(btf: Btf): string {
  const lines = dumpRaw(btf)
  if (lines.length < btf.typeCount - btf.firstId) throw new Flaw('dumpRaw left a type out')
  const text = dumpC(btf)
  return text instanceof BtfError ? checkBtfError(text) : 'accepted in C'
}

/** Codecs of every type: what is read can be written, and is read again. */
export function codecs(btf: Btf): string {
  for (const id of btf.ids()) {
    const codec = btfCodec(btf, id)
    if (codec === undefined || !(codec.size <= LARGEST_VALUE)) continue
    const bytes = new Uint8Array(codec.size).fill(0x41)
    const value = decodeWith(codec, bytes)
    try {
      encodeWith(codec, value)
    } catch (error) {
      // What overlaps, or has a bit field that its type cannot hold, reads as what cannot be written.
      if (!(error instanceof TypeError)) throw error
    }
  }
  return 'accepted by codecs'
}

/** Written anew, type by type, the types are the same. */
export function rewrite(btf: Btf): string {
  const writer = new BtfWriter({ byteOrder: btf.byteOrder })
  for (const id of btf.ids()) {
    const { id: _, ...type } = btf.typeById(id)
    if (type.kind !== BTF_KIND.UNKN) writer.add(type)
    else writer.add({ kind: BTF_KIND.FLOAT, name: type.name, size: 4 })
  }
  const bytes = writer.finish()
  if (bytes instanceof BtfError) return checkBtfError(bytes)
  const twin = Btf.parse(bytes)
  if (twin instanceof BtfError) throw new Flaw(`what the writer wrote does not parse: ${twin.message}`)
  if (twin.typeCount !== btf.typeCount) throw new Flaw('the writer lost a type')
  return 'accepted by the writer'
}

/** As `openObject` makes them loadable. */
export function layOut(btf: Btf): string {
  const bytes = fixupDatasec(btf, {
    sectionSize: () => 4096,
    variable: (_, name) => ({ offset: name.length, isHidden: name.length % 2 === 0 }),
    hiddenFunctions: new Set(['main', 'hidden']),
  })
  const laidOut = Btf.parse(bytes)
  if (laidOut instanceof BtfError) throw new Flaw(`laid out, the types do not parse: ${laidOut.message}`)
  return 'accepted, laid out'
}

const LDIMM64 = [0x18, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
const INSTRUCTIONS: readonly (readonly number[])[] = [
  [0xb7, 1, 0, 0, 0, 0, 0, 0],
  [0x79, 0x21, 0, 0, 0, 0, 0, 0],
  LDIMM64,
  [0x85, 0, 0, 0, 5, 0, 0, 0],
]

/** Relocations of every kind on the types of `local`, answered by those of `target`. */
export function relocate(local: Btf, target: Btf, mostTypes: number): string {
  const relocator = new CoreRelocator(local, [target])
  let done = 0
  let way = 'accepted by CO-RE'
  for (const id of local.ids()) {
    if (local.nameOf(id) === '' || done++ > mostTypes) continue
    for (const { kind, subject } of CORE_KINDS) {
      for (const access of accessesOf(local, id, subject)) {
        const code = Uint8Array.from(INSTRUCTIONS[(id + kind) % INSTRUCTIONS.length] as readonly number[])
        const record = { instructionOffset: 0, type: id, accessOffset: 0, access, kind }
        const applied = relocator.apply(code, record)
        if (applied instanceof CoreError) way = checkCoreError(applied)
      }
    }
  }
  return way
}

function accessesOf(btf: Btf, id: BtfId, subject: string): readonly string[] {
  if (subject === 'type') return ['0']
  const type = btf.typeById(btf.resolve(id))
  if ('members' in type) {
    const last = type.members.length - 1
    return ['0:0', `0:${last}`, `0:${last}:0`, `1:${last}:1:0`]
  }
  return 'values' in type ? ['0', `${type.values.length - 1}`] : ['0', '0:0', '7:0:0']
}
