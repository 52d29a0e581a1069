/** Copies, clears and comparisons of a known number of bytes, and what programs may do with them. */
import { type Access, SHADOW_WRITABLE } from '../../memory/index.ts'
import { type Code, i32, i64, load32, load64, memory, seq, store32, store64 } from '../../wasm/index.ts'

/** Up to here the accesses are written out; V8 calls a function for `memory.copy`, at some 10 ns. */
const MOST_UNROLLED = 64

interface Piece {
  readonly offset: number
  readonly bytes: 1 | 2 | 4 | 8
}

function pieces(sizeBytes: number): Piece[] {
  const out: Piece[] = []
  for (let offset = 0; offset < sizeBytes; ) {
    const bytes = ([8, 4, 2, 1] as const).find((each) => offset + each <= sizeBytes) as Piece['bytes']
    out.push({ offset, bytes })
    offset += bytes
  }
  return out
}

const load = (at: Code<'i32'>, { offset, bytes }: Piece): Code<'i32'> =>
  bytes === 4 ? load32.full(at, offset) : bytes === 2 ? load32.u16(at, offset) : load32.u8(at, offset)

/** `to` and `from` do not overlap, or are the same; both are evaluated often. */
export function copyCode(to: Code<'i32'>, from: Code<'i32'>, sizeBytes: number): Code {
  if (sizeBytes > MOST_UNROLLED) return memory.copy(to, from, i32.const(sizeBytes))
  return seq(
    ...pieces(sizeBytes).map((piece) => {
      const { offset, bytes } = piece
      if (bytes === 8) return store64.full(to, load64.full(from, offset), offset)
      const store = bytes === 4 ? store32.full : bytes === 2 ? store32.low16 : store32.low8
      return store(to, load(from, piece), offset)
    }),
  )
}

export function fillCode(at: Code<'i32'>, byte: number, sizeBytes: number): Code {
  if (sizeBytes > MOST_UNROLLED) return memory.fill(at, i32.const(byte), i32.const(sizeBytes))
  const repeated = (BigInt(byte) * 0x0101_0101_0101_0101n) & 0xffff_ffff_ffff_ffffn
  return seq(
    ...pieces(sizeBytes).map(({ offset, bytes }) => {
      const store = { 8: store64.full, 4: store64.low32, 2: store64.low16, 1: store64.low8 }[bytes]
      return store(at, i64.const(repeated), offset)
    }),
  )
}

/** Whether the bytes differ, for at most `MOST_UNROLLED` of them: not 0 where they do. */
export function differCode(a: Code<'i32'>, b: Code<'i32'>, sizeBytes: number): Code<'i32'> {
  const parts = pieces(sizeBytes).map((piece) =>
    piece.bytes === 8
      ? i64.ne(load64.full(a, piece.offset), load64.full(b, piece.offset))
      : i32.ne(load(a, piece), load(b, piece)),
  )
  return parts.reduce((all, part) => i32.or(all, part))
}

export const isShort = (sizeBytes: number): boolean => sizeBytes <= MOST_UNROLLED

/** `Arena.setAccess` for a range that begins `offset` bytes, a multiple of 8, behind an element. */
export function shadowRange(shadow: Code<'i32'>, offset: number, sizeBytes: number, access: Access): Code {
  const writable = access === 'write' ? SHADOW_WRITABLE : 0
  const whole = sizeBytes >>> 3
  const rest = sizeBytes & 7
  const at = offset >>> 3
  return seq(
    ...(whole === 0
      ? []
      : [fillCode(i32.add(shadow, i32.const(at)), access === 'none' ? 0 : 8 | writable, whole)]),
    ...(rest === 0
      ? []
      : [store32.low8(shadow, i32.const(access === 'none' ? 0 : rest | writable), at + whole)]),
  )
}
