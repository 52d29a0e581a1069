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
import type { SlotSet } from '../state/slot-set.ts'
import { isSpill, type Slot, type State } from '../state/state.ts'

/** Numbers beyond this are easier to read in hexadecimal. */
const MAX_UNSIGNED = 0xffffn
const MAX_SIGNED = 0x7fffn

const unsignedText = (x: bigint): string => (x <= MAX_UNSIGNED ? `${x}` : `0x${x.toString(16)}`)
const signedText = (x: bigint): string =>
  x >= -MAX_SIGNED - 1n && x <= MAX_SIGNED ? `${x}` : `0x${BigInt.asUintN(64, x).toString(16)}`

/** A 32-bit bound as Linux compares it with the 64-bit ones: extended by its sign only where it prints in decimal. */
const narrow = (n: number): bigint => (n >= -0x8000 && n <= 0x7fff ? BigInt(n) : BigInt(n >>> 0))

/** `smin=0,smax=umax=255`: bounds that are the same share one value. Least and greatest alternate. */
function rangesText(r: Register): string {
  const bounds: (readonly [name: string, value: bigint, isWidest: boolean])[] = [
    ['smin', r.smin, r.smin === S64_MIN],
    ['smax', r.smax, r.smax === S64_MAX],
    ['umin', r.umin, r.umin === 0n],
    ['umax', r.umax, r.umax === U64_MAX],
    ['smin32', narrow(r.s32min), r.s32min === S32_MIN],
    ['smax32', narrow(r.s32max), r.s32max === S32_MAX],
    ['umin32', BigInt(r.u32min), r.u32min === 0],
    ['umax32', BigInt(r.u32max), r.u32max === U32_MAX],
  ]
  const parts: string[] = []
  const done = bounds.map(([, , isWidest]) => isWidest)
  bounds.forEach(([name, value], i) => {
    if (done[i]) return
    let text = `${name}=`
    for (let k = i + 2; k < bounds.length; k += 2) {
      const [otherName, other] = bounds[k] as (typeof bounds)[number]
      if (done[k] || other !== value) continue
      done[k] = true
      text += `${otherName}=`
    }
    parts.push(text + (name.startsWith('s') ? signedText(value) : unsignedText(value)))
  })
  return parts.join(',')
}

/** Linux prints the member that says which slot this is, in the place of another of the same union. */
const FIRST_SLOT_ID = ',dynptr_id=1'

const NAMES_MAP: ReadonlySet<number> = new Set([BASE.CONST_MAP, BASE.MAP_VALUE, BASE.MAP_KEY])
const RANGED: ReadonlySet<number> = new Set([BASE.PACKET, BASE.PACKET_META])

export class StatePrinter {
  /** `ptr_task_struct(...)` and the like: what a register holds. */
  register(state: State, frame: number, r: Register): string {
    const isKnownScalar = r.kind === BASE.SCALAR && r.mask === 0n
    if (isKnownScalar) {
      const value = BigInt.asIntN(64, r.value)
      return `${r.precise ? 'P' : ''}${signedText(value)}`
    }
    const mark = r.kind === BASE.SCALAR && r.precise ? 'P' : ''
    if (r.kind === BASE.STACK && r.frame !== frame) return `fp[${r.frame}]${this.#stackOffset(r)}`
    if (r.kind === BASE.STACK) return `${mark}fp${this.#stackOffset(r)}`
    let text = `${mark}${kindName(r.kind)}`
    if (r.kind === BASE.ARENA) return text
    if (baseOf(r.kind) === BASE.BTF_ID && r.btf !== undefined) {
      const type = r.btf.typeById(r.btfId as BtfId)
      text += type.kind === BTF_KIND.UNKN ? 'void' : type.name
    }
    const parts: string[] = []
    if (r.id !== 0)
      parts.push(`id=${r.id & ~ADD_CONST}${r.id & ADD_CONST ? `${r.off >= 0 ? '+' : ''}${r.off}` : ''}`)
    if (r.refObjId !== 0) parts.push(`ref_obj_id=${r.refObjId}`)
    if (r.kind & FLAG.NON_OWNING && baseOf(r.kind) === BASE.BTF_ID) parts.push('non_own_ref')
    if (r.map !== undefined && NAMES_MAP.has(baseOf(r.kind))) {
      if (r.map.name !== '') parts.push(`map=${r.map.name}`)
      parts.push(`ks=${r.map.keySize},vs=${r.map.valueSize}`)
    }
    if (r.kind !== BASE.SCALAR && r.off !== 0) parts.push(`off=${signedText(BigInt(r.off))}`)
    if (RANGED.has(r.kind)) parts.push(`r=${unsignedText(BigInt.asUintN(64, BigInt(r.range)))}`)
    if (baseOf(r.kind) === BASE.MEM) parts.push(`sz=${unsignedText(BigInt(r.memSize))}`)
    if (r.kind === BASE.DYNPTR) parts.push(`type=${dynptrTypeName(r.dynptrType)}`)
    if (r.mask === 0n) {
      if (r.value !== 0n) parts.push(`imm=${signedText(BigInt.asIntN(64, r.value))}`)
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
    const parts = [r.off === 0 ? '' : `off=${r.off}`, ranges, `var_off=${tnumText(r.value, r.mask)}`].filter(
      (x) => x !== '',
    )
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
        return `${place}=dynptr_${dynptrTypeName(r.dynptrType)}(id=${r.id}${r.refObjId !== 0 ? `,ref_id=${r.refObjId}` : ''}${FIRST_SLOT_ID})`
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
    wanted?: { registers: number; slots: Pick<SlotSet, 'has'> },
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
    const held = state.references.filter((r) => r.id !== 0)
    if (held.length > 0 && state.references[0]?.id !== 0) text += ` refs=${held.map((r) => r.id).join(',')}`
    if (frame.inCallback) text += ' cb'
    if (frame.inAsyncCallback) text += ' async_cb'
    return `${text}\n`
  }
}
