import type { Instruction, Program } from './instruction.ts'

export interface CodecOptions {
  /** Byte order of `offset` and `imm`, and of the register nibbles. Default: little-endian, as every port here. */
  readonly bigEndian?: boolean
}

/** The bytes are not a whole number of 8-byte slots: `length` bytes, of which `trailing` are left over. */
export interface TruncatedProgram {
  readonly kind: 'truncated-program'
  readonly length: number
  readonly trailing: number
  readonly message: string
}

export type DecodeResult =
  | { readonly ok: true; readonly program: Instruction[] }
  | { readonly ok: false; readonly error: TruncatedProgram }

/** The slot at byte `at`, whatever it holds; the caller has checked that eight bytes are there. */
export function decodeSlot(view: DataView, at: number, options?: CodecOptions): Instruction {
  const little = options?.bigEndian !== true
  const registers = view.getUint8(at + 1)
  const low = registers & 0x0f
  const high = registers >> 4
  return {
    opcode: view.getUint8(at),
    dst: little ? low : high,
    src: little ? high : low,
    offset: view.getInt16(at + 2, little),
    imm: view.getInt32(at + 4, little),
  }
}

/** Decodes a program, one element per slot, without judging it: any eight bytes are a slot. */
export function decode(bytes: Uint8Array, options?: CodecOptions): DecodeResult {
  const trailing = bytes.byteLength % 8
  if (trailing !== 0) {
    const length = bytes.byteLength
    const message = `a program is a multiple of 8 bytes, found ${length} (${trailing} left over)`
    return { ok: false, error: { kind: 'truncated-program', length, trailing, message } }
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const program: Instruction[] = []
  for (let at = 0; at < bytes.byteLength; at += 8) program.push(decodeSlot(view, at, options))
  return { ok: true, program }
}

/** Encodes a program, 8 bytes per slot; `decode(encode(p))` is `p`. */
export function encode(program: Program, options?: CodecOptions): Uint8Array<ArrayBuffer> {
  const little = options?.bigEndian !== true
  const bytes = new Uint8Array(program.length * 8)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const insn of program) {
    view.setUint8(at, insn.opcode)
    view.setUint8(at + 1, little ? (insn.src << 4) | insn.dst : (insn.dst << 4) | insn.src)
    view.setInt16(at + 2, insn.offset, little)
    view.setInt32(at + 4, insn.imm, little)
    at += 8
  }
  return bytes
}
