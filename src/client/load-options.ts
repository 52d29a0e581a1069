import type { Btf } from '../btf/index.ts'
import type { BtfCodecOptions, BtfValue } from './btf-codec.ts'
import type { StructOpsChanges } from './struct-ops-plan.ts'

export interface LoadOptions {
  /** Names of the programs to load; the others are left out. Default: all but those of `SEC("?...")`. */
  readonly programs?: readonly string[]
  /** Program types for sections whose names say none: `BPF_PROG_TYPE_*` by program name. */
  readonly programTypes?: Readonly<Record<string, number>>
  /**
   * Loaded programs whose functions the programs of `freplace/NAME` sections replace (those of `fentry` and `fexit`
   * sections trace), by the name of the program to load.
   */
  readonly targetPrograms?: Readonly<Record<string, { readonly fd: number }>>
  /** Values of global variables, constants included, before the programs are loaded. */
  readonly globals?: Readonly<Record<string, BtfValue>>
  /** `max_entries` by map name, in the place of what the object says. */
  readonly maxEntries?: Readonly<Record<string, number>>
  /** Directory of a BPF file system for maps that are pinned by name. Default: `/sys/fs/bpf`. */
  readonly pinRoot?: string
  /**
   * Kernel configuration for `__kconfig` externs, before what the kernel says: `{ CONFIG_HZ: 250, CONFIG_SMP: true }`,
   * or the text of a `.config`.
   */
  readonly kconfig?: Readonly<Record<string, boolean | number | bigint | string>> | string
  /**
   * The kernel's types, for programs that are to be fitted to them (CO-RE) and for `__ksym` externs: a `.BTF` section.
   * Default: what the kernel has at /sys/kernel/btf/vmlinux, read once for all loads through the same `Syscalls`.
   */
  readonly targetBtf?: Btf | Uint8Array
  /**
   * Members of struct_ops variables in the place of what the object says, by variable and member; functions by the
   * names of programs, or null. Naming a variable of `SEC("?.struct_ops")` has it created.
   */
  readonly structOps?: Readonly<Record<string, StructOpsChanges>>
  /** How keys, values and global variables read that the object's BTF describes. */
  readonly values?: BtfCodecOptions
  /** Asks the verifier for a log of successful loads as well: 1 (instructions and states), 2 (more), 4 (figures). */
  readonly logLevel?: number
  /** Takes the logs that `logLevel` asks for. */
  readonly onLog?: (program: string, log: string) => void
}
