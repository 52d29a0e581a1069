/**
 * Externs against libbpf: what `__kconfig` variables read and what `__ksym` symbols become, on this machine's kernel.
 * The client's system calls end in a fake kernel that shows the files of the real one.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Btf } from '../src/btf/index.ts'
import {
  type Collection,
  type CollectionSpec,
  LoadError,
  type LoadOptions,
  load,
  openObject,
} from '../src/client/index.ts'
import { FakeKernel } from '../src/client/testing/fake-kernel.ts'
import { LibbpfOracle } from './support/libbpf-oracle.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-externs-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const vmlinux = '/sys/kernel/btf/vmlinux'
const oracle = LibbpfOracle.open()
if (oracle instanceof LibbpfOracle) afterAll(() => oracle[Symbol.dispose]())
const hasClang = spawnSync('clang-19', ['--version']).status === 0
const reason =
  typeof oracle === 'string'
    ? oracle
    : !hasClang
      ? 'needs clang-19'
      : existsSync(vmlinux) && existsSync('/proc/config.gz')
        ? ''
        : 'needs a Linux that shows its types and configuration'

const header = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
unsigned long sink;
`

let count = 0
function compile(source: string): string {
  const object = join(scratch, `t${count++}.bpf.o`)
  writeFileSync(`${object}.c`, header + source)
  const options = ['-g', '-O2', '-w', '-target', 'bpf', '-I/usr/include/x86_64-linux-gnu']
  execFileSync('clang-19', [...options, '-c', `${object}.c`, '-o', object], { stdio: 'pipe' })
  return object
}

let files: Record<string, Uint8Array | undefined> | undefined
/** A kernel that takes everything and looks like this machine's. */
function fakeLinux(): FakeKernel {
  if (files === undefined) {
    files = {}
    for (const path of [
      vmlinux,
      '/proc/kallsyms',
      '/proc/version',
      '/proc/config.gz',
      '/proc/version_signature',
    ])
      files[path] = existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined
  }
  return new FakeKernel({ files })
}

const specOf = (object: string): CollectionSpec => {
  const spec = openObject(new Uint8Array(readFileSync(object)), { name: 't' })
  if (!('programs' in spec)) throw new Error(spec.message)
  return spec
}

let types: Btf | undefined
function machineTypes(): Btf {
  types ??= Btf.parse(new Uint8Array(readFileSync(vmlinux))) as Btf
  return types
}

function loaded(object: string, options: LoadOptions = {}): { kernel: FakeKernel; collection: Collection } {
  const kernel = fakeLinux()
  const collection = load(specOf(object), kernel, options)
  if (collection instanceof LoadError) throw new Error(collection.message)
  return { kernel, collection }
}

/** Slots as text, with the descriptors of maps masked. */
function slots(bytes: Uint8Array): string[] {
  const masked = bytes.slice()
  for (let at = 0; at < masked.length; at += 8) {
    const source = (masked[at + 1] as number) >> 4
    if (masked[at] === 0x18 && (source === 1 || source === 2)) masked.fill(0xff, at + 4, at + 8)
  }
  return Array.from({ length: masked.length / 8 }, (_, i) =>
    Buffer.from(masked.subarray(i * 8, i * 8 + 8)).toString('hex'),
  )
}

function compareInstructions(object: string, options: LoadOptions = {}): void {
  const answer = (oracle as LibbpfOracle).ask({ object })
  expect(answer.errno, answer.log.slice(-600)).toBe(0)
  const { kernel, collection } = loaded(object, options)
  using _ = collection
  const ours = new Map(kernel.objects('program').map((one) => [one.attr.prog_name, one.instructions]))
  expect([...ours.keys()].sort()).toEqual([...answer.programs.keys()].sort())
  for (const [name, theirs] of answer.programs)
    expect(slots(ours.get(name) as Uint8Array), name).toEqual(slots(theirs))
}

const kconfigOf = ({ kernel }: ReturnType<typeof loaded>): string => {
  const map = kernel.objects('map').find(({ attr }) => attr.map_name.endsWith('.kconfig'))
  return Buffer.from(map?.elements.get('00000000') ?? []).toString('hex')
}

function theirKconfig(object: string, kconfig = ''): string {
  const answer = (oracle as LibbpfOracle).ask({ object, kconfig })
  expect(answer.errno, answer.log.slice(-600)).toBe(0)
  const name = [...answer.values.keys()].find((one) => one.endsWith('.kconfig'))
  return Buffer.from(answer.values.get(name ?? '') ?? []).toString('hex')
}

const configured = `
extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool LINUX_HAS_BPF_COOKIE __kconfig;
extern int LINUX_NOT_YET_KNOWN __kconfig __weak;
extern int CONFIG_HZ __kconfig;
extern unsigned long CONFIG_DEFAULT_MMAP_MIN_ADDR __kconfig;
extern _Bool CONFIG_BPF __kconfig;
extern char CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern char CONFIG_CC_VERSION_TEXT[9] __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[64] __kconfig;
extern _Bool CONFIG_NO_SUCH_THING __kconfig __weak;
extern char CONFIG_NO_SUCH_TEXT[5] __kconfig __weak;
SEC("raw_tp/x") int program(void *c) {
  sink = LINUX_KERNEL_VERSION + LINUX_HAS_BPF_COOKIE + LINUX_NOT_YET_KNOWN + CONFIG_HZ +
    CONFIG_DEFAULT_MMAP_MIN_ADDR + CONFIG_BPF + CONFIG_BPF_SYSCALL + CONFIG_NET + CONFIG_CC_VERSION_TEXT[2] +
    CONFIG_DEFAULT_HOSTNAME[1] + CONFIG_NO_SUCH_THING + CONFIG_NO_SUCH_TEXT[1];
  return 0;
}`

const symbols = `
struct rq { int cpu; } __attribute__((preserve_access_index));
struct task_struct { int pid; } __attribute__((preserve_access_index));
extern const struct rq runqueues __ksym;
extern const int no_such_variable __ksym __weak;
extern const void schedule __ksym;
extern const void kfree __ksym;
extern const void no_such_symbol __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern int no_such_function(int) __ksym __weak;
SEC("raw_tp/x") int variables(void **c) {
  struct rq *rq = bpf_per_cpu_ptr(&runqueues, 0);
  if (rq) sink += rq->cpu;
  if (&no_such_variable) sink++;
  sink += (unsigned long)&schedule + (unsigned long)&no_such_symbol;
  return (long)&kfree;
}
SEC("raw_tp/x") int functions(void **c) {
  struct task_struct *task = bpf_task_acquire(c[0]);
  if (task) bpf_task_release(task);
  bpf_rcu_read_lock();
  return no_such_function(3);
}`

describe.skipIf(reason !== '')(`as libbpf resolves them${reason && ` (${reason})`}`, () => {
  test('__kconfig from the running kernel', () => {
    const object = compile(configured)
    compareInstructions(object)
    expect(kconfigOf(loaded(object))).toBe(theirKconfig(object))
  })

  test('__kconfig from a text, then from the kernel', () => {
    const object = compile(configured)
    const text = [
      'CONFIG_HZ=-7',
      'CONFIG_DEFAULT_MMAP_MIN_ADDR=0xffffffffffffffff',
      'CONFIG_BPF=n',
      'CONFIG_BPF_SYSCALL=m',
      'CONFIG_NET=m',
      'CONFIG_CC_VERSION_TEXT="a text that is too long"',
      'CONFIG_NO_SUCH_THING=y',
      '# CONFIG_NO_SUCH_TEXT is not set',
    ].join('\n')
    expect(kconfigOf(loaded(object, { kconfig: text }))).toBe(theirKconfig(object, text))
  })

  test('whether system calls have wrappers is told by the symbols, also where nothing can be probed', () => {
    const object = compile(`extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
      SEC("raw_tp/x") int program(void *c) { return LINUX_HAS_SYSCALL_WRAPPER; }`)
    const isThere = readFileSync('/proc/kallsyms', 'latin1').includes(' __x64_sys_bpf\n')
    expect(kconfigOf(loaded(object))).toBe(isThere ? '01' : '00')
  })

  test.each([
    ['CONFIG_HZ="text"', /extern 'CONFIG_HZ' is a int of 4 bytes; "text" does not fit/],
    ['CONFIG_HZ=5000000000', /'CONFIG_HZ' .* 5000000000 does not fit/],
    ['CONFIG_BPF=m', /'CONFIG_BPF' is a bool of 1 bytes; m does not fit/],
    ['CONFIG_CC_VERSION_TEXT=y', /'CONFIG_CC_VERSION_TEXT' is a char-array of 9 bytes; y does not fit/],
  ])('%s is refused by both', (kconfig, message) => {
    const object = compile(configured)
    expect((oracle as LibbpfOracle).ask({ object, kconfig }).errno).toBeGreaterThan(0)
    const error = load(specOf(object), fakeLinux(), { kconfig })
    expect(error).toMatchObject({ code: 'bad-value' })
    expect((error as LoadError).message).toMatch(message)
  })

  test('__ksym variables and functions', () =>
    compareInstructions(compile(symbols), { targetBtf: machineTypes() }))

  test('with the types read from the kernel', () => compareInstructions(compile(symbols)))

  const strong = (declaration: string, use: string) => `struct no_such { int a; }; ${declaration}
    SEC("raw_tp/x") int program(void **c) { sink += (unsigned long)${use}; return 0; }`
  test.each([
    [
      'extern const void no_such_symbol __ksym;',
      '&no_such_symbol',
      /program 'program': extern 'no_such_symbol': the kernel has no such symbol/,
    ],
    [
      'extern const int no_such_variable __ksym;',
      '&no_such_variable',
      /the kernel's types have no such variable/,
    ],
    [
      'extern int no_such_function(int) __ksym;',
      'no_such_function(1)',
      /the kernel's types have no such function/,
    ],
    [
      'extern const int runqueues __ksym;',
      '&runqueues',
      /expected the type 'int', found 'struct rq' in the kernel/,
    ],
    [
      'extern void bpf_task_release(int a, int b) __ksym;',
      '(bpf_task_release(1, 2), 0)',
      /expected the type 'void \(int, int\)'|expected the type/,
    ],
    [
      'extern int LINUX_NO_SUCH_FACT __kconfig;',
      'LINUX_NO_SUCH_FACT',
      /extern 'LINUX_NO_SUCH_FACT': nothing is known of it/,
    ],
    [
      'extern int CONFIG_NO_SUCH_THING __kconfig;',
      'CONFIG_NO_SUCH_THING',
      /extern 'CONFIG_NO_SUCH_THING': the kernel's configuration does not have it/,
    ],
  ])('%s is refused by both', (declaration, use, message) => {
    const object = compile(strong(declaration, use))
    expect((oracle as LibbpfOracle).ask({ object }).errno).toBeGreaterThan(0)
    const error = load(specOf(object), fakeLinux(), { targetBtf: machineTypes() })
    expect(error).toMatchObject({ code: 'unresolved-extern' })
    expect((error as LoadError).message).toMatch(message)
  })
})
