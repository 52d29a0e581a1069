/** Statements that call: helpers that read or write memory, functions of the program, callbacks. */
import { MAP, PAIR_BYTES, PALETTE } from '../fixtures.ts'
import { type Held, NOTHING, SCALAR } from './held.ts'
import { bounded } from './scalars.ts'
import { CALL, type FunctionPlan, type Scene } from './scene.ts'

const argumentsAreFree = (s: Scene): boolean => ![0, 1, 2, 3, 4, 5].some((r) => s.pinned.has(r))

/** A buffer on the stack; its offset. */
function buffer(s: Scene, bytes: number, isFilled: boolean): number {
  const offset = s.scratch(bytes)
  if (isFilled) {
    for (let at = 0; at < bytes; at += 8) {
      s.emit({
        opcode: 0x7a,
        dst: 10,
        offset: offset + at,
        imm: s.random.chance(0.5) ? 0 : s.random.immediate(),
      })
    }
  }
  return offset
}

/** Helpers that take memory and its size. */
export function memoryHelper(s: Scene): void {
  const { random } = s
  if (!argumentsAreFree(s)) return
  const bytes = random.pick([8, 16, 32])
  const contexts = s.registersOf('context').filter((r) => r > 5)
  const isPacketType = s.fields.packet !== undefined && contexts.length > 0
  const which = random.below(isPacketType ? 8 : 5)
  switch (which) {
    case 0: {
      // bpf_probe_read_kernel(buffer, size, any address)
      const offset = buffer(s, bytes, random.chance(0.3))
      size(s, 2, bytes)
      s.move(3, s.scalar(2))
      s.stackPointer(1, offset)
      s.call(random.pick([113, 112]))
      s.wroteStack(offset, bytes)
      return
    }
    case 1: {
      // bpf_map_update_elem(map, key, value, flags), bpf_map_delete_elem(map, key)
      const n = random.pick([MAP.array, MAP.hash, MAP.lru, MAP.percpuArray])
      const spec = PALETTE[n]!
      const at = -8 * 24
      for (let i = 0; i < spec.valueSize; i += 8) {
        if (random.chance(0.2)) s.emit({ opcode: 0x7b, dst: 10, src: s.scalar(), offset: at + i })
        else s.emit({ opcode: 0x7a, dst: 10, offset: at + i, imm: random.immediate() })
      }
      const keyAt = buffer(s, Math.ceil(spec.keySize / 8) * 8, true)
      s.wroteStack(keyAt, spec.keySize)
      s.stackPointer(2, keyAt)
      s.stackPointer(3, at)
      s.setNumber(4, random.chance(0.9) ? 0 : random.below(4))
      s.emitter.wide(1, 1, BigInt(n))
      s.call(random.chance(0.75) ? 2 : 3)
      return
    }
    case 2: {
      // bpf_ringbuf_output(ring, data, size, flags)
      const offset = buffer(s, bytes, true)
      s.wroteStack(offset, bytes)
      size(s, 3, bytes)
      s.stackPointer(2, offset)
      s.setNumber(4, 0)
      s.emitter.wide(1, 1, BigInt(MAP.ring))
      s.call(130)
      return
    }
    case 3: {
      // bpf_get_current_comm(buffer, size)
      const offset = buffer(s, 16, false)
      s.stackPointer(1, offset)
      s.setNumber(2, 16)
      s.call(16)
      s.wroteStack(offset, 16)
      return
    }
    case 4: {
      // bpf_strtol(text, size, flags, result)
      const offset = buffer(s, 8, true)
      s.wroteStack(offset, 8)
      const result = buffer(s, 8, true)
      s.setNumber(2, 8)
      s.stackPointer(1, offset)
      s.setNumber(3, 0)
      s.stackPointer(4, result)
      s.call(random.pick([105, 106]))
      s.wroteStack(result, 8)
      return
    }
    default: {
      const context = random.pick(contexts)
      const isXdp = s.plan.programType === 6
      if (which === 5) {
        // bpf_skb_load_bytes / bpf_xdp_load_bytes(context, offset, buffer, size)
        const offset = buffer(s, bytes, false)
        size(s, 4, bytes)
        s.move(2, s.scalar(4))
        s.stackPointer(3, offset)
        s.move(1, context)
        s.call(isXdp ? 189 : 26)
        s.wroteStack(offset, bytes)
        return
      }
      if (which === 6) {
        // bpf_csum_diff(from, from_size, to, to_size, seed)
        const offset = buffer(s, 16, true)
        s.wroteStack(offset, 16)
        s.stackPointer(3, offset)
        s.setNumber(4, 16)
        s.setNumber(1, 0)
        s.setNumber(2, 0)
        s.setNumber(5, random.immediate())
        s.call(28)
        return
      }
      // Helpers that may move the packet: nothing known of it holds any more.
      s.move(1, context)
      if (isXdp) {
        s.setNumber(2, random.between(-16, 16))
        s.call(random.pick([44, 65, 54]))
      } else {
        s.setNumber(2, random.between(0, 64))
        s.call(39)
      }
      if (!random.chance(0.03)) s.forgetPackets()
    }
  }
}

/** A size of at most `most`, known or not. */
function size(s: Scene, register: number, most: number): void {
  if (s.random.chance(0.4)) {
    s.setNumber(register, s.random.between(1, most))
    return
  }
  const r = bounded(s, most)
  s.move(register, r)
  if (s.random.chance(0.6)) s.emit({ opcode: 0x07, dst: register, imm: 1 })
}

/** What can be handed to a function. */
const CAN_PASS: ReadonlySet<Held['kind']> = new Set(['scalar', 'context', 'memory', 'packetEnd'])

/** A function that is verified where it is called. */
export function localCall(s: Scene): void {
  const { random, plan } = s
  if (!argumentsAreFree(s) || plan.functions.length >= 5) return
  const takes: Held[] = []
  const count = random.between(1, 3)
  // Arguments from registers that survive the setting up, in order.
  for (let i = 1; i <= count; i++) {
    const sources = [6, 7, 8, 9].filter((r) => CAN_PASS.has(s.held(r).kind))
    if (random.chance(0.2)) {
      const offset = s.scratch(16)
      s.emit({ opcode: 0x7a, dst: 10, offset, imm: 0 })
      s.emit({ opcode: 0x7a, dst: 10, offset: offset + 8, imm: random.immediate() })
      s.wroteStack(offset, 16)
      s.stackPointer(i, offset)
      takes.push({ kind: 'memory', bytes: 16 })
    } else if (sources.length > 0 && random.chance(0.7)) {
      const source = random.pick(sources)
      s.move(i, source)
      takes.push(s.held(source))
    } else {
      s.setNumber(i, random.immediate())
      takes.push(SCALAR)
    }
  }
  const label = s.emitter.label()
  plan.functions.push({ label, kind: 'local', takes })
  s.emitter.jump(label, { opcode: CALL, src: 1 }, 'imm')
  s.afterCall(SCALAR)
}

/** A function that is verified on its own. */
export function globalCall(s: Scene): void {
  const { random, plan } = s
  const { types } = plan
  if (!plan.usesBtf || !argumentsAreFree(s) || plan.functions.length >= 5) return
  const n = random.below(types.global.length)
  const { parameters } = types.global[n]!
  const contexts = s.registersOf('context').filter((r) => r > 5)
  if (parameters.includes('context') && contexts.length === 0) return
  const takes: Held[] = parameters.map((parameter, i): Held => {
    const register = i + 1
    switch (parameter) {
      case 'context':
        s.move(register, random.pick(contexts))
        return { kind: 'context' }
      case 'pair': {
        if (random.chance(0.15)) s.setNumber(register, 0)
        else {
          const offset = s.scratch(PAIR_BYTES)
          s.emit({ opcode: 0x7a, dst: 10, offset, imm: random.immediate() })
          s.emit({ opcode: 0x7a, dst: 10, offset: offset + 8, imm: 0 })
          s.wroteStack(offset, PAIR_BYTES)
          s.stackPointer(register, offset)
        }
        return { kind: 'memoryOrNull', bytes: PAIR_BYTES }
      }
      default: {
        const kept = [6, 7, 8, 9].filter((r) => s.held(r).kind === 'scalar')
        if (kept.length > 0) s.move(register, random.pick(kept))
        else s.setNumber(register, random.immediate())
        return SCALAR
      }
    }
  })
  const known = plan.functions.find((f) => f.global === n)
  const later = known !== undefined && plan.functions.indexOf(known) > plan.functions.indexOf(s.self)
  if (known !== undefined && !later) {
    s.afterCall(NOTHING)
    return
  }
  const target: FunctionPlan = known ?? {
    label: s.emitter.label(),
    kind: 'global',
    takes,
    global: n,
    parameters,
  }
  if (known === undefined) plan.functions.push(target)
  s.emitter.jump(target.label, { opcode: CALL, src: 1 }, 'imm')
  s.afterCall(SCALAR)
  for (let slot = 0; slot < 12; slot++)
    if (s.model.slots[slot]?.kind === 'scalar') s.model.slots[slot] = SCALAR
}

/** bpf_loop and bpf_for_each_map_elem, with a function of the program. */
export function callback(s: Scene): void {
  const { random, plan } = s
  if (!plan.usesBtf || !argumentsAreFree(s) || plan.functions.length >= 5) return
  const label = s.emitter.label()
  const offset = s.scratch(16)
  s.emit({ opcode: 0x7a, dst: 10, offset, imm: random.immediate() })
  s.emit({ opcode: 0x7a, dst: 10, offset: offset + 8, imm: 0 })
  s.wroteStack(offset, 16)
  const passed: Held = random.chance(0.8) ? { kind: 'memory', bytes: 16 } : SCALAR
  if (random.chance(0.6)) {
    // bpf_loop(count, callback, context, flags)
    if (random.chance(0.4)) s.move(1, bounded(s, 8))
    else s.setNumber(1, random.between(0, 6))
    s.emitter.functionPointer(2, label)
    s.set(2, NOTHING)
    if (passed.kind === 'memory') s.stackPointer(3, offset)
    else s.setNumber(3, 0)
    s.setNumber(4, 0)
    plan.functions.push({ label, kind: 'callback', takes: [SCALAR, passed] })
    s.call(181)
    return
  }
  // bpf_for_each_map_elem(map, callback, context, flags)
  const n = random.pick([MAP.array, MAP.hash, MAP.small, MAP.percpuArray])
  const spec = PALETTE[n]!
  s.emitter.functionPointer(2, label)
  s.set(2, NOTHING)
  if (passed.kind === 'memory') s.stackPointer(3, offset)
  else s.setNumber(3, 0)
  s.setNumber(4, 0)
  s.emitter.wide(1, 1, BigInt(n))
  plan.functions.push({
    label,
    kind: 'callback',
    takes: [
      NOTHING,
      { kind: 'memory', bytes: spec.keySize, readOnly: true },
      { kind: 'memory', bytes: spec.valueSize },
      passed,
    ],
  })
  s.call(164)
}

/** Loads of the packet as classic BPF has them. */
export function absoluteLoad(s: Scene): void {
  const { random } = s
  if (s.fields.absolute !== true || s.held(6).kind !== 'context' || !argumentsAreFree(s)) return
  const size = random.pick([0x00, 0x08, 0x10])
  if (random.chance(0.5)) s.emit({ opcode: 0x20 | size, imm: random.below(64) })
  else s.emit({ opcode: 0x40 | size, src: s.scalar(), imm: random.below(16) })
  s.afterCall(SCALAR)
}
