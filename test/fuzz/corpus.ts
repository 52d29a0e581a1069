/** Good input: objects of this project, those that are given, and types of the running kernel. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BTF_KIND, Btf, BtfError, type BtfId, BtfWriter, type NewBtfType } from '../../src/btf/index.ts'
import { ElfError, parseElf } from '../../src/elf/index.ts'
import { objectsIn } from '../support/embedded-objects.ts'
import type { Random } from './random.ts'
import type { Seed } from './target.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const FOLDERS = ['bpf', 'bench/programs', 'bench/programs/jit']

/** Larger ones are left out: what is in them is in smaller ones, too, and they take their time. */
const LARGEST_OBJECT = 120_000

export function ownObjects(): Seed[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder))
      .sort()
      .map((name) => join(root, folder, name)),
  )
    .filter((path) => path.endsWith('.bpf.o'))
    .map((path) => ({ name: basename(path), bytes: new Uint8Array(readFileSync(path)) }))
}

/** Objects in files and folders: object files, and those inside of executables. */
export function objectsAt(paths: readonly string[]): Seed[] {
  return paths.flatMap((path): Seed[] => {
    if (statSync(path).isDirectory())
      return objectsAt(
        readdirSync(path)
          .sort()
          .map((name) => join(path, name)),
      )
    const inside = objectsIn(readFileSync(path))
    return inside
      .filter(({ length }) => length <= LARGEST_OBJECT)
      .map((bytes, i) => ({ name: `${basename(path)}${i === 0 ? '' : `-${i}`}`, bytes }))
  })
}

/** The types of the objects. */
export function typesIn(objects: readonly Seed[]): Seed[] {
  return objects.flatMap(({ name, bytes }) => {
    const elf = parseElf(bytes)
    const data = elf instanceof ElfError ? undefined : elf.section('.BTF')?.data
    return data === undefined ? [] : [{ name: `${name} .BTF`, bytes: data.slice() }]
  })
}

const VMLINUX = '/sys/kernel/btf/vmlinux'

/** Small parts of the running kernel's types; none where it has none. */
export function kernelTypes(random: Random, parts: number, mostTypes: number): Seed[] {
  if (!existsSync(VMLINUX)) return []
  const whole = Btf.parse(new Uint8Array(readFileSync(VMLINUX)))
  if (whole instanceof BtfError) return []
  return Array.from({ length: parts }, () => {
    const start = 1 + random.below(whole.typeCount - 1)
    return { name: `vmlinux from type ${start}`, bytes: partOf(whole, start as BtfId, mostTypes) }
  })
}

/** The type and what it refers to, and so on; what is left out is void. */
export function partOf(btf: Btf, first: BtfId, mostTypes: number): Uint8Array {
  const ids = new Map<number, number>([[0, 0]])
  const order: BtfId[] = []
  const meet = (id: BtfId): BtfId => {
    if (!ids.has(id) && order.length < mostTypes) {
      ids.set(id, order.length + 1)
      order.push(id)
    }
    return (ids.get(id) ?? 0) as BtfId
  }
  meet(first)
  const types: NewBtfType[] = []
  for (let i = 0; i < order.length; i++) {
    const { id: _, ...type } = btf.typeById(order[i] as BtfId)
    if (type.kind === BTF_KIND.UNKN) continue
    types.push(withReferences(type as NewBtfType, meet))
  }
  const writer = new BtfWriter()
  for (const type of types) writer.add(type)
  const bytes = writer.finish()
  if (bytes instanceof BtfError) throw new Error(bytes.message)
  return bytes
}

function withReferences(type: NewBtfType, meet: (id: BtfId) => BtfId): NewBtfType {
  switch (type.kind) {
    case BTF_KIND.ARRAY:
      return { ...type, element: meet(type.element), index: meet(type.index) }
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return { ...type, members: type.members.map((member) => ({ ...member, type: meet(member.type) })) }
    case BTF_KIND.FUNC_PROTO:
      return {
        ...type,
        returns: meet(type.returns),
        parameters: type.parameters.map((parameter) => ({ ...parameter, type: meet(parameter.type) })),
      }
    case BTF_KIND.DATASEC:
      return {
        ...type,
        variables: type.variables.map((variable) => ({ ...variable, type: meet(variable.type) })),
      }
    default:
      return 'type' in type ? { ...type, type: meet(type.type) } : type
  }
}
