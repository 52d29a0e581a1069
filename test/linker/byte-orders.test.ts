/** Big-endian objects, which the bpftool of most systems does not link: the same as little-endian ones. */
import { afterAll, describe, expect, test } from 'vitest'
import { Btf, BtfError, dumpRaw, parseBtfExt } from '../../src/btf/index.ts'
import { linkProgram, ObjectError, openObject } from '../../src/client/index.ts'
import { ElfError, parseElf } from '../../src/elf/index.ts'
import { linkObjects } from '../../src/linker/index.ts'
import { linked, PROGRAMS, Workshop } from './sources.ts'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const why = Workshop.missing

/** Instructions as little-endian ones: | code | registers (4, 4) | offset (16) | immediate (32) |. */
function turned(instructions: Uint8Array): Uint8Array {
  const turned = Uint8Array.from(instructions)
  for (let at = 0; at < turned.length; at += 8) {
    const registers = turned[at + 1] as number
    turned[at + 1] = ((registers & 15) << 4) | (registers >> 4)
    turned.subarray(at + 2, at + 4).reverse()
    turned.subarray(at + 4, at + 8).reverse()
  }
  return turned
}

/** All that an object says, without the order of its bytes. */
function contents(object: Uint8Array) {
  const elf = parseElf(object)
  const symbols = elf instanceof ElfError ? elf : elf.symbols()
  if (elf instanceof ElfError || symbols instanceof ElfError) throw new Error('it is no ELF file')
  const btf = Btf.parse(elf.section('.BTF')?.data as Uint8Array)
  const ext = btf instanceof BtfError ? btf : parseBtfExt(elf.section('.BTF.ext')?.data as Uint8Array, btf)
  const spec = openObject(object, { name: 'linked', allowBigEndian: true })
  if (btf instanceof BtfError || ext instanceof BtfError || spec instanceof ObjectError)
    throw new Error('it is bad')
  const isLittle = elf.byteOrder === 'little'
  return {
    sections: elf.sections.map(({ data: _, ...section }) => section),
    symbols: symbols.map(({ name, value, size, type, binding, visibility, sectionIndex }) => [
      ...[name, value, size, type, binding, visibility, sectionIndex],
    ]),
    relocations: elf.sections.map((section) => elf.relocations(section)),
    types: dumpRaw(btf),
    records: ext,
    programs: spec.programs.map(({ name }) => {
      const program = linkProgram(spec, name)
      return program instanceof ObjectError
        ? program.message
        : [name, isLittle ? program.instructions : turned(program.instructions), program.references]
    }),
  }
}

describe.skipIf(why !== '')(`byte orders${why && ` (${why})`}`, () => {
  test.each(Object.entries(PROGRAMS))('%s', (name, files) => {
    const little = contents(linked(workshop.objects(files)))
    const big = contents(linked(workshop.objects(files, 'bpfeb')))
    // A struct as one constant has its members in the machine's order.
    const programs = name === 'maps' ? little.programs : big.programs
    expect({ ...big, programs }).toEqual(little)
  })

  test('do not mix', () => {
    const inputs = [workshop.object('maps-1'), workshop.object('maps-2', [], 'bpfeb')]
    expect(linkObjects(inputs)).toMatchObject({
      code: 'unsupported',
      file: inputs[1]?.name,
      reason: 'it is big-endian, and the inputs before it are little-endian',
    })
  })
})
