import { describe, expect, test } from 'vitest'
import { appendTypes } from './append.ts'
import { BTF_KIND, Btf, BtfWriter, cDeclaration, Declarations } from './index.ts'
import type { BtfId } from './types.ts'

const parse = (bytes: unknown): Btf => {
  const btf = bytes instanceof Uint8Array ? Btf.parse(bytes) : undefined
  if (!(btf instanceof Btf)) throw new Error('no types')
  return btf
}

const STRUCTS = [
  'struct it { __u64 __opaque[2]; }',
  'struct mixed { char c; __u32 word; struct it *p; struct it it; char last; }',
]

describe('Declarations', () => {
  test('says in BTF what C says', () => {
    const writer = new BtfWriter()
    const declarations = new Declarations(writer, undefined, STRUCTS)
    declarations.function(
      'const struct it *next(struct mixed *m, const void *from__ign, u32 n, bool (*less)(struct it *a, const struct it *b))',
    )
    const btf = parse(writer.finish())
    const id = btf.find('next', BTF_KIND.FUNC) as BtfId
    const type = btf.typeById(id)
    const prototype = btf.typeById('type' in type ? (type.type as BtfId) : id)
    if (prototype.kind !== BTF_KIND.FUNC_PROTO) throw new Error('no prototype')
    expect(prototype.parameters.map(({ name, type: of }) => cDeclaration(btf, of, name))).toEqual([
      'struct mixed *m',
      'const void *from__ign',
      'u32 n',
      'bool (*less)(struct it *a, const struct it *b)',
    ])
    expect(cDeclaration(btf, prototype.returns, 'r')).toBe('const struct it *r')
    const mixed = btf.typeById(btf.find('mixed', BTF_KIND.STRUCT) as BtfId)
    expect(mixed).toMatchObject({
      size: 40,
      members: [
        { bitOffset: 0 },
        { bitOffset: 32 },
        { bitOffset: 64 },
        { bitOffset: 128 },
        { bitOffset: 256 },
      ],
    })
    expect(btf.sizeOf(btf.find('it') as BtfId)).toBe(16)
  })

  test('takes what the base has, and joins it', () => {
    const own = new BtfWriter()
    const word = own.add({
      kind: BTF_KIND.INT,
      name: 'int',
      size: 4,
      isSigned: true,
      isChar: false,
      isBool: false,
      bits: 32,
      bitOffset: 0,
    })
    own.add({
      kind: BTF_KIND.STRUCT,
      name: 'task_struct',
      size: 4,
      members: [{ name: 'pid', type: word, bitOffset: 0, bitSize: 0 }],
    })
    const bytes = own.finish() as Uint8Array
    const base = parse(bytes)
    const writer = new BtfWriter({ base })
    new Declarations(writer, base, STRUCTS).function('int pid_of(struct task_struct *task, struct it *it)')
    const joined = parse(appendTypes(base, bytes, writer.finish() as Uint8Array))
    expect([...joined.findAll('task_struct')]).toEqual([2])
    expect([...joined.findAll('int')]).toEqual([1])
    expect(joined.sizeOf(joined.find('task_struct') as BtfId)).toBe(4)
    expect(joined.find('pid_of', BTF_KIND.FUNC)).toBeDefined()
    expect(joined.sizeOf(joined.find('it') as BtfId)).toBe(16)
  })
})
