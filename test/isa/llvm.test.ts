/** The disassembler and the assembler against LLVM's, over objects that clang compiles here and those of the repository. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  disassemble,
  encode,
  instruction,
  type Program,
  type Row,
  rows,
  wideInstruction,
} from '../../src/isa/index.ts'
import { compareWithObjdump, objdump } from '../support/objdump.ts'

const has = (tool: string) => spawnSync(tool, ['--version']).status === 0
const tools = ['clang-19', 'llvm-objdump-19', 'llvm-mc-19']
const missing = tools.filter((tool) => !has(tool))
const skip = missing.length > 0
const reason = skip ? ` (skipped: no ${missing.join(', ')})` : ''

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'isa-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** C with code of every kind that clang emits. */
const source = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned u32; typedef unsigned long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long s64;
#define SEC(name) __attribute__((section(name), used))
static u64 (*ktime)(void) = (void *)5;
static void *(*lookup)(void *, const void *) = (void *)1;
struct map { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[16]; } counts SEC(".maps");
volatile u64 total; const volatile s32 wanted = 7; u8 bytes[64];

__attribute__((noinline)) static u64 arithmetic(u64 a, u64 b) {
  s64 s = a, t = b; s32 i = a, j = b; u32 x = a, y = b;
  u64 r = a + b * 3 - (a ^ b) + (a / (b | 1)) + (a % (b | 1)) + (a << (b & 63)) + (a >> (b & 63)) + (s >> (b & 63));
  r += (u64)(x * y + x / (y | 1) + x % (y | 1) + (x << (y & 31)) + (x >> (y & 31))) + (u64)(i >> (j & 31));
#if __BPF_CPU_VERSION__ >= 4
  r += s / (t | 1) + s % (t | 1) + i / (j | 1) + i % (j | 1) + s / 7 + i % 9;
  r += (s64)(s8)a + (s64)(s16)b + (s64)(s32)a + (s32)(s8)x + (s32)(s16)y;
  r += __builtin_bswap16(x) + __builtin_bswap32(y) + __builtin_bswap64(a);
#endif
  return -r + ~a + (0x123456789abcdefUL ^ b) - x - (u64)-i;
}
__attribute__((noinline)) static u64 memory(volatile u8 *p, long n) {
  u64 r = *(volatile u16 *)(p + 2) + *(volatile u32 *)(p + 4) + *(volatile u64 *)(p + 8) + p[1];
  r += *(volatile s8 *)(p - 1) + *(volatile s16 *)(p - 2) + (s64)*(volatile s32 *)(p - 4);
  *(volatile u8 *)(p + 16) = 3; *(volatile u16 *)(p + 18) = 0x1234; *(volatile u32 *)(p + 20) = r; *(volatile u64 *)(p + 24) = -5;
  *(volatile u16 *)(p + 2) = r; p[3] = r; *(volatile u64 *)(p + 32) = r + n;
  return r;
}
__attribute__((noinline)) static u64 atomics(u64 *p, u32 *q, u64 v) {
  u64 r = 0;
  __sync_fetch_and_add(p, v); __sync_fetch_and_add(q, v);
#if __BPF_CPU_VERSION__ >= 3
  r += __sync_fetch_and_add(p, v) + __sync_fetch_and_or(p, v) + __sync_fetch_and_and(p, v) + __sync_fetch_and_xor(p, v);
  r += __sync_fetch_and_add(q, v) + __sync_fetch_and_or(q, v) + __sync_fetch_and_and(q, v) + __sync_fetch_and_xor(q, v);
  r += __sync_val_compare_and_swap(p, v, r) + __sync_val_compare_and_swap(q, v, r);
  r += __sync_lock_test_and_set(p, v) + __sync_lock_test_and_set(q, v);
#endif
  return r;
}
__attribute__((noinline)) static u64 branches(u64 a, u64 b) {
  s64 s = a, t = b; u32 x = a, y = b; s32 i = a, j = b; u64 r = 0;
  if (a == b) r ^= total; if (a > b) r += total; if (s > t) r -= total; if (s >= 9) r ^= 3 * total; if (a & 64) r += 7 * total;
  if (a <= 1000000000000UL) r += total; if (s < -5) r ^= total + 1; if (b != 12) r -= total; if (t <= s) r += total;
  if (x == y) r ^= total; if (x > y) r += total; if (i > j) r -= total; if (i >= -9) r ^= total; if (x & y) r += total;
  if (x < 77) r += total; if (j < 5) r ^= total; if (y != 0x80000001) r -= total;
  for (u64 k = 0; k < (a & 255); k++) r += bytes[k & 63] * k;
  return r;
}
SEC("socket") int all(void *ctx) {
  u64 local[4] = { ktime(), 1, 2, 3 }; u32 key = 1, small = 9;
  u64 *value = lookup(&counts, &key);
  if (value) *value += local[1];
  u64 r = arithmetic(local[0], (u64)ctx) + memory((u8 *)local + 8, 3) + atomics(local, &small, 3) + branches(local[0], local[1]);
  switch (r & 15) { case 0: r += 3; break; case 1: r ^= total; break; case 2: r -= 9; break; case 5: r = ktime(); break; }
  total = r + wanted;
  return r;
}
char _license[] SEC("license") = "GPL";
`

describe('llvm-objdump', () => {
  it.skipIf(skip).each(['v1', 'v2', 'v3', 'v4'])(
    `prints what we print, for code of clang -mcpu=%s${reason}`,
    (cpu) => {
      const object = join(directory, `${cpu}.o`)
      const flags = [
        '-target',
        'bpf',
        `-mcpu=${cpu}`,
        '-g',
        '-Wno-everything',
        '-x',
        'c',
        '-c',
        '-',
        '-o',
        object,
      ]
      let count = 0
      for (const level of ['-O1', '-O2', '-Os']) {
        execFileSync('clang-19', [level, ...flags], { input: source })
        count += compareWithObjdump(object, cpu)
      }
      expect(count).toBeGreaterThan(900)
    },
  )

  const bpf = fileURLToPath(new URL('../../bpf/', import.meta.url))
  const objects = readdirSync(bpf, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.o'),
  )
  it.skipIf(skip || objects.length === 0)(
    `prints what we print, for the objects of the repository${reason}`,
    () => {
      for (const object of objects) expect(compareWithObjdump(join(bpf, object), 'v4')).toBeGreaterThan(0)
    },
  )
})

/** An instruction of `row` that LLVM 19 knows, in a form without relocation. */
function arbitrary(row: Row): fc.Arbitrary<Program> | undefined {
  const isPseudo =
    row.kind === 'wide' ? row.op !== 'imm64' : row.name === 'call_local' || row.name === 'call_kfunc'
  // LLVM 20 is the first to know these.
  const isNewer = /^(load_acquire|store_release)/.test(row.op)
  if (isPseudo || isNewer) return undefined
  const field = (spec: string | number | undefined, values: fc.Arbitrary<number>) =>
    typeof spec === 'string' ? values : fc.constant(spec ?? 0)
  const insn = fc.record({
    opcode: fc.constant(row.opcode),
    dst: field(row.dst, fc.integer({ min: 0, max: 10 })),
    src: field(row.src, fc.integer({ min: 0, max: 10 })),
    offset: field(row.offset, fc.integer({ min: -0x8000, max: 0x7fff })),
    imm: field(row.imm, fc.integer({ min: -0x80000000, max: 0x7fffffff })),
  })
  // LLVM's assembler takes a number only where 16 bits hold it, else a label.
  if (row.imm === 'jump') return insn.map((fields) => [instruction({ ...fields, imm: fields.imm >> 16 })])
  if (row.kind === 'wide')
    return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => wideInstruction(3, 0, value))
  if (row.kind === 'cast') return insn.map((fields) => [instruction({ ...fields, imm: 1 })])
  if (row.op === 'ind') return insn.map((fields) => [instruction({ ...fields, imm: 0 })])
  return insn.map((fields) => [instruction(fields)])
}

describe('llvm-mc', () => {
  it.skipIf(skip)(`assembles what we print to what we encode${reason}`, () => {
    const arbitraries = (rows as readonly Row[]).flatMap((row) => arbitrary(row) ?? [])
    const programs = arbitraries.flatMap((one) => fc.sample(one, { seed: 7, numRuns: 12 }))
    const program = programs.flat()
    const text = disassemble(program, { flavour: 'llvm' })
    const object = join(directory, 'mc.o')
    const flags = ['-triple', 'bpfel', '-mcpu=v4', '-filetype=obj', '-o', object]
    const { status, stderr } = spawnSync('llvm-mc-19', flags, { input: `${text}\n`, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const [lines] = objdump(object, 'v4')
    const theirs = Buffer.from(Uint8Array.from(lines!.flatMap(({ bytes }) => [...bytes]))).toString('hex')
    expect(theirs.match(/.{16}/g)).toEqual(Buffer.from(encode(program)).toString('hex').match(/.{16}/g))
  })
})
