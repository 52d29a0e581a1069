/** Some seconds of what `npm run fuzz` does for longer, the same on every run; and each thing that it found. */
import { expect, test } from 'vitest'
import { EFAULT, progTestRunAttr } from '../../src/abi/index.ts'
import {
  BTF_KIND,
  Btf,
  BtfError,
  type BtfId,
  BtfWriter,
  CORE_KIND,
  CoreRelocator,
  dumpC,
} from '../../src/btf/index.ts'
import { btfCodec } from '../../src/client/index.ts'
import { BtfBuilder } from '../../src/client/testing/btf-builder.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { Caller } from '../../src/kernel/testing/caller.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { fuzz } from './loop.ts'
import { makeTarget, targetNames } from './targets/all.ts'
import { World } from './world.ts'

const RUNS = { elf: 500, link: 300, btf: 300, ext: 500, attr: 1200, load: 150 } as const
/** The verifier's needs recorded programs, and has tests of its own over them. */
const sampled = targetNames.filter((name) => name !== 'verifier')
const corpus = { paths: [], useKernelTypes: false, verdicts: '' }

test.each(sampled.map((name) => [name] as const))('bad input: %s', (name) => {
  const target = makeTarget(name, corpus)
  const report = fuzz(target, { runs: RUNS[name], seed: 1, mostFailures: 3 })
  const found = report.failures.map(
    ({ run, seed, message }) => `run ${run}, seed input ${seed.name}: ${message}`,
  )
  expect(found, `npm run fuzz -- --target ${name} --seed 1 --runs ${RUNS[name]}`).toEqual([])
  // Not all is refused for the same reason, and something is taken.
  expect(report.ways.size).toBeGreaterThan(10)
  expect([...report.ways.keys()].some((way) => way.includes('accepted'))).toBe(true)
})

test('the world that attributes are made for has a call of every command', () => {
  using world = new World([])
  const commands = new Set(world.calls.map(({ cmd }) => cmd))
  // BPF_PROG_ASSOC_STRUCT_OPS and what comes after are not Linux 6.18's.
  const missing = Array.from({ length: 38 }, (_, cmd) => cmd).filter((cmd) => !commands.has(cmd))
  expect(missing).toEqual([])
})

const built = (build: (builder: BtfBuilder) => number): { btf: Btf; id: BtfId } => {
  const builder = new BtfBuilder()
  const id = build(builder)
  const btf = Btf.parse(builder.build())
  if (btf instanceof BtfError) throw new Error(btf.message)
  return { btf, id: id as BtfId }
}

test('a hole of gigabytes between two members is no C', () => {
  const writer = new BtfWriter()
  const int = writer.add({
    kind: BTF_KIND.INT,
    name: 'int',
    size: 4,
    isSigned: true,
    isChar: false,
    isBool: false,
    bits: 32,
    bitOffset: 0,
  })
  const far = { name: 'far', type: int, bitOffset: 0xffff_ffe0, bitSize: 0 }
  writer.add({ kind: BTF_KIND.STRUCT, name: 'wide', size: 0x2000_0000, members: [far] })
  const btf = Btf.parse(writer.finish() as Uint8Array) as Btf
  expect(dumpC(btf)).toMatchObject({ code: 'not-c', found: 'one of 536870908 bytes' })
})

test('a struct that holds itself, many times, has no codec', () => {
  const { btf, id } = built((builder) => {
    const members = ['a', 'b', 'c', 'd'].map((name) => [name, 1, 0] as const)
    return builder.struct('own', 8, members)
  })
  expect(btf.typeById(id)).toMatchObject({
    members: [{ type: id }, { type: id }, { type: id }, { type: id }],
  })
  expect(btfCodec(btf, id)?.size).toBe(8)
})

test('unions of unions are read as what there is, not as all that could be said', () => {
  const { btf, id } = built((builder) => {
    let inner = builder.int('unsigned int', 4)
    for (let depth = 0; depth < 30; depth++) {
      inner = builder.union(`u${depth}`, 4, [
        ['a', inner, 0],
        ['b', inner, 0],
      ])
    }
    return inner
  })
  expect(btfCodec(btf, id)).toMatchObject({ size: 4 })
})

test('an array of empty structs without end, or larger than 32 bits count, has no codec or size', () => {
  const { btf, id } = built((builder) => builder.array(builder.struct('empty', 0, []), 0xffff_ffff))
  expect(btfCodec(btf, id)).toBeUndefined()
  const large = built((builder) =>
    builder.array(builder.array(builder.int('long', 8), 0xffff_ffff), 0xffff_ffff),
  )
  expect(large.btf.sizeOf(large.id)).toBeUndefined()
})

test('a codec of 4 GiB allocates nothing before it is used', () => {
  const { btf, id } = built((builder) => builder.array(builder.int('unsigned char', 1), 0xffff_fff0))
  const before = process.memoryUsage().arrayBuffers
  expect(btfCodec(btf, id)?.size).toBe(0xffff_fff0)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
})

test('a member outside of its struct is left out of its codec', () => {
  const { btf, id } = built((builder) => {
    const int = builder.int('unsigned int', 4)
    return builder.struct('short', 4, [
      ['inside', int, 0],
      ['outside', int, 4],
    ])
  })
  const codec = btfCodec(btf, id)
  expect(codec?.get(new DataView(new ArrayBuffer(4)), 0)).toEqual({ inside: 0 })
})

test('an element that does not begin at a byte is relocated to the byte that it begins in', () => {
  const { btf, id } = built((builder) => {
    const array = builder.array(builder.int('unsigned int', 4), 2)
    return builder.struct('odd', 16, [['a', array, 2.25]])
  })
  const code = Uint8Array.of(0xb7, 1, 0, 0, 2, 0, 0, 0)
  const record = {
    instructionOffset: 0,
    type: id,
    accessOffset: 0,
    access: '0:0:0',
    kind: CORE_KIND.FIELD_BYTE_OFFSET,
  }
  expect(new CoreRelocator(btf, [btf]).apply(code, record)).toMatchObject({ poisoned: undefined })
  expect([...code]).toEqual([0xb7, 1, 0, 0, 2, 0, 0, 0])
})

test('for data that a caller only claims to have, nothing is allocated', () => {
  using kernel = createKernel({ port: new TinyPort() })
  const caller = new Caller(kernel.openClient())
  const prog_fd = caller.load('r0 = 0\nexit', { prog_type: 6 })
  const attr = { prog_fd, data_in: caller.put(new Uint8Array(64)), data_size_in: 0x7fff_ffff }
  const before = process.memoryUsage().arrayBuffers
  expect(caller.bpf('BPF_PROG_TEST_RUN', progTestRunAttr.encode(attr))).toBe(-EFAULT)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
})
