/**
 * Random programs that are valid by construction: every instruction, loops that end, jumps into loops, calls,
 * callbacks, tail calls, maps and helpers. A program is a tree of statements, so that what a shrinker takes away leaves
 * a program; `program-writer.ts` makes instructions of it.
 */
import fc from 'fast-check'
import { type Row, rows } from '../../src/isa/index.ts'

export type Statement =
  | { readonly kind: 'plain'; readonly row: Row; readonly fields: Fields }
  /** A load, store or atomic operation on the context, through r9. */
  | { readonly kind: 'context'; readonly row: Row; readonly fields: Fields }
  /** The same anywhere in the data of a stack, across its slots too. */
  | {
      readonly kind: 'stack'
      readonly row: Row
      readonly fields: Fields
      readonly at: number
      readonly through: StackPointer
    }
  | { readonly kind: 'constant'; readonly dst: number; readonly value: bigint }
  /** What compilers make of a rotation: two shifts of one value, put together. */
  | {
      readonly kind: 'rotation'
      readonly bits: 32 | 64
      readonly value: number
      readonly other: number
      readonly left: number
      readonly right: number
      readonly join: 'or' | 'add' | 'xor'
      readonly leftFirst: boolean
    }
  /** A number read byte by byte, or written so. */
  | {
      readonly kind: 'bytes'
      readonly count: number
      readonly at: number
      readonly isStore: boolean
      readonly isBigEndian: boolean
      readonly value: number
    }
  /** A loop that counts in a register, over statements without jumps. */
  | { readonly kind: 'counted'; readonly rounds: number; readonly body: Body; readonly isUp: boolean }
  /** Goes on in another program, if there is one of that number and not too many have been. */
  | { readonly kind: 'tail'; readonly target: number }
  | {
      readonly kind: 'if'
      readonly row: Row
      readonly fields: Fields
      readonly taken: Body
      readonly otherwise: Body
    }
  | { readonly kind: 'loop'; readonly rounds: number; readonly body: Body; readonly mayGoto: boolean }
  /** A loop with two ways in, which no structured code has. */
  | { readonly kind: 'irreducible'; readonly rounds: number; readonly first: Body; readonly second: Body }
  | { readonly kind: 'call'; readonly target: number; readonly how: 'direct' | 'pointer' | 'loop' }
  | {
      readonly kind: 'map'
      readonly operation: 'lookup' | 'update' | 'delete'
      readonly map: number
      readonly key: number
      readonly value: bigint
      readonly flags: number
    }
  /** Reserves, fills if there was room, and commits. */
  | {
      readonly kind: 'ring'
      readonly sizeBytes: number
      readonly isDiscarded: boolean
      readonly flags: number
    }
  | { readonly kind: 'helper'; readonly id: number }
  | { readonly kind: 'packet'; readonly row: Row; readonly offset: number; readonly src: number }

export type Body = readonly Statement[]

/**
 * How an access of the stack gets there: by r10, by a copy, by one that was moved on, by one that came out of memory, by
 * one that depends on a number, or by one of the caller's frame.
 */
export type StackPointer = 'frame' | 'copy' | 'moved' | 'loaded' | 'variable' | 'parent'

export interface Fields {
  readonly dst: number
  readonly src: number
  readonly slot: number
  readonly imm: number
}

/** The first is the program, the others subprograms; each calls only later ones. */
export interface RandomProgram {
  readonly functions: readonly Body[]
}

/** The first is run; the others are what tail calls go to. */
export interface RandomPrograms {
  readonly programs: readonly RandomProgram[]
}

/** The last one is a ring buffer. */
export type Maps = readonly { readonly address: bigint; readonly keySize: number }[]

const table = rows as readonly Row[]
const isIn = (kinds: readonly string[]) => table.filter(({ kind }) => kinds.includes(kind))
const register = fc.integer({ min: 0, max: 9 })
const number64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 63n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n),
)
const imm = fc.oneof(
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.constantFrom(-0x80000000, 0x7fffffff, -1, 0, 1, 2, 8, 31, 63),
)
const fields = fc.record({ dst: register, src: register, slot: fc.integer({ min: 0, max: 7 }), imm })
const rowOf = (kinds: readonly string[]) => fc.constantFrom(...isIn(kinds))
const arithmetic = fc.record({
  kind: fc.constant('plain' as const),
  row: rowOf(['alu', 'swap', 'cast']),
  fields,
})
const memory = fc.record({
  kind: fc.constant('plain' as const),
  row: rowOf(['load', 'store', 'atomic']),
  fields,
})
const context = fc.record({
  kind: fc.constant('context' as const),
  row: rowOf(['load', 'store', 'atomic']),
  fields,
})
const stack = fc.record({
  kind: fc.constant('stack' as const),
  row: rowOf(['load', 'store', 'store', 'atomic']),
  fields,
  at: fc.integer({ min: 0, max: 63 }),
  through: fc.constantFrom<StackPointer>('frame', 'frame', 'copy', 'moved', 'loaded', 'variable', 'parent'),
})
const amount = fc.integer({ min: 0, max: 63 })
const rotation = fc
  .record({
    kind: fc.constant('rotation' as const),
    bits: fc.constantFrom(32 as const, 64 as const),
    value: register,
    other: register,
    left: amount,
    right: fc.option(amount, { freq: 3, nil: undefined }),
    join: fc.constantFrom('or' as const, 'add' as const, 'xor' as const),
    leftFirst: fc.boolean(),
  })
  // Most are rotations indeed.
  .map((each) => ({ ...each, right: each.right ?? each.bits - (each.left % each.bits) }))
const bytes = fc.record({
  kind: fc.constant('bytes' as const),
  count: fc.constantFrom(2, 3, 4, 8),
  at: fc.integer({ min: 0, max: 56 }),
  isStore: fc.boolean(),
  isBigEndian: fc.boolean(),
  value: register,
})
const counted = fc.record({
  kind: fc.constant('counted' as const),
  rounds: fc.integer({ min: 1, max: 9 }),
  body: fc.array(fc.oneof(arithmetic, memory, stack, rotation), { minLength: 1, maxLength: 6 }),
  isUp: fc.boolean(),
})
const tail = fc.record({ kind: fc.constant('tail' as const), target: fc.integer({ min: 0, max: 3 }) })
const constant = fc.record({ kind: fc.constant('constant' as const), dst: register, value: number64 })
const call = fc.record({
  kind: fc.constant('call' as const),
  target: fc.integer({ min: 0, max: 3 }),
  how: fc.constantFrom('direct' as const, 'direct' as const, 'pointer' as const, 'loop' as const),
})
const map = fc.record({
  kind: fc.constant('map' as const),
  operation: fc.constantFrom('lookup' as const, 'update' as const, 'delete' as const),
  map: fc.integer({ min: 0, max: 15 }),
  key: fc.integer({ min: 0, max: 7 }),
  value: number64,
  flags: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
})
const ring = fc.record({
  kind: fc.constant('ring' as const),
  sizeBytes: fc.constantFrom(8, 12, 21, 300, 1000, 5000),
  isDiscarded: fc.boolean(),
  flags: fc.constantFrom(0, 1, 2),
})
const helper = fc.record({ kind: fc.constant('helper' as const), id: fc.constantFrom(5, 7, 8, 14, 15) })
const packet = fc.record({
  kind: fc.constant('packet' as const),
  row: rowOf(['packet']),
  offset: fc.integer({ min: 0, max: 20 }),
  src: register,
})

const { body } = fc.letrec<{ body: Body; statement: Statement }>((tie) => ({
  statement: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    { arbitrary: arithmetic, weight: 12 },
    { arbitrary: memory, weight: 5 },
    { arbitrary: context, weight: 3 },
    { arbitrary: stack, weight: 4 },
    { arbitrary: rotation, weight: 2 },
    { arbitrary: bytes, weight: 1 },
    { arbitrary: counted, weight: 1 },
    { arbitrary: tail, weight: 1 },
    { arbitrary: constant, weight: 3 },
    { arbitrary: map, weight: 4 },
    { arbitrary: ring, weight: 1 },
    { arbitrary: call, weight: 2 },
    { arbitrary: helper, weight: 1 },
    { arbitrary: packet, weight: 1 },
    {
      arbitrary: fc.record({
        kind: fc.constant('if' as const),
        row: rowOf(['jump']),
        fields,
        taken: tie('body'),
        otherwise: tie('body'),
      }),
      weight: 3,
    },
    {
      arbitrary: fc.record({
        kind: fc.constant('loop' as const),
        rounds: fc.integer({ min: 1, max: 4 }),
        body: tie('body'),
        mayGoto: fc.boolean(),
      }),
      weight: 2,
    },
    {
      arbitrary: fc.record({
        kind: fc.constant('irreducible' as const),
        rounds: fc.integer({ min: 1, max: 3 }),
        first: tie('body'),
        second: tie('body'),
      }),
      weight: 1,
    },
  ),
  body: fc.array(tie('statement'), { maxLength: 10, depthIdentifier: 'body' }) as fc.Arbitrary<Body>,
}))

const program: fc.Arbitrary<RandomProgram> = fc.record({
  functions: fc.array(body, { minLength: 1, maxLength: 4 }),
})

/** Mostly one program. */
export const randomPrograms: fc.Arbitrary<RandomPrograms> = fc.record({
  programs: fc.oneof(
    { weight: 3, arbitrary: fc.array(program, { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(program, { minLength: 2, maxLength: 3 }) },
  ),
})
