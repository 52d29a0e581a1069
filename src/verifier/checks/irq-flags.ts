/**
 * Saved interrupt flags on the stack: one slot that only the pair of save and restore may touch.
 *
 * Source: process_irq_flag, mark_stack_slot_irq_flag, unmark_stack_slot_irq_flag in kernel/bpf/verifier.c of Linux 6.18.
 */
import { allBytes, BASE, BYTE } from '../domain/kinds.ts'
import { pointer } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EACCES, EINVAL } from '../refusal.ts'
import { restoreInterrupts, saveInterrupts } from '../state/references.ts'
import { EMPTY_SLOT, Slot } from '../state/state.ts'
import { markObjectRead, objectSlot } from './dynptr.ts'
import { checkMemory } from './memory.ts'

/** Who saved: flags of one kind cannot be restored by the other. */
export const IRQ_CLASS = { NATIVE: 0, LOCK: 1 } as const
const CLASS_NAMES = ['native', 'lock'] as const

export function saveFlags(p: Proof, n: number, irqClass: number): void {
  const r = p.reg(n)
  const place = objectSlot(p, r, 'irq_flag', 1)
  const refuse = () => p.refuse(EINVAL, `expected uninitialized irq flag as arg#${n - 1}`)
  if (!place.ok && !place.range) throw refuse()
  if (place.ok) {
    const { bytes } = p.frameOf(r).stack[place.index] as Slot
    for (let i = 0; i < 32; i += 4) if (((bytes >>> i) & 0xf) === BYTE.IRQ_FLAG) throw refuse()
  }
  checkMemory(p, n, 0, { isWrite: true, size: 8, value: -1 })
  const slot = objectSlot(p, r, 'irq_flag', 1)
  if (!slot.ok) throw p.refuse(EINVAL, '')
  const flag = pointer(BASE.STACK)
  flag.refObjId = saveInterrupts(p)
  flag.irqClass = irqClass
  p.stackLiveness.write(r.frame, slot.index)
  p.setSlot(p.frameOf(r), slot.index, new Slot(allBytes(BYTE.IRQ_FLAG), flag))
}

export function restoreFlags(p: Proof, n: number, irqClass: number): void {
  const r = p.reg(n)
  const place = objectSlot(p, r, 'irq_flag', 1)
  const refuse = () => p.refuse(EINVAL, `expected an initialized irq flag as arg#${n - 1}`)
  if (!place.ok) throw refuse()
  const frame = p.frameOf(r)
  const { bytes, register } = frame.stack[place.index] as Slot
  if (register.refObjId === 0 || bytes !== allBytes(BYTE.IRQ_FLAG)) throw refuse()
  markObjectRead(p, r.frame, place.index, 1)
  if (register.irqClass !== irqClass) {
    throw p.refuse(
      EINVAL,
      `irq flag acquired by ${CLASS_NAMES[register.irqClass]} kfuncs cannot be restored with ${CLASS_NAMES[irqClass]} kfuncs`,
    )
  }
  if (!restoreInterrupts(p.state, register.refObjId)) {
    const { activeIrqId, references } = p.state
    const where = references.find((f) => f.id === activeIrqId)?.instruction ?? 0
    throw p.refuse(
      EACCES,
      `cannot restore irq state out of order, expected id=${activeIrqId} acquired at insn_idx=${where}`,
    )
  }
  p.stackLiveness.write(r.frame, place.index)
  p.setSlot(frame, place.index, EMPTY_SLOT)
}
