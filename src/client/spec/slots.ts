/**
 * Reading single fields of 8-byte instruction slots, in the byte order of the file.
 *
 * little: | opcode (8) | src (4) dst (4) | off (16) | imm (32) |; in big-endian files the registers are swapped
 * within their byte and off and imm are big-endian.
 *
 * Source: RFC 9669 section 3.
 */

export const SLOT_BYTES = 8

/** `BPF_LD | BPF_IMM | BPF_DW`: takes two slots. */
export const LDIMM64 = 0x18
/** `BPF_JMP | BPF_CALL`. */
export const CALL = 0x85

/** The slots of one stretch of code. */
export class Slots {
  readonly bytes: Uint8Array
  readonly little: boolean
  readonly #view: DataView

  constructor(bytes: Uint8Array, little: boolean) {
    this.bytes = bytes
    this.little = little
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get count(): number {
    return this.bytes.length / SLOT_BYTES
  }

  opcode(slot: number): number {
    return this.bytes[slot * SLOT_BYTES] as number
  }

  source(slot: number): number {
    const registers = this.bytes[slot * SLOT_BYTES + 1] as number
    return this.little ? registers >> 4 : registers & 15
  }

  immediate(slot: number): number {
    return this.#view.getInt32(slot * SLOT_BYTES + 4, this.little)
  }

  setSource(slot: number, source: number): void {
    const at = slot * SLOT_BYTES + 1
    const registers = this.bytes[at] as number
    this.bytes[at] = this.little ? (registers & 0x0f) | (source << 4) : (registers & 0xf0) | source
  }

  setImmediate(slot: number, value: number): void {
    this.#view.setInt32(slot * SLOT_BYTES + 4, value, this.little)
  }
}
