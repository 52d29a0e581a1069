/** Access to the running hart's state and to decoded records, as WebAssembly code. */
import type { Code, Local } from '../../wasm/index.ts'
import { i32, i64, load32, load64, store32, store64 } from '../../wasm/index.ts'
import type { Slot } from './layout.ts'
import { record, slot } from './layout.ts'

const base = i32.const(0)

export const get64 = (name: Slot): Code<'i64'> => load64.full(base, slot[name])
export const set64 = (name: Slot, value: Code<'i64'>): Code => store64.full(base, value, slot[name])
export const get32 = (name: Slot): Code<'i32'> => load32.full(base, slot[name])
/** Sets the low half of a slot whose upper half is always zero. */
export const set32 = (name: Slot, value: Code<'i32'>): Code => store32.full(base, value, slot[name])

/** The fields of the record that a local points to. */
export const fields = (ip: Local<'i32'>) => {
  const registerAt = (offset: number) => load32.u8(ip.get, offset)
  return {
    handler: load32.u16(ip.get, record.handler),
    rs1: load64.full(registerAt(record.rs1)),
    rs2: load64.full(registerAt(record.rs2)),
    /** Sets rd; the code of the value must not depend on being evaluated after an earlier write. */
    setRd: (value: Code<'i64'>): Code => store64.full(registerAt(record.rd), value),
    /** The number in rs1's field, for the immediate forms of the CSR instructions. */
    rs1Number: i32.shr_u(registerAt(record.rs1), i32.const(3)),
    link: load64.u16(ip.get, record.rs1),
    remaining: load32.u8(ip.get, record.remaining),
    pageOffset: load64.u16(ip.get, record.pageOffset),
    nextPageOffset: load64.u16(ip.get, record.sizeBytes + record.pageOffset),
    immediate: load64.s32(ip.get, record.immediate),
    immediate32: load32.full(ip.get, record.immediate),
    extra: load32.full(ip.get, record.extra),
    extra64: load64.u32(ip.get, record.extra),
  }
}

/** Bit tests and field changes on 64-bit words. */
export const hasBits = (word: Code<'i64'>, mask: bigint): Code<'i32'> =>
  i64.ne(i64.and(word, i64.const(mask)), i64.const(0n))
export const bitOf = (word: Code<'i64'>, position: number): Code<'i64'> =>
  i64.and(i64.shr_u(word, i64.const(BigInt(position))), i64.const(1n))
