/**
 * What a part of the operating system's kernel says of a struct of functions that programs may implement for it: an
 * embedder gives it in `KernelOptions.structOps`.
 */

/** One struct of functions, as programs have implemented it: what the kernel calls. */
export interface StructOps {
  /** The map's name. */
  readonly name: string
  /** The struct's bytes as user space wrote them; where functions stand, the ids of programs. */
  readonly data: Uint8Array
  /** Whether there is a program for the member. */
  has(member: string): boolean
  /**
   * Calls a member with up to twelve arguments: numbers and pointers as they are, memory as a pointer to a copy that is
   * copied back. r0, or undefined where there is no program or it could not run. Structs that programs may write to
   * must come as memory.
   */
  call(member: string, args: readonly (bigint | Uint8Array)[], cpu?: number): bigint | undefined
}

/** The members that a map's struct has beside its functions, when they are set. */
export interface StructOpsMemberValue {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface StructOpsType {
  /**
   * Of the struct in the kernel's types, which must also have `bpf_struct_ops_<name>`: the value of its maps, with the
   * struct as its member `data`. Without them, the type is not there.
   */
  readonly name: string
  /** Members that no program may implement. */
  readonly unsupported?: readonly string[]
  /** Members whose programs may sleep. */
  readonly sleepable?: readonly string[]
  /** Members of structs that programs may write, by struct. */
  readonly writable?: Readonly<Record<string, readonly string[]>>
  /** 1: done with the member; 0 (default): a function, or zero; or -errno. */
  initMember?(value: StructOpsMemberValue): number
  /** 0 or -errno, once all members are set. */
  validate?(ops: StructOps): number
  /** 0 or -errno. From now on it is called. */
  register(ops: StructOps): number
  unregister(ops: StructOps): void
  /** Takes the place of `old`: 0 or -errno. Absent: that cannot be. */
  update?(ops: StructOps, old: StructOps): number
}
