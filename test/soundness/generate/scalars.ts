/** Statements that make and change numbers. */
import { SCALAR } from './held.ts'
import { MOV_REGISTER, type Scene, SIZE_BITS } from './scene.ts'

const ADD = 0x00
const SUB = 0x10
const MUL = 0x20
const DIV = 0x30
const OR = 0x40
const AND = 0x50
const LSH = 0x60
const RSH = 0x70
const NEG = 0x80
const MOD = 0x90
const XOR = 0xa0
const MOVE = 0xb0
const ARSH = 0xc0
const END = 0xd0
const ALU64 = 0x07
const ALU32 = 0x04
const REGISTER = 0x08

const OPERATIONS: readonly (readonly [number, number])[] = [
  [9, ADD],
  [6, SUB],
  [3, MUL],
  [2, DIV],
  [4, OR],
  [8, AND],
  [4, LSH],
  [5, RSH],
  [2, NEG],
  [3, MOD],
  [4, XOR],
  [8, MOVE],
  [4, ARSH],
  [2, END],
]

/** Any operation on numbers. */
export function arithmetic(s: Scene): void {
  const { random } = s
  const operation = random.weighted(OPERATIONS)
  const is64 = random.chance(0.6)
  const base = is64 ? ALU64 : ALU32
  if (operation === END) {
    const dst = s.changeable()
    const opcode = random.pick([0xd4, 0xdc, 0xd7])
    s.emit({ opcode, dst, imm: random.pick([16, 32, 64]) })
    return
  }
  if (operation === NEG) {
    s.emit({ opcode: base | NEG, dst: s.changeable() })
    return
  }
  const usesRegister = random.chance(operation === MOVE ? 0.7 : 0.45)
  if (operation === MOVE) {
    const src = usesRegister ? s.scalar() : 0
    const dst = s.target(src)
    const offset = usesRegister && random.chance(0.35) ? random.pick(is64 ? [8, 16, 32] : [8, 16]) : 0
    if (usesRegister) s.emit({ opcode: base | MOVE | REGISTER, dst, src, offset })
    else s.emit({ opcode: base | MOVE, dst, imm: random.immediate() })
    s.set(dst, SCALAR)
    return
  }
  const isShift = operation === LSH || operation === RSH || operation === ARSH
  const dst = s.changeable()
  const isSigned = (operation === DIV || operation === MOD) && random.chance(0.4)
  const offset = isSigned ? 1 : 0
  if (usesRegister) {
    s.emit({ opcode: base | operation | REGISTER, dst, src: s.scalar(), offset })
    return
  }
  let imm = isShift ? random.below(is64 ? 64 : 32) : random.immediate()
  if (isShift && random.chance(0.01)) imm = 64
  if ((operation === DIV || operation === MOD) && imm === 0 && random.chance(0.95)) imm = 3
  s.emit({ opcode: base | operation, dst, imm, offset })
}

/** Shifts up and down, as compilers extend numbers. */
export function extension(s: Scene): void {
  const { random } = s
  const dst = s.changeable()
  const by = random.pick([32, 32, 48, 56, random.below(64)])
  s.emit({ opcode: ALU64 | LSH, dst, imm: by })
  s.emit({ opcode: ALU64 | random.pick([RSH, ARSH]), dst, imm: random.chance(0.8) ? by : random.below(64) })
}

/** A number of which nothing is known, or one that is. */
export function newNumber(s: Scene): void {
  const { random } = s
  const contexts = s.registersOf('context')
  switch (random.below(contexts.length > 0 ? 6 : 4)) {
    case 0: {
      const dst = s.target()
      s.emitter.wide(dst, 0, random.value())
      s.set(dst, SCALAR)
      return
    }
    case 1:
      s.setNumber(s.target(), random.immediate())
      return
    case 2:
    case 3:
      if (s.pinned.has(0)) return
      s.call(random.pick([7, 7, 7, 5, 8]))
      return
    default:
      contextLoad(s, random.pick(contexts))
  }
}

function contextLoad(s: Scene, context: number): void {
  const { random } = s
  const { loads } = s.fields
  const [offset, size] = random.pick(loads)
  const dst = s.target()
  s.emit({ opcode: 0x61 | (SIZE_BITS[size] as number), dst, src: context, offset })
  s.set(dst, SCALAR)
}

/** Two registers with the same number, or a known distance apart; what is learnt of one holds for the other. */
export function linked(s: Scene): void {
  const { random } = s
  const src = s.scalar()
  const dst = s.target(src)
  const is64 = random.chance(0.75)
  s.emit({ opcode: is64 ? MOV_REGISTER : 0xbc, dst, src })
  s.set(dst, SCALAR)
  if (random.chance(0.6)) {
    const changed = random.chance(0.7) || s.pinned.has(src) ? dst : src
    s.emit({
      opcode: random.chance(0.7) ? 0x07 : 0x04,
      dst: changed,
      imm: random.chance(0.7) ? random.between(-64, 64) : random.immediate(),
    })
  }
}

/** Keeps a number within 0 to `limit` - 1, one way or another; the register, or a copy, that is so bounded. */
export function bounded(s: Scene, limit: number, ...not: readonly number[]): number {
  const { random } = s
  const from = s.scalar(...not)
  const r = random.chance(0.5) && !s.pinned.has(from) ? from : s.target(from, ...not)
  if (r !== from) s.move(r, from)
  // Now and then one too many.
  const most = random.chance(0.04) ? limit + 1 : limit
  const is64 = random.chance(0.6)
  const base = is64 ? ALU64 : ALU32
  const bits = Math.floor(Math.log2(Math.max(most, 1)))
  switch (random.below(6)) {
    case 5: {
      // Through a copy, or one that lies a known distance away: what is learnt of it holds for the other.
      const copy = s.target(r, ...not)
      if (copy === r) break
      const distance = random.chance(0.5) ? 0 : random.between(-8, 8)
      s.emit({ opcode: MOV_REGISTER, dst: copy, src: r })
      s.set(copy, SCALAR)
      if (distance !== 0) s.emit({ opcode: ALU64 | ADD, dst: copy, imm: distance })
      if (distance < 0) s.emit({ opcode: 0x35, dst: r, imm: -distance, offset: 1 })
      else s.emit({ opcode: 0xa5, dst: copy, imm: most + distance, offset: 1 })
      s.emit({ opcode: 0xb7, dst: r, imm: 0 })
      if (distance < 0) {
        s.emit({ opcode: 0xa5, dst: copy, imm: Math.max(most + distance, 0), offset: 1 })
        s.emit({ opcode: 0xb7, dst: r, imm: 0 })
      } else if (distance > 0) {
        // Where the sum wraps around.
        s.emit({ opcode: 0xa5, dst: r, imm: most, offset: 1 })
        s.emit({ opcode: 0xb7, dst: r, imm: 0 })
      }
      break
    }
    case 0:
    case 1:
      s.emit({ opcode: base | AND, dst: r, imm: 2 ** bits - 1 })
      break
    case 2:
      if (bits === 0) s.emit({ opcode: base | MOVE, dst: r, imm: 0 })
      else s.emit({ opcode: base | RSH, dst: r, imm: (is64 ? 64 : 32) - bits })
      break
    case 3: {
      // if r < most goto +1; r = 0
      const opcode = is64 ? 0xa5 : 0xa6
      if (!is64) s.emit({ opcode: 0xbc, dst: r, src: r })
      s.emit({ opcode, dst: r, imm: most, offset: 1 })
      s.emit({ opcode: 0xb7, dst: r, imm: 0 })
      break
    }
    default: {
      // if r s>= 0 and r s<= most - 1, else r = something small
      s.emit({ opcode: 0x65, dst: r, imm: most - 1, offset: 1 })
      s.emit({ opcode: 0x75, dst: r, imm: 0, offset: 1 })
      s.emit({ opcode: 0xb7, dst: r, imm: random.below(Math.max(most, 1)) })
    }
  }
  return r
}
