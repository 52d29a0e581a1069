/** What the generator believes that a register or stack slot holds, so that most of what it writes makes sense. */

export type Held =
  | { readonly kind: 'nothing' | 'scalar' | 'context' | 'packetEnd' }
  /** r10 plus `offset`. */
  | { readonly kind: 'stack'; readonly offset: number }
  /** Memory of which so many bytes may be touched, from here on. */
  | {
      readonly kind: 'memory'
      readonly bytes: number
      readonly readOnly?: boolean
      /** Another offset may be added. */
      readonly fixed?: boolean
    }
  | { readonly kind: 'memoryOrNull'; readonly bytes: number; readonly readOnly?: boolean }
  /** So many bytes were found to be in the packet. */
  | { readonly kind: 'packet'; readonly bytes: number }
  | { readonly kind: 'packetMeta' }

export const NOTHING: Held = { kind: 'nothing' }
export const SCALAR: Held = { kind: 'scalar' }

export const isSame = (a: Held, b: Held): boolean => JSON.stringify(a) === JSON.stringify(b)

/** What is held where two ways meet. */
export function merged(a: Held, b: Held): Held {
  if (a.kind === 'packet' && b.kind === 'packet') return a.bytes < b.bytes ? a : b
  return isSame(a, b) ? a : NOTHING
}

export class Model {
  registers: Held[] = new Array<Held>(10).fill(NOTHING)
  /** Eight bytes each, from fp-8 down. */
  slots: Held[]

  constructor(slots: number) {
    this.slots = new Array<Held>(slots).fill(NOTHING)
  }

  copy(): Model {
    const copy = new Model(0)
    copy.registers = this.registers.slice()
    copy.slots = this.slots.slice()
    return copy
  }

  mergeWith(other: Model): void {
    this.registers = this.registers.map((held, i) => merged(held, other.registers[i] as Held))
    this.slots = this.slots.map((held, i) => merged(held, other.slots[i] as Held))
  }
}
