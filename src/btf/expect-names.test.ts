import { expect, test } from 'vitest'
import { BTF_KIND, Btf, BtfWriter } from './index.ts'

function types(others = 2000): Btf {
  const writer = new BtfWriter()
  for (const name of ['a', 'a___old', 'ab', 'a', 'a____', '', 'b___x']) {
    writer.add({ kind: BTF_KIND.STRUCT, name, size: 0, members: [] })
    writer.add({ kind: BTF_KIND.FWD, name, isUnion: false })
  }
  for (let i = 0; i < others; i++)
    writer.add({ kind: BTF_KIND.STRUCT, name: `filler${i}`, size: 0, members: [] })
  const bytes = writer.finish()
  const parsed = bytes instanceof Uint8Array ? Btf.parse(bytes) : bytes
  if (!(parsed instanceof Btf)) throw parsed
  return parsed
}

test('names are found alike by a pass each, by one for all, by the index, and among few types', () => {
  const names = ['a', 'a___old', 'ab', 'a____', 'b', 'b___x', 'missing', '']
  const [indexed, announced, each, few] = [types(), types(), types(), types(0)]
  announced.expectNames(names.slice(0, -2))
  // More names than are looked for one by one.
  for (let i = 0; i < 20; i++) expect(indexed.find(`other${i}`)).toBeUndefined()
  for (const name of names) {
    for (const kind of [undefined, BTF_KIND.STRUCT, BTF_KIND.FWD]) {
      const expected = [...indexed.findAll(name, kind)]
      expect([...announced.findAll(name, kind)], name).toEqual(expected)
      expect([...each.findAll(name, kind)], name).toEqual(expected)
      expect([...few.findAll(name, kind)], name).toEqual(expected)
    }
  }
})
