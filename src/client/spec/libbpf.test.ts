/**
 * The reader and linker against libbpf itself: the same object goes through the system's libbpf, whose system
 * calls are answered by a stub and written down, and through `openObject` and `linkProgram`. What the two would
 * tell a kernel must agree byte for byte: maps, initial values, instructions, function and line records, BTF.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { linkProgram, ObjectError, objectName, openObject } from './index.ts'
import type { CollectionSpec, LinkedProgram } from './types.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-spec-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** Defines `syscall`, so that libbpf's system calls end here: each is printed as JSON and succeeds. */
const stubSource = String.raw`
#define _GNU_SOURCE
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <linux/bpf.h>
#include <bpf/libbpf.h>

static int next_fd = 100, null_fd, verbose;
static unsigned sizes[4096][2];

static void hex(const char *name, const void *data, size_t n) {
  printf(",\"%s\":\"", name);
  for (size_t i = 0; i < n; i++) printf("%02x", ((const unsigned char *)data)[i]);
  printf("\"");
}
static int new_fd(void) { return fcntl(null_fd, F_DUPFD, next_fd++); }
static int bpf(int cmd, union bpf_attr *given, unsigned size) {
  int fd;
  union bpf_attr whole = {}, *a = &whole;
  memcpy(a, given, size < sizeof whole ? size : sizeof whole); /* what lies past size is not set */
  switch (cmd) {
  case BPF_MAP_CREATE:
    fd = new_fd();
    if (fd < 4096) { sizes[fd][0] = a->key_size; sizes[fd][1] = a->value_size; }
    printf("{\"cmd\":\"map\",\"fd\":%d,\"name\":\"%.16s\",\"type\":%u,\"keySize\":%u,\"valueSize\":%u,"
           "\"maxEntries\":%u,\"flags\":%u,\"keyType\":%u,\"valueType\":%u,\"inner\":%u,\"mapExtra\":\"%llu\"}\n",
           fd, a->map_name, a->map_type, a->key_size, a->value_size, a->max_entries, a->map_flags,
           a->btf_key_type_id, a->btf_value_type_id, a->inner_map_fd, (unsigned long long)a->map_extra);
    return fd;
  case BPF_MAP_UPDATE_ELEM:
    printf("{\"cmd\":\"update\",\"fd\":%d", a->map_fd);
    hex("key", (void *)a->key, sizes[a->map_fd][0]);
    hex("value", (void *)a->value, sizes[a->map_fd][1]);
    printf("}\n");
    return 0;
  case BPF_MAP_FREEZE:
    printf("{\"cmd\":\"freeze\",\"fd\":%d}\n", a->map_fd);
    return 0;
  case BPF_BTF_LOAD:
    printf("{\"cmd\":\"btf\"");
    hex("data", (void *)a->btf, a->btf_size);
    printf("}\n");
    return new_fd();
  case BPF_PROG_LOAD:
    fd = new_fd();
    printf("{\"cmd\":\"prog\",\"fd\":%d,\"name\":\"%.16s\",\"type\":%u,\"attach\":%u,\"flags\":%u,\"license\":\"%s\",\"version\":%u",
           fd, a->prog_name, a->prog_type, a->expected_attach_type, a->prog_flags, (char *)a->license, a->kern_version);
    hex("insns", (void *)a->insns, a->insn_cnt * 8);
    hex("funcInfo", (void *)a->func_info, (size_t)a->func_info_cnt * a->func_info_rec_size);
    hex("lineInfo", (void *)a->line_info, (size_t)a->line_info_cnt * a->line_info_rec_size);
    printf("}\n");
    return fd;
  default:
    return 0;
  }
}
long syscall(long number, ...) {
  va_list ap;
  va_start(ap, number);
  long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long);
  long d = va_arg(ap, long), e = va_arg(ap, long), f = va_arg(ap, long);
  va_end(ap);
  if (number == __NR_bpf) return bpf((int)a, (union bpf_attr *)b, (unsigned)c);
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
int main(int argc, char **argv) {
  null_fd = open("/dev/null", O_RDWR);
  struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
  struct bpf_program *program;
  if (!object) return 2;
  bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, true);
  return bpf_object__load(object) ? 3 : 0;
}
`

const has = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0

/** Compilers that are here; the project's own is clang-19. */
const compilers = ['clang-14', 'clang-15', 'clang-16', 'clang-17', 'clang-18', 'clang-19'].filter(has)

function buildStub(): string | undefined {
  if (process.arch !== 'x64' || !has('gcc')) return undefined
  const path = join(scratch, 'libbpf-stub')
  const source = `${path}.c`
  writeFileSync(source, stubSource)
  return spawnSync('gcc', ['-w', '-o', path, source, '-lbpf']).status === 0 ? path : undefined
}
const stub = buildStub()
const canCompare = stub !== undefined && compilers.length > 0

interface Record {
  readonly cmd: 'map' | 'update' | 'freeze' | 'btf' | 'prog'
  readonly [field: string]: string | number
}

function askLibbpf(object: string): readonly Record[] {
  const result = spawnSync(stub as string, [object], { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (result.status !== 0) throw new Error(`libbpf refused ${object} (${result.status}):\n${result.stderr}`)
  return result.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record)
}

let count = 0
function compile(compiler: string, source: string, flags: readonly string[] = []): string {
  const object = join(scratch, `t${count++}.bpf.o`)
  const input = `${object}.c`
  writeFileSync(input, source)
  const multiarch = `-I/usr/include/${process.arch === 'x64' ? 'x86_64' : process.arch}-linux-gnu`
  execFileSync(compiler, ['-g', '-O2', '-target', 'bpf', multiarch, ...flags, '-c', input, '-o', object])
  return object
}

function open(object: string): CollectionSpec {
  const spec = openObject(new Uint8Array(readFileSync(object)), { name: objectName(object) })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const named = (records: readonly Record[], cmd: Record['cmd'], name: string): Record => {
  const found = records.filter((record) => record.cmd === cmd && record.name === name)
  expect(found, `${cmd} ${name}`).toHaveLength(1)
  return found[0] as Record
}

/** The linked instructions with the descriptors that the stub gave out. */
function withDescriptors(
  spec: CollectionSpec,
  linked: LinkedProgram,
  records: readonly Record[],
): Uint8Array {
  const { instructions } = linked
  const view = new DataView(instructions.buffer)
  for (const reference of linked.references) {
    const at = reference.instruction * 8
    const source = (value: number): void => {
      instructions[at + 1] = ((instructions[at + 1] as number) & 15) | (value << 4)
    }
    const fdOf = (map: string): number => {
      const { kernelName } = spec.maps.find((one) => one.name === map) as CollectionSpec['maps'][number]
      return named(records, 'map', kernelName).fd as number
    }
    if (reference.kind === 'map') {
      source(1)
      view.setInt32(at + 4, fdOf(reference.map), true)
    } else if (reference.kind === 'mapValue') {
      source(2)
      view.setInt32(at + 4, fdOf(reference.map), true)
      view.setUint32(at + 12, reference.offset, true)
    } else if (reference.kind === 'extern') {
      const one = spec.externs.find((other) => other.name === reference.name)
      if (one?.kind !== 'kconfig') throw new Error(`no stub for ${reference.name}`)
      source(2)
      view.setInt32(at + 4, fdOf('.kconfig'), true)
      view.setUint32(at + 12, one.offset, true)
    }
  }
  return instructions
}

/** Compares everything that the two readers would send. */
function compare(object: string): CollectionSpec {
  const spec = open(object)
  const records = askLibbpf(object)
  for (const map of spec.maps) {
    const theirs = named(records, 'map', map.kernelName)
    const isRing = map.type === 27
    expect(
      {
        type: theirs.type,
        keySize: theirs.keySize,
        valueSize: theirs.valueSize,
        maxEntries: theirs.maxEntries,
        flags: theirs.flags,
        mapExtra: theirs.mapExtra,
      },
      map.name,
    ).toEqual({
      type: map.type,
      keySize: map.keySize,
      valueSize: map.valueSize,
      maxEntries: isRing ? theirs.maxEntries : map.maxEntries,
      flags: map.flags,
      mapExtra: `${map.mapExtra}`,
    })
    const update = records.find((record) => record.cmd === 'update' && record.fd === theirs.fd)
    if (map.initialValue?.some((byte) => byte !== 0)) {
      expect(update?.value, map.name).toBe(hexOf(map.initialValue))
    }
    const isFrozen = records.some((record) => record.cmd === 'freeze' && record.fd === theirs.fd)
    expect(isFrozen, `${map.name} frozen`).toBe(map.frozen)
    const elements = records
      .filter((record) => record.cmd === 'update' && record.fd === theirs.fd && map.values.length > 0)
      .map((record) => ({
        key: Buffer.from(record.key as string, 'hex').readUInt32LE(),
        fd: Buffer.from(record.value as string, 'hex').readUInt32LE(),
      }))
    const expected = map.values.map(({ key, kind, name }) => ({
      key,
      fd: named(records, kind === 'map' ? 'map' : 'prog', name.slice(0, 15)).fd,
    }))
    expect(elements, `${map.name} elements`).toEqual(expected)
    if (map.inner !== undefined) {
      const inner = records.find((record) => record.cmd === 'map' && record.fd === theirs.inner)
      expect(inner, `${map.name} inner`).toMatchObject({
        type: map.inner.type,
        keySize: map.inner.keySize,
        valueSize: map.inner.valueSize,
        maxEntries: map.inner.maxEntries,
      })
    }
  }
  for (const program of spec.programs) {
    const linked = linkProgram(spec, program.name)
    if (linked instanceof ObjectError) throw new Error(linked.message)
    const theirs = named(records, 'prog', program.name.slice(0, 15))
    expect(hexOf(withDescriptors(spec, linked, records)), `${program.name} instructions`).toBe(theirs.insns)
    expect(hexOf(linked.funcInfo), `${program.name} func_info`).toBe(theirs.funcInfo)
    expect(hexOf(linked.lineInfo), `${program.name} line_info`).toBe(theirs.lineInfo)
    expect({ type: theirs.type, attach: theirs.attach, license: theirs.license }, program.name).toEqual({
      type: program.definition.programType,
      attach: program.definition.expectedAttachType,
      license: spec.license,
    })
  }
  if (spec.kernelBtf !== undefined) {
    const theirs = records.filter((record) => record.cmd === 'btf').map((record) => record.data)
    expect(theirs).toContain(hexOf(spec.kernelBtf))
  }
  return spec
}

const header = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
`

const everything = `${header}
struct key { __u32 pid; char comm[16]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1024); __type(key, struct key); __type(value, __u64);
  __uint(map_flags, BPF_F_NO_PREALLOC); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, int); __type(value, int); };
struct inner in1 SEC(".maps"), in2 SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 3); __type(key, int);
  __array(values, struct inner); } outer SEC(".maps") = { .values = { [0] = &in1, [2] = &in2 } };
int tail(struct xdp_md *);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 3); __uint(key_size, 4);
  __array(values, int(struct xdp_md *)); } a_program_array_with_a_long_name SEC(".maps") = { .values = { [1] = &tail } };

const volatile int setting = 7;
int counter, initial = 42, hidden_one __hidden = 3;
static int private_counter, private_initial = 9;
int custom SEC(".data.custom") = 5;
const char custom_text[] SEC(".rodata.custom_with_a_long_name") = "abc";

static __noinline int twice(int x) { private_counter += x; private_initial++; return x * counter + 1; }
__noinline int global_function(int x) { counter++; if (x > 3) return twice(x) + initial; return hidden_one; }
__hidden __noinline int hidden_function(int x) { return global_function(x + 1) * 2; }
static int callback(__u32 i, void *c) { *(int *)c += twice(i); return 0; }

SEC("kprobe/do_sys_open+0x10") int on_open(void *ctx) {
  struct key k = {}; __u64 v = setting; int sum = 0;
  bpf_map_update_elem(&counts, &k, &v, 0);
  bpf_loop(3, callback, &sum, 0);
  return global_function(sum) + custom + custom_text[v & 1];
}
SEC("?xdp") int tail(struct xdp_md *c) { bpf_tail_call(c, &a_program_array_with_a_long_name, 0); return twice(3); }
SEC("xdp") int with_a_name_longer_than_fifteen(struct xdp_md *c) {
  int k = 0; void *m = bpf_map_lookup_elem(&outer, &k);
  bpf_printk("found %d", m != 0);
  return m ? hidden_function(2) : 0;
}
SEC("xdp") int second_of_section(struct xdp_md *c) { return hidden_function(c->data) + twice(1); }
SEC("tc") int classify(struct __sk_buff *c) { return twice(c->len); }
`

const staticOnly = `${header}
static volatile const int a = 1; static volatile int b = 2; static volatile int c;
SEC("socket") int filter(struct __sk_buff *s) { return a + b + c++; }
`

const kconfig = `${header}
extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_NO_SUCH_THING __kconfig __weak;
extern char CONFIG_NO_SUCH_TEXT[6] __kconfig __weak;
extern unsigned long CONFIG_NO_SUCH_NUMBER __kconfig __weak;
SEC("tracepoint/syscalls/sys_enter_openat") int on(void *c) {
  return LINUX_KERNEL_VERSION + CONFIG_NO_SUCH_THING + CONFIG_NO_SUCH_TEXT[2] + (int)CONFIG_NO_SUCH_NUMBER;
}
`

const chain = `${header}
static __noinline int f4(int x) { return x * 5 + (int)bpf_get_prandom_u32(); }
static __noinline int f3(int x) { return f4(x + 1) + f4(x); }
static __noinline int f2(int x) { return f4(x) + f3(x); }
static __noinline int f1(int x) { return f3(x) + f2(x); }
SEC("raw_tp/sched_switch") int a(void *c) { return f2(1) + f1(2); }
SEC("raw_tp/sched_switch") int b(void *c) { return f1(1) + f2(2); }
SEC("perf_event") int none(void *c) { return 0; }
`

describe.skipIf(!canCompare)(
  `objects as libbpf reads them${canCompare ? '' : ' (needs x86-64, gcc, libbpf-dev and a clang)'}`,
  () => {
    const cases = compilers.flatMap((compiler) => [
      [compiler, 'everything', everything, []] as const,
      [compiler, 'chain', chain, ['-mcpu=v3']] as const,
    ])
    const last = compilers.at(-1) as string
    test.each([
      ...cases,
      [last, 'static variables', staticOnly, []] as const,
      [last, 'kernel configuration', kconfig, []] as const,
      [last, 'everything, -mcpu=v1', everything, ['-mcpu=v1']] as const,
      [last, 'chain, -O1', chain, ['-O1']] as const,
    ])('%s: %s', (compiler, _name, source, flags) => {
      const spec = compare(compile(compiler, source, flags))
      expect(spec.programs.length).toBeGreaterThan(0)
      expect(spec.warnings).toEqual([])
    })

    const own = fileURLToPath(new URL('../../../bpf/', import.meta.url))
    const objects = readdirSync(own).filter((name) => name.endsWith('.bpf.o'))
    for (const name of objects) {
      test(`the repository's ${name}`, (context) => {
        const path = join(own, name)
        const isPortable = open(path).functions.some((one) => one.coreRelocations.length > 0)
        if (isPortable)
          context.skip('libbpf would need the types of a kernel that has the ones of this object')
        expect(compare(path).programs.length).toBeGreaterThan(0)
      })
    }

    test.skipIf(!has('bpftool'))('what bpftool gen object has linked', () => {
      const other = `${header.replace('LICENSE', 'OTHER')}
        int shared_counter = 11; static int private_counter = 1;
        __noinline int helper_of_two(int x) { return x + shared_counter + private_counter++; }`
      const user = `${header}
        extern int shared_counter; extern int helper_of_two(int);
        struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, long); } one SEC(".maps");
        SEC("kprobe/f") int p(void *c) { int k = 0; bpf_map_lookup_elem(&one, &k); return helper_of_two(shared_counter); }`
      const both = join(scratch, 'both.bpf.o')
      execFileSync('bpftool', [
        'gen',
        'object',
        both,
        compile(last, user),
        compile(last, other.replace(/char OTHER.*/, '')),
      ])
      compare(both)
    })
  },
)
