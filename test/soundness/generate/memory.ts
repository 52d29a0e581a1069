/** Statements that load, store and count in memory: stack, map values, packets, records, contexts. */
import { MAP, PALETTE } from '../fixtures.ts'
import { type Held, NOTHING, SCALAR } from './held.ts'
import { bounded } from './scalars.ts'
import { CALL, JUMP, type Scene, SIZE_BITS, SLOTS } from './scene.ts'

const SIZES = [1, 2, 4, 8] as const
const LOAD = 0x61
const LOAD_SIGNED = 0x81
const STORE = 0x63
const STORE_IMMEDIATE = 0x62
const ATOMIC = 0xc3
const ATOMICS = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100, 0x110]

/** One access of `size` bytes at `pointer` plus `offset`. */
function touch(s: Scene, pointer: number, offset: number, size: number, mayWrite: boolean): 'load' | 'store' {
  const { random } = s
  const bits = SIZE_BITS[size] as number
  const how = random.below(mayWrite ? 12 : 4)
  if (how < 4 || (!mayWrite && random.chance(0.97))) {
    const dst = s.target(pointer)
    const isSigned = size < 8 && random.chance(0.2)
    s.emit({ opcode: (isSigned ? LOAD_SIGNED : LOAD) | bits, dst, src: pointer, offset })
    s.set(dst, SCALAR)
    return 'load'
  }
  if (how < 8) {
    const isPointer = random.chance(0.05) && size === 8
    const src = isPointer ? random.below(11) : s.scalar(pointer)
    s.emit({ opcode: STORE | bits, dst: pointer, src, offset })
    return 'store'
  }
  if (how < 10) {
    const imm = random.chance(0.3) ? 0 : random.immediate()
    s.emit({ opcode: STORE_IMMEDIATE | bits, dst: pointer, offset, imm })
    return 'store'
  }
  const imm = random.pick(ATOMICS)
  const isAny = imm === 0x100 || imm === 0x110
  if (!isAny && size < 4) return touch(s, pointer, offset, size, mayWrite)
  const src = imm === 0x100 ? pointer : s.scalar(pointer)
  const dst = imm === 0x100 ? s.target(pointer) : pointer
  if (imm === 0xf1 && s.held(0).kind !== 'scalar') {
    if (s.pinned.has(0) || pointer === 0) return touch(s, pointer, offset, size, mayWrite)
    s.setNumber(0, random.immediate())
  }
  if (imm === 0xf1 && s.pinned.has(0)) return touch(s, pointer, offset, size, mayWrite)
  if ((imm & 1) !== 0 && imm !== 0xf1 && s.pinned.has(src)) return touch(s, pointer, offset, size, mayWrite)
  s.emit({ opcode: ATOMIC | bits, dst, src, offset, imm })
  if (imm === 0x100) s.set(dst, SCALAR)
  return 'store'
}

/** An offset where `size` bytes lie in `bytes`; sometimes one where they do not. */
function offsetIn(s: Scene, bytes: number, size: number): number {
  const { random } = s
  const most = bytes - size
  if (most < 0 || random.chance(0.01)) return random.between(-4, bytes + 1)
  return random.chance(0.6) ? Math.floor(random.between(0, most) / size) * size : random.between(0, most)
}

/** At a fixed place of the function's own stack: spills, fills, and parts of them. */
export function stackAccess(s: Scene): void {
  const { random } = s
  const slot = random.below(SLOTS)
  const top = -8 * (slot + 1)
  const held = s.model.slots[slot] as Held
  const isPinned = s.pinnedSlots.has(slot)
  const isPointer = held.kind !== 'scalar' && held.kind !== 'nothing'
  if (!isPinned && random.chance(isPointer ? 0.25 : 0.55)) {
    if (random.chance(0.55)) {
      // A whole register, whatever it is.
      const candidates = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((i) => s.held(i).kind !== 'nothing')
      const src = candidates.length > 0 ? random.pick(candidates) : s.scalar()
      s.emit({ opcode: 0x7b, dst: 10, src, offset: top })
      s.model.slots[slot] = s.held(src)
      return
    }
    const size = random.pick(SIZES)
    const offset = top + (random.chance(0.6) ? 0 : size * random.below(8 / size))
    if (random.chance(0.6)) {
      s.emit({ opcode: STORE | (SIZE_BITS[size] as number), dst: 10, src: s.scalar(), offset })
    } else {
      const imm = random.chance(0.4) ? 0 : random.immediate()
      s.emit({ opcode: STORE_IMMEDIATE | (SIZE_BITS[size] as number), dst: 10, offset, imm })
    }
    s.model.slots[slot] = SCALAR
    return
  }
  if (isPointer) {
    const dst = s.target()
    s.emit({ opcode: 0x79, dst, src: 10, offset: top })
    s.set(dst, held)
    return
  }
  if (held.kind === 'nothing' && random.chance(0.7)) return
  const size = random.pick(SIZES)
  const offset = top + (random.chance(0.6) ? 0 : size * random.below(8 / size))
  const dst = s.target()
  const isSigned = size < 8 && random.chance(0.2)
  s.emit({ opcode: (isSigned ? LOAD_SIGNED : LOAD) | (SIZE_BITS[size] as number), dst, src: 10, offset })
  s.set(dst, SCALAR)
}

/** At a place of the stack that is only known to lie in some range. */
export function variableStackAccess(s: Scene): void {
  const { random } = s
  const size = random.pick([1, 1, 1, 2, 4, 8])
  const span = random.pick([8, 16, 32])
  const base = s.scratch(span)
  if (s.random.chance(0.7)) {
    for (let at = 0; at < span; at += 8) {
      s.emit({ opcode: STORE_IMMEDIATE | 0x18, dst: 10, offset: base + at, imm: random.chance(0.5) ? 0 : 5 })
    }
    s.wroteStack(base, span)
  }
  const index = bounded(s, span / size)
  const pointer = s.target(index)
  if (size > 1) {
    const scaled = s.pinned.has(index) ? s.target(index, pointer) : index
    s.move(scaled, index)
    s.emit({ opcode: 0x67, dst: scaled, imm: Math.log2(size) })
    s.stackPointer(pointer, base)
    s.emit({ opcode: 0x0f, dst: pointer, src: scaled })
  } else {
    s.stackPointer(pointer, base)
    s.emit({ opcode: 0x0f, dst: pointer, src: index })
  }
  s.set(pointer, NOTHING)
  if (touch(s, pointer, 0, size, true) === 'store') s.wroteStack(base, span)
  if (random.chance(0.3)) {
    const dst = s.target(pointer)
    s.emit({ opcode: LOAD | (SIZE_BITS[size] as number), dst, src: pointer })
    s.set(dst, SCALAR)
  }
}

/** Through a pointer that is there. */
export function memoryAccess(s: Scene): void {
  const { random } = s
  const known = s.registersOf('memory', 'packet')
  if (known.length === 0) {
    newMemory(s)
    return
  }
  const pointer = random.pick(known)
  const held = s.held(pointer)
  if (held.kind !== 'memory' && held.kind !== 'packet') return
  const mayWrite = held.kind === 'packet' ? s.fields.packetIsWritable === true : held.readOnly !== true
  const size = random.pick(SIZES)
  if (held.bytes >= 2 && random.chance(0.4) && !(held.kind === 'memory' && held.fixed)) {
    // A copy of it, moved by a number that is known to be small.
    const span = Math.max(1, held.bytes - size + 1)
    const index = bounded(s, span, pointer)
    const copy = s.target(pointer, index)
    s.move(copy, pointer)
    const isSubtracted = random.chance(0.1)
    s.emit({ opcode: isSubtracted ? 0x1f : 0x0f, dst: copy, src: index })
    s.set(copy, NOTHING)
    if (held.kind === 'packet') {
      // What is in the packet must be found out anew.
      packetCheck(s, copy, size)
      return
    }
    touch(s, copy, isSubtracted ? held.bytes - size : 0, size, mayWrite)
    return
  }
  touch(s, pointer, offsetIn(s, held.bytes, size), size, mayWrite)
}

/** Moves a pointer for good by what is known to lie in a range, and now and then in another on another way. */
export function pointerWalk(s: Scene): void {
  const { random } = s
  const known = s.registersOf('memory').filter((r) => !s.pinned.has(r))
  if (known.length === 0) return
  const pointer = random.pick(known)
  const held = s.held(pointer)
  if (held.kind !== 'memory' || held.bytes < 8) return
  const most = random.pick([4, 8])
  const index = bounded(s, most, pointer)
  if (random.chance(0.5)) {
    // On one way the range is narrower.
    const unknown = s.scalar(pointer, index)
    if (unknown !== index && !s.pinned.has(index)) {
      s.emit({
        opcode: 0x05 | random.pick([0x10, 0xa0]),
        dst: unknown,
        imm: random.between(0, 20),
        offset: 1,
      })
      s.emit({ opcode: 0x57, dst: index, imm: random.pick([1, 2, 3]) })
    }
  }
  s.emit({ opcode: 0x0f, dst: pointer, src: index })
  s.set(pointer, { ...held, bytes: held.bytes - most + 1 })
}

/** Moves a pointer for good by what is known exactly. */
export function pointerStep(s: Scene): void {
  const { random } = s
  const known = s.registersOf('memory', 'packet').filter((r) => !s.pinned.has(r))
  if (known.length === 0) return
  const pointer = random.pick(known)
  const held = s.held(pointer)
  if ((held.kind !== 'memory' && held.kind !== 'packet') || held.bytes < 2) return
  const by = random.between(0, Math.min(held.bytes - 1, 16))
  s.emit({ opcode: 0x07, dst: pointer, imm: by })
  s.set(pointer, { ...held, bytes: held.bytes - by })
}

/** Pointers to something new. */
export function newMemory(s: Scene): void {
  const { random } = s
  const isPacketType = s.fields.packet !== undefined && s.registersOf('context').length > 0
  switch (random.below(isPacketType ? 6 : 4)) {
    case 0: {
      const dst = s.target()
      const n = random.chance(0.5) ? MAP.data : MAP.constants
      const bytes = PALETTE[n]?.valueSize as number
      const offset = random.chance(0.6) ? 0 : random.below(bytes)
      s.emitter.wide(dst, 2, (BigInt(offset) << 32n) | BigInt(n))
      s.set(dst, { kind: 'memory', bytes: bytes - offset, readOnly: n === MAP.constants })
      return
    }
    case 1:
    case 2:
    case 3:
      mapLookup(s)
      return
    default:
      newPacket(s)
  }
}

const LOOKUPS = [MAP.array, MAP.hash, MAP.percpuArray, MAP.percpuHash, MAP.lru, MAP.small, MAP.array]

/** A key on the stack, somewhere: its offset. */
function key(s: Scene, bytes: number): number {
  const { random } = s
  const offset = s.scratch(Math.ceil(bytes / 8) * 8)
  for (let at = 0; at < bytes; at += 4) {
    if (random.chance(0.3) && at === 0) s.emit({ opcode: STORE, dst: 10, src: s.scalar(), offset })
    else
      s.emit({ opcode: STORE_IMMEDIATE, dst: 10, offset: offset + at, imm: at === 0 ? random.below(4) : 0 })
  }
  s.wroteStack(offset, bytes)
  return offset
}

export function mapLookup(s: Scene): void {
  const { random } = s
  if (s.pinned.has(0) || [1, 2].some((r) => s.pinned.has(r))) return
  const n = random.pick(LOOKUPS)
  const spec = PALETTE[n]!
  const offset = key(s, spec.keySize)
  s.stackPointer(2, offset)
  s.emitter.wide(1, 1, BigInt(n))
  s.emit({ opcode: CALL, imm: 1 })
  s.afterCall({ kind: 'memoryOrNull', bytes: spec.valueSize })
  afterNullable(s, { kind: 'memory', bytes: spec.valueSize })
}

/** r0 may be null: checks it, at once or later, keeps it somewhere. */
function afterNullable(s: Scene, found: Held): void {
  const { random } = s
  const maybe = s.held(0)
  if (random.chance(0.25)) {
    const copy = s.target(0)
    s.move(copy, 0)
  }
  if (random.chance(0.15)) {
    const slot = random.below(SLOTS)
    if (!s.pinnedSlots.has(slot)) {
      s.emit({ opcode: 0x7b, dst: 10, src: 0, offset: -8 * (slot + 1) })
      s.model.slots[slot] = maybe
    }
  }
  if (random.chance(0.04)) return
  const isFound = (held: Held): Held => (held === maybe ? found : held)
  if (random.chance(0.6)) {
    // Null: out of here.
    s.emit({ opcode: 0x55, dst: 0, imm: 0, offset: 2 })
    s.emit({ opcode: 0xb7, dst: 0, imm: random.below(2) })
    s.emit({ opcode: 0x95 })
    s.model.registers = s.model.registers.map(isFound)
    s.model.slots = s.model.slots.map(isFound)
    if (random.chance(0.6)) {
      const kept = random.pick([6, 7, 8, 9])
      if (!s.pinned.has(kept) && s.held(kept).kind !== 'context') s.move(kept, 0)
    }
    return
  }
  const skip = s.emitter.label()
  s.emitter.jump(skip, { opcode: 0x15, dst: 0, imm: 0 })
  const before = s.model.copy()
  s.model.registers = s.model.registers.map(isFound)
  s.model.slots = s.model.slots.map(isFound)
  const count = random.between(1, 3)
  for (let i = 0; i < count; i++) memoryAccess(s)
  s.emitter.place(skip)
  s.model.mergeWith(before)
}

/** The packet's pointers, and what a comparison tells of them. */
export function newPacket(s: Scene): void {
  const { random } = s
  const { packet } = s.fields
  const contexts = s.registersOf('context')
  if (packet === undefined || contexts.length === 0) return
  const context = random.pick(contexts)
  const [data, , meta] = packet
  const pointer = s.target(context)
  if (meta !== undefined && random.chance(0.12)) {
    // Metadata lies before the packet.
    s.emit({ opcode: LOAD, dst: pointer, src: context, offset: meta })
    s.set(pointer, NOTHING)
    const start = s.target(context, pointer)
    s.emit({ opcode: LOAD, dst: start, src: context, offset: data })
    s.set(start, { kind: 'packet', bytes: 0 })
    compareWithEnd(s, pointer, start, random.between(1, 8), 'packetMeta')
    return
  }
  s.emit({ opcode: LOAD, dst: pointer, src: context, offset: data })
  s.set(pointer, { kind: 'packet', bytes: 0 })
  packetCheck(s, pointer, random.between(1, 20))
}

function packetEnd(s: Scene, ...not: readonly number[]): number | undefined {
  const { packet } = s.fields
  const known = s.registersOf('packetEnd')
  if (known.length > 0) return s.random.pick(known)
  const contexts = s.registersOf('context')
  if (packet === undefined || contexts.length === 0) return undefined
  const context = s.random.pick(contexts)
  const end = s.target(context, ...not)
  s.emit({ opcode: LOAD, dst: end, src: context, offset: packet[1] })
  s.set(end, { kind: 'packetEnd' })
  return end
}

function packetCheck(s: Scene, pointer: number, bytes: number): void {
  const end = packetEnd(s, pointer)
  if (end === undefined || end === pointer) return
  compareWithEnd(s, pointer, end, bytes, 'packet')
}

/** Compares `pointer` + `bytes` with the end, and goes on only where so many may be touched. */
function compareWithEnd(
  s: Scene,
  pointer: number,
  end: number,
  bytes: number,
  kind: 'packet' | 'packetMeta',
): void {
  const { random } = s
  const probe = s.target(pointer, end)
  s.move(probe, pointer)
  s.emit({ opcode: 0x07, dst: probe, imm: bytes })
  s.set(probe, NOTHING)
  // Ways to say `probe > end`; some of them are off by one in one direction or the other.
  const [opcode, dst, src] = random.weighted<readonly [number, number, number]>([
    [6, [0x2d, probe, end]],
    [2, [0x3d, probe, end]],
    [3, [0xad, end, probe]],
    [1, [0xbd, end, probe]],
    [1, [0x1d, probe, end]],
  ])
  const mayWrite = s.fields.packetIsWritable === true
  const size = random.pick(SIZES.filter((n) => n <= bytes))
  const access = (): void => {
    touch(s, pointer, offsetIn(s, bytes, size), size, mayWrite)
  }
  if (random.chance(0.5)) {
    const out = s.emitter.label()
    s.emitter.jump(out, { opcode, dst, src })
    const before = s.model.copy()
    if (kind === 'packet') s.set(pointer, { kind, bytes })
    access()
    if (random.chance(0.4)) memoryAccess(s)
    s.emitter.place(out)
    s.model.mergeWith(before)
    return
  }
  const inside = s.emitter.label()
  const out = s.emitter.label()
  // The other way round: jump where it is fine.
  s.emitter.jump(inside, { opcode: inverse(opcode), dst, src })
  s.emitter.jump(out, { opcode: JUMP })
  const before = s.model.copy()
  s.emitter.place(inside)
  if (kind === 'packet') s.set(pointer, { kind, bytes })
  access()
  s.emitter.place(out)
  s.model.mergeWith(before)
}

/** Jumps on the opposite condition. */
const INVERSES: ReadonlyMap<number, number> = new Map([
  [0x2d, 0xbd],
  [0x3d, 0xad],
  [0xad, 0x3d],
  [0xbd, 0x2d],
  [0x1d, 0x5d],
])
const inverse = (opcode: number): number => INVERSES.get(opcode) ?? opcode

/** A record of the ring buffer: reserved, filled, and given back. */
export function record(s: Scene): void {
  const { random } = s
  if ([0, 1, 2, 3].some((r) => s.pinned.has(r))) return
  const bytes = random.pick([8, 16, 24, 40])
  s.setNumber(3, 0)
  s.setNumber(2, bytes)
  s.emitter.wide(1, 1, BigInt(MAP.ring))
  s.emit({ opcode: CALL, imm: 131 })
  s.afterCall(NOTHING)
  const none = s.emitter.label()
  s.emitter.jump(none, { opcode: 0x15, dst: 0, imm: 0 })
  const before = s.model.copy()
  const kept = random.pick([6, 7, 8, 9].filter((r) => !s.pinned.has(r) && s.held(r).kind !== 'context'))
  const pointer = kept ?? 0
  if (kept !== undefined) s.move(kept, 0)
  s.set(pointer, { kind: 'memory', bytes })
  const wasPinned = s.pinned.has(pointer)
  s.pinned.add(pointer)
  for (let i = random.between(1, 3); i > 0; i--) {
    const size = random.pick(SIZES.filter((n) => n <= bytes))
    touch(s, pointer, offsetIn(s, bytes, size), size, true)
  }
  if (!wasPinned) s.pinned.delete(pointer)
  if (!random.chance(0.03)) {
    s.move(1, pointer)
    s.setNumber(2, random.chance(0.9) ? 0 : 1)
    s.emit({ opcode: CALL, imm: random.pick([132, 133]) })
    s.afterCall(NOTHING)
  }
  s.set(pointer, NOTHING)
  s.emitter.place(none)
  s.model.mergeWith(before)
  s.set(0, NOTHING)
}
