/**
 * What Linux writes at level 2 while it goes back for the origins of exact values.
 *
 * Source: __mark_chain_precision, backtrack_insn, mark_all_scalars_precise, propagate_precision in kernel/bpf/verifier.c
 * of Linux 6.18.
 */

import { slotsText } from '../flow/stack-liveness.ts'
import type { Proof } from '../proof.ts'
import type { State } from '../state/state.ts'

/** Registers and stack slots of one frame whose origins are looked for. */
export interface WantedPlaces {
  readonly registers: number
  /** Slots 0 to 31, and 32 to 63. */
  readonly slotsLow: number
  readonly slotsHigh: number
}

const registersText = (mask: number): string => {
  const names: string[] = []
  for (let i = 0; i < 32; i++) if ((mask & (1 << i)) !== 0) names.push(`r${i}`)
  return names.join()
}

export class BacktrackingLog {
  readonly #proof: Proof

  constructor(proof: Proof) {
    this.#proof = proof
  }

  state(frame: number, last: number, first: number, next: number): void {
    this.#proof.say(`mark_precise: frame${frame}: last_idx ${last} first_idx ${first} subseq_idx ${next} \n`)
  }

  instruction(frame: number, { registers, slotsLow, slotsHigh }: WantedPlaces, index: number): void {
    this.#proof.say(
      `mark_precise: frame${frame}: regs=${registersText(registers)} stack=${slotsText(slotsLow, slotsHigh)} before ${this.#proof.instructionText(index)}`,
    )
  }

  parent(state: State, frame: number, { registers, slotsLow, slotsHigh }: WantedPlaces): void {
    const { printer } = this.#proof
    this.#proof.say(
      `mark_precise: frame${frame}: parent state regs=${registersText(registers)} stack=${slotsText(slotsLow, slotsHigh)}: ${printer.state(state, frame, true)}`,
    )
  }

  givesUp(frame: number): void {
    this.#proof.say(`mark_precise: frame${frame}: falling back to forcing all scalars precise\n`)
  }

  forced(frame: number, place: string): void {
    this.#proof.say(`force_precise: frame${frame}: forcing ${place} to be precise\n`)
  }

  inherited(frame: number, { registers, slotsLow, slotsHigh }: WantedPlaces): void {
    const places: string[] = []
    if (registers !== 0) places.push(registersText(registers))
    const slots = slotsText(slotsLow, slotsHigh)
    if (slots !== '') places.push(...slots.split(',').map((offset) => `fp${offset}`))
    if (places.length > 0) this.#proof.say(`frame ${frame}: propagating ${places.join()}\n`)
  }
}
