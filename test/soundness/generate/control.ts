/** Statements that go this way or that, and round and round. */
import { NOTHING, SCALAR } from './held.ts'
import { bounded } from './scalars.ts'
import { JUMP, type Scene, SLOTS } from './scene.ts'

/** Codes of conditional jumps: eq, gt, ge, set, ne, sgt, sge, lt, le, slt, sle. */
const CONDITIONS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0]
const MOST_LOOPS = 2

type Block = (s: Scene, most: number) => void

/** Writes a jump on some condition of numbers, or now and then of pointers. */
function conditionalJump(s: Scene, label: number): void {
  const { random } = s
  const base = random.chance(0.6) ? 0x05 : 0x06
  const code = random.pick(CONDITIONS)
  const dst = s.scalar()
  if (random.chance(0.35)) {
    const src = random.chance(0.03) ? 10 : s.scalar()
    s.emitter.jump(label, { opcode: base | code | 0x08, dst, src })
  } else {
    const imm = random.chance(0.5) ? random.between(-3, 70) : random.immediate()
    s.emitter.jump(label, { opcode: base | code, dst, imm })
  }
}

export function branch(s: Scene, block: Block): void {
  const { random } = s
  const other = s.emitter.label()
  conditionalJump(s, other)
  const before = s.model.copy()
  s.depth++
  block(s, 4)
  if (random.chance(0.5)) {
    const end = s.emitter.label()
    s.emitter.jump(end, { opcode: JUMP })
    s.emitter.place(other)
    const first = s.model
    s.model = before
    block(s, 4)
    s.emitter.place(end)
    s.model.mergeWith(first)
  } else {
    s.emitter.place(other)
    s.model.mergeWith(before)
  }
  s.depth--
}

/** The same register gets one of several numbers: what the proof must not take for the same. */
export function choice(s: Scene): void {
  const { random } = s
  const dst = s.changeable()
  const from = s.scalar(dst)
  const ways = random.between(1, 3)
  const end = s.emitter.label()
  for (let i = 0; i < ways; i++) {
    s.emit({ opcode: 0xb7, dst, imm: random.between(0, 40) })
    s.emitter.jump(end, { opcode: 0x05 | random.pick(CONDITIONS), dst: from, imm: random.between(-2, 60) })
  }
  s.emit({ opcode: 0xb7, dst, imm: random.between(0, 40) })
  s.emitter.place(end)
  s.set(dst, SCALAR)
}

/** Ends the function early. */
export function earlyExit(s: Scene): void {
  const { random } = s
  const go = s.emitter.label()
  conditionalJump(s, go)
  s.emit({ opcode: 0xb7, dst: 0, imm: random.below(2) })
  s.emit({ opcode: 0x95 })
  s.emitter.place(go)
}

export function loop(s: Scene, block: Block): void {
  const { random } = s
  if (s.loopDepth >= MOST_LOOPS) return
  // Calls in the body take what is in r0 to r5, so nothing but numbers may be expected there.
  for (let r = 0; r <= 5; r++) if (!s.pinned.has(r)) s.set(r, NOTHING)
  const kind = random.below(4)
  const counter = [6, 7, 8, 9].find((r) => !s.pinned.has(r) && s.held(r).kind !== 'context')
  const slot = [...new Array(SLOTS).keys()].find((i) => !s.pinnedSlots.has(i)) as number
  if (counter === undefined && kind !== 3) return
  const pinned: number[] = []
  const pinnedSlots: number[] = []
  const pin = (r: number): void => {
    if (!s.pinned.has(r)) pinned.push(r)
    s.pinned.add(r)
  }
  const pinSlot = (i: number): void => {
    if (!s.pinnedSlots.has(i)) pinnedSlots.push(i)
    s.pinnedSlots.add(i)
  }
  const end = s.emitter.label()
  const r = counter as number
  // Before the head: the counter.
  if (kind === 0) s.setNumber(r, 0)
  else if (kind === 1) {
    const bound = bounded(s, random.pick([4, 8]), r)
    s.move(r, bound)
  } else if (kind === 2) {
    s.emit({ opcode: 0x7a, dst: 10, offset: -8 * (slot + 1), imm: 0 })
    s.model.slots[slot] = SCALAR
    pinSlot(slot)
  }
  if (kind < 2) pin(r)
  for (let i = 6; i < 10; i++) if (s.held(i).kind !== 'scalar' && s.held(i).kind !== 'nothing') pin(i)
  s.model.slots.forEach((held, i) => {
    if (held.kind !== 'scalar' && held.kind !== 'nothing') pinSlot(i)
  })
  const head = s.emitter.placed()
  const before = s.model.copy()
  if (kind === 1) s.emitter.jump(end, { opcode: 0x15, dst: r, imm: 0 })
  if (kind === 3) s.emitter.jump(end, { opcode: 0xe5 })
  s.loopDepth++
  s.depth++
  block(s, 4)
  s.depth--
  s.loopDepth--
  // Numbers at the head are numbers again.
  for (let i = 0; i < 10; i++) {
    if (before.registers[i]?.kind === 'scalar' && s.held(i).kind !== 'scalar' && !s.pinned.has(i)) {
      s.setNumber(i, random.immediate())
    }
  }
  const rounds = random.between(1, 6)
  switch (kind) {
    case 0:
      s.emit({ opcode: 0x07, dst: r, imm: 1 })
      s.emitter.jump(head, { opcode: random.pick([0xa5, 0xc5, 0x55]), dst: r, imm: rounds })
      break
    case 1:
      s.emit({ opcode: 0x07, dst: r, imm: -1 })
      s.emitter.jump(head, { opcode: JUMP })
      break
    case 2: {
      const offset = -8 * (slot + 1)
      const at = counter as number
      s.emit({ opcode: 0x79, dst: at, src: 10, offset })
      s.emit({ opcode: 0x07, dst: at, imm: 1 })
      s.emit({ opcode: 0x7b, dst: 10, src: at, offset })
      s.set(at, SCALAR)
      s.emitter.jump(head, { opcode: 0xa5, dst: at, imm: rounds })
      break
    }
    default:
      s.emitter.jump(head, { opcode: JUMP })
  }
  s.emitter.place(end)
  s.model.mergeWith(before)
  for (const i of pinned) s.pinned.delete(i)
  for (const i of pinnedSlots) s.pinnedSlots.delete(i)
}
