/**
 * The kinds of BTF type and the flags of their encodings.
 *
 * Source: include/uapi/linux/btf.h, Documentation/bpf/btf.rst.
 */

/** `BTF_KIND_*`: the five-bit kind in `btf_type.info`. */
export const BTF_KIND = {
  UNKN: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const

export type BtfKind = (typeof BTF_KIND)[keyof typeof BTF_KIND]

/** Linkage of a FUNC or VAR. FUNC: static 0, global 1, extern 2. VAR: static 0, global (allocated) 1, extern 2. */
export const BTF_LINKAGE = { STATIC: 0, GLOBAL: 1, EXTERN: 2 } as const

/** Encoding bits of an INT. */
export const BTF_INT = { SIGNED: 1, CHAR: 2, BOOL: 4 } as const

/** The kinds' names as Linux's messages write them, by number. Source: btf_kind_str in kernel/bpf/btf.c. */
export const BTF_KIND_NAMES: readonly string[] = [
  'UNKNOWN',
  'INT',
  'PTR',
  'ARRAY',
  'STRUCT',
  'UNION',
  'ENUM',
  'FWD',
  'TYPEDEF',
  'VOLATILE',
  'CONST',
  'RESTRICT',
  'FUNC',
  'FUNC_PROTO',
  'VAR',
  'DATASEC',
  'FLOAT',
  'DECL_TAG',
  'TYPE_TAG',
  'ENUM64',
]
