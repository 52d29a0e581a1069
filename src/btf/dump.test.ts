/** Listings and headers against bpftool, byte for byte. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { ElfError, parseElf } from '../elf/index.ts'
import { BTF_KIND, Btf, BtfError, type BtfId, BtfWriter, dumpC, dumpRaw } from './index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-dump-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const has = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const hasBpftool = has('bpftool')
const hasClang = has('clang-19')
const vmlinux = '/sys/kernel/btf/vmlinux'
const repository = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

let count = 0
function compile(source: string): string {
  const object = join(scratch, `t${count++}.o`)
  writeFileSync(`${object}.c`, source)
  execFileSync('clang-19', ['-target', 'bpf', '-g', '-O2', '-w', '-c', `${object}.c`, '-o', object])
  return object
}

function open(path: string): Btf {
  let bytes = new Uint8Array(readFileSync(path))
  if (bytes[0] === 0x7f) {
    const elf = parseElf(bytes)
    if (elf instanceof ElfError) throw new Error(elf.message)
    bytes = new Uint8Array(elf.section('.BTF')?.data ?? [])
  }
  return parsed(bytes)
}

function parsed(bytes: Uint8Array | BtfError, base?: Btf): Btf {
  const btf = bytes instanceof BtfError ? bytes : Btf.parse(bytes, base)
  if (btf instanceof BtfError) throw new Error(btf.message)
  return btf
}

function bpftool(path: string, format: 'c' | 'raw'): string {
  const options = { encoding: 'utf8', maxBuffer: 1 << 28 } as const
  return execFileSync('bpftool', ['btf', 'dump', 'file', path, 'format', format], options)
}

function headerOf(btf: Btf): string {
  const pieces = dumpC(btf)
  if (pieces instanceof BtfError) throw new Error(pieces.message)
  return pieces.join('')
}

/** bpftool 7.1 leaves out what later ones write for enums that are not as wide as an int. */
const withoutModes = (text: string): string =>
  text.replaceAll(/ __attribute__\(\(mode\((byte|word)\)\)\)/g, '')

function compare(path: string): void {
  const btf = open(path)
  // Not toBe on the texts: a difference in megabytes takes minutes to print.
  expect(firstDifference(`${dumpRaw(btf).join('\n')}\n`, bpftool(path, 'raw'))).toBeUndefined()
  expect(firstDifference(withoutModes(headerOf(btf)), withoutModes(bpftool(path, 'c')))).toBeUndefined()
}

function firstDifference(ours: string, theirs: string): string | undefined {
  if (ours === theirs) return undefined
  const [a, b] = [ours.split('\n'), theirs.split('\n')]
  const at = a.findIndex((line, i) => line !== b[i])
  return `line ${at + 1}: ours '${a[at]}', theirs '${b[at]}'`
}

const declarators = `
typedef int (*handler)(int, void *);
typedef handler (*maker)(handler, ...);
typedef int grid[3][4];
typedef int (*rows)[4];
typedef int (*(*table)[2])(void);
typedef const char *const text;
typedef volatile int *volatile *restrict_like[2][3];
typedef const int constants[5];
typedef struct { int x; struct { int y; union { long z; char c[3]; }; } inner[2]; } nameless;
typedef enum { ALPHA, BETA = 7 } greek;
struct later;
struct holder { struct later *p; struct later **pp; struct holder *self; nameless n; greek g; struct { struct later *q; } *anon; };
struct later { struct holder h; int (*callbacks[4])(struct later *, const struct holder *); };
union both { struct { int a; }; long b; enum { INNER = 3 } e; };
struct declared_only;
enum { LOOSE = 5, OTHER };
struct tail { int n; char data[]; };
struct nothing {};
typedef struct declared_only *opaque;
typedef void nothing_t(void);
typedef __builtin_va_list list_t;
typedef int *restrict_me;
struct uses { text t; handler h; maker m; grid g; rows r; table b; restrict_like v; constants c; union both u; struct tail *l; opaque o;
  struct nothing e; nothing_t *f; list_t *va; _Bool flag; float real; double wide; __int128 large; int *restrict once;
  int __attribute__((btf_type_tag("user"))) *tagged; const int __attribute__((btf_type_tag("rcu"))) *const both_tags; };
struct uses u; struct later l;
static int used = LOOSE + OTHER;
int *use(void) { return &used; }
`

const layouts = `
struct holes { char a; long b; char c; int d __attribute__((aligned(16))); char e; };
struct bits { int a : 3; int : 5; int b : 4; unsigned long c : 40; char d; int e : 7; int : 0; int f : 2; short g; };
struct packed { char a; int b; long c; } __attribute__((packed));
struct packed_by_chance { int a; int b; } __attribute__((packed));
struct packed_bits { char a; int b : 5; int c : 9; long d; } __attribute__((packed));
struct wide { char a; } __attribute__((aligned(64)));
struct late { int x; char pad[3]; short y __attribute__((aligned(8))); } __attribute__((aligned(32)));
struct nested { struct packed p; char c; struct wide w; struct { char q; short r __attribute__((aligned(4))); } s; };
union parts { char c; int i[3]; };
struct only_padding { int : 32; int : 3; };
struct long_bits { long a : 33; long b : 31; long c : 1; } __attribute__((aligned(8)));
struct bool_bits { _Bool a : 1, b : 1; unsigned char c : 6; };
enum small { SMALL_A } __attribute__((packed));
enum wide_enum { WIDE_A = 1, WIDE_B = 0x100000000UL };
enum negative { MINUS = -1, PLUS = 1 };
enum wide_negative { WIDE_MINUS = -1L, WIDE_PLUS = 0x7fffffffffffffffL };
struct all { struct holes a; struct bits b; struct packed c; struct packed_by_chance d; struct packed_bits e; struct wide f; struct late g;
  struct nested h; union parts i; struct only_padding j; struct long_bits k; struct bool_bits l; enum small m; enum wide_enum n;
  enum negative o; enum wide_negative p; } all;
struct all *use(void) { return &all; }
`

describe.skipIf(!hasBpftool)(`as bpftool prints them${hasBpftool ? '' : ' (needs bpftool)'}`, () => {
  test.skipIf(!existsSync(vmlinux))("this machine's kernel", () => compare(vmlinux))

  test('the guest kernel and the objects of the repository', () => {
    compare(repository('guest/build/kernel.elf'))
    const objects = readdirSync(repository('bpf')).filter((name) => name.endsWith('.bpf.o'))
    expect(objects.length).toBeGreaterThan(0)
    for (const name of objects) compare(repository(`bpf/${name}`))
  })

  test('types that continue others', () => {
    const basePath = repository('guest/build/kernel.elf')
    const base = open(basePath)
    const task = base.find('task', BTF_KIND.STRUCT) as BtfId
    const writer = new BtfWriter({ base })
    const pointer = writer.add({ kind: BTF_KIND.PTR, name: '', type: task })
    const members = [{ name: 'owner', type: pointer, bitOffset: 0, bitSize: 0 }]
    writer.add({ kind: BTF_KIND.STRUCT, name: 'module_state', size: 8, members })
    writer.add({ kind: BTF_KIND.STRUCT, name: 'task', size: 8, members })
    const path = join(scratch, 'split.btf')
    const bytes = writer.finish() as Uint8Array
    writeFileSync(path, bytes)
    const btf = parsed(bytes, base)
    const dump = ['-B', basePath, 'btf', 'dump', 'file', path, 'format']
    const theirs = (format: string) => execFileSync('bpftool', [...dump, format], { encoding: 'utf8' })
    expect(firstDifference(`${dumpRaw(btf).join('\n')}\n`, theirs('raw'))).toBeUndefined()
    expect(firstDifference(withoutModes(headerOf(btf)), withoutModes(theirs('c')))).toBeUndefined()
    expect(headerOf(btf)).toContain('struct task___2 {')
  })

  test.skipIf(!hasClang)('declarators', () => compare(compile(declarators)))
  test.skipIf(!hasClang)('layouts', () => compare(compile(layouts)))

  test.skipIf(!hasClang)('variables and externs in sections', () => {
    compare(
      compile(`
        int a = 1; static int b = 2; const int c __attribute__((section(".rodata.x"))) = 3;
        extern int d __attribute__((section(".ksyms"))); extern int e(int) __attribute__((section(".ksyms")));
        extern int f __attribute__((section(".kconfig")));
        __attribute__((noinline)) static int g(int x) { return x + b++; }
        int h(void *p) { return g(a) + c + d + e(1) + f; }
        int tagged __attribute__((btf_decl_tag("note")));`),
    )
  })
})

test.skipIf(!hasClang)('a header makes the same types when it is compiled', () => {
  for (const source of [declarators, layouts]) {
    const first = compile(source)
    const header = `#define BPF_NO_PRESERVE_ACCESS_INDEX\n${headerOf(open(first))}`
    const names = [...headerOf(open(first)).matchAll(/^(struct \w+) \{/gm)].map(([, name]) => name as string)
    const uses = names.map((name, i) => `${name} *use${i}(void) { return 0; }`).join('\n')
    const second = open(compile(`${header}\n${uses}`))
    for (const name of names) {
      const [a, b] = [open(first), second].map((btf) => layoutOf(btf, name.replace('struct ', '')))
      expect(b, name).toEqual(a)
    }
  }
})

/** Size and the places of named members, which is what a header must keep. */
function layoutOf(btf: Btf, name: string) {
  const type = btf.typeById(btf.find(name, BTF_KIND.STRUCT) as BtfId)
  if (type.kind !== BTF_KIND.STRUCT) throw new Error(name)
  const members = type.members.map((member) => [
    member.name,
    member.bitOffset,
    member.bitSize,
    btf.sizeOf(member.type),
  ])
  return { size: type.size, members }
}

describe('names', () => {
  test('types of one name get flavours, declarations do not', () => {
    const writer = new BtfWriter()
    const int = writer.add({
      kind: BTF_KIND.INT,
      name: 'int',
      size: 4,
      bits: 32,
      bitOffset: 0,
      isSigned: true,
      isChar: false,
      isBool: false,
    })
    const members = (name: string) => [{ name, type: int, bitOffset: 0, bitSize: 0 }]
    for (const name of ['a', 'b'])
      writer.add({ kind: BTF_KIND.STRUCT, name: 's', size: 4, members: members(name) })
    writer.add({ kind: BTF_KIND.FWD, name: 's', isUnion: false })
    writer.add({
      kind: BTF_KIND.ENUM,
      name: 'e',
      size: 4,
      isSigned: false,
      values: [{ name: 'X', value: 1n }],
    })
    writer.add({
      kind: BTF_KIND.ENUM,
      name: 'e',
      size: 4,
      isSigned: false,
      values: [{ name: 'X', value: 2n }],
    })
    writer.add({ kind: BTF_KIND.TYPEDEF, name: 'X', type: int })
    const text = headerOf(parsed(writer.finish()))
    const found = [...text.matchAll(/^(struct s.*|enum e.*|\tX.*|typedef int.*)$/gm)].map(([line]) => line)
    expect(found).toEqual([
      'struct s {',
      'struct s___2 {',
      'struct s;',
      'enum e {',
      '\tX = 1,',
      'enum e___2 {',
      '\tX___2 = 2,',
      'typedef int X___3;',
    ])
  })
})

describe('hostile types end in an error', () => {
  const failureOf = (build: (writer: BtfWriter) => void): string => {
    const writer = new BtfWriter()
    build(writer)
    const result = dumpC(parsed(writer.finish()))
    return result instanceof BtfError ? result.message : `${result.length} pieces`
  }
  const id = (n: number) => n as BtfId
  const member = (type: number, name = '') => ({ name, type: id(type), bitOffset: 0, bitSize: 0 })

  test('a struct that holds itself', () => {
    const message = failureOf((writer) =>
      writer.add({ kind: BTF_KIND.STRUCT, name: 's', size: 8, members: [member(1, 'self')] }),
    )
    expect(message).toBe('.BTF offset 0x18, type 1: expected types that end, found one that holds itself')
  })

  test('a chain of pointers without end', () => {
    const message = failureOf((writer) => {
      for (let n = 0; n < 5000; n++) writer.add({ kind: BTF_KIND.CONST, name: '', type: id(n + 2) })
      writer.add({ kind: BTF_KIND.TYPEDEF, name: 't', type: id(1) })
    })
    expect(message).toContain('nested too deep')
  })

  test('nameless structs that hold the next one twice', () => {
    const message = failureOf((writer) => {
      for (let n = 1; n < 60; n++)
        writer.add({
          kind: BTF_KIND.STRUCT,
          name: n === 1 ? 's' : '',
          size: 8,
          members: [member(n + 1), member(n + 1)],
        })
      writer.add({ kind: BTF_KIND.STRUCT, name: '', size: 0, members: [] })
    })
    expect(message).toContain('repeat without end')
  })
})
