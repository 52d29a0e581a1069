/** Writes instructions, with labels for what is not placed yet. */
import { type Instruction, instruction, wideInstruction } from '../../../src/isa/index.ts'

export type Label = number

interface Jump {
  readonly at: number
  readonly label: Label
  readonly field: 'offset' | 'imm'
}

export class Emitter {
  readonly out: Instruction[] = []
  readonly #labels: number[] = []
  readonly #jumps: Jump[] = []

  emit(fields: Partial<Instruction> & { opcode: number }): void {
    this.out.push(instruction(fields))
  }

  wide(dst: number, src: number, value: bigint): void {
    this.out.push(...wideInstruction(dst, src, value))
  }

  label(): Label {
    return this.#labels.push(-1) - 1
  }

  place(label: Label): void {
    this.#labels[label] = this.out.length
  }

  placed(): Label {
    const label = this.label()
    this.place(label)
    return label
  }

  /** Slot of a label; -1 where it was never placed. */
  slotOf(label: Label): number {
    return this.#labels[label] as number
  }

  jump(
    label: Label,
    fields: Partial<Instruction> & { opcode: number },
    field: Jump['field'] = 'offset',
  ): void {
    this.#jumps.push({ at: this.out.length, label, field })
    this.emit(fields)
  }

  /** The address of a function. */
  functionPointer(dst: number, label: Label): void {
    this.#jumps.push({ at: this.out.length, label, field: 'imm' })
    this.wide(dst, 4, 0n)
  }

  finish(): Instruction[] {
    for (const { at, label, field } of this.#jumps) {
      const distance = (this.#labels[label] as number) - at - 1
      this.out[at] = { ...(this.out[at] as Instruction), [field]: distance }
    }
    return this.out
  }
}
