import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ElfError, parseElf } from '../elf/index.ts'
import {
  BTF_KIND,
  Btf,
  BtfError,
  type BtfId,
  type BtfKind,
  cDeclaration,
  cName,
  findComposite,
  findMember,
  findPrototype,
  offsetOf,
  parseBtfExt,
} from './index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-btf-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const has = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const hasClang = has('clang-19')
const hasBpftool = has('bpftool')
const vmlinux = '/sys/kernel/btf/vmlinux'

let count = 0
function compile(source: string, target: readonly string[] = ['-target', 'bpf']): string {
  const output = join(scratch, `t${count++}.o`)
  writeFileSync(`${output}.c`, source)
  execFileSync('clang-19', [...target, '-g', '-O2', '-c', `${output}.c`, '-o', output])
  return output
}

function section(path: string, name: string): Uint8Array {
  const elf = parseElf(new Uint8Array(readFileSync(path)))
  if (elf instanceof ElfError) throw new Error(elf.message)
  const found = elf.section(name)
  if (found === undefined) throw new Error(`${path} has no ${name}`)
  return found.data
}

function parsed(bytes: Uint8Array, base?: Btf): Btf {
  const btf = Btf.parse(bytes, base)
  if (btf instanceof BtfError) throw new Error(btf.message)
  return btf
}

/** Writes BTF from words and strings. */
function build(words: readonly number[], strings: string, little = true): Uint8Array {
  const text = new TextEncoder().encode(strings)
  const bytes = new Uint8Array(24 + words.length * 4 + text.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0xeb9f, little)
  view.setUint8(2, 1)
  for (const [i, value] of [24, 0, words.length * 4, words.length * 4, text.length].entries()) {
    view.setUint32(4 + i * 4, value, little)
  }
  for (const [i, value] of words.entries()) view.setUint32(24 + i * 4, value, little)
  bytes.set(text, 24 + words.length * 4)
  return bytes
}
const info = (kind: number, vlen = 0, flag = 0): number => ((flag << 31) | (kind << 24) | vlen) >>> 0

const kindNames = new Map<number, string>(Object.entries(BTF_KIND).map(([name, kind]) => [kind, name]))
const linkage = ['static', 'global', 'extern']

/** A type in the words of `bpftool btf dump -j`. */
function asBpftool(btf: Btf, id: BtfId): Record<string, unknown> {
  const type = btf.typeById(id)
  const name = type.name === '' ? '(anon)' : type.name
  const common = { id, kind: kindNames.get(type.kind), name }
  switch (type.kind) {
    case BTF_KIND.INT: {
      const encoding = [type.isSigned && 'SIGNED', type.isChar && 'CHAR', type.isBool && 'BOOL'].find(Boolean)
      return {
        ...common,
        size: type.size,
        bits_offset: type.bitOffset,
        nr_bits: type.bits,
        encoding: encoding ?? '(none)',
      }
    }
    case BTF_KIND.PTR:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
    case BTF_KIND.TYPE_TAG:
      return { ...common, type_id: type.type }
    case BTF_KIND.ARRAY:
      return { ...common, type_id: type.element, index_type_id: type.index, nr_elems: type.count }
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return {
        ...common,
        size: type.size,
        vlen: type.members.length,
        members: type.members.map((one) => ({
          name: one.name === '' ? '(anon)' : one.name,
          type_id: one.type,
          bits_offset: one.bitOffset,
          ...(one.bitSize > 0 ? { bitfield_size: one.bitSize } : {}),
        })),
      }
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return {
        ...common,
        encoding: type.isSigned ? 'SIGNED' : 'UNSIGNED',
        size: type.size,
        vlen: type.values.length,
        // JSON numbers lose the low bits of large values on both sides alike.
        values: type.values.map((one) => ({ name: one.name, val: Number(one.value) })),
      }
    case BTF_KIND.FWD:
      return { ...common, fwd_kind: type.isUnion ? 'union' : 'struct' }
    case BTF_KIND.FUNC:
      return { ...common, type_id: type.type, linkage: linkage[type.linkage] }
    case BTF_KIND.FUNC_PROTO: {
      const parameters = type.parameters.map((one) => ({
        name: one.name === '' ? '(anon)' : one.name,
        type_id: one.type as number,
      }))
      if (type.isVariadic) parameters.push({ name: '(anon)', type_id: 0 })
      return { ...common, ret_type_id: type.returns, vlen: parameters.length, params: parameters }
    }
    case BTF_KIND.VAR:
      return { ...common, type_id: type.type, linkage: linkage[type.linkage] }
    case BTF_KIND.DATASEC:
      return {
        ...common,
        size: type.size,
        vlen: type.variables.length,
        vars: type.variables.map((one) => ({ type_id: one.type, offset: one.offset, size: one.size })),
      }
    case BTF_KIND.FLOAT:
      return { ...common, size: type.size }
    case BTF_KIND.DECL_TAG:
      return { ...common, type_id: type.type, component_idx: type.component }
    case BTF_KIND.UNKN:
      return common
  }
}

function compareWithBpftool(path: string, btf: Btf): void {
  const text = execFileSync('bpftool', ['btf', 'dump', 'file', path, 'format', 'raw', '-j'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  // Version 7.1 sign-extends the values of unsigned enums.
  const enums = text.replace(/\{"id":\d+,"kind":"ENUM",.*?\]\}/g, (type) =>
    type.replace(/"val":(18446744\d{12})\b/g, (_, value) => `"val":${BigInt.asUintN(32, BigInt(value))}`),
  )
  const { types } = JSON.parse(enums) as { types: Record<string, unknown>[] }
  expect(btf.typeCount).toBe(types.length + 1)
  // The tool names the variables of a DATASEC from version 7; they are not in the section itself.
  const bare = (one: Record<string, unknown>): string =>
    JSON.stringify(one, (key, value) =>
      key === 'vars' ? value.map(({ name: _, ...rest }: { name?: string }) => rest) : value,
    )
  for (const type of types) {
    const ours = asBpftool(btf, type.id as BtfId)
    if (JSON.stringify(ours) !== bare(type)) expect(ours).toEqual(JSON.parse(bare(type)))
  }
}

const everyKind = `
struct forward; union forward_union;
typedef unsigned long long u64; typedef int (*handler)(struct forward *, union forward_union *, ...);
enum small { LOW = -1, HIGH = 2 }; enum wide { TOP = 0xffffffff00000000ull };
struct bits { int a : 3; unsigned b : 29; u64 c : 40; char plain; _Bool yes; };
union both { int i; float f; double d; };
struct everything {
  struct { int x; union { int y; char z[4]; }; };
  struct bits bits; union both both; const volatile char *restrict text; handler on_event;
  enum small small; enum wide wide; int grid[2][3]; u64 (*matrix)[4]; struct everything *next;
  int flexible[];
} __attribute__((aligned(8)));
#define tag(x) __attribute__((btf_decl_tag(x)))
struct tagged { int __attribute__((btf_type_tag("user"))) *p tag("member"); } tag("type");
struct everything everything __attribute__((section(".data.everything")));
static volatile int hidden; extern int outside __attribute__((section(".ksyms"))); extern int called(int) __attribute__((section(".ksyms")));
struct tagged tagged;
int use(struct everything *e, int many) { return e->x + hidden++ + outside + called(many); }
static __attribute__((noinline)) int twice(int x tag("argument")) { return x * 2 + hidden; }
int main2(int a) { return twice(a); }
`

describe.skipIf(!hasClang)(`types of a compiled file${hasClang ? '' : ' (needs clang-19)'}`, () => {
  const path = hasClang ? compile(everyKind) : ''
  const btf = hasClang ? parsed(section(path, '.BTF')) : (undefined as never)

  test('every kind occurs in it', () => {
    const kinds = new Set([...btf.ids()].map((id) => btf.kindOf(id)))
    const missing = Object.entries(BTF_KIND).filter(
      ([name, kind]) => name !== 'UNKN' && !kinds.has(kind as BtfKind),
    )
    expect(missing).toEqual([])
  })

  test.skipIf(!hasBpftool)('agrees with bpftool', () => {
    compareWithBpftool(path, btf)
  })

  test('is the same in big-endian files', () => {
    const other = parsed(section(compile(everyKind, ['-target', 'bpfeb']), '.BTF'))
    expect(other.byteOrder).toBe('big')
    // Bit fields are counted from the other end, the rest is equal.
    const dump = (one: Btf) =>
      [...one.ids()].map((id) => one.typeById(id)).filter((type) => type.name !== 'bits')
    expect(dump(other)).toEqual(dump(btf))
  })

  test.each([
    ['x', 0, 4, 0],
    ['z', 4, 4, 0],
    ['z[3]', 7, 1, 0],
    ['bits.a', 8, 4, 3],
    ['bits.b', 8, 4, 29],
    ['bits.c', 16, 8, 40],
    ['bits.plain', 21, 1, 0],
    ['both.d', 24, 8, 0],
    ['grid', 64, 24, 0],
    ['grid[1]', 76, 12, 0],
    ['grid[1][2]', 84, 4, 0],
    ['next', 96, 8, 0],
    ['flexible[5]', 124, 4, 0],
  ])('member %s', (memberPath, offset, size, bitSize) => {
    const id = findComposite(btf, 'everything') as BtfId
    expect(findMember(btf, id, memberPath)).toMatchObject({ offset, size, bitSize })
    expect(offsetOf(btf, 'everything', memberPath)).toBe(bitSize === 0 ? offset : undefined)
  })

  test.each(['none', 'x.y', 'grid[2]', 'grid[0][0][0]', 'grid[', '', 'x[0]', 'next.x'])(
    'no member %s',
    (memberPath) => {
      expect(offsetOf(btf, 'everything', memberPath)).toBeUndefined()
    },
  )

  test('sizes and alignments', () => {
    const of = (name: string) => {
      const id = btf.find(name) as BtfId
      return [btf.sizeOf(id), btf.alignOf(id)]
    }
    expect(of('everything')).toEqual([104, 8])
    expect(of('bits')).toEqual([16, 8])
    expect(of('both')).toEqual([8, 8])
    expect(of('handler')).toEqual([8, 8])
    expect(of('u64')).toEqual([8, 8])
    expect(of('hidden')).toEqual([4, 4])
    expect(of('forward')).toEqual([undefined, undefined])
    expect(of('use')).toEqual([undefined, undefined])
  })

  test('names in C', () => {
    const id = findComposite(btf, 'everything') as BtfId
    const member = (name: string) => cDeclaration(btf, findMember(btf, id, name)?.type as BtfId, name)
    expect(member('text')).toBe('const volatile char * restrict text')
    expect(member('on_event')).toBe('handler on_event')
    expect(member('grid')).toBe('int grid[2][3]')
    expect(member('matrix')).toBe('u64 (*matrix)[4]')
    expect(member('next')).toBe('struct everything *next')
    expect(member('flexible')).toBe('int flexible[]')
    expect(cName(btf, btf.resolve(btf.find('handler') as BtfId))).toBe(
      'int (*)(struct forward *, union forward_union *, ...)',
    )
    expect(cName(btf, btf.find('small') as BtfId)).toBe('enum small')
    expect(cDeclaration(btf, btf.find('use') as BtfId, '')).toBe('int use(struct everything *e, int many)')
    expect(cName(btf, 0 as BtfId)).toBe('void')
  })

  test('prototypes', () => {
    const use = findPrototype(btf, 'use')
    expect(use).toMatchObject({ isVariadic: false, parameters: [{ name: 'e' }, { name: 'many' }] })
    expect(findPrototype(btf, 'everything')).toBeUndefined()
  })

  test('finds types by name and kind', () => {
    expect(btf.find('bits', BTF_KIND.STRUCT)).toBeDefined()
    expect(btf.find('bits', BTF_KIND.UNION)).toBeUndefined()
    expect(btf.find('')).toBeUndefined()
    const all = [...btf.ids()].filter((id) => btf.nameOf(id) !== '')
    for (const id of all) expect([...btf.findAll(btf.nameOf(id))]).toContain(id)
  })

  test('functions, lines and CO-RE accesses of instructions', () => {
    const object = compile(`
      struct task { int pid; struct { long start; } time; } __attribute__((preserve_access_index));
      __attribute__((section("kprobe/a"))) long a(struct task *t) { return t->pid + t->time.start; }
      __attribute__((section("kprobe/b"))) long b(struct task *t) {
        return t->time.start;
      }`)
    const types = parsed(section(object, '.BTF'))
    const ext = parseBtfExt(section(object, '.BTF.ext'), types)
    if (ext instanceof BtfError) throw new Error(ext.message)
    expect(
      ext.funcInfo.map((one) => [one.section, one.records.map((record) => types.nameOf(record.type))]),
    ).toEqual([
      ['kprobe/a', ['a']],
      ['kprobe/b', ['b']],
    ])
    const task = types.find('task')
    expect(ext.coreRelocations[0]?.records.map((one) => [one.type, one.access, one.kind]).sort()).toEqual([
      [task, '0:0', 0],
      [task, '0:1:0', 0],
    ])
    const lines = ext.lineInfo[1]?.records.map((one) => [one.lineNumber, types.string(one.lineOffset).trim()])
    expect(lines).toContainEqual([5, 'return t->time.start;'])
    expect(ext.lineInfo[1]?.records[0]?.instructionOffset).toBe(0)
  })
})

describe('BTF by hand', () => {
  const strings = '\0int\0s\0x\0'
  const int = [1, info(BTF_KIND.INT), 4, 0x0100_0020]
  const struct = [5, info(BTF_KIND.STRUCT, 1), 8, 7, 1, 32]

  test('split BTF goes on where its base ends', () => {
    const base = parsed(build([...int, ...struct], strings))
    // Names: offset 1 is in the base, 9 is the first of its own.
    const words = [9, info(BTF_KIND.TYPEDEF), 2, 1, info(BTF_KIND.TYPEDEF), 3]
    const split = parsed(build(words, 'mine\0'), base)
    expect(split.typeCount).toBe(5)
    expect(split.find('mine')).toBe(3)
    expect([...split.findAll('int')]).toEqual([1, 4])
    expect(split.resolve(4 as BtfId)).toBe(2)
    expect(split.typeById(2 as BtfId)).toMatchObject({ name: 's', members: [{ name: 'x', bitOffset: 32 }] })
    expect(offsetOf(split, 'mine', 'x')).toBe(4)
    expect(split.string(5)).toBe('s')
  })

  test('a big-endian or unaligned section reads the same', () => {
    const little = build([...int, ...struct], strings)
    const big = build([...int, ...struct], strings, false)
    const shifted = new Uint8Array(little.length + 1)
    shifted.set(little, 1)
    const dump = (btf: Btf) => [...btf.ids()].map((id) => btf.typeById(id))
    expect(dump(parsed(big))).toEqual(dump(parsed(little)))
    expect(dump(parsed(shifted.subarray(1)))).toEqual(dump(parsed(little)))
  })

  test('a cycle of typedefs ends', () => {
    const btf = parsed(build([1, info(BTF_KIND.TYPEDEF), 2, 1, info(BTF_KIND.CONST), 1], strings))
    expect(btf.sizeOf(1 as BtfId)).toBeUndefined()
    expect(btf.alignOf(1 as BtfId)).toBeUndefined()
    expect(cName(btf, 1 as BtfId)).toBe('int')
    expect(cName(btf, 2 as BtfId)).toBe('const int')
    const ring = parsed(build([0, info(BTF_KIND.PTR), 1, 0, info(BTF_KIND.ARRAY), 0, 2, 2, 9], strings))
    expect(cName(ring, 1 as BtfId)).toMatch(/^\.\.\. \*+$/)
    expect(ring.sizeOf(2 as BtfId)).toBeUndefined()
  })

  test('types that hold the next one twice take no exponential time', () => {
    const depth = 60
    const structs = Array.from({ length: depth }, (_, i) => [
      0,
      info(BTF_KIND.STRUCT, 2),
      8,
      0,
      i + 2,
      0,
      0,
      i + 2,
      0,
    ])
    const nest = parsed(build([...structs.flat(), ...int], strings))
    expect(nest.alignOf(1 as BtfId)).toBe(4)
    expect(findMember(nest, 1 as BtfId, 'none')).toBeUndefined()
    const functions = Array.from({ length: depth }, (_, i) => [
      0,
      info(BTF_KIND.FUNC_PROTO, 2),
      i + 2,
      1,
      i + 2,
      1,
      i + 2,
    ])
    expect(cName(parsed(build([...functions.flat(), ...int], strings)), 1 as BtfId).length).toBeLessThan(
      100_000,
    )
  })

  const good = build([...int, ...struct], strings)
  const poke = (at: number, ...values: readonly number[]): Uint8Array => {
    const copy = good.slice()
    copy.set(values, at)
    return copy
  }
  test.each([
    [
      'too short',
      good.subarray(0, 8),
      'bad-header',
      '.BTF offset 0x0: expected a header of 24 bytes, found 8 bytes',
    ],
    ['of other magic', poke(0, 1, 2), 'not-btf', '.BTF offset 0x0: expected the magic 0xeb9f, found 0x201'],
    ['of version 2', poke(2, 2), 'unsupported-version', '.BTF offset 0x2: expected version 1, found 2'],
    [
      'with types past the end',
      poke(12, 0, 1),
      'bad-header',
      '.BTF offset 0x8: expected whole words of types inside the 73 bytes, found 256 bytes at 24',
    ],
    [
      'with strings past the end',
      poke(20, 0, 1),
      'bad-header',
      '.BTF offset 0x10: expected strings inside the 73 bytes, found 256 bytes at 64',
    ],
    [
      'with strings in its types',
      poke(16, 36),
      'bad-header',
      '.BTF offset 0x10: expected strings behind the 40 bytes of types at 24, found 9 bytes at 60',
    ],
    [
      'with strings that do not end',
      poke(72, 65),
      'bad-strings',
      '.BTF offset 0x40: expected strings that start and end with NUL, found 9 bytes that do not',
    ],
    [
      'of an unknown kind',
      poke(31, 25),
      'bad-type',
      '.BTF offset 0x18, type 1: expected a kind from 1 to 19, found 25',
    ],
    [
      'with too many members',
      poke(44, 9),
      'bad-type',
      '.BTF offset 0x28, type 2: expected 120 bytes of type, found 24 left',
    ],
    [
      'with a wild name',
      poke(52, 0xff),
      'bad-reference',
      '.BTF offset 0x34, type 2: expected a name inside the 9 bytes of strings, found offset 255',
    ],
    [
      'with a wild type',
      poke(56, 9),
      'bad-reference',
      '.BTF offset 0x38, type 2: expected a type id under 3, found 9',
    ],
  ])('%s', (_name, bytes, code, message) => {
    const error = Btf.parse(bytes)
    expect(error).toBeInstanceOf(BtfError)
    expect(error).toMatchObject({ code, message })
  })
})

const canReadVmlinux = existsSync(vmlinux)
describe.skipIf(!canReadVmlinux)(
  `the running kernel's types${canReadVmlinux ? '' : ` (needs ${vmlinux})`}`,
  () => {
    const bytes = canReadVmlinux ? new Uint8Array(readFileSync(vmlinux)) : new Uint8Array()

    test('answer a port writer', () => {
      const btf = parsed(bytes)
      expect(offsetOf(btf, 'list_head', 'prev')).toBe(8)
      expect(offsetOf(btf, 'task_struct', 'pid')).toBeGreaterThan(0)
      expect(findPrototype(btf, 'vfs_read')?.parameters.map((one) => one.name)).toEqual([
        'file',
        'buf',
        'count',
        'pos',
      ])
      const vfsRead = btf.find('vfs_read', BTF_KIND.FUNC) as BtfId
      expect(cDeclaration(btf, vfsRead, '')).toBe(
        'ssize_t vfs_read(struct file *file, char *buf, size_t count, loff_t *pos)',
      )
    })

    test.skipIf(!hasBpftool)('agree with bpftool, type by type', () => {
      compareWithBpftool(vmlinux, parsed(bytes))
    })
  },
)

const canPahole = has('pahole') && has('riscv64-linux-gnu-gcc') && hasBpftool
test.skipIf(!canPahole)(
  `pahole's types of a RISC-V executable${canPahole ? '' : ' (needs pahole, riscv64-linux-gnu-gcc, bpftool)'}`,
  () => {
    const path = join(scratch, 'kernel.elf')
    writeFileSync(
      `${path}.c`,
      `
      struct context { unsigned long ra, sp, s[12]; };
      struct task { int pid; char name[16]; struct context context; struct task *parent; unsigned runnable : 1, exiting : 1; };
      struct task tasks[64]; struct task *current;
      long sys_getpid(struct task *t) { return t->pid; }
      void _start(void) { sys_getpid(current); }`,
    )
    execFileSync('riscv64-linux-gnu-gcc', [
      '-g',
      '-O1',
      '-ffreestanding',
      '-nostdlib',
      '-static',
      `${path}.c`,
      '-o',
      path,
    ])
    execFileSync('pahole', ['-J', path])
    const btf = parsed(section(path, '.BTF'))
    compareWithBpftool(path, btf)
    expect(offsetOf(btf, 'task', 'context.s[2]')).toBe(24 + 32)
    expect(findMember(btf, findComposite(btf, 'task') as BtfId, 'exiting')).toMatchObject({
      bitOffset: 144 * 8 + 1,
      bitSize: 1,
    })
    expect(findPrototype(btf, 'sys_getpid')?.parameters).toMatchObject([{ name: 't' }])
  },
)

/** A small fast generator, so that a failure can be repeated from its seed. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

test.skipIf(!hasClang)(
  `no mutation of types makes a query throw${hasClang ? '' : ' (needs clang-19)'}`,
  () => {
    const path = compile(everyKind)
    const [types, ext] = [section(path, '.BTF'), section(path, '.BTF.ext')]
    const interesting = [0, 1, 2, 0x7f, 0x80, 0xff]
    let opened = 0
    for (let seed = 0; seed < 10_000; seed++) {
      const next = random(seed)
      const mutate = (from: Uint8Array): Uint8Array => {
        const bytes = from.slice()
        for (let n = next(6); n > 0; n--) {
          // Half of the hits go to the headers and first types, where each byte matters most.
          const at = next(next(2) === 0 ? Math.min(bytes.length, 256) : bytes.length)
          bytes[at] = next(2) === 0 ? next(256) : (interesting[next(interesting.length)] as number)
        }
        return next(10) === 0 ? bytes.subarray(0, next(bytes.length)) : bytes
      }
      try {
        const btf = Btf.parse(mutate(types))
        if (btf instanceof BtfError) {
          expect(btf.message).toMatch(/expected .*, found /)
          continue
        }
        opened++
        for (const id of btf.ids()) {
          btf.typeById(id)
          btf.sizeOf(id)
          btf.alignOf(id)
          cName(btf, id)
        }
        offsetOf(btf, 'everything', 'grid[1][2]')
        parseBtfExt(mutate(ext), btf)
      } catch (error) {
        throw new Error(`seed ${seed}: ${error}`)
      }
    }
    expect(opened).toBeGreaterThan(2_000)
  },
)
