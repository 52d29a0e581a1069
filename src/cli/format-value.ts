/** Values of maps and records as text and as JSON. */
import type { BtfValue } from '../client/index.ts'

/** `{pid: 7, comm: "sh"}`: short, and close to how C writes it. */
export function formatValue(value: BtfValue): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof Uint8Array) return hexOf(value)
  if (Array.isArray(value)) return `[${value.map(formatValue).join(', ')}]`
  if (typeof value === 'object') return `{${formatMembers(value as Record<string, BtfValue>, ', ', ': ')}}`
  return String(value)
}

/** `pid=7 comm="sh"`: the members of a record on one line. */
export function formatRecord(value: BtfValue): string {
  if (typeof value !== 'object' || value instanceof Uint8Array || Array.isArray(value))
    return formatValue(value)
  return formatMembers(value as Record<string, BtfValue>, ' ', '=')
}

const formatMembers = (value: Record<string, BtfValue>, between: string, equals: string): string =>
  Object.entries(value)
    .map(([name, member]) => `${name}${equals}${formatValue(member)}`)
    .join(between)

export type Json = string | number | boolean | readonly Json[] | { readonly [name: string]: Json }

/** Integers past 2^53 become strings, bytes become hexadecimal strings. */
export function toJson(value: BtfValue): Json {
  if (typeof value === 'bigint') {
    return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
      ? Number(value)
      : value.toString()
  }
  if (value instanceof Uint8Array) return hexOf(value)
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value as Record<string, BtfValue>).map(([name, member]) => [name, toJson(member)]),
    )
  }
  return value as string | number | boolean
}

/** Bytes as `01 02 ff`. */
export const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')

/** `0`, `''`, `[0, 0]`, `{a: 0}`: nothing but zeros. */
export function isZero(value: BtfValue): boolean {
  if (value instanceof Uint8Array) return value.every((byte) => byte === 0)
  if (Array.isArray(value)) return value.every(isZero)
  if (typeof value === 'object') return Object.values(value as Record<string, BtfValue>).every(isZero)
  return value === 0 || value === 0n || value === '' || value === false
}
