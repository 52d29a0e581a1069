/** Linking beside bpftool's: the same inputs must make the same file, byte for byte, or be refused by both. */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { LinkError, type LinkInput, linkObjects } from '../../src/linker/index.ts'
import { corrected, linkedByBpftool, noBpftool } from './oracles.ts'
import { linked, PROGRAMS, Workshop } from './sources.ts'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const why = Workshop.missing || noBpftool()

/** The file, which both make. */
function agreed(inputs: readonly LinkInput[]): Uint8Array {
  const theirs = linkedByBpftool(workshop.directory, inputs)
  if (typeof theirs === 'string') throw new Error(theirs)
  const ours = linked(inputs)
  expect(Buffer.compare(ours, corrected(theirs))).toBe(0)
  return ours
}

const names = Object.values(PROGRAMS).flat()

describe.skipIf(why !== '')(`as bpftool links${why && ` (${why})`}`, () => {
  test.each(Object.entries(PROGRAMS))('%s, forwards and backwards', (_, files) => {
    const inputs = workshop.objects(files)
    agreed(inputs)
    agreed([...inputs].reverse())
  })

  test.each(names)('%s alone, and again, and again', (name) => {
    const once = agreed([workshop.object(name)])
    const twice = agreed([workshop.file('once.o', once)])
    expect(agreed([workshop.file('twice.o', twice)])).toEqual(twice)
  })

  test('without debug sections, and with those of other optimizations', () => {
    for (const flags of [['-gdwarf-5'], ['-O1'], ['-mcpu=v1'], ['-ffunction-sections'], ['-fno-addrsig']]) {
      agreed(PROGRAMS.functions.map((name) => workshop.object(name, flags)))
    }
  })

  test('any of the files in any order, and parts that are linked before', () => {
    const orders = fc.shuffledSubarray([...names.keys()], { minLength: 2 })
    fc.assert(
      fc.property(orders, fc.nat(), (order, cut) => {
        const some = workshop.objects(order.map((i) => names[i] as string))
        agreed(some)
        const at = 1 + (cut % (some.length - 1))
        const parts = [some.slice(0, at), some.slice(at)]
        agreed(parts.map((part, i) => workshop.file(`part${i}.o`, agreed(part))))
      }),
      { numRuns: 15 },
    )
  })
})

/** What is wrong, with the two files that are. */
const WRONG: Readonly<Record<string, readonly [string, string, string]>> = {
  'two definitions': ['int both = 1;', 'int both = 2;', 'conflict'],
  'two functions': ['int f(void) { return 1; }', 'int f(void) { return 2; }', 'conflict'],
  'results that differ': ['extern int f(void); USE(f())', 'long f(void) { return 2; }', 'mismatch'],
  'parameters that differ': ['extern int f(int a); USE(f(1))', 'int f(long a) { return a; }', 'mismatch'],
  'numbers of parameters': ['extern int f(int a); USE(f(1))', 'int f(void) { return 1; }', 'mismatch'],
  'variables of other sizes': ['extern int v; USE(v)', 'short v = 1;', 'mismatch'],
  'variables of other kinds': ['extern int v; USE(v)', 'struct v { int a; } v = { 1 };', 'mismatch'],
  'structs of other names': [
    'struct a { int x; }; extern struct a v; USE(v.x)',
    'struct b { int x; } v = { 1 };',
    'mismatch',
  ],
  'members of other names': [
    'struct a { int x; }; extern struct a v; USE(v.x)',
    'struct a { int y; } v = { 1 };',
    'mismatch',
  ],
  'members elsewhere': [
    'struct a { char c; int x; }; extern struct a v; USE(v.x)',
    'struct a { char c; int x; } __attribute__((packed)) v = { 1 };',
    'mismatch',
  ],
  'members of other types': [
    'struct a { int x; }; extern struct a v; USE(v.x)',
    'struct a { long x; } v = { 1 };',
    'mismatch',
  ],
  'a function and a variable': ['extern int f(void); USE(f())', 'int f = 1;', 'mismatch'],
  'declared unions and structs': [
    'union u; extern union u *v; USE(v != 0)',
    'struct u { int a; } *v;',
    'mismatch',
  ],
  'weak ones that differ': ['__weak int v = 1; USE(v)', '__weak long v = 1;', 'mismatch'],
  'licenses that differ': [
    'char L[] SEC("license") = "GPL";',
    'char L[] SEC("license") = "BSD";',
    'mismatch',
  ],
  'sections of other flags': ['int v SEC(".both") = 1;', 'const int w SEC(".both") = 1;', 'mismatch'],
  'maps of other types': [
    'extern MAP(HASH, 1, int, int) m SEC(".maps"); USE_MAP(m)',
    'MAP(ARRAY, 1, int, int) m SEC(".maps");',
    'mismatch',
  ],
  'maps of other sizes': [
    'extern MAP(HASH, 1, int, int) m SEC(".maps"); USE_MAP(m)',
    'MAP(HASH, 2, int, int) m SEC(".maps");',
    'mismatch',
  ],
  'maps of other keys': [
    'extern MAP(HASH, 1, int, int) m SEC(".maps"); USE_MAP(m)',
    'MAP(HASH, 1, float, int) m SEC(".maps");',
    'mismatch',
  ],
  'maps of other values': [
    'extern MAP(HASH, 1, int, struct { int a; }) m SEC(".maps"); USE_MAP(m)',
    'MAP(HASH, 1, int, struct { int b; }) m SEC(".maps");',
    'mismatch',
  ],
  'maps in maps that differ': [
    'extern OUTER(4) m SEC(".maps"); USE_MAP(m)',
    'OUTER(5) m SEC(".maps");',
    'mismatch',
  ],
  'externs of two sections': ['extern int v __kconfig; USE(v)', 'extern int v __ksym; USE(v)', 'mismatch'],
}

const prelude = (i: number): string => `#include "shared.h"
#define USE(x) SEC("tc") int use${i}(struct __sk_buff *skb) { return (int)(x); }
#define USE_MAP(m) USE((long)bpf_map_lookup_elem(&m, &(int){ 0 }))
#define MAP(t, n, k, v) struct { __uint(type, BPF_MAP_TYPE_##t); __uint(max_entries, n); __type(key, k); __type(value, v); }
#define OUTER(n) struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, int); \\
  __array(values, struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, n); __type(key, int); __type(value, int); }); }
`

describe.skipIf(why !== '')(`refused by both${why && ` (${why})`}`, () => {
  test.each(Object.entries(WRONG))('%s', (name, [one, other, code]) => {
    const key = name.replaceAll(' ', '-')
    const inputs = [one, other].map((text, i) => workshop.text(`${key}-${i}`, prelude(i) + text))
    for (const order of [inputs, [...inputs].reverse()]) {
      expect(linkedByBpftool(workshop.directory, order)).toContain('failed to link')
      const error = linkObjects(order)
      expect(error).toBeInstanceOf(LinkError)
      expect(error).toMatchObject({ code, file: order[1]?.name })
      // Sections are compared before anything names the file that they were in.
      if (!name.includes('section') && !name.includes('license')) {
        expect((error as LinkError).message).toContain(order[0]?.name)
      }
    }
  })
})
