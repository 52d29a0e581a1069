/** test/linux/typed-text.test.ts compares the text with a running Linux; this is what it looks like. */
import { describe, expect, test } from 'vitest'
import { BTF_KIND, Btf, BtfWriter, Declarations } from '../btf/index.ts'
import { printTyped, TYPED_TEXT } from './typed-text.ts'

function typesOf(...structs: string[]): Btf {
  const writer = new BtfWriter()
  const declarations = new Declarations(writer, undefined, structs)
  for (const text of structs) declarations.struct(/^struct (\w+)/.exec(text)?.[1] ?? '')
  const bytes = writer.finish()
  const types = bytes instanceof Uint8Array ? Btf.parse(bytes) : bytes
  if (!(types instanceof Btf)) throw types
  return types
}

const types = typesOf(
  'struct inner { u8 a; u16 b; }',
  'struct outer { int number; char name[8]; struct inner inner; struct inner *next; u8 none[4]; }',
)

function print(type: string, flags: number, bytes: Uint8Array, readable = bytes.length) {
  let text = ''
  const status = printTyped(
    {
      types,
      flags,
      read: (address, into) => {
        const at = Number(address - 0x1000n)
        if (at + into.length > readable) return -14
        into.set(bytes.subarray(at, at + into.length))
        return 0
      },
      disguise: () => 'hidden',
      print: (more) => {
        text += more
      },
    },
    types.find(type, BTF_KIND.STRUCT) ?? types.id(1)!,
    0x1000n,
  )
  return { status, text }
}

const bytes = new Uint8Array(types.sizeOf(types.find('outer', BTF_KIND.STRUCT)!)!)
bytes.set([0xfe, 0xff, 0xff, 0xff, 0x68, 0x69, 7, 0])
bytes.set([0, 0, 0x34, 0x12], 12)
bytes.set([1, 0, 0, 0, 0, 0, 0, 0x80], 16)

describe('a value by its type', () => {
  test('says what is not 0', () => {
    expect(print('outer', 0, bytes)).toEqual({
      status: 0,
      text: `(struct outer){
 .number = (int)-2,
 .name = (char[])[
  'h',
  'i',
  7,
 ],
 .inner = (struct inner){
  .b = (u16)4660,
 },
 .next = (struct inner *)0xhidden,
}
`,
    })
  })

  test('on one line, without names, with zeroes and addresses', () => {
    const { COMPACT, NONAME, PTR_RAW, ZERO } = TYPED_TEXT
    expect(print('outer', COMPACT | NONAME | PTR_RAW | ZERO, bytes).text).toBe(
      "{-2,['h','i',7,],{0,4660,},0x8000000000000001,[],}",
    )
    expect(print('outer', COMPACT | ZERO, new Uint8Array(bytes.length)).text).toBe(
      '(struct outer){.number = (int)0,.name = (char[])[],.inner = (struct inner){.a = (u8)0,.b = (u16)0,},.next = (struct inner *)0xhidden,.none = (u8[])[],}',
    )
  })

  test('what cannot be read is left out, and the last read counts', () => {
    expect(print('outer', 0, bytes, 8)).toEqual({ status: -14, text: '' })
    const whole = new Uint8Array(64)
    expect(print('outer', TYPED_TEXT.COMPACT, whole)).toEqual({ status: 0, text: '(struct outer){}' })
  })
})
