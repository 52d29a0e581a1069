/**
 * What an object file says, as plain data: the *Spec* half of the client.
 *
 * Rules: a Spec is deterministic (the same bytes give the same Spec, on every machine), holds no descriptor
 * and no address of a kernel, and shares the bytes of the file: whoever wants to change instructions or
 * contents copies them first. Every reference inside a Spec is symbolic: a map by name, a function by its
 * index in `functions`, an extern by name. `linkProgram` turns a program into what `BPF_PROG_LOAD` takes.
 */
import type { Btf, BtfExt, BtfId, CoreRelocation, LineInfo } from '../../btf/index.ts'

/** Everything that one object file says. */
export interface CollectionSpec {
  /** The object's name: file name without directories and `.bpf.o`/`.o`. It is the prefix of `<name>.rodata` in kernel names. */
  readonly name: string
  readonly byteOrder: 'little' | 'big'
  /** Contents of the `license` section up to the first NUL; empty where the file has none. */
  readonly license: string
  /** `LINUX_VERSION_CODE` form, from the `version` section; 0 where the file has none. */
  readonly version: number
  /** Entry points, in order of section and offset, as libbpf lists them. */
  readonly programs: readonly ProgramSpec[]
  /** Every function of the file, entry points included, in order of section and offset. */
  readonly functions: readonly FunctionSpec[]
  /** Maps of `.maps`, then of the legacy `maps` sections, then one per global-data section, then `.kconfig`. */
  readonly maps: readonly MapSpec[]
  /** What the object expects the kernel or its loader to provide. */
  readonly externs: readonly ExternSpec[]
  /** Variables of the `.struct_ops` sections. */
  readonly structOps: readonly StructOpsSpec[]
  /** Types of the file as clang wrote them. */
  readonly btf: Btf | undefined
  readonly btfExt: BtfExt | undefined
  /**
   * Bytes for `BPF_BTF_LOAD`: the `.BTF` section with DATASEC sizes and offsets filled in from the symbols and
   * externs made acceptable to the kernel. `undefined` where the file has no BTF.
   */
  readonly kernelBtf: Uint8Array | undefined
  /** Things that were read but will have no effect, for a tool to show. */
  readonly warnings: readonly string[]
}

/** One function as it stands in its section, before linking. */
export interface FunctionSpec {
  /** Position in `CollectionSpec.functions`. */
  readonly index: number
  readonly name: string
  readonly section: string
  readonly sectionIndex: number
  /** Byte offset of the first instruction in its section. */
  readonly sectionOffset: number
  /** Global or weak in the symbol table. */
  readonly isGlobal: boolean
  /** 8-byte slots exactly as in the file (the file's byte order, relocations not applied). Shares the file's bytes. */
  readonly instructions: Uint8Array
  /** Sorted by `instruction`; at most one per instruction. */
  readonly relocations: readonly RelocationSpec[]
  /** BTF id of the FUNC that describes it, from `.BTF.ext`. */
  readonly btfFunction: BtfId | undefined
  /** `instructionOffset` counts 8-byte slots from this function's start. */
  readonly lineInfos: readonly LineInfo[]
  /** `instructionOffset` counts 8-byte slots from this function's start. */
  readonly coreRelocations: readonly CoreRelocation[]
}

/** An entry point: a function that is loaded as a program of its own. */
export interface ProgramSpec extends FunctionSpec {
  /** What the name of the section says about type and attachment. */
  readonly definition: SectionDefinition
  /** False for `SEC("?...")`: loaded only when asked for by name. */
  readonly autoload: boolean
}

/** What one instruction refers to. `instruction` is the index of its (first) 8-byte slot in the function. */
export type RelocationSpec =
  /** `ldimm64` of a map's descriptor (`BPF_PSEUDO_MAP_FD`). */
  | { readonly kind: 'map'; readonly instruction: number; readonly map: string }
  /** `ldimm64` of an address inside the first value of an array map (`BPF_PSEUDO_MAP_VALUE`); `offset` in bytes. */
  | { readonly kind: 'mapValue'; readonly instruction: number; readonly map: string; readonly offset: number }
  /** Call of another function of the object (`BPF_PSEUDO_CALL`). */
  | { readonly kind: 'call'; readonly instruction: number; readonly callee: number; readonly name: string }
  /** `ldimm64` of a function's address (`BPF_PSEUDO_FUNC`), for `bpf_loop` and friends. */
  | {
      readonly kind: 'functionAddress'
      readonly instruction: number
      readonly callee: number
      readonly name: string
    }
  /** Call of a kernel function (`__ksym`, `BPF_PSEUDO_KFUNC_CALL`); `name` is in `CollectionSpec.externs`. */
  | { readonly kind: 'externCall'; readonly instruction: number; readonly name: string }
  /** `ldimm64` of an extern variable's address (`__ksym` or `__kconfig`); `name` is in `CollectionSpec.externs`. */
  | { readonly kind: 'extern'; readonly instruction: number; readonly name: string }

/** One map, as declared; `type` and `flags` are Linux's numbers. */
export interface MapSpec {
  /** Unique in the object: the variable's name, or the section's (`.rodata`) for global data. */
  readonly name: string
  /** What the kernel is told: at most 15 characters; `<object>.rodata` for global data, as libbpf cuts it. */
  readonly kernelName: string
  readonly origin: MapOrigin
  readonly type: number
  /** Bytes. */
  readonly keySize: number
  /** Bytes. */
  readonly valueSize: number
  /** As declared; 0 where the loader decides (perf event arrays: number of CPUs). */
  readonly maxEntries: number
  readonly flags: number
  readonly mapExtra: bigint
  readonly numaNode: number | undefined
  readonly pinning: 'none' | 'by-name'
  /** BTF ids of key and value: the value of a global-data map is its DATASEC. */
  readonly keyType: BtfId | undefined
  readonly valueType: BtfId | undefined
  /** DATASEC of the variables that an arena begins with, if it has some. */
  readonly variables?: BtfId | undefined
  /**
   * First (only) value of a global-data map, or what an arena begins with; shares the file's bytes. `undefined` means
   * all zero or none.
   */
  readonly initialValue: Uint8Array | undefined
  /** True for `.rodata` and `.kconfig`: frozen after the initial value is written. */
  readonly frozen: boolean
  /** Template of a map-in-map's inner maps. */
  readonly inner: MapSpec | undefined
  /** Initial elements of a map-in-map (`map`) or program array (`program`), key is the array index or hash key. */
  readonly values: readonly {
    readonly key: number
    readonly kind: 'map' | 'program'
    readonly name: string
  }[]
}

/** Where a map's declaration was found. */
export type MapOrigin = 'btf' | 'legacy' | 'data' | 'rodata' | 'bss' | 'kconfig'

/** A symbol that the object uses and does not define. */
export type ExternSpec = KconfigExtern | KsymExtern

/** `extern int CONFIG_HZ __kconfig`: a value that the loader writes into the `.kconfig` map. */
export interface KconfigExtern {
  readonly kind: 'kconfig'
  readonly name: string
  readonly isWeak: boolean
  readonly type: BtfId
  readonly valueKind: 'bool' | 'tristate' | 'char' | 'int' | 'char-array'
  readonly isSigned: boolean
  /** Byte offset in the `.kconfig` map's value. */
  readonly offset: number
  /** Bytes. */
  readonly size: number
}

/** `extern ... __ksym`: a kernel variable (typed or `void`) or a kernel function. */
export interface KsymExtern {
  readonly kind: 'ksym'
  readonly name: string
  readonly isWeak: boolean
  readonly isFunction: boolean
  /** The VAR or FUNC of the file's BTF; absent in objects without BTF. */
  readonly type: BtfId | undefined
}

/** A variable of a `.struct_ops` section. */
export interface StructOpsSpec {
  readonly name: string
  readonly section: string
  /** BTF id of the struct. */
  readonly type: BtfId
  /** Contents; shares the file's bytes. */
  readonly data: Uint8Array
  /** Function-pointer members that the file fills: byte offset in `data` and program name. */
  readonly members: readonly { readonly offset: number; readonly program: string }[]
  /** False for `SEC("?.struct_ops")`: created only when asked for. */
  readonly autocreate: boolean
}

/** What a `SEC()` name means. Numbers are Linux's. */
export interface SectionDefinition {
  /** The row that matched, e.g. `kprobe+`; empty where no row did. */
  readonly pattern: string
  /** `BPF_PROG_TYPE_UNSPEC` where no row matched: the caller must say. */
  readonly programType: number
  readonly expectedAttachType: number
  readonly sleepable: boolean
  /** XDP programs that accept multi-buffer frames. */
  readonly xdpFrags: boolean
  readonly attach: AttachTarget
}

/** Where a program goes, as far as its section name says. */
export type AttachTarget =
  /** The name says nothing: the caller attaches by hand (an interface, a cgroup, a socket, a symbol). */
  | { readonly kind: 'none' }
  | { readonly kind: 'kprobe'; readonly symbol: string; readonly offset: number; readonly isReturn: boolean }
  /** Functions whose names are of a pattern with `*` and `?`, or `symbols`, which no section can say. */
  | {
      readonly kind: 'kprobeMulti'
      readonly pattern: string
      readonly symbols?: readonly string[]
      readonly isReturn: boolean
      readonly isSession: boolean
    }
  /** `symbol` is empty where `offset` counts from the start of the file. */
  | {
      readonly kind: 'uprobe'
      readonly path: string
      readonly symbol: string
      readonly offset: number
      readonly isReturn: boolean
      readonly isMulti: boolean
      readonly isSession: boolean
    }
  | { readonly kind: 'ksyscall'; readonly syscall: string; readonly isReturn: boolean }
  | { readonly kind: 'usdt'; readonly path: string; readonly provider: string; readonly name: string }
  | { readonly kind: 'tracepoint'; readonly category: string; readonly name: string }
  | { readonly kind: 'rawTracepoint'; readonly name: string }
  /** `fentry`, `fexit`, `fmod_ret`, `tp_btf`, `lsm`, `iter`, `freplace`: a name to look up in the kernel's BTF. */
  | { readonly kind: 'btf'; readonly name: string; readonly module: string | undefined }
  | { readonly kind: 'structOps'; readonly name: string }
  /** The rest of the name is not of the row's form. */
  | { readonly kind: 'invalid'; readonly text: string; readonly expected: string }

/** A program with everything it calls, ready for `BPF_PROG_LOAD` once `references` are patched. */
export interface LinkedProgram {
  readonly name: string
  readonly program: ProgramSpec
  /** A fresh buffer: patch it in place. The object's byte order. */
  readonly instructions: Uint8Array
  /** What is still symbolic, sorted by `instruction` (slot index in the whole program). */
  readonly references: readonly LinkReference[]
  /** The functions in order of placement; the first is the program itself. `start` counts slots. */
  readonly functions: readonly { readonly function: FunctionSpec; readonly start: number }[]
  /** `struct bpf_func_info[]` (8 bytes each, offsets in slots); empty where the object has none for this program. */
  readonly funcInfo: Uint8Array
  /** `struct bpf_line_info[]` (16 bytes each, offsets in slots); empty where the object has none. */
  readonly lineInfo: Uint8Array
  /** CO-RE records of all functions, offsets in slots of the whole program. Not applied. */
  readonly coreRelocations: readonly CoreRelocation[]
}

/** The relocations that need a kernel (calls inside the object are already done). */
export type LinkReference = Exclude<RelocationSpec, { kind: 'call' | 'functionAddress' }>
