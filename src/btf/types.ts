/** One BTF type, decoded. The words in the file are in `btf.ts`; these are the values that a query returns. */
import type { BTF_KIND } from './kinds.ts'

declare const btfIdBrand: unique symbol

/** Index of a type in its BTF; 0 is `void`. Minted by `Btf` only, for ids that exist in it. */
export type BtfId = number & { readonly [btfIdBrand]: true }

type K = typeof BTF_KIND

interface Base<Kind extends number> {
  readonly id: BtfId
  readonly kind: Kind
  /** Empty for anonymous types. */
  readonly name: string
}

export interface BtfVoid extends Base<K['UNKN']> {}

export interface BtfInt extends Base<K['INT']> {
  /** Bytes of storage. */
  readonly size: number
  readonly isSigned: boolean
  readonly isChar: boolean
  readonly isBool: boolean
  /** Bits in use and where they start in the storage. */
  readonly bits: number
  readonly bitOffset: number
}

export interface BtfArray extends Base<K['ARRAY']> {
  readonly element: BtfId
  readonly index: BtfId
  readonly count: number
}

export interface BtfMember {
  /** Empty for an anonymous struct or union: its members belong to the enclosing one. */
  readonly name: string
  readonly type: BtfId
  /** From the start of the struct. */
  readonly bitOffset: number
  /** Bits of a bit field; 0 for an ordinary member. */
  readonly bitSize: number
}

export interface BtfComposite extends Base<K['STRUCT'] | K['UNION']> {
  /** Bytes. */
  readonly size: number
  readonly members: readonly BtfMember[]
}

export interface BtfEnum extends Base<K['ENUM'] | K['ENUM64']> {
  /** Bytes. */
  readonly size: number
  readonly isSigned: boolean
  readonly values: readonly { readonly name: string; readonly value: bigint }[]
}

export interface BtfForward extends Base<K['FWD']> {
  readonly isUnion: boolean
}

/** Types that are another type with something added. */
export interface BtfModifier
  extends Base<K['PTR'] | K['TYPEDEF'] | K['VOLATILE'] | K['CONST'] | K['RESTRICT'] | K['TYPE_TAG']> {
  readonly type: BtfId
  /** TYPE_TAG only: the name is an attribute of C as it stands (`address_space(1)`). Absent: it is a tag. */
  readonly isAttribute?: true
}

export interface BtfFunction extends Base<K['FUNC']> {
  /** The FUNC_PROTO. */
  readonly type: BtfId
  /** `BTF_LINKAGE`. */
  readonly linkage: number
}

export interface BtfPrototype extends Base<K['FUNC_PROTO']> {
  /** `void` is id 0. */
  readonly returns: BtfId
  readonly parameters: readonly { readonly name: string; readonly type: BtfId }[]
  /** Ends in `...`. */
  readonly isVariadic: boolean
}

export interface BtfVariable extends Base<K['VAR']> {
  readonly type: BtfId
  /** `BTF_LINKAGE`. */
  readonly linkage: number
}

export interface BtfDatasec extends Base<K['DATASEC']> {
  /** Bytes; 0 in clang's relocatable objects. */
  readonly size: number
  /** `type` is a VAR (or a FUNC for externs); offset and size in bytes. */
  readonly variables: readonly { readonly type: BtfId; readonly offset: number; readonly size: number }[]
}

export interface BtfFloat extends Base<K['FLOAT']> {
  /** Bytes. */
  readonly size: number
}

export interface BtfDeclTag extends Base<K['DECL_TAG']> {
  readonly type: BtfId
  /** Member or parameter that is tagged; -1 for the type itself. */
  readonly component: number
  /** The name is an attribute of C as it stands. Absent: it is a tag. */
  readonly isAttribute?: true
}

export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfForward
  | BtfModifier
  | BtfFunction
  | BtfPrototype
  | BtfVariable
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag

/** Function at an instruction. */
export interface FuncInfo {
  /** In 8-byte slots; from where is said by the holder (section start in `BtfExt`). */
  readonly instructionOffset: number
  /** A FUNC. */
  readonly type: BtfId
}

/** Source line of an instruction. */
export interface LineInfo {
  readonly instructionOffset: number
  /** Offset of the file's name and of the line's text in the string table of the BTF. */
  readonly fileNameOffset: number
  readonly lineOffset: number
  /** From 1; 0 for generated code. */
  readonly lineNumber: number
  readonly column: number
}

/** A CO-RE record: what clang asks the loader to recompute for the running kernel's types. */
export interface CoreRelocation {
  readonly instructionOffset: number
  /** Root type of the access, in the object's BTF. */
  readonly type: BtfId
  /** Offset of `access` in the strings of the BTF. */
  readonly accessOffset: number
  /** Access path `0:1:2`, or an enumerator's index, as text. */
  readonly access: string
  /** `BPF_CORE_*` (`enum bpf_core_relo_kind`). */
  readonly kind: number
}

/** The records of one section. */
export interface BtfExtSection<Record> {
  /** Name of the ELF section that the instructions are in. */
  readonly section: string
  readonly records: readonly Record[]
}

/** `.BTF.ext`, with instruction offsets in 8-byte slots from the start of the section. */
export interface BtfExt {
  readonly funcInfo: readonly BtfExtSection<FuncInfo>[]
  readonly lineInfo: readonly BtfExtSection<LineInfo>[]
  readonly coreRelocations: readonly BtfExtSection<CoreRelocation>[]
}
