/**
 * What the verifier is given: a program as BPF_PROG_LOAD holds it, with descriptors already turned into what they
 * stand for. Pure data; the verifier changes none of it.
 */
import type { Btf } from '../btf/index.ts'
import type { Program } from '../isa/index.ts'
import type { ProvedFunction } from './facts.ts'
import type { StructOpsRules } from './program-types/struct-ops.ts'

/** A map as the verifier needs to know it. */
export interface MapSpec {
  /** `BPF_MAP_TYPE_*`. */
  readonly type: number
  readonly name: string
  /** Bytes. */
  readonly keySize: number
  /** Bytes. */
  readonly valueSize: number
  readonly maxEntries: number
  /** `BPF_F_*` of BPF_MAP_CREATE. */
  readonly flags: number
  /** What the values of a map of maps are. */
  readonly inner?: MapSpec
  /** `map_extra`. */
  readonly extra: bigint
  /** Where user space has an arena; 0n: nowhere yet. Default: somewhere. */
  readonly userStart?: bigint
  /** Types of key and value in `btf`; 0 when not known. */
  readonly keyTypeId: number
  readonly valueTypeId: number
  readonly btf?: Btf
  /** Programs and user space can no longer write to it. */
  readonly frozen: boolean
  /** Contents of a frozen map that programs may only read: what they read is known. */
  readonly value?: Uint8Array
}

/** A descriptor that names no map: a program that uses it is refused. */
export interface NoMap {
  readonly fd: number
  /** Positive: EBADF where it is no descriptor, EINVAL where it is one of something else. */
  readonly errno: number
}

/** What an index into `fd_array` stands for. */
export interface DescriptorEntry {
  readonly map?: MapSpec | NoMap
  readonly btf?: Btf
  /** The descriptor is a module's BTF that is not at hand. */
  readonly isModule?: boolean
}

export interface FunctionInfo {
  /** Slot of the function's first instruction. */
  readonly instruction: number
  /** FUNC in the program's BTF. */
  readonly typeId: number
}

export interface SourceLine {
  /** First slot that belongs to the line. */
  readonly instruction: number
  readonly file: string
  /** The source text of the line. */
  readonly text: string
  /** From 1. */
  readonly line: number
  readonly column: number
}

/** A `struct bpf_line_info`. */
export interface LineRecord {
  readonly instruction: number
  /** Offsets of names in the types' strings. */
  readonly file: number
  readonly text: number
}

/** A program whose functions others replace or trace, as it was proved. */
export interface TargetProgram {
  /** `BPF_PROG_TYPE_*`. */
  readonly programType: number
  readonly expectedAttachType: number
  /** The type whose context its functions take: an extension's is that of what it extends. */
  readonly contextType: number
  readonly functions: readonly ProvedFunction[]
  /** Whether its engine lets functions be replaced. */
  readonly isJited: boolean
  /** A tracing program of a tracing program. */
  readonly tracesTracing: boolean
}

/** What a tracing, LSM or struct_ops program, or an extension, is made for. */
export interface AttachTarget {
  /** Type id in `btf` (or the kernel's types). */
  readonly btfId: number
  /** Types of the program that it attaches to, where that has some; left out for the kernel's. */
  readonly btf?: Btf
  /** It attaches to another BPF program. */
  readonly isProgram?: boolean
  /** That program; absent: it is not at hand, and whatever attaches to it is refused. */
  readonly program?: TargetProgram
}

export interface ProgramInput {
  /** Structs of functions that programs may implement. Default: those of Linux. */
  readonly structOps?: Readonly<Record<string, StructOpsRules>>
  /** Tells how long the proof took, for the log. Default: it takes no time. */
  readonly clockNs?: () => bigint
  readonly instructions: Program
  /** `BPF_PROG_TYPE_*`. */
  readonly programType: number
  /** `BPF_*` attach type. */
  readonly expectedAttachType: number
  /** `BPF_F_*` of BPF_PROG_LOAD. */
  readonly flags: number
  /** The licence string; helpers may ask for a GPL-compatible one. */
  readonly license: string
  readonly name: string
  /** Maps that wide instructions name, by the `imm` of source 1 and 2: an index, or a descriptor. */
  readonly maps: { readonly [imm: number]: MapSpec | NoMap | undefined }
  readonly descriptors: readonly (DescriptorEntry | undefined)[]
  readonly btf?: Btf
  readonly functions: readonly FunctionInfo[]
  readonly lines: readonly SourceLine[]
  /** The line information as it was handed over, where it is to be checked, too. */
  readonly lineRecords?: readonly LineRecord[]
  readonly attach?: AttachTarget
  /**
   * Whether the kernel has the helper with a number; what it has not, no program can use. Default: it has what a Linux
   * has that lets no program have functions return (`CONFIG_BPF_KPROBE_OVERRIDE`).
   */
  readonly hasHelper?: (id: number) => boolean
  /** Whether the kernel's function of this name has an address. Default: all do, but one that compilers inline. */
  readonly hasFunction?: (name: string) => boolean
  /**
   * Whether the kernel's function of this name may return an error at once: programs may change what it returns, and
   * sleep where it begins. Default: system calls, by the names that Linux gives them.
   */
  readonly isErrorInjectable?: (name: string) => boolean
  /** Whether programs may write to user memory, as where a kernel is not locked down. Default: they may not. */
  readonly mayWriteUserMemory?: boolean
  /** Bytes of the kernel's `struct pt_regs`, the context of kprobes. Default: x86-64's. */
  readonly registersBytes?: number
  /** Types of the operating system's kernel; without them, kernel pointers are refused. */
  readonly kernelTypes?: Btf
  /** 0: only the verdict. 1: the failing path. 2: all paths. 4: statistics. They add up. */
  readonly logLevel: number
}
