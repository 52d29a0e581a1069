/** Small programs for tests: instructions by name, labels, 64-bit constants. */
import { encodeInstruction, type Operands } from '../cpu/encode.ts'
import { RAM_BASE } from '../cpu/layout.ts'

type Patch = (addressOf: (label: string) => number) => void

/** Builds machine code for a fixed address. Methods return the program, so that calls chain. */
export class Program {
  readonly base: number
  readonly #bytes: number[] = []
  readonly #labels = new Map<string, number>()
  readonly #patches: Patch[] = []

  constructor(base = RAM_BASE) {
    this.base = base
  }

  /** The address of the next instruction. */
  get here(): number {
    return this.base + this.#bytes.length
  }

  op(name: string, operands: Operands = {}): this {
    return this.word(encodeInstruction(name, operands))
  }

  word(value: number): this {
    return this.half(value & 0xffff).half(value >>> 16)
  }

  half(value: number): this {
    this.#bytes.push(value & 255, (value >>> 8) & 255)
    return this
  }

  double(value: bigint): this {
    return this.word(Number(BigInt.asUintN(32, value))).word(Number(BigInt.asUintN(32, value >> 32n)))
  }

  label(name: string): this {
    this.#labels.set(name, this.here)
    return this
  }

  /** Pads with c.nop. */
  align(bytes: number): this {
    while (this.#bytes.length % bytes !== 0) this.half(1)
    return this
  }

  /** Pads with zeros up to an address. */
  to(address: number): this {
    while (this.here < address) this.#bytes.push(0)
    return this
  }

  /** A branch or jump to a label. */
  jump(name: string, target: string, operands: Operands = {}): this {
    const at = this.#bytes.length
    this.#patches.push((addressOf) => {
      const immediate = addressOf(target) - (this.base + at)
      this.#setWord(at, encodeInstruction(name, { ...operands, immediate }))
    })
    return this.word(0)
  }

  /** rd = a constant, in one to ten instructions. */
  li(rd: number, value: bigint | number): this {
    const signed = BigInt.asIntN(64, BigInt(value))
    const low = BigInt.asIntN(12, signed)
    const rest = signed - low
    if (rest === 0n) return this.op('addi', { rd, rs1: 0, immediate: Number(low) })
    if (rest === BigInt.asIntN(32, rest) && signed === BigInt.asIntN(32, signed)) {
      return this.op('lui', { rd, immediate: Number(rest) }).op('addiw', {
        rd,
        rs1: rd,
        immediate: Number(low),
      })
    }
    this.li(rd, rest >> 12n).op('slli', { rd, rs1: rd, immediate: 12 })
    return low === 0n ? this : this.op('addi', { rd, rs1: rd, immediate: Number(low) })
  }

  /** rd = the address of a label. */
  la(rd: number, target: string): this {
    const at = this.#bytes.length
    this.#patches.push((addressOf) => {
      const offset = addressOf(target) - (this.base + at)
      const low = (offset << 20) >> 20
      this.#setWord(at, encodeInstruction('auipc', { rd, immediate: offset - low }))
      this.#setWord(at + 4, encodeInstruction('addi', { rd, rs1: rd, immediate: low }))
    })
    return this.word(0).word(0)
  }

  csrw(csr: number, rs1: number): this {
    return this.op('csrrw', { rd: 0, rs1, immediate: csr })
  }

  csrr(rd: number, csr: number): this {
    return this.op('csrrs', { rd, rs1: 0, immediate: csr })
  }

  /** Ends the machine through QEMU's test device; clobbers x5 and x6. */
  finish(): this {
    return this.li(5, 0x10_0000)
      .li(6, 0x5555)
      .op('sw', { rs1: 5, rs2: 6 })
      .label(`end${this.here}`)
      .jump('jal', `end${this.here}`)
  }

  addressOf(label: string): number {
    const address = this.#labels.get(label)
    if (address === undefined) throw new Error(`no label ${label}`)
    return address
  }

  bytes(): Uint8Array<ArrayBuffer> {
    for (const patch of this.#patches) patch((label) => this.addressOf(label))
    return Uint8Array.from(this.#bytes)
  }

  #setWord(at: number, value: number): void {
    for (let i = 0; i < 4; i++) this.#bytes[at + i] = (value >>> (8 * i)) & 255
  }
}
