/**
 * The instructions of random programs.
 *
 * Registers r0 to r9 always hold numbers; pointers are made where they are used. The stack of each function holds, from
 * r10 down: places for a key and a value, a counter for each depth of loops, the context, a pointer to the data of the
 * caller (its own, where there is no caller that gave one), a place for a pointer, and 8 slots of data.
 */
import { type Instruction, instruction, type Row, wideInstruction } from '../../src/isa/index.ts'
import type { Body, Fields, RandomProgram, StackPointer, Statement } from './random-program.ts'

/** The last one is a ring buffer. */
export type Maps = readonly { readonly address: bigint; readonly keySize: number }[]

export const CONTEXT_BYTES = 64
const DATA_SLOTS = 8
const MAX_LOOPS = 3
/** The last 8 of 16 bytes; shorter keys end there, too. */
const KEY = -8
const VALUE = KEY - 16
const COUNTERS = VALUE - 8
const CONTEXT = COUNTERS - 8 * MAX_LOOPS
const PARENT = CONTEXT - 8
const POINTER = PARENT - 8
const DATA_BYTES = 8 * DATA_SLOTS
/** Lowest: what helpers are given lies above. */
const DATA = POINTER - DATA_BYTES

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
    new FunctionWriter(writer, n, entries, maps, mayTailCall(program, n)).write(statements)
  }
  return writer.finish()
}

/** Callbacks may not; which functions are called so is not looked at. */
const mayTailCall = ({ functions }: RandomProgram, n: number): boolean =>
  n === 0 || !functions.some((body) => hasCallback(body))

const hasCallback = (body: Body): boolean =>
  body.some((statement) => {
    if (statement.kind === 'call') return statement.how === 'loop'
    if (statement.kind === 'if') return hasCallback(statement.taken) || hasCallback(statement.otherwise)
    if (statement.kind === 'irreducible') return hasCallback(statement.first) || hasCallback(statement.second)
    return statement.kind === 'loop' && hasCallback(statement.body)
  })

class FunctionWriter {
  readonly #writer: Writer
  readonly #number: number
  readonly #entries: readonly number[]
  readonly #maps: Maps
  readonly #mayTailCall: boolean

  constructor(writer: Writer, number: number, entries: readonly number[], maps: Maps, mayTailCall: boolean) {
    this.#writer = writer
    this.#number = number
    this.#entries = entries
    this.#maps = maps
    this.#mayTailCall = mayTailCall
  }

  write(statements: Body): void {
    const writer = this.#writer
    // Programs get the context in r1; subprograms in r2, as callbacks do, after a number.
    const given = this.#number === 0 ? 1 : 2
    writer.emit({ opcode: STORE, dst: 10, src: given, offset: CONTEXT })
    const hasParent = writer.label()
    // Callbacks get none.
    if (this.#number > 0) writer.jump(hasParent, { opcode: 0x55, dst: 3, imm: 0 })
    this.#pointTo(3, DATA)
    writer.place(hasParent)
    writer.emit({ opcode: STORE, dst: 10, src: 3, offset: PARENT })
    for (let r = given; r <= 9; r++) writer.emit({ opcode: MOV, dst: r, imm: r * 0x1234567 })
    writer.emit({ opcode: MOV, dst: 0, imm: this.#number + 1 })
    for (let slot = 0; slot < DATA_SLOTS; slot++) {
      writer.emit({ opcode: STORE, dst: 10, src: slot, offset: DATA + 8 * slot })
    }
    this.#body(statements, 0)
    for (let r = 1; r <= 9; r++) this.#mix(r)
    for (let slot = 0; slot < DATA_SLOTS; slot++) {
      writer.emit({ opcode: LOAD, dst: 1, src: 10, offset: DATA + 8 * slot })
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
      case 'stack':
        this.#stack(statement)
        return
      case 'rotation':
        this.#rotation(statement)
        return
      case 'bytes':
        this.#bytes(statement)
        return
      case 'counted': {
        const again = writer.label()
        writer.emit({ opcode: MOV, dst: 9, imm: statement.isUp ? 0 : statement.rounds })
        writer.place(again)
        for (const each of statement.body) this.#withoutR9(each, depth)
        writer.emit({ opcode: 0x07, dst: 9, imm: statement.isUp ? 1 : -1 })
        writer.jump(again, { opcode: 0x55, dst: 9, imm: statement.isUp ? statement.rounds : 0 })
        return
      }
      case 'tail':
        if (!this.#mayTailCall) return
        writer.emit({ opcode: LOAD, dst: 1, src: 10, offset: CONTEXT })
        writer.emit({ opcode: MOV, dst: 2, imm: 0 })
        writer.emit({ opcode: MOV, dst: 3, imm: statement.target })
        writer.emit({ opcode: 0x85, imm: 12 })
        // It gives nothing.
        writer.emit({ opcode: MOV, dst: 0, imm: 12 })
        this.#afterCall()
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
      this.#access(row, given, 10, DATA)
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

  /** On 64 bytes from `base + first` on; `inside` of the slot. */
  #access(
    row: Row,
    { dst, src, slot, imm: value }: Fields,
    base: number,
    first: number,
    inside = ((value >>> 3) % (64 / row.bits)) * (row.bits / 8),
  ): void {
    const isLoad = row.kind === 'load'
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

  /** Sets a register to r10 and a distance. */
  #pointTo(register: number, distance: number): void {
    this.#writer.emit({ opcode: 0xbf, dst: register, src: 10 })
    this.#writer.emit({ opcode: 0x07, dst: register, imm: distance })
  }

  #stack({ row, fields, at, through }: Extract<Statement, { kind: 'stack' }>): void {
    const writer = this.#writer
    const sizeBytes = row.bits / 8
    // Atomic instructions want their natural alignment.
    const step = row.kind === 'atomic' ? sizeBytes : 1
    const place = Math.floor(Math.min(at, DATA_BYTES - sizeBytes) / step) * step
    const { base, offset } = this.#stackPointer(through, place)
    this.#access(row, { ...fields, slot: 0, imm: fields.imm }, base, offset, 0)
    if (base !== 10) writer.emit({ opcode: MOV, dst: base, imm: 9 })
  }

  /** A pointer to the data `place` bytes on, and a displacement. */
  #stackPointer(through: StackPointer, place: number): { base: number; offset: number } {
    const writer = this.#writer
    switch (through) {
      case 'frame':
        return { base: 10, offset: place + DATA }
      case 'copy':
        writer.emit({ opcode: 0xbf, dst: 9, src: 10 })
        return { base: 9, offset: place + DATA }
      case 'moved':
        this.#pointTo(9, DATA)
        return { base: 9, offset: place }
      case 'loaded':
        this.#pointTo(9, DATA)
        writer.emit({ opcode: STORE, dst: 10, src: 9, offset: POINTER })
        writer.emit({ opcode: LOAD, dst: 9, src: 10, offset: POINTER })
        return { base: 9, offset: place }
      case 'variable':
        // Up to 8 bytes before the place, by what r7 is, where there is room.
        writer.emit({ opcode: 0xbf, dst: 9, src: 7 })
        writer.emit({ opcode: 0x57, dst: 9, imm: place >= 8 ? 8 : 0 })
        writer.emit({ opcode: 0x87, dst: 9 })
        writer.emit({ opcode: 0x0f, dst: 9, src: 10 })
        return { base: 9, offset: place + DATA }
      case 'parent':
        writer.emit({ opcode: LOAD, dst: 9, src: 10, offset: PARENT })
        return { base: 9, offset: place }
    }
  }

  #rotation(given: Extract<Statement, { kind: 'rotation' }>): void {
    const writer = this.#writer
    const { bits, value, left, right, join, leftFirst } = given
    // Compilers shift a copy one way and the value itself the other way.
    const copy = given.other === value ? (value + 1) % 9 : given.other
    const width = bits === 64 ? 3 : 0
    const mov = bits === 64 ? 0xbf : 0xbc
    const [up, down] = [0x64 + width, 0x74 + width]
    const joined = { or: 0x4c, add: 0x0c, xor: 0xac }[join] + width
    writer.emit({ opcode: mov, dst: copy, src: value })
    writer.emit({ opcode: leftFirst ? up : down, dst: copy, imm: (leftFirst ? left : right) % bits })
    writer.emit({ opcode: leftFirst ? down : up, dst: value, imm: (leftFirst ? right : left) % bits })
    writer.emit({ opcode: joined, dst: value, src: copy })
  }

  /** In r4, through r5; `value` is what is written. */
  #bytes({ count, at, isStore, isBigEndian, value }: Extract<Statement, { kind: 'bytes' }>): void {
    const writer = this.#writer
    const first = at + DATA
    if (!isStore) writer.emit({ opcode: MOV, dst: 4, imm: 0 })
    for (let n = 0; n < count; n++) {
      const shift = 8 * (isBigEndian ? count - 1 - n : n)
      if (isStore) {
        writer.emit({ opcode: 0xbf, dst: 5, src: value })
        if (shift > 0) writer.emit({ opcode: 0x77, dst: 5, imm: shift })
        writer.emit({ opcode: 0x73, dst: 10, src: 5, offset: first + n })
      } else {
        writer.emit({ opcode: 0x71, dst: 5, src: 10, offset: first + n })
        if (shift > 0) writer.emit({ opcode: 0x67, dst: 5, imm: shift })
        writer.emit({ opcode: 0x4f, dst: 4, src: 5 })
      }
    }
  }

  /** A statement of a loop that counts in r9. */
  #withoutR9(statement: Statement, depth: number): void {
    const clear = (register: number) => (register === 9 ? 8 : register)
    const cleared = (fields: Fields) => ({ ...fields, dst: clear(fields.dst), src: clear(fields.src) })
    if (statement.kind === 'plain') {
      this.#statement({ ...statement, fields: cleared(statement.fields) }, depth)
    } else if (statement.kind === 'stack') {
      this.#statement({ ...statement, fields: cleared(statement.fields), through: 'frame' }, depth)
    } else if (statement.kind === 'rotation') {
      const [value, other] = [clear(statement.value), clear(statement.other)]
      this.#statement({ ...statement, value, other: other === value ? (value + 1) % 8 : other }, depth)
    } else throw new Error(`${statement.kind} in a loop that counts in a register`)
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
    if (how !== 'loop') this.#pointTo(3, DATA)
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
