/** Turns the expression form of the instruction table into WebAssembly. */
import type { Code, FunctionRef } from '../../wasm/index.ts'
import { choose, i32, i64 } from '../../wasm/index.ts'
import type { Condition, Value } from './semantics.ts'

/** Where an engine keeps an instruction's operands, and the functions that it offers. */
export interface Operands {
  readonly rs1: Code<'i64'>
  readonly rs2: Code<'i64'>
  readonly immediate: Code<'i64'>
  readonly pcPlusImmediate: Code<'i64'>
  /** The upper half of the unsigned product. */
  readonly highProduct: FunctionRef<readonly ['i64', 'i64'], 'i64'>
}

const comparisons = ['eq', 'ne', 'lt_s', 'lt_u', 'ge_s', 'ge_u'] as const

function isCondition(value: Exclude<Value, string | bigint>): value is Condition {
  return (comparisons as readonly string[]).includes(value[0])
}

export function emitCondition([operator, a, b]: Condition, operands: Operands): Code<'i32'> {
  if (b === 0n && operator === 'eq') return i64.eqz(emitValue(a, operands))
  return i64[operator](emitValue(a, operands), emitValue(b, operands))
}

export function emitValue(value: Value, operands: Operands): Code<'i64'> {
  const emit = (part: Value) => emitValue(part, operands)
  if (typeof value === 'bigint') return i64.const(value)
  switch (value) {
    case 'rs1':
      return operands.rs1
    case 'rs2':
      return operands.rs2
    case 'imm':
      return operands.immediate
    case 'pc+imm':
      return operands.pcPlusImmediate
  }
  if (isCondition(value)) return i64.extend_i32_u(emitCondition(value, operands))
  switch (value[0]) {
    case 'sext32':
      return i64.extend32_s(emit(value[1]))
    case 'zext32':
      return i64.extend_i32_u(i32.wrap_i64(emit(value[1])))
    case 'if':
      return choose('i64', emitCondition(value[1], operands), emit(value[2]), emit(value[3]))
    case 'mulhu':
      return operands.highProduct.call(emit(value[1]), emit(value[2]))
    case 'mulhsu':
      return signedHigh(emit(value[1]), emit(value[2]), operands, false)
    case 'mulh':
      return signedHigh(emit(value[1]), emit(value[2]), operands, true)
    default:
      return i64[value[0]](emit(value[1]), emit(value[2]))
  }
}

/** A negative factor read as unsigned is 2^64 too large, so the other factor is taken off the upper half. */
function signedHigh(
  a: Code<'i64'>,
  b: Code<'i64'>,
  { highProduct }: Operands,
  bIsSigned: boolean,
): Code<'i64'> {
  const sign = (x: Code<'i64'>) => i64.shr_s(x, i64.const(63n))
  const forA = i64.sub(highProduct.call(a, b), i64.and(sign(a), b))
  return bIsSigned ? i64.sub(forA, i64.and(sign(b), a)) : forA
}
