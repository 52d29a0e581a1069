/**
 * What a CO-RE record can ask for.
 *
 * Source: include/uapi/linux/bpf.h, enum bpf_core_relo_kind.
 */

/** What a relocation is about: a member of a struct, a type as a whole, or a constant of an enum. */
export type CoreSubject = 'field' | 'type' | 'enumerator'

interface CoreKindRow {
  readonly kind: number
  /** The word that libbpf's log has for it. */
  readonly word: string
  readonly subject: CoreSubject
}

/** `BPF_CORE_*`: what the number in the instruction is to become. */
export const CORE_KIND = {
  FIELD_BYTE_OFFSET: 0,
  FIELD_BYTE_SIZE: 1,
  FIELD_EXISTS: 2,
  FIELD_SIGNED: 3,
  FIELD_LSHIFT_U64: 4,
  FIELD_RSHIFT_U64: 5,
  TYPE_ID_LOCAL: 6,
  TYPE_ID_TARGET: 7,
  TYPE_EXISTS: 8,
  TYPE_SIZE: 9,
  ENUMVAL_EXISTS: 10,
  ENUMVAL_VALUE: 11,
  TYPE_MATCHES: 12,
} as const

/** One row per kind, at the index that is its number. */
export const CORE_KINDS = [
  { kind: CORE_KIND.FIELD_BYTE_OFFSET, word: 'byte_off', subject: 'field' },
  { kind: CORE_KIND.FIELD_BYTE_SIZE, word: 'byte_sz', subject: 'field' },
  { kind: CORE_KIND.FIELD_EXISTS, word: 'field_exists', subject: 'field' },
  { kind: CORE_KIND.FIELD_SIGNED, word: 'signed', subject: 'field' },
  { kind: CORE_KIND.FIELD_LSHIFT_U64, word: 'lshift_u64', subject: 'field' },
  { kind: CORE_KIND.FIELD_RSHIFT_U64, word: 'rshift_u64', subject: 'field' },
  { kind: CORE_KIND.TYPE_ID_LOCAL, word: 'local_type_id', subject: 'type' },
  { kind: CORE_KIND.TYPE_ID_TARGET, word: 'target_type_id', subject: 'type' },
  { kind: CORE_KIND.TYPE_EXISTS, word: 'type_exists', subject: 'type' },
  { kind: CORE_KIND.TYPE_SIZE, word: 'type_size', subject: 'type' },
  { kind: CORE_KIND.ENUMVAL_EXISTS, word: 'enumval_exists', subject: 'enumerator' },
  { kind: CORE_KIND.ENUMVAL_VALUE, word: 'enumval_value', subject: 'enumerator' },
  { kind: CORE_KIND.TYPE_MATCHES, word: 'type_matches', subject: 'type' },
] as const satisfies readonly CoreKindRow[]

/** The row of a record's kind; `undefined` for numbers that mean nothing. */
export const coreKind = (kind: number): CoreKindRow | undefined => CORE_KINDS[kind]
