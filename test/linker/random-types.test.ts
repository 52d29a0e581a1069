/**
 * Types of random C files, joined beside libbpf: files define, only declare, or have another version of the same
 * structs and enums, which refer to each other in circles.
 */
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { corrected, libbpfLinker } from './oracles.ts'
import { linked, Workshop } from './sources.ts'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const libbpf = libbpfLinker(workshop.directory)
const why = Workshop.missing || (typeof libbpf === 'string' ? libbpf : '')

const STRUCTS = 6
const MEMBERS = 4

/** Of one struct in one file: absent, declared, as in all files, or with one more member. */
const state = fc.constantFrom('absent', 'declared', 'defined', 'defined', 'defined', 'another')
const member = fc.record({
  shape: fc.constantFrom(
    'scalar',
    'pointer',
    'array',
    'value',
    'function',
    'enum',
    'typedef',
    'bits',
    'const',
  ),
  target: fc.nat(STRUCTS - 1),
  count: fc.integer({ min: 1, max: 4 }),
})
const structs = fc.array(
  fc.record({ isUnion: fc.boolean(), members: fc.array(member, { maxLength: MEMBERS }) }),
  {
    minLength: STRUCTS,
    maxLength: STRUCTS,
  },
)
const file = fc.record({
  states: fc.array(state, { minLength: STRUCTS, maxLength: STRUCTS }),
  isEnumDefined: fc.boolean(),
})
interface Struct {
  readonly isUnion: boolean
  readonly members: readonly { readonly shape: string; readonly target: number; readonly count: number }[]
}
interface File {
  readonly states: readonly string[]
  readonly isEnumDefined: boolean
}

function source(all: readonly Struct[], { states, isEnumDefined }: File, index: number): string {
  const word = (n: number) => (all[n]?.isUnion ? 'union' : 'struct')
  const lines = ['#include "shared.h"', isEnumDefined ? 'enum mood { CALM, HASTY = -3 };' : 'enum mood;']
  for (let n = 0; n < STRUCTS; n++)
    if (states[n] !== 'absent') lines.push(`${word(n)} s${n};`, `typedef ${word(n)} s${n} t${n};`)
  const isWhole = (n: number) => states[n] === 'defined' || states[n] === 'another'
  for (const [n, { members }] of all.entries()) {
    if (!isWhole(n)) continue
    const parts = members.flatMap(({ shape, target, count }, i) => {
      const to = states[target] === 'absent' ? 'void' : `${word(target)} s${target}`
      switch (shape) {
        case 'pointer':
          return `${to} *m${i};`
        case 'array':
          return `${to} *m${i}[${count}];`
        case 'value':
          return target < n && isWhole(target) ? `${to} m${i};` : []
        case 'function':
          return `${to} *(*m${i})(int named, ${to} *, enum mood *);`
        case 'enum':
          return `enum mood *m${i};`
        case 'typedef':
          return states[target] === 'absent' ? [] : `t${target} *m${i};`
        case 'bits':
          return `unsigned m${i} : ${count};`
        case 'const':
          return `const volatile ${to} *const m${i};`
        default:
          return `${['char', 'short', 'int', 'long'][count - 1]} m${i};`
      }
    })
    const more = states[n] === 'another' ? [`long more${index};`] : []
    lines.push(`${word(n)} s${n} { ${[...parts, ...more, 'int last;'].join(' ')} };`)
    lines.push(
      `${word(n)} s${n} v${n}_${index};`,
      `static int f${n}(${word(n)} s${n} *p) { return p->last; }`,
    )
  }
  const sum = all.flatMap((_, n) => (isWhole(n) ? [`f${n}(&v${n}_${index})`] : []))
  lines.push(`SEC("tc") int use_${index}(void *context) { return ${['0', ...sum].join(' + ')}; }`)
  return lines.join('\n')
}

test.skipIf(why !== '')(
  `are as libbpf joins them${why && ` (${why})`}`,
  () => {
    if (typeof libbpf === 'string') return
    let count = 0
    fc.assert(
      fc.property(structs, fc.array(file, { minLength: 1, maxLength: 3 }), (all, files) => {
        const inputs = files.map((one, i) => workshop.text(`random-${count++}`, source(all, one, i)))
        const theirs = libbpf(inputs)
        if (theirs === undefined) throw new Error('libbpf refuses them')
        expect(Buffer.compare(linked(inputs), corrected(theirs))).toBe(0)
      }),
      { numRuns: 20 },
    )
  },
  60_000,
)
