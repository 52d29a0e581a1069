/**
 * Registers, stack and references in Linux's words.
 *
 * Source: print_verifier_state, print_reg_state, print_scalar_ranges in kernel/bpf/log.c of Linux 6.18.
 */

import { BTF_KIND, type BtfId } from '../../btf/index.ts'
import { dynptrTypeName } from '../checks/dynptr.ts'
import { BASE, BYTE, BYTE_LETTERS, baseOf, byteAt, FLAG, kindName } from '../domain/kinds.ts'
import {
  ADD_CONST,
  type Register,
  S32_MAX,
  S32_MIN,
  S64_MAX,
  S64_MIN,
  U32_MAX,
  U64_MAX,
} from '../domain/register.ts'
import { tnumText } from '../domain/tnum.ts'
import { isSpill, type Slot, type State } from '../state/state.ts'

/** Numbers beyond this are easier to read in hexadecimal. */
const MAX_DECIMAL = 0xffffn

const unsignedText = (x: bigint): string => (x <= MAX_DECIMAL ? `${x}` : `0x${x.toString(16)}`)
const signedText = (x: bigint, bits: 32 | 64): string =>
  x >= -MAX_DECIMAL - 1n && x <= MAX_DECIMAL ? `${x}` : `0x${BigInt.asUintN(bits, x).toString(16)}`

/** One bound that differs from the widest possible. */
interface Bound {
  readonly name: string
  readonly value: bigint
  readonly isSigned: boolean
  readonly bits: 32 | 64
  readonly omit: boolean
}

/** `smin=0,smax=umax=255`: bounds that are the same share one value. */
function rangesText(r: Register): string {
  const big = (n: number): bigint => BigInt(n)
  const bounds: Bound[] = [
    { name: 'smin', value: r.smin, isSigned: true, bits: 64, omit: r.smin === S64_MIN },
    { name: 'smax', value: r.smax, isSigned: true, bits: 64, omit: r.smax === S64_MAX },
    { name: 'umin', value: r.umin, isSigned: false, bits: 64, omit: r.umin === 0n },
    { name: 'umax', value: r.umax, isSigned: false, bits: 64, omit: r.umax === U64_MAX },
    {
      name: 'smin32',
      value: big(r.s32min),
      isSigned: true,
      bits: 32,
      omit: r.s32min === S32_MIN || big(r.s32min) === r.smin,
    },
    {
      name: 'smax32',
      value: big(r.s32max),
      isSigned: true,
      bits: 32,
      omit: r.s32max === S32_MAX || big(r.s32max) === r.smax,
    },
    {
      name: 'umin32',
      value: big(r.u32min),
      isSigned: false,
      bits: 32,
      omit: r.u32min === 0 || big(r.u32min) === r.umin,
    },
    {
      name: 'umax32',
      value: big(r.u32max),
      isSigned: false,
      bits: 32,
      omit: r.u32max === U32_MAX || big(r.u32max) === r.umax,
    },
  ]
  // The 32-bit ones are compared with the 64-bit ones as numbers of 64 bits.
  const done = new Set<Bound>()
  let text = ''
  for (const bound of bounds) {
    if (bound.omit || done.has(bound)) continue
    text += `${text === '' ? '' : ','}${bound.name}=`
    for (const other of bounds) {
      if (other === bound || other.omit || done.has(other)) continue
      if (bounds.indexOf(other) < bounds.indexOf(bound)) continue
      if (BigInt.asUintN(64, other.value) !== BigInt.asUintN(64, bound.value)) continue
      done.add(other)
      text += `${other.name}=`
    }
    done.add(bound)
    text += bound.isSigned ? signedText(bound.value, bound.bits) : unsignedText(bound.value)
  }
  return text
}

const RANGED: ReadonlySet<number> = new Set([BASE.PACKET, BASE.PACKET_META])

export class StatePrinter {
  /** `ptr_task_struct(...)` and the like: what a register holds. */
  register(state: State, frame: number, r: Register): string {
    const isKnownScalar = r.kind === BASE.SCALAR && r.mask === 0n
    if (isKnownScalar) {
      const value = BigInt.asIntN(64, r.value)
      return `${r.precise ? 'P' : ''}${signedText(value, 64)}`
    }
    const mark = r.kind === BASE.SCALAR && r.precise ? 'P' : ''
    if (r.kind === BASE.STACK && r.frame !== frame) return `fp[${r.frame}]${this.#stackOffset(r)}`
    if (r.kind === BASE.STACK) return `${mark}fp${this.#stackOffset(r)}`
    let text = `${mark}${kindName(r.kind)}`
    if (baseOf(r.kind) === BASE.BTF_ID && r.btf !== undefined) {
      const type = r.btf.typeById(r.btfId as BtfId)
      text += type.kind === BTF_KIND.UNKN ? 'void' : type.name
    }
    const parts: string[] = []
    if (r.id !== 0)
      parts.push(`id=${r.id & ~ADD_CONST}${r.id & ADD_CONST ? `${r.off >= 0 ? '+' : ''}${r.off}` : ''}`)
    if (r.refObjId !== 0) parts.push(`ref_obj_id=${r.refObjId}`)
    if (r.kind & FLAG.NON_OWNING && baseOf(r.kind) === BASE.BTF_ID) parts.push('non_own_ref')
    if (r.map !== undefined) {
      if (r.map.name !== '') parts.push(`map=${r.map.name}`)
      parts.push(`ks=${r.map.keySize},vs=${r.map.valueSize}`)
    }
    if (r.kind !== BASE.SCALAR && r.off !== 0) parts.push(`off=${signedText(BigInt(r.off), 32)}`)
    if (RANGED.has(r.kind)) parts.push(`r=${signedText(BigInt(r.range), 32)}`)
    if (baseOf(r.kind) === BASE.MEM) parts.push(`sz=${unsignedText(BigInt(r.memSize))}`)
    if (r.kind === BASE.DYNPTR) parts.push(`type=${dynptrTypeName(r.dynptrType)}`)
    if (r.mask === 0n) {
      if (r.value !== 0n) parts.push(`imm=${signedText(BigInt.asIntN(64, r.value), 64)}`)
    } else {
      const ranges = rangesText(r)
      if (ranges !== '') parts.push(ranges)
      if (r.mask !== U64_MAX) parts.push(`var_off=${tnumText(r.value, r.mask)}`)
    }
    void state
    return `${text}(${parts.join(',')})`
  }

  #stackOffset(r: Register): string {
    if (r.mask === 0n) return `${BigInt.asIntN(64, r.value) + BigInt(r.off)}`
    const ranges = rangesText(r)
    const parts = [`off=${r.off}`, ranges, `var_off=${tnumText(r.value, r.mask)}`].filter((x) => x !== '')
    return `(${parts.join(',')})`
  }

  #slot(state: State, frame: number, index: number, slot: Slot, printsAll: boolean): string {
    const { register: r } = slot
    let letters = ''
    let valid = false
    for (let i = 0; i < 8; i++) {
      const byte = byteAt(slot.bytes, i)
      if (byte !== BYTE.INVALID && byte !== BYTE.MISC) valid = true
      if (byte === BYTE.MISC) valid = true
      letters += BYTE_LETTERS[byte] ?? '?'
    }
    if (!valid && !printsAll) return ''
    if (!valid) return ''
    const place = ` fp${-(index + 1) * 8}`
    switch (byteAt(slot.bytes, 7)) {
      case BYTE.SPILL: {
        // Bytes that belong to the spill are not shown one by one.
        const others = [...letters].map((c) => (c === 'r' ? '' : c)).join('')
        const text = this.register(state, frame, r)
        return `${place}=${others === '' ? '' : others}${text}`
      }
      case BYTE.DYNPTR:
        if (!r.firstSlot) return ''
        return `${place}=dynptr_${dynptrTypeName(r.dynptrType)}(id=${r.id}${r.refObjId !== 0 ? `,ref_id=${r.refObjId}` : ''})`
      case BYTE.ITER: {
        if (r.refObjId === 0) return ''
        const name = r.btf?.nameOf(r.btfId as BtfId).replace(/^bpf_iter_/, '') ?? ''
        const what = r.iterState === 1 ? 'active' : r.iterState === 2 ? 'drained' : 'invalid'
        return `${place}=iter_${name}(ref_id=${r.refObjId},state=${what},depth=${r.iterDepth})`
      }
      default:
        return `${place}=${letters}`
    }
  }

  /** ` R0=0 R10=fp0 fp-8=ctx() refs=2` and a line end. `wanted` limits what is shown to what changed. */
  state(
    state: State,
    frameIndex: number,
    printsAll: boolean,
    wanted?: { registers: number; slots: ReadonlySet<number> },
  ): string {
    const frame = state.frames[frameIndex]
    if (frame === undefined) return '\n'
    let text = frameIndex > 0 ? ` frame${frameIndex}:` : ''
    for (let i = 0; i < 11; i++) {
      const r = frame.regs[i] as Register
      if (r.kind === BASE.NOT_INIT) continue
      if (!printsAll && wanted !== undefined && (wanted.registers & (1 << i)) === 0) continue
      text += ` R${i}=${this.register(state, frameIndex, r)}`
    }
    frame.stack.forEach((slot, i) => {
      if (!printsAll && wanted !== undefined && !wanted.slots.has(i)) return
      if (!isSpill(slot) && slot.bytes === 0) return
      text += this.#slot(state, frameIndex, i, slot, printsAll)
    })
    const held = state.references.filter((r) => r.kind === 'pointer' || r.kind === 'irq')
    if (held.length > 0) text += ` refs=${held.map((r) => r.id).join(',')}`
    if (frame.inCallback) text += ' cb'
    if (frame.inAsyncCallback) text += ' async_cb'
    return `${text}\n`
  }
}
