/**
 * Random programs that are valid by construction: every instruction, loops that end, jumps into loops, calls,
 * callbacks, maps and helpers. A program is a tree of statements, so that what a shrinker takes away leaves a program.
 *
 * Registers r0 to r9 always hold numbers; pointers are made where they are used. The stack of each function holds, from
 * r10 down: 8 slots of data, a counter for each depth of loops, and places for a key and a value.
 */
import fc from 'fast-check'
import { type Instruction, instruction, type Row, rows, wideInstruction } from '../../src/isa/index.ts'

export type Statement =
  | { readonly kind: 'plain'; readonly row: Row; readonly fields: Fields }
  /** A load, store or atomic operation on the context, through r9. */
  | { readonly kind: 'context'; readonly row: Row; readonly fields: Fields }
  | { readonly kind: 'constant'; readonly dst: number; readonly value: bigint }
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

interface Fields {
  readonly dst: number
  readonly src: number
  readonly slot: number
  readonly imm: number
}

export interface RandomProgram {
  /** The first is the program, the others subprograms; each calls only later ones. */
  readonly functions: readonly Body[]
}

/** The last one is a ring buffer. */
export type Maps = readonly { readonly address: bigint; readonly keySize: number }[]

export const CONTEXT_BYTES = 64
const DATA_SLOTS = 8
const MAX_LOOPS = 3
const COUNTERS = -8 * (DATA_SLOTS + 1)
const KEY = COUNTERS - 8 * MAX_LOOPS - 8
/** A key may have 16 bytes. */
const CONTEXT = KEY - 16
const VALUE = CONTEXT - 8

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

export const randomProgram: fc.Arbitrary<RandomProgram> = fc.record({
  functions: fc.array(body, { minLength: 1, maxLength: 4 }),
})

/** What a label stands for until all places are known. */
interface Jump {
  readonly at: number
  readonly label: number
  readonly field: 'offset' | 'imm'
}

class Writer {
  readonly out: Instruction[] = []
  readonly #labels: number[] = []
  readonly #jumps: Jump[] = []

  emit(fieldsOf: Partial<Instruction> & { opcode: number }): void {
    this.out.push(instruction(fieldsOf))
  }

  wide(dst: number, src: number, value: bigint): void {
    this.out.push(...wideInstruction(dst, src, value))
  }

  label(): number {
    return this.#labels.push(-1) - 1
  }

  place(label: number): void {
    this.#labels[label] = this.out.length
  }

  jump(
    label: number,
    fieldsOf: Partial<Instruction> & { opcode: number },
    field: Jump['field'] = 'offset',
  ): void {
    this.#jumps.push({ at: this.out.length, label, field })
    this.emit(fieldsOf)
  }

  finish(): Instruction[] {
    for (const { at, label, field } of this.#jumps) {
      const distance = (this.#labels[label] as number) - at - 1
      this.out[at] = { ...(this.out[at] as Instruction), [field]: distance }
    }
    return this.out
  }
}

const MOV = 0xb7
const LOAD = 0x79
const STORE = 0x7b

/** The instructions; `maps` are what the statements' map numbers name, in turn. */
export function write(program: RandomProgram, maps: Maps): Instruction[] {
  const writer = new Writer()
  const entries = program.functions.map(() => writer.label())
  for (const [n, statements] of program.functions.entries()) {
    writer.place(entries[n] as number)
    new FunctionWriter(writer, n, entries, maps).write(statements)
  }
  return writer.finish()
}

class FunctionWriter {
  readonly #writer: Writer
  readonly #number: number
  readonly #entries: readonly number[]
  readonly #maps: Maps

  constructor(writer: Writer, number: number, entries: readonly number[], maps: Maps) {
    this.#writer = writer
    this.#number = number
    this.#entries = entries
    this.#maps = maps
  }

  write(statements: Body): void {
    const writer = this.#writer
    // Programs get the context in r1; subprograms in r2, as callbacks do, after a number.
    const given = this.#number === 0 ? 1 : 2
    writer.emit({ opcode: STORE, dst: 10, src: given, offset: CONTEXT })
    for (let r = given; r <= 9; r++) writer.emit({ opcode: MOV, dst: r, imm: r * 0x1234567 })
    writer.emit({ opcode: MOV, dst: 0, imm: this.#number + 1 })
    for (let slot = 0; slot < DATA_SLOTS; slot++) {
      writer.emit({ opcode: STORE, dst: 10, src: slot, offset: -8 * (slot + 1) })
    }
    this.#body(statements, 0)
    for (let r = 1; r <= 9; r++) this.#mix(r)
    for (let slot = 0; slot < DATA_SLOTS; slot++) {
      writer.emit({ opcode: LOAD, dst: 1, src: 10, offset: -8 * (slot + 1) })
      this.#mix(1)
    }
    writer.emit({ opcode: 0x95 })
  }

  get #ring(): bigint {
    return (this.#maps.at(-1) as { readonly address: bigint }).address
  }

  #mix(r: number): void {
    this.#writer.emit({ opcode: 0x27, dst: 0, imm: 31 })
    this.#writer.emit({ opcode: 0x0f, dst: 0, src: r })
  }

  #body(statements: Body, depth: number): void {
    for (const statement of statements) this.#statement(statement, depth)
  }

  #statement(statement: Statement, depth: number): void {
    const writer = this.#writer
    switch (statement.kind) {
      case 'plain':
        this.#plain(statement.row, statement.fields)
        return
      case 'context':
        writer.emit({ opcode: LOAD, dst: 9, src: 10, offset: CONTEXT })
        this.#access(statement.row, statement.fields, 9, 0)
        writer.emit({ opcode: MOV, dst: 9, imm: 9 })
        return
      case 'constant':
        writer.wide(statement.dst, 0, statement.value)
        return
      case 'if': {
        const [taken, end] = [writer.label(), writer.label()]
        const {
          row,
          fields: { dst, src, imm: value },
        } = statement
        writer.jump(taken, {
          opcode: row.opcode,
          dst,
          src: row.src === 'reg' ? src : 0,
          imm: row.imm === 'imm' ? value : 0,
        })
        this.#body(statement.otherwise, depth)
        writer.jump(end, { opcode: 0x05 })
        writer.place(taken)
        this.#body(statement.taken, depth)
        writer.place(end)
        return
      }
      case 'loop': {
        if (depth >= MAX_LOOPS) {
          this.#body(statement.body, depth)
          return
        }
        const [again, end] = [writer.label(), writer.label()]
        this.#setCounter(depth, statement.rounds)
        writer.place(again)
        if (statement.mayGoto) writer.jump(end, { opcode: 0xe5 })
        this.#body(statement.body, depth + 1)
        this.#countDown(depth, again)
        writer.place(end)
        return
      }
      case 'irreducible': {
        if (depth >= MAX_LOOPS) return
        const [first, second] = [writer.label(), writer.label()]
        this.#setCounter(depth, statement.rounds)
        // Into the middle of the loop, or to its start, as r3 is odd or even.
        writer.jump(second, { opcode: 0x45, dst: 3, imm: 1 })
        writer.place(first)
        this.#body(statement.first, depth + 1)
        writer.place(second)
        this.#body(statement.second, depth + 1)
        this.#countDown(depth, first)
        return
      }
      case 'call':
        this.#call(statement.target, statement.how)
        return
      case 'map':
        this.#map(statement)
        return
      case 'ring': {
        const none = writer.label()
        writer.wide(1, 1, this.#ring)
        writer.emit({ opcode: MOV, dst: 2, imm: statement.sizeBytes })
        writer.emit({ opcode: MOV, dst: 3, imm: 0 })
        writer.emit({ opcode: 0x85, imm: 131 })
        writer.jump(none, { opcode: 0x15, dst: 0, imm: 0 })
        writer.emit({ opcode: STORE, dst: 0, src: 6 })
        writer.emit({ opcode: 0x72, dst: 0, offset: statement.sizeBytes - 1, imm: 0x5a })
        writer.emit({ opcode: 0xbf, dst: 1, src: 0 })
        writer.emit({ opcode: MOV, dst: 2, imm: statement.flags })
        writer.emit({ opcode: 0x85, imm: statement.isDiscarded ? 133 : 132 })
        writer.emit({ opcode: MOV, dst: 0, imm: 1 })
        writer.place(none)
        this.#afterCall()
        return
      }
      case 'helper':
        writer.emit({ opcode: 0x85, imm: statement.id })
        this.#afterCall()
        return
      case 'packet': {
        // r6 points to the context, and back.
        writer.emit({ opcode: LOAD, dst: 6, src: 10, offset: CONTEXT })
        const src = statement.row.src === 'reg' ? 7 : 0
        if (src === 7) writer.emit({ opcode: 0x57, dst: 7, imm: 7 })
        writer.emit({ opcode: statement.row.opcode, src, imm: statement.offset })
        writer.emit({ opcode: MOV, dst: 6, imm: 66 })
        this.#afterCall()
        return
      }
    }
  }

  #plain(row: Row, given: Fields): void {
    const { dst, src, imm: value } = given
    if (row.kind === 'load' || row.kind === 'store' || row.kind === 'atomic') {
      this.#access(row, given, 10, -8 * DATA_SLOTS)
      return
    }
    this.#writer.emit({
      opcode: row.opcode,
      dst,
      src: row.src === 'reg' ? src : 0,
      offset: (row.offset as number | undefined) ?? 0,
      imm: row.imm === 'imm' ? value : ((row.imm as number | undefined) ?? 0),
    })
  }

  /** On 64 bytes from `base + first` on. */
  #access(row: Row, { dst, src, slot, imm: value }: Fields, base: number, first: number): void {
    const isLoad = row.kind === 'load'
    const bytes = row.bits / 8
    const inside = ((value >>> 3) % (8 / bytes)) * bytes
    const data = isLoad ? dst : src
    // r9 is the pointer while the context is accessed.
    const other = base === 9 && data === 9 ? 8 : data
    this.#writer.emit({
      opcode: row.opcode,
      dst: isLoad ? other : base,
      src: isLoad ? base : row.src === 'reg' ? other : 0,
      offset: first + slot * 8 + inside,
      imm: row.imm === 'imm' ? value : ((row.imm as number | undefined) ?? 0),
    })
  }

  #setCounter(depth: number, rounds: number): void {
    this.#writer.emit({ opcode: 0x7a, dst: 10, offset: COUNTERS - 8 * depth, imm: rounds })
  }

  #countDown(depth: number, again: number): void {
    const offset = COUNTERS - 8 * depth
    this.#writer.emit({ opcode: LOAD, dst: 9, src: 10, offset })
    this.#writer.emit({ opcode: 0x07, dst: 9, imm: -1 })
    this.#writer.emit({ opcode: STORE, dst: 10, src: 9, offset })
    this.#writer.jump(again, { opcode: 0x55, dst: 9, imm: 0 })
  }

  #call(wanted: number, how: 'direct' | 'pointer' | 'loop'): void {
    const writer = this.#writer
    const later = this.#entries.length - this.#number - 1
    if (later === 0) return
    const entry = this.#entries[this.#number + 1 + (wanted % later)] as number
    writer.emit({ opcode: LOAD, dst: how === 'loop' ? 3 : 2, src: 10, offset: CONTEXT })
    if (how === 'loop') {
      // The callback gets the index, then what r3 is.
      writer.emit({ opcode: MOV, dst: 1, imm: 3 })
      writer.jump(entry, { opcode: 0x18, dst: 2, src: 4 }, 'imm')
      writer.emit({ opcode: 0x00 })
      writer.emit({ opcode: MOV, dst: 4, imm: 0 })
      writer.emit({ opcode: 0x85, imm: 181 })
    } else if (how === 'pointer') {
      writer.jump(entry, { opcode: 0x18, dst: 9, src: 4 }, 'imm')
      writer.emit({ opcode: 0x00 })
      writer.emit({ opcode: 0x8d, dst: 9 })
      writer.emit({ opcode: MOV, dst: 9, imm: 99 })
    } else {
      writer.jump(entry, { opcode: 0x85, src: 1 }, 'imm')
    }
    this.#afterCall()
  }

  #map({ operation, map: wanted, key, value, flags }: Extract<Statement, { kind: 'map' }>): void {
    const writer = this.#writer
    const map = this.#maps[wanted % (this.#maps.length - 1)] as { address: bigint; keySize: number }
    const keyOffset = KEY + 8 - Math.ceil(map.keySize / 8) * 8
    for (let at = 0; at < map.keySize; at += 8) {
      writer.emit({ opcode: 0x7a, dst: 10, offset: keyOffset + at, imm: at === 0 ? key : 0 })
    }
    writer.wide(0, 0, value)
    writer.emit({ opcode: STORE, dst: 10, src: 0, offset: VALUE })
    writer.wide(1, 1, map.address)
    writer.emit({ opcode: 0xbf, dst: 2, src: 10 })
    writer.emit({ opcode: 0x07, dst: 2, imm: keyOffset })
    if (operation === 'update') {
      writer.emit({ opcode: 0xbf, dst: 3, src: 10 })
      writer.emit({ opcode: 0x07, dst: 3, imm: VALUE })
      writer.emit({ opcode: MOV, dst: 4, imm: flags })
    }
    writer.emit({ opcode: 0x85, imm: { lookup: 1, update: 2, delete: 3 }[operation] })
    if (operation === 'lookup') {
      const missing = writer.label()
      writer.jump(missing, { opcode: 0x15, dst: 0, imm: 0 })
      writer.emit({ opcode: 0xdb, dst: 0, src: 6, imm: 0 })
      writer.emit({ opcode: LOAD, dst: 0, src: 0 })
      writer.place(missing)
    }
    this.#afterCall()
  }

  /** A call leaves nothing in r1 to r5 that a program may look at. */
  #afterCall(): void {
    for (let r = 1; r <= 5; r++) this.#writer.emit({ opcode: MOV, dst: r, imm: r * 77 })
  }
}
