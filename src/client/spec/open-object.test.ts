import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, BPF_MAP_TYPE } from '../../abi/bpf.ts'
import { Btf, BtfError } from '../../btf/index.ts'
import { linkProgram, ObjectError, objectName, openObject } from './index.ts'
import type { CollectionSpec, LinkedProgram } from './types.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-open-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const has = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const hasClang = has('clang-19') && has('ld.lld-19')
const needs = hasClang ? '' : ' (needs clang-19 and lld-19)'

let count = 0
/** Compiles C (or assembly, for `.s`) without headers: what a test uses stands in the test. */
function compile(source: string, flags: readonly string[] = ['-target', 'bpf'], suffix = 'c'): Uint8Array {
  const output = join(scratch, `t${count++}.o`)
  writeFileSync(`${output}.${suffix}`, source)
  execFileSync('clang-19', ['-g', '-O2', ...flags, '-c', `${output}.${suffix}`, '-o', output], {
    stdio: 'pipe',
  })
  return new Uint8Array(readFileSync(output))
}
const assemble = (source: string): Uint8Array => compile(source, ['-target', 'bpf'], 's')

function opened(bytes: Uint8Array, name = 'test'): CollectionSpec {
  const spec = openObject(bytes, { name })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}
function linked(spec: CollectionSpec, name: string): LinkedProgram {
  const program = linkProgram(spec, name)
  if (program instanceof ObjectError) throw new Error(program.message)
  return program
}
const refusal = (bytes: Uint8Array): string => String(openObject(bytes))

const sec = (name: string): string => `__attribute__((section("${name}"), used))`
const macros = `
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static unsigned (*bpf_get_prandom_u32)(void) = (void *)7;
`

test('the name of an object is its file name to the first dot', () => {
  expect(objectName('a/b.c/syscount.bpf.o')).toBe('syscount')
  expect(objectName('C:\\x\\tool.o')).toBe('tool')
  expect(objectName('plain')).toBe('plain')
})

describe.skipIf(!hasClang)(`an object${needs}`, () => {
  const source = `${macros}
    char _license[] SEC("license") = "GPL"; unsigned _version SEC("version") = 0x060c00;
    struct { __uint(type, 1); __uint(max_entries, 100); __type(key, int); __type(value, long); __uint(pinning, 1); } pinned SEC(".maps");
    const volatile int setting = 7; int counter; static int state = 3;
    static __attribute__((noinline)) int helper(int x) { state += x; return x + (int)bpf_get_prandom_u32(); }
    SEC("kprobe/sys_read") int read_(void *c) { int k = 0; return bpf_map_lookup_elem(&pinned, &k) != 0 ? helper(setting) : 0; }
    SEC("kprobe/sys_read") int read_again(void *c) { return helper(counter++); }
    SEC("?kretprobe/sys_read") int late(void *c) { return 0; }`
  const bytes = hasClang ? compile(source) : new Uint8Array()
  const spec = hasClang ? opened(bytes, 'a_long_object_name') : (undefined as never)

  test('says its licence, version and programs', () => {
    expect(spec).toMatchObject({
      license: 'GPL',
      version: 0x060c00,
      byteOrder: 'little',
      warnings: [],
      externs: [],
    })
    expect(spec.programs.map((one) => [one.name, one.section, one.autoload, one.isGlobal])).toEqual([
      ['read_', 'kprobe/sys_read', true, true],
      ['read_again', 'kprobe/sys_read', true, true],
      ['late', '?kretprobe/sys_read', false, true],
    ])
    expect(spec.programs[2]?.definition).toMatchObject({
      pattern: 'kretprobe+',
      attach: { kind: 'kprobe', symbol: 'sys_read', offset: 0, isReturn: true },
    })
    expect(spec.functions.map((one) => one.name)).toEqual(['helper', 'read_', 'read_again', 'late'])
    spec.functions.forEach((one, i) => {
      expect(one.index).toBe(i)
    })
  })

  test('says its maps, global data included', () => {
    expect(spec.maps).toMatchObject([
      {
        name: 'pinned',
        kernelName: 'pinned',
        origin: 'btf',
        type: 1,
        keySize: 4,
        valueSize: 8,
        maxEntries: 100,
        pinning: 'by-name',
        frozen: false,
      },
      {
        name: '.rodata',
        kernelName: 'a_long_o.rodata',
        type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
        valueSize: 4,
        maxEntries: 1,
        frozen: true,
        flags: BPF_F_RDONLY_PROG | BPF_F_MMAPABLE,
      },
      { name: '.bss', kernelName: 'a_long_o.bss', initialValue: undefined, flags: BPF_F_MMAPABLE },
      // Holds only a static variable, so nobody outside can name a place in it.
      { name: '.data', kernelName: 'a_long_o.data', valueSize: 4, frozen: false, flags: 0 },
    ])
    expect([...(spec.maps[1]?.initialValue ?? [])]).toEqual([7, 0, 0, 0])
    expect(spec.maps[1]?.initialValue?.buffer).toBe(bytes.buffer)
  })

  test('says what each instruction refers to', () => {
    expect(spec.programs[0]?.relocations.map(({ instruction: _, ...rest }) => rest)).toEqual([
      { kind: 'map', map: 'pinned' },
      { kind: 'mapValue', map: '.rodata', offset: 0 },
      { kind: 'call', callee: 0, name: 'helper' },
    ])
    expect(spec.functions[0]?.relocations.map((one) => one.kind)).toEqual(['mapValue'])
  })

  test('gives every function its BTF, lines and instructions', () => {
    for (const one of spec.functions) {
      expect(one.btfFunction && spec.btf?.nameOf(one.btfFunction)).toBe(one.name)
      expect(one.lineInfos[0]?.instructionOffset).toBe(0)
      expect(one.instructions.buffer).toBe(bytes.buffer)
      expect(one.instructions.at(-8)).toBe(0x95)
    }
  })

  test('links without touching the file, each time to the same bytes', () => {
    const before = bytes.slice()
    const [first, second] = [linked(spec, 'read_'), linked(spec, 'read_')]
    first.instructions.fill(0xff)
    expect(bytes).toEqual(before)
    expect(second.instructions).toEqual(linked(spec, 'read_').instructions)
    expect(second.functions.map((one) => [one.function.name, one.start > 0])).toEqual([
      ['read_', false],
      ['helper', true],
    ])
    expect(second.references.map((one) => one.kind)).toEqual(['map', 'mapValue', 'mapValue'])
    expect(linked(spec, 'late').instructions).toHaveLength(16)
  })

  test('is the same each time', () => {
    expect(opened(bytes, 'a_long_object_name').maps).toEqual(spec.maps)
    expect(opened(bytes, 'a_long_object_name').functions).toEqual(spec.functions)
  })

  test('an unknown program names those that are there', () => {
    expect(String(linkProgram(spec, 'reed'))).toBe(
      "ObjectError(unknown-program): expected a program of this object (read_, read_again, late), found 'reed'",
    )
  })

  test('its BTF for the kernel has sizes and offsets', () => {
    const btf = Btf.parse(spec.kernelBtf as Uint8Array)
    if (btf instanceof BtfError) throw new Error(btf.message)
    const sizes = ['.maps', '.rodata', '.bss', '.data', 'license', 'version'].map((name) =>
      btf.sizeOf(btf.find(name, 15) ?? (0 as never)),
    )
    expect(sizes).toEqual([40, 4, 4, 4, 4, 4])
  })
})

describe.skipIf(!hasClang)(`what cannot be used says why${needs}`, () => {
  const program = `${sec('xdp')} int x(void *c) { return 2; }`
  const cases: readonly [string, () => Uint8Array, string | RegExp][] = [
    [
      'an empty file',
      () => new Uint8Array(),
      'ObjectError(not-elf): this is not an ELF file: file offset 0x0: expected the magic 7f 45 4c 46, found an empty file',
    ],
    [
      'a RISC-V object',
      () => compile('int x;', ['--target=riscv64']),
      'ObjectError(wrong-machine): this is a RISC-V relocatable object, not a BPF object',
    ],
    [
      'an x86-64 object',
      () => compile('int x;', ['--target=x86_64']),
      'ObjectError(wrong-machine): this is an x86-64 relocatable object, not a BPF object',
    ],
    [
      'a big-endian object',
      () => compile(program, ['-target', 'bpfeb']),
      'ObjectError(big-endian): this object is big-endian; compile it with -target bpfel',
    ],
    [
      'a truncated object',
      () => compile(program).subarray(0, 300),
      /^ObjectError\(truncated\): this ELF file is truncated: file offset 0x28: expected a section header table inside the file's 300 bytes, found its start at 0x/,
    ],
    [
      'an object without programs',
      () => compile('int f(int x) { return x; }'),
      `ObjectError(no-programs): this object has functions ('f') but no programs: functions in .text are only called by others; mark entry points with SEC("...")`,
    ],
    [
      'an object without anything',
      () => compile('typedef int t;'),
      'ObjectError(no-programs): this object has neither programs nor maps',
    ],
    [
      'a call out of the section',
      () =>
        assemble(
          '.section xdp,"ax"\n.globl x\n.type x,@function\nx: .long 0x1085\n.long 40\nexit\n.size x,.-x',
        ),
      "ObjectError(bad-relocation): program 'x', instruction 0, section 'xdp', offset 0x0: expected the start of a function, found offset 328 of section 'xdp'",
    ],
    [
      'a relocated instruction that cannot be',
      () => {
        const bytes = assemble(
          '.section xdp,"ax"\n.globl x\n.type x,@function\nx: r1 = y ll\nexit\n.size x,.-x\n.data\n.globl y\ny: .long 1',
        )
        bytes[64] = 0xb7
        return bytes
      },
      "ObjectError(bad-relocation): program 'x', instruction 0, section 'xdp', offset 0x0: expected a call or ldimm64 to relocate against 'y', found opcode 0xb7",
    ],
    [
      'data that becomes no map',
      () =>
        assemble(
          '.section xdp,"ax"\n.globl x\n.type x,@function\nx: r1 = y ll\nexit\n.size x,.-x\n.section odd,"aw"\ny: .long 1',
        ),
      /bad-relocation\): program 'x', instruction 0, section 'xdp', offset 0x0: expected a map, data or a function, found 'y|odd' in section 'odd'/,
    ],
    [
      'functions that overlap',
      () =>
        assemble(
          '.section xdp,"ax"\n.globl x\n.type x,@function\nx: r0 = 1\n.globl y\n.type y,@function\ny: exit\n.size x,.-x\n.size y,.-y',
        ),
      "ObjectError(bad-function): program 'y', section 'xdp', offset 0x8: expected no function before offset 0x10, where the previous one ends",
    ],
    [
      'half an instruction',
      () => assemble('.section xdp,"ax"\n.globl x\n.type x,@function\nx: exit\n.long 0\n.size x,.-x'),
      "ObjectError(bad-function): section 'xdp': expected whole instructions of 8 bytes, found 12 bytes",
    ],
    [
      'a map without a type',
      () => compile(`${macros} struct { __uint(max_entries, 1); } m SEC(".maps");`),
      "ObjectError(bad-map): map 'm', section '.maps': expected a member `type`, found none",
    ],
    [
      'a map with two key sizes',
      () =>
        compile(
          `${macros} struct { __uint(type, 1); __uint(key_size, 8); __type(key, int); } m SEC(".maps");`,
        ),
      "ObjectError(bad-map): map 'm', section '.maps': expected one key size, found 8 and 4",
    ],
    [
      'a map with an unknown member',
      () => compile(`${macros} struct { __uint(type, 1); __uint(max_entires, 8); } m SEC(".maps");`),
      "ObjectError(bad-map): map 'm', section '.maps': expected a member of map definitions, found `max_entires`",
    ],
    [
      'a static map',
      () => compile(`${macros} static struct { __uint(type, 1); } m SEC(".maps");`),
      "ObjectError(bad-map): map 'm', section '.maps': expected a global variable, found a static or extern one",
    ],
    [
      'maps without BTF',
      () => compile(`${macros} struct { __uint(type, 1); } m SEC(".maps");`, ['-target', 'bpf', '-g0']),
      "ObjectError(bad-map): section '.maps': expected BTF that describes the maps, found none; compile with -g",
    ],
    [
      'a short legacy map',
      () => compile(`${macros} struct { int type, key; } m SEC("maps") = {1, 4};`),
      "ObjectError(bad-map): map 'm', section 'maps', offset 0x0: expected a definition of at least 20 bytes (struct bpf_map_def), found 8",
    ],
  ]
  test.each(cases)('%s', (_name, make, message) => {
    const found = refusal(make())
    if (typeof message === 'string') expect(found).toBe(message)
    else expect(found).toMatch(message)
  })

  test('a linked executable', () => {
    const output = join(scratch, 'kernel.elf')
    writeFileSync(`${output}.c`, 'void _start(void) {}')
    execFileSync('clang-19', [
      '--target=riscv64',
      '-march=rv64imac',
      '-mabi=lp64',
      '-nostdlib',
      '-static',
      '-fuse-ld=lld-19',
      `${output}.c`,
      '-o',
      output,
    ])
    expect(refusal(new Uint8Array(readFileSync(output)))).toBe(
      'ObjectError(wrong-machine): this is a RISC-V executable, not a BPF object',
    )
  })

  test('a big-endian object opens to be shown', () => {
    const source = `${macros} int counter; static __attribute__((noinline)) int f(int x) { return x + (int)bpf_get_prandom_u32(); }
      SEC("xdp") int x(void *c) { return f(1) + counter; }`
    const spec = openObject(compile(source, ['-target', 'bpfeb']), { allowBigEndian: true })
    if (spec instanceof ObjectError) throw new Error(spec.message)
    expect(spec.byteOrder).toBe('big')
    expect(spec.programs[0]?.relocations.map((one) => one.kind)).toEqual(['call', 'mapValue'])
    expect(linked(spec, 'x').functions).toHaveLength(2)
  })
})

describe.skipIf(!hasClang)(`objects of other shapes${needs}`, () => {
  test('legacy maps of 20, 28 and 36 bytes', () => {
    const spec = opened(
      compile(`${macros}
        struct def { unsigned type, key, value, max, flags; };
        struct aya { struct def def; unsigned id, pinning; };
        struct elf { struct aya aya; unsigned inner_id, inner_idx; };
        struct def small SEC("maps") = {1, 4, 8, 100, 1}; struct aya middle SEC("maps") = {{2, 4, 16, 7}, 0, 1};
        struct elf large SEC("maps/extra") = {{{5, 8, 8, 3}, 9, 0}};
        SEC("xdp") int x(void *c) { int k = 0; return bpf_map_lookup_elem(&small, &k) || bpf_map_lookup_elem(&middle, &k) || bpf_map_lookup_elem(&large, &k); }`),
    )
    expect(spec.maps).toMatchObject([
      {
        name: 'small',
        origin: 'legacy',
        type: 1,
        keySize: 4,
        valueSize: 8,
        maxEntries: 100,
        flags: 1,
        pinning: 'none',
      },
      { name: 'middle', type: 2, valueSize: 16, maxEntries: 7, pinning: 'by-name' },
      { name: 'large', type: 5, keySize: 8, maxEntries: 3, pinning: 'none' },
    ])
    const maps = spec.programs[0]?.relocations.map((one) => (one.kind === 'map' ? one.map : one.kind))
    expect(maps).toEqual(['small', 'middle', 'large'])
  })

  test('static functions beside their callers, which libbpf refuses and Rust emits', () => {
    const spec = opened(
      compile(`${macros}
        SEC("kprobe") __attribute__((noinline)) static int near(int x) { return x * (int)bpf_get_prandom_u32(); }
        __attribute__((section(".text.cold"), noinline)) static int cold(int x) { return near(x) + 1; }
        SEC("kprobe") int first(void *c) { return near(1); }
        SEC("kprobe") int second(void *c) { return cold(2) + near(3); }`),
    )
    expect(spec.programs.map((one) => one.name)).toEqual(['first', 'second'])
    expect(spec.programs[0]?.definition).toMatchObject({ pattern: 'kprobe+', attach: { kind: 'none' } })
    expect(linked(spec, 'second').functions.map((one) => one.function.name)).toEqual([
      'second',
      'cold',
      'near',
    ])
    expect(linked(spec, 'first').funcInfo).toHaveLength(16)
  })

  test('constant pools, strings and an unsized, untyped function of an assembler', () => {
    const spec = opened(
      assemble(`
        .section .rodata.cst16,"aM",@progbits,16
        pool: .quad 1, 2
        .section .rodata.str1.1,"aMS",@progbits,1
        text: .asciz "hello"
        .section .data.rel.ro,"aw"
        table: .quad text
        .section xdp,"ax"
        .globl x
        x: r1 = pool ll
        r2 = text+2 ll
        call helper
        exit
        .text
        .globl helper
        .type helper,@function
        helper: r0 = 2
        exit
        .size helper,.-helper`),
    )
    expect(spec.maps.map((map) => [map.name, map.kernelName, map.frozen])).toEqual([
      ['.rodata.cst16', '.rodata.cst16', true],
      ['.rodata.str1.1', '.rodata.str1.1', true],
      ['.data.rel.ro', '.data.rel.ro', false],
    ])
    expect(spec.programs[0]?.relocations).toMatchObject([
      { kind: 'mapValue', map: '.rodata.cst16', offset: 0 },
      { kind: 'mapValue', map: '.rodata.str1.1', offset: 2 },
      { kind: 'call', name: 'helper' },
    ])
    expect(spec.warnings).toEqual(["section '.data.rel.ro' holds addresses of other data, which stay zero"])
    const program = linked(spec, 'x')
    expect(program.funcInfo).toHaveLength(0)
    // The call is the sixth slot, the helper follows the program's seven.
    expect(new DataView(program.instructions.buffer).getInt32(4 * 8 + 4, true)).toBe(6 - 4 - 1)
  })

  test('two names of one function', () => {
    const spec = opened(
      assemble(`
        .text
        .globl real
        .type real,@function
        .globl alias
        .type alias,@function
        real:
        alias: r0 = 2
        exit
        .size real,.-real
        .size alias,.-alias
        .section xdp,"ax"
        .globl x
        .type x,@function
        x: call real
        call alias
        exit
        .size x,.-x`),
    )
    expect(spec.functions.map((one) => one.name).sort()).toEqual(['alias', 'real', 'x'])
    expect(linked(spec, 'x').functions).toHaveLength(2)
  })

  test('functions that call each other, and themselves', () => {
    const spec = opened(
      compile(`${macros}
        __attribute__((noinline)) int odd(int x); __attribute__((noinline)) int even(int x);
        int even(int x) { return x ? odd(bpf_get_prandom_u32()) + 1 : 1; } int odd(int x) { return x ? even(bpf_get_prandom_u32()) + 2 : 0; }
        SEC("xdp") int x(void *c) { return even(1); }`),
    )
    expect(linked(spec, 'x').functions.map((one) => one.function.name)).toEqual(['x', 'even', 'odd'])
  })

  test('more functions than a kernel takes', () => {
    const names = Array.from({ length: 300 }, (_, i) => `f${i}`)
    const functions = names.map(
      (name) => `.globl ${name}\n.type ${name},@function\n${name}: exit\n.size ${name},.-${name}`,
    )
    const spec = opened(
      assemble(
        `.text\n${functions.join('\n')}\n.section xdp,"ax"\n.globl x\n.type x,@function\nx:\n${names.map((name) => `call ${name}`).join('\n')}\nexit\n.size x,.-x`,
      ),
    )
    expect(String(linkProgram(spec, 'x'))).toMatch(/too-large\): program 'x': expected at most 256 functions/)
  })

  test('externs of the kernel and of its configuration', () => {
    const spec = opened(
      compile(`${macros}
        extern int CONFIG_HZ ${sec('.kconfig').replace(', used', '')}; extern _Bool CONFIG_SMP __attribute__((section(".kconfig"), weak));
        extern void kernel_function(int) __attribute__((section(".ksyms"))); extern const int kernel_variable __attribute__((section(".ksyms")));
        SEC("xdp") int x(void *c) { kernel_function(1); return CONFIG_HZ + CONFIG_SMP + (int)(long)&kernel_variable; }`),
    )
    expect(spec.externs).toMatchObject([
      {
        kind: 'kconfig',
        name: 'CONFIG_HZ',
        offset: 0,
        size: 4,
        valueKind: 'int',
        isSigned: true,
        isWeak: false,
      },
      { kind: 'kconfig', name: 'CONFIG_SMP', offset: 4, size: 1, valueKind: 'bool', isWeak: true },
      { kind: 'ksym', name: 'kernel_function', isFunction: true },
      { kind: 'ksym', name: 'kernel_variable', isFunction: false },
    ])
    expect(spec.maps).toMatchObject([{ name: '.kconfig', valueSize: 5, frozen: true }])
    expect(spec.programs[0]?.relocations.map((one) => one.kind)).toEqual([
      'externCall',
      'extern',
      'extern',
      'extern',
    ])
    const btf = Btf.parse(spec.kernelBtf as Uint8Array)
    expect(btf).toBeInstanceOf(Btf)
  })

  test('struct_ops variables', () => {
    const spec = opened(
      compile(`${macros}
        SEC("struct_ops/start") int start(void *c) { return 0; } SEC("struct_ops/stop") int stop(void *c) { return 1; }
        struct operations { int flags; int (*start)(void *); int (*none)(void *); int (*stop)(void *); };
        struct operations first SEC(".struct_ops") = { 7, start }, second SEC(".struct_ops") = { 8, 0, 0, stop };`),
    )
    expect(spec.structOps).toMatchObject([
      { name: 'first', autocreate: true, members: [{ offset: 8, program: 'start' }] },
      { name: 'second', members: [{ offset: 24, program: 'stop' }] },
    ])
    expect(spec.structOps[1]?.data[0]).toBe(8)
  })
})

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

/** Runs of the mutation test; set ANYBPF_MUTATIONS to search longer. */
const mutations = Number(process.env.ANYBPF_MUTATIONS ?? 2_000)

test.skipIf(!hasClang)(
  `no mutation of an object makes opening or linking throw${needs}`,
  { timeout: 3_600_000 },
  () => {
    const base = compile(`${macros}
    char _license[] SEC("license") = "GPL";
    struct inner { __uint(type, 2); __uint(max_entries, 4); __type(key, int); __type(value, int); } inner SEC(".maps");
    struct { __uint(type, 12); __uint(max_entries, 3); __type(key, int); __array(values, struct inner); } outer SEC(".maps") = { .values = { [1] = &inner } };
    struct { int type, key, value, max, flags; } old SEC("maps") = {1, 4, 8, 100};
    extern int CONFIG_HZ __attribute__((section(".kconfig"))); extern void kernel_function(int) __attribute__((section(".ksyms")));
    int counter, initial = 5; const volatile int setting = 7;
    static __attribute__((noinline)) int helper(int x) { counter += x; return x + initial; }
    SEC("xdp") int a(void *c) { int k = 0; kernel_function(1); return bpf_map_lookup_elem(&outer, &k) != 0 ? helper(setting) : CONFIG_HZ; }
    SEC("xdp") int b(void *c) { int k = 0; return bpf_map_lookup_elem(&old, &k) != 0 ? helper(2) : 0; }`)
    const view = new DataView(base.buffer)
    const headers = Number(view.getBigUint64(40, true))
    // Debug sections are not read; mutate what is: everything before them weighs little, so aim.
    const targets: [number, number][] = [
      [0, 64],
      [headers, base.length - headers],
    ]
    for (let at = headers + 64; at + 64 <= base.length; at += 64) {
      const size = Number(view.getBigUint64(at + 32, true))
      if (view.getUint32(at + 4, true) !== 8 && size > 0)
        targets.push([Number(view.getBigUint64(at + 24, true)), size])
    }
    const interesting = [0, 1, 2, 7, 0x10, 0x18, 0x7f, 0x80, 0x85, 0xf1, 0xf2, 0xff]
    let used = 0
    for (let seed = 0; seed < mutations; seed++) {
      const next = random(seed)
      let bytes = base.slice()
      for (let n = next(6); n >= 0; n--) {
        const [start, size] = targets[next(targets.length)] as [number, number]
        bytes[start + next(size)] =
          next(2) === 0 ? next(256) : (interesting[next(interesting.length)] as number)
      }
      if (next(20) === 0) bytes = bytes.subarray(0, next(bytes.length))
      try {
        const spec = openObject(bytes)
        if (spec instanceof ObjectError) {
          expect(spec.message.length).toBeGreaterThan(10)
          continue
        }
        used++
        for (const one of spec.programs) linkProgram(spec, one.name)
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
      }
    }
    expect(used).toBeGreaterThan(mutations / 20)
  },
)
