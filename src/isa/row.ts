/**
 * What one row of the instruction table says.
 *
 * A field of the encoding that a row leaves out is reserved and must be 0. A number is a fixed value (part of
 * what identifies the instruction: `sdiv` is `div` with offset 1). A word names the operand that the field holds.
 */
export interface Row {
  /** Unique: what consumers key their tables by. */
  readonly name: string
  readonly opcode: number
  /** The shape that consumers switch on. */
  readonly kind:
    | 'alu'
    | 'cast'
    | 'swap'
    | 'jump'
    | 'goto'
    | 'may_goto'
    | 'call'
    | 'exit'
    | 'load'
    | 'store'
    | 'atomic'
    | 'wide'
    | 'packet'
  /** The operation within its kind. */
  readonly op: string
  /** Width of the operation or of the memory access. */
  readonly bits: 8 | 16 | 32 | 64
  readonly dst?: 'reg'
  readonly src?: 'reg' | number
  /** A displacement in bytes, a jump distance in slots, an index into the loader's BTF descriptors, or fixed. */
  readonly offset?: 'offset' | 'jump' | 'btf' | number
  /** A value, a jump distance in slots, or fixed. */
  readonly imm?: 'imm' | 'jump' | number
  /** For a 64-bit immediate: what the second slot's `imm` holds; left out, it must be 0. */
  readonly high?: 'imm'
  /** In the `mnemonic dst, src` dialect of the bpf_conformance suite. */
  readonly mnemonic: string
  /** Assembly text, with the placeholders of `template.ts`: the kernel's, and clang's too unless `llvm` is given. */
  readonly text: string
  readonly llvm?: string
  /** Conformance group of RFC 9669, section 2.4; `linux` and `callx` are outside the RFC. */
  readonly group:
    | 'base32'
    | 'base64'
    | 'divmul32'
    | 'divmul64'
    | 'atomic32'
    | 'atomic64'
    | 'packet'
    | 'linux'
    | 'callx'
  /** The first clang `-mcpu=vN` that emits it. */
  readonly since: 1 | 2 | 3 | 4
  /** Section of RFC 9669, or `none`. */
  readonly section: string
}
