/**
 * What each instruction does: the specification that the other engines are tested against.
 *
 * The switch is on the opcode byte, with literal labels, so that it compiles to a jump table. Where an opcode stands
 * for several instructions, the field that tells them apart is asked inside. `a` and `b` are the indexes of the
 * operands in the register file, `d` and `s` of their low words (`prepared.ts` has made immediates constants behind
 * the registers, so `b` may be one). A 64-bit operation is written on `r` (unsigned) or `x` (signed), where storing
 * an element keeps its low 64 bits; a 32-bit one on the words `w` (signed) or `u`, and clears the upper word.
 *
 * Shifts and comparisons of 64 bits are on words too: `words.ts` says why.
 *
 * Source: RFC 9669, sections 4 and 5; `kernel/bpf/core.c` of Linux 6.18 for what the RFC leaves out.
 */
import type { HelperFunction } from './environment.ts'
import { loadForeign } from './foreign-load.ts'
import { accessBytes, castToUser, loadPaged, pagedPlace, storePaged } from './paged-access.ts'
import { functionAt } from './prepared.ts'
import { type Run, STACK_BYTES } from './run.ts'
import { below, equal, less, shiftLeft, shiftRight, shiftRightSigned, swap16, swap32 } from './words.ts'

/** `imm` of a cast from address space 0 to 1, which user space's addresses are in. */
const TO_USER = 1 << 16

/** Upper word of every arena address; the lower word of `ARENA_BASE` is 0. */
const ARENA_HIGH = 0xffff_c900

/**
 * The arena offset of the `size` bytes at register `index` plus `offset`; -1 where they may not be accessed. The stack
 * of the current frame is asked for first: most accesses go there, and that takes 4 ns off the arena's own check.
 */
function locate(
  run: Run,
  u: Uint32Array,
  index: number,
  offset: number,
  size: number,
  write: boolean,
): number {
  if (u[index * 2 + 1] !== ARENA_HIGH) return -1
  const at = (u[index * 2] as number) + offset
  const inFrame = at - run.frameStart
  if (inFrame >= 0 && inFrame <= STACK_BYTES - size) return at
  return at >= 0 && run.arena.checkOffset(at, size, write) ? at : -1
}

/**
 * Runs from slot `pc` until the frame that is current now exits, with its r0 in the register file; false where it
 * cannot go on, with `run.fault` set.
 */
export function execute(run: Run, pc: number): boolean {
  const { arena } = run
  const bottom = run.depth
  let remaining = run.remaining
  // Once for each program: a tail call, and the return from a frame in which there was one, change it.
  for (;;) {
    const { opcode, dst, src, offset, imm, target } = run.program
    const file = run.file
    const { r, x, w, u } = file
    let view = arena.view
    let at = 0
    for (;;) {
      const i = pc++
      const a = dst[i]!
      const b = src[i]!
      const d = a << 1
      const s = b << 1
      if (remaining-- === 0) {
        run.fault = { kind: 'budget', pc: i, budget: run.budget }
        run.remaining = 0
        return false
      }
      switch (opcode[i]) {
        // 4.1 Arithmetic, 64 bits.
        case 0x07: // add
        case 0x0f:
          r[a] = r[a]! + r[b]!
          continue
        case 0x17: // sub
        case 0x1f:
          r[a] = r[a]! - r[b]!
          continue
        case 0x27: // mul
        case 0x2f:
          r[a] = r[a]! * r[b]!
          continue
        case 0x37: // div, sdiv: by zero is zero, and the least number by -1 is itself
        case 0x3f:
          if (offset[i] === 0) r[a] = r[b] === 0n ? 0n : r[a]! / r[b]!
          else x[a] = x[b] === 0n ? 0n : x[a]! / x[b]!
          continue
        case 0x97: // mod, smod: by zero leaves dst; the sign is the dividend's
        case 0x9f:
          if (offset[i] === 0) r[a] = r[b] === 0n ? r[a]! : r[a]! % r[b]!
          else x[a] = x[b] === 0n ? x[a]! : x[a]! % x[b]!
          continue
        case 0x47: // or
        case 0x4f:
          r[a] = r[a]! | r[b]!
          continue
        case 0x57: // and
        case 0x5f:
          r[a] = r[a]! & r[b]!
          continue
        case 0xa7: // xor
        case 0xaf:
          r[a] = r[a]! ^ r[b]!
          continue
        case 0x67: // lsh
        case 0x6f:
          shiftLeft(w, d, w[s]! & 63)
          continue
        case 0x77: // rsh
        case 0x7f:
          shiftRight(w, d, w[s]! & 63)
          continue
        case 0xc7: // arsh
        case 0xcf:
          shiftRightSigned(w, d, w[s]! & 63)
          continue
        case 0x87: // neg
          r[a] = -r[a]!
          continue
        case 0xb7: // mov
        case 0x18: // lddw
          r[a] = r[b]!
          if (opcode[i] === 0x18) pc++
          continue
        case 0xbf: // mov, movsx, addr_space_cast: without an arena there is one address space
          if (offset[i]! === 1 && imm[i] === TO_USER && run.program.arena !== undefined) {
            r[a] = castToUser(run.program.arena, r[b]!)
          } else if (offset[i]! > 1) {
            const unused = 32 - offset[i]!
            w[d] = (w[s]! << unused) >> unused
            w[d + 1] = w[d]! >> 31
          } else r[a] = r[b]!
          continue

        // 4.1 Arithmetic, 32 bits.
        case 0x04: // add
        case 0x0c:
          w[d] = w[d]! + w[s]!
          w[d + 1] = 0
          continue
        case 0x14: // sub
        case 0x1c:
          w[d] = w[d]! - w[s]!
          w[d + 1] = 0
          continue
        case 0x24: // mul
        case 0x2c:
          w[d] = Math.imul(w[d]!, w[s]!)
          w[d + 1] = 0
          continue
        case 0x34: // div, sdiv
        case 0x3c:
          if (offset[i] === 0) u[d] = u[s] === 0 ? 0 : u[d]! / u[s]!
          else w[d] = w[s] === 0 ? 0 : w[d]! / w[s]!
          w[d + 1] = 0
          continue
        case 0x94: // mod, smod
        case 0x9c:
          if (offset[i] === 0) u[d] = u[s] === 0 ? u[d]! : u[d]! % u[s]!
          else w[d] = w[s] === 0 ? w[d]! : w[d]! % w[s]!
          w[d + 1] = 0
          continue
        case 0x44: // or
        case 0x4c:
          w[d] = w[d]! | w[s]!
          w[d + 1] = 0
          continue
        case 0x54: // and
        case 0x5c:
          w[d] = w[d]! & w[s]!
          w[d + 1] = 0
          continue
        case 0xa4: // xor
        case 0xac:
          w[d] = w[d]! ^ w[s]!
          w[d + 1] = 0
          continue
        case 0x64: // lsh
        case 0x6c:
          w[d] = w[d]! << (w[s]! & 31)
          w[d + 1] = 0
          continue
        case 0x74: // rsh
        case 0x7c:
          w[d] = w[d]! >>> (w[s]! & 31)
          w[d + 1] = 0
          continue
        case 0xc4: // arsh
        case 0xcc:
          w[d] = w[d]! >> (w[s]! & 31)
          w[d + 1] = 0
          continue
        case 0x84: // neg
          w[d] = -w[d]!
          w[d + 1] = 0
          continue
        case 0xb4: // mov
          w[d] = w[s]!
          w[d + 1] = 0
          continue
        case 0xbc: {
          // mov, movsx
          const unused = offset[i] === 0 ? 0 : 32 - offset[i]!
          w[d] = (w[s]! << unused) >> unused
          w[d + 1] = 0
          continue
        }

        // 4.2 Byte swap. Registers and memory are little-endian, so `le` only truncates.
        case 0xd4: // le
          if (imm[i] === 16) w[d] = w[d]! & 0xffff
          if (imm[i] !== 64) w[d + 1] = 0
          continue
        case 0xdc: // be
        case 0xd7: {
          // bswap
          const low = w[d]!
          w[d] = imm[i] === 16 ? swap16(low) : swap32(imm[i] === 32 ? low : w[d + 1]!)
          w[d + 1] = imm[i] === 64 ? swap32(low) : 0
          continue
        }

        // 4.3 Conditional jumps, 64 bits.
        case 0x15: // jeq
        case 0x1d:
          if (equal(u, d, s)) pc = target[i]!
          continue
        case 0x55: // jne
        case 0x5d:
          if (!equal(u, d, s)) pc = target[i]!
          continue
        case 0x25: // jgt
        case 0x2d:
          if (below(u, s, d)) pc = target[i]!
          continue
        case 0x35: // jge
        case 0x3d:
          if (!below(u, d, s)) pc = target[i]!
          continue
        case 0xa5: // jlt
        case 0xad:
          if (below(u, d, s)) pc = target[i]!
          continue
        case 0xb5: // jle
        case 0xbd:
          if (!below(u, s, d)) pc = target[i]!
          continue
        case 0x65: // jsgt
        case 0x6d:
          if (less(w, u, s, d)) pc = target[i]!
          continue
        case 0x75: // jsge
        case 0x7d:
          if (!less(w, u, d, s)) pc = target[i]!
          continue
        case 0xc5: // jslt
        case 0xcd:
          if (less(w, u, d, s)) pc = target[i]!
          continue
        case 0xd5: // jsle
        case 0xdd:
          if (!less(w, u, s, d)) pc = target[i]!
          continue
        case 0x45: // jset
        case 0x4d:
          if ((w[d]! & w[s]!) !== 0 || (w[d + 1]! & w[s + 1]!) !== 0) pc = target[i]!
          continue

        // 4.3 Conditional jumps, 32 bits.
        case 0x16: // jeq
        case 0x1e:
          if (w[d] === w[s]) pc = target[i]!
          continue
        case 0x56: // jne
        case 0x5e:
          if (w[d] !== w[s]) pc = target[i]!
          continue
        case 0x26: // jgt
        case 0x2e:
          if (u[d]! > u[s]!) pc = target[i]!
          continue
        case 0x36: // jge
        case 0x3e:
          if (u[d]! >= u[s]!) pc = target[i]!
          continue
        case 0xa6: // jlt
        case 0xae:
          if (u[d]! < u[s]!) pc = target[i]!
          continue
        case 0xb6: // jle
        case 0xbe:
          if (u[d]! <= u[s]!) pc = target[i]!
          continue
        case 0x66: // jsgt
        case 0x6e:
          if (w[d]! > w[s]!) pc = target[i]!
          continue
        case 0x76: // jsge
        case 0x7e:
          if (w[d]! >= w[s]!) pc = target[i]!
          continue
        case 0xc6: // jslt
        case 0xce:
          if (w[d]! < w[s]!) pc = target[i]!
          continue
        case 0xd6: // jsle
        case 0xde:
          if (w[d]! <= w[s]!) pc = target[i]!
          continue
        case 0x46: // jset
        case 0x4e:
          if ((w[d]! & w[s]!) !== 0) pc = target[i]!
          continue

        // 4.3 Other control flow.
        case 0x05: // ja
        case 0x06: // ja32
          pc = target[i]!
          continue
        case 0xe5: {
          // may_goto: falls through until the frame has used its count up, then jumps
          const left = run.mayGotoLeft[run.depth]!
          if (left === 0) pc = target[i]!
          else run.mayGotoLeft[run.depth] = left - 1
          continue
        }
        case 0x85: // call_local, call_helper, call_kfunc
        case 0x8d: {
          // callx: to a subprogram's address, or a helper's number
          const indirect = opcode[i] === 0x8d
          const entry = indirect ? functionAt(run.program, r[a]!) : b === 1 ? target[i] : undefined
          if (entry !== undefined) {
            if (indirect && run.program.hooks?.has(entry) === true) {
              run.remaining = remaining
              if (!run.callHooked(entry, i)) return false
              remaining = run.remaining
              view = arena.view
              continue
            }
            if (!run.enter(i, pc)) {
              run.remaining = remaining
              return false
            }
            pc = entry
            continue
          }
          run.remaining = remaining
          const id = indirect ? w[d]! : imm[i]!
          const body = calledFunction(run, i, id, b === 2, offset[i]!)
          if (body === undefined) return false
          run.pc = i
          const result = body(r[1]!, r[2]!, r[3]!, r[4]!, r[5]!, run)
          if (run.fault !== undefined) return false
          remaining = run.remaining
          view = arena.view
          if (typeof result === 'bigint') r[0] = result
          else if ('kind' in result) {
            run.fault =
              result.kind === 'throw'
                ? { kind: 'exception', pc: i, cookie: result.cookie }
                : { kind: 'helper', pc: i, id, cause: result }
            return false
          } else if (run.tailCall(result)) {
            pc = 0
            break
          }
          continue
        }
        case 0xf5: // HOOKED_CALL
          run.remaining = remaining
          if (!run.callHooked(target[i]!, i)) return false
          remaining = run.remaining
          view = arena.view
          continue
        case 0x95: // exit
          if (run.depth === bottom) {
            run.remaining = remaining
            return true
          }
          pc = run.leave()
          if (run.file === file) continue
          break

        // 5.1 Loads.
        case 0x71: // ldxb
          at = locate(run, u, b, offset[i]!, 1, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 1, 'read')
          w[d] = view.getUint8(at)
          w[d + 1] = 0
          continue
        case 0x69: // ldxh
          at = locate(run, u, b, offset[i]!, 2, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 2, 'read')
          w[d] = view.getUint16(at, true)
          w[d + 1] = 0
          continue
        case 0x61: // ldxw
          at = locate(run, u, b, offset[i]!, 4, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 4, 'read')
          w[d] = view.getInt32(at, true)
          w[d + 1] = 0
          continue
        case 0x79: // ldxdw
          at = locate(run, u, b, offset[i]!, 8, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 8, 'read')
          w[d] = view.getInt32(at, true)
          w[d + 1] = view.getInt32(at + 4, true)
          continue

        // 5.2 Sign-extending loads.
        case 0x91: // ldxsb
          at = locate(run, u, b, offset[i]!, 1, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 1, 'read')
          w[d] = view.getInt8(at)
          w[d + 1] = w[d]! >> 31
          continue
        case 0x89: // ldxsh
          at = locate(run, u, b, offset[i]!, 2, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 2, 'read')
          w[d] = view.getInt16(at, true)
          w[d + 1] = w[d]! >> 31
          continue
        case 0x81: // ldxsw
          at = locate(run, u, b, offset[i]!, 4, false)
          if (at < 0) return memoryFault(run, i, remaining, b, 4, 'read')
          w[d] = view.getInt32(at, true)
          w[d + 1] = w[d]! >> 31
          continue

        // Loads that may leave the arena; see foreign-load.ts.
        case 0x21: // ldxw
        case 0x29: // ldxh
        case 0x31: // ldxb
        case 0x39: // ldxdw
        case 0x41: // ldxsw
        case 0x49: // ldxsh
        case 0x51: // ldxsb
          r[a] = loadForeign(run.environment, opcode[i]!, r[b]! + BigInt(offset[i]!))
          // The operating system's answer may have made the arena grow.
          view = arena.view
          continue

        // Accesses to the pages of an arena map; see paged-access.ts.
        case 0xa1: // ldxw
        case 0xa9: // ldxh
        case 0xb1: // ldxb
        case 0xb9: // ldxdw
        case 0xc1: // ldxsw
        case 0xc9: // ldxsh
        case 0xd1: {
          // ldxsb
          const arena = run.program.arena!
          r[a] = loadPaged(arena, opcode[i]!, pagedPlace(arena, r[b]!, offset[i]!))
          continue
        }
        case 0xa2: // stw
        case 0xa3: // stxw
        case 0xaa: // sth
        case 0xab: // stxh
        case 0xb2: // stb
        case 0xb3: // stxb
        case 0xba: // stdw
        case 0xbb: {
          // stxdw
          const arena = run.program.arena!
          storePaged(arena, opcode[i]!, pagedPlace(arena, r[a]!, offset[i]!), r[b]!)
          continue
        }
        case 0xe3:
        case 0xeb:
        case 0xf3:
        case 0xfb:
          pagedAtomic(run, i, a, b)
          continue

        // 5.1 Stores, of a register or a constant.
        case 0x72: // stb
        case 0x73: // stxb
          at = locate(run, u, a, offset[i]!, 1, true)
          if (at < 0) return memoryFault(run, i, remaining, a, 1, 'write')
          view.setInt8(at, w[s]!)
          continue
        case 0x6a: // sth
        case 0x6b: // stxh
          at = locate(run, u, a, offset[i]!, 2, true)
          if (at < 0) return memoryFault(run, i, remaining, a, 2, 'write')
          view.setInt16(at, w[s]!, true)
          continue
        case 0x62: // stw
        case 0x63: // stxw
          at = locate(run, u, a, offset[i]!, 4, true)
          if (at < 0) return memoryFault(run, i, remaining, a, 4, 'write')
          view.setInt32(at, w[s]!, true)
          continue
        case 0x7a: // stdw
        case 0x7b: // stxdw
          at = locate(run, u, a, offset[i]!, 8, true)
          if (at < 0) return memoryFault(run, i, remaining, a, 8, 'write')
          view.setInt32(at, w[s]!, true)
          view.setInt32(at + 4, w[s + 1]!, true)
          continue

        // 5.3 Atomic operations; programs here never run at the same instant, so plain ones do.
        case 0xc3:
        case 0xcb:
        case 0xd3:
        case 0xdb:
          if (!atomic(run, i, a, b)) {
            run.remaining = remaining
            return false
          }
          continue

        // 5.5 Legacy packet access: outside the packet, the function returns 0.
        case 0x20: // ldabsw
        case 0x28: // ldabsh
        case 0x30: // ldabsb
        case 0x40: // ldindw
        case 0x48: // ldindh
        case 0x50: {
          // ldindb
          const sizeBytes = packetAccessBytes(opcode[i]!)
          const base = (opcode[i]! & 0xe0) === 0x40 ? w[s]! : 0
          if (run.environment.packet === undefined) {
            run.fault = { kind: 'no-packet', pc: i }
            run.remaining = remaining
            return false
          }
          const value = run.environment.packet(r[6]!, (base + imm[i]!) | 0, sizeBytes)
          r.fill(0n, 1, 6)
          r[0] = BigInt(value ?? 0)
          if (value !== undefined) continue
          if (run.depth === bottom) {
            run.remaining = remaining
            return true
          }
          pc = run.leave()
          if (run.file === file) continue
          break
        }

        default:
          run.fault =
            i >= run.program.length
              ? { kind: 'out-of-program', pc: i }
              : { kind: 'unknown-instruction', pc: i, opcode: opcode[i]! }
          run.remaining = remaining
          return false
      }
      break
    }
  }
}

const packetAccessBytes = (opcode: number): 1 | 2 | 4 => {
  const size = opcode & 0x18
  return size === 0x10 ? 1 : size === 0x08 ? 2 : 4
}

function memoryFault(
  run: Run,
  pc: number,
  remaining: number,
  register: number,
  sizeBytes: number,
  access: 'read' | 'write',
): false {
  const offset = BigInt(run.program.offset[pc]!)
  const address = BigInt.asUintN(64, run.file.r[register]! + offset)
  run.remaining = remaining
  run.fault = { kind: 'memory', pc, address, sizeBytes, access }
  return false
}

/** The body of the helper or kernel function that is called; undefined, with a fault, where there is none. */
function calledFunction(
  run: Run,
  pc: number,
  id: number,
  isKfunc: boolean,
  btfIndex: number,
): HelperFunction | undefined {
  const { environment } = run
  const body = isKfunc ? environment.kfunc?.(id, btfIndex) : environment.helper(id)
  if (body !== undefined) return body
  run.fault = isKfunc
    ? { kind: 'unknown-kfunc', pc, btfId: id, btfIndex }
    : { kind: 'unknown-helper', pc, id }
  return undefined
}

/** Widths of an atomic access, by the size field of the opcode. */
const atomicBytes = [4, 2, 1, 8] as const

/**
 * An atomic instruction on the memory at `dst`, whose operation is in `imm`: with 8 bytes, or on a narrower value
 * that is zero-extended when it comes back in a register. False, with a fault, where the memory is not accessible.
 */
function atomic(run: Run, pc: number, dst: number, src: number): boolean {
  const { program, arena } = run
  const { u } = run.file
  const operation = program.imm[pc]!
  const sizeBytes = atomicBytes[(program.opcode[pc]! >> 3) & 3]!
  const isLoad = operation === 0x100
  const register = isLoad ? src : dst
  const at = locate(run, u, register, program.offset[pc]!, sizeBytes, !isLoad)
  if (at < 0) return memoryFault(run, pc, run.remaining, register, sizeBytes, isLoad ? 'read' : 'write')
  const old = readUnsigned(arena.view, at, sizeBytes)
  operate(run, pc, dst, src, {
    sizeBytes,
    old,
    store: (value) => writeUnsigned(arena.view, at, sizeBytes, value),
  })
  return true
}

/** An atomic instruction on a page of an arena map; nothing at all where the page is missing. */
function pagedAtomic(run: Run, pc: number, dst: number, src: number): void {
  const { opcode, offset, imm } = run.program
  const use = run.program.arena!
  const sizeBytes = accessBytes(opcode[pc]!)
  const isLoad = imm[pc] === 0x100
  const at = pagedPlace(use, run.file.r[isLoad ? src : dst]!, offset[pc]!)
  const bytes = new Uint8Array(sizeBytes)
  if (!use.map.pages.read(at, bytes)) {
    if (isLoad) run.file.r[dst] = 0n
    return
  }
  const old = readUnsigned(new DataView(bytes.buffer), 0, sizeBytes)
  operate(run, pc, dst, src, { sizeBytes, old, store: (value) => storePaged(use, opcode[pc]!, at, value) })
}

/** The memory that an atomic instruction works on. */
interface AtomicPlace {
  readonly sizeBytes: 1 | 2 | 4 | 8
  /** What is there, unsigned. */
  readonly old: bigint
  store(value: bigint): void
}

function operate(
  run: Run,
  pc: number,
  dst: number,
  src: number,
  { sizeBytes, old, store }: AtomicPlace,
): void {
  const { r } = run.file
  const operation = run.program.imm[pc]!
  const bits = sizeBytes * 8
  const operand = BigInt.asUintN(bits, r[src]!)
  switch (operation) {
    case 0x100: // load_acquire
      r[dst] = old
      return
    case 0x110: // store_release
      store(operand)
      return
    case 0xe1: // xchg
      store(operand)
      r[src] = old
      return
    case 0xf1: // cmpxchg: r0 is what is expected there, and then what was
      if (old === BigInt.asUintN(bits, r[0]!)) store(operand)
      r[0] = old
      return
  }
  switch (operation & 0xf0) {
    case 0x00:
      store(old + operand)
      break
    case 0x40:
      store(old | operand)
      break
    case 0x50:
      store(old & operand)
      break
    case 0xa0:
      store(old ^ operand)
      break
  }
  const isFetch = (operation & 0x01) !== 0
  if (isFetch) r[src] = old
}

function readUnsigned(view: DataView, at: number, sizeBytes: 1 | 2 | 4 | 8): bigint {
  if (sizeBytes === 8) return view.getBigUint64(at, true)
  if (sizeBytes === 4) return BigInt(view.getUint32(at, true))
  return BigInt(sizeBytes === 2 ? view.getUint16(at, true) : view.getUint8(at))
}

function writeUnsigned(view: DataView, at: number, sizeBytes: 1 | 2 | 4 | 8, value: bigint): void {
  if (sizeBytes === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true)
  else if (sizeBytes === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true)
  else if (sizeBytes === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), true)
  else view.setUint8(at, Number(BigInt.asUintN(8, value)))
}
