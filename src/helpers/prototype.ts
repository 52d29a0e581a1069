/**
 * What a helper takes and gives, in the terms of Linux's `struct bpf_func_proto`.
 *
 * Source: enum bpf_arg_type, enum bpf_return_type and enum bpf_type_flag in include/linux/bpf.h of Linux.
 */

export type ArgumentType =
  | 'ARG_ANYTHING'
  | 'ARG_CONST_MAP_PTR'
  | 'ARG_PTR_TO_MAP_KEY'
  | 'ARG_PTR_TO_MAP_VALUE'
  | 'ARG_PTR_TO_MEM'
  | 'ARG_PTR_TO_ARENA'
  | 'ARG_CONST_SIZE'
  | 'ARG_CONST_SIZE_OR_ZERO'
  | 'ARG_CONST_ALLOC_SIZE_OR_ZERO'
  | 'ARG_PTR_TO_CTX'
  | 'ARG_PTR_TO_SPIN_LOCK'
  | 'ARG_PTR_TO_SOCK_COMMON'
  | 'ARG_PTR_TO_SOCKET'
  | 'ARG_PTR_TO_BTF_ID'
  | 'ARG_PTR_TO_BTF_ID_SOCK_COMMON'
  | 'ARG_PTR_TO_RINGBUF_MEM'
  | 'ARG_PTR_TO_PERCPU_BTF_ID'
  | 'ARG_PTR_TO_FUNC'
  | 'ARG_PTR_TO_STACK'
  | 'ARG_PTR_TO_CONST_STR'
  | 'ARG_PTR_TO_TIMER'
  | 'ARG_KPTR_XCHG_DEST'
  | 'ARG_PTR_TO_DYNPTR'

export type TypeFlag =
  | 'PTR_MAYBE_NULL'
  | 'MEM_RDONLY'
  | 'MEM_RINGBUF'
  | 'MEM_UNINIT'
  | 'MEM_WRITE'
  | 'MEM_FIXED_SIZE'
  | 'MEM_ALIGNED'
  | 'OBJ_RELEASE'
  | 'DYNPTR_TYPE_LOCAL'
  | 'DYNPTR_TYPE_RINGBUF'

export type ReturnType =
  | 'RET_INTEGER'
  | 'RET_VOID'
  | 'RET_PTR_TO_MAP_VALUE'
  | 'RET_PTR_TO_SOCKET'
  | 'RET_PTR_TO_TCP_SOCK'
  | 'RET_PTR_TO_SOCK_COMMON'
  | 'RET_PTR_TO_MEM'
  | 'RET_PTR_TO_MEM_OR_BTF_ID'
  | 'RET_PTR_TO_BTF_ID'

export interface HelperArgument {
  readonly type: ArgumentType
  readonly flags: readonly TypeFlag[]
  /** Bytes of an ARG_PTR_TO_MEM with MEM_FIXED_SIZE. */
  readonly sizeBytes?: number
  /** Struct that an ARG_PTR_TO_BTF_ID points to. */
  readonly btfType?: string
}

export interface HelperPrototype {
  /** What a call instruction's immediate holds. */
  readonly id: number
  /** `bpf_map_lookup_elem`. */
  readonly name: string
  readonly arguments: readonly HelperArgument[]
  readonly returns: {
    readonly type: ReturnType
    readonly flags: readonly TypeFlag[]
    readonly btfType?: string
  }
  /** Only for programs with a GPL-compatible licence. */
  readonly gplOnly: boolean
  /** May sleep: only for sleepable programs. */
  readonly mightSleep: boolean
  /** May change packet data, so that packet pointers are void after it. */
  readonly changesPacket: boolean
  /** BPF_PROG_TYPE_* that may call it. */
  readonly programTypes: readonly number[]
}
