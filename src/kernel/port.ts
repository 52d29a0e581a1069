/**
 * The second waist: what an operating system lends to the eBPF subsystem, and all that a porter implements.
 *
 * It knows nothing of map types, program types or the VM. Every call can fail and says how: 0 or a negative
 * error number, or `undefined` where there is no answer. Nothing here blocks. One object per operating system
 * instance; two kernels can live in one process.
 */
import type { ProbeTarget } from '../probes/target.ts'

/** A function or object of the operating system's kernel. */
export interface KernelSymbol {
  readonly name: string
  readonly address: bigint
  /** Bytes; 0 where the symbol table does not say. */
  readonly sizeBytes: number
  /** Whether it is code. */
  readonly isFunction: boolean
}

/** The task that a CPU is running, as tracing programs see it. */
export interface TaskIdentity {
  /** Thread id: `bpf_get_current_pid_tgid()` & 0xffffffff. */
  readonly pid: number
  /** Thread group id, what user space calls the process id. */
  readonly tgid: number
  readonly uid: number
  readonly gid: number
  /** At most 15 bytes. */
  readonly comm: string
  /** Of the operating system's own structure: `bpf_get_current_task()`. 0 or absent: it does not say. */
  readonly address?: bigint | undefined
}

export interface Port extends ProbeTarget {
  /** A short name for messages: `embedded riscv64`, `qemu over gdb`. */
  readonly name: string

  /** Copies from kernel memory as CPU `cpu` sees it now; -EFAULT (and nothing copied) where unmapped. */
  readKernel(cpu: number, address: bigint, into: Uint8Array): number
  writeKernel(cpu: number, address: bigint, bytes: Uint8Array): number
  /** Copies from the memory of the task that `cpu` is running; -EFAULT where unmapped or not a user address. */
  readUser(cpu: number, address: bigint, into: Uint8Array): number
  writeUser(cpu: number, address: bigint, bytes: Uint8Array): number

  /** The kernel's symbols in the order of their addresses. */
  symbols(): readonly KernelSymbol[]
  symbolByName(name: string): KernelSymbol | undefined
  /** The symbol that covers `address`, or undefined. */
  symbolAt(address: bigint): KernelSymbol | undefined

  /** The kernel's types: the bytes of a `.BTF` section; undefined where it has none. */
  typeInformation(): Uint8Array | undefined

  /** The task that `cpu` is running; undefined while it runs none (boot, idle). */
  currentTask(cpu: number): TaskIdentity | undefined

  /**
   * Whether a task with this thread id exists. Where given, calls that a task's end has cut short no longer
   * count against a kretprobe's `maxactive`.
   */
  taskExists?(pid: number): boolean

  /** All tasks, threads too, each with its address. Absent: they cannot be listed, and only the current one is known. */
  allTasks?(): readonly TaskIdentity[]

  /**
   * Addresses of the frames that led to where `cpu` stands, innermost first. Absent or undefined: they cannot be
   * found, and a kernel stack is the probed address alone.
   */
  backtrace?(cpu: number, space: 'kernel' | 'user'): readonly bigint[] | undefined

  /**
   * Sends the task that `cpu` is running a signal by Linux's number, to be delivered when the task next returns to its
   * own code, never in the middle of the kernel. `thread`: to this thread, otherwise to any of its process. 0 only asks.
   * 0; -EPERM where the CPU runs no task of a user, one that is ending, or the first process; -EBUSY where another one
   * is still on its way. Absent: tasks have no signals, and programs are told -EPERM.
   */
  sendSignal?(cpu: number, signal: number, scope: 'process' | 'thread'): number

  /**
   * Whether programs may have the function that begins at `address` return at once, with a value of their own
   * (`bpf_override_return`): all that calls it must be ready for any error from it. Absent: there is no such function.
   */
  mayOverride?(address: bigint): boolean

  /**
   * Takes a frame, from its link layer's header on, that XDP programs have let go in a test run with live frames: `pass`,
   * to the network stack, as one that came in by the loopback device; `transmit`, out by that device. The bytes are the
   * port's to keep. Absent: frames end where they would have gone to the stack, and the device takes none.
   */
  receiveFrame?(frame: Uint8Array, way: 'pass' | 'transmit'): void

  /** Nanoseconds since boot, without (`monotonic`) and with (`boot`) the time spent suspended. */
  clockNs(clock: 'monotonic' | 'boot'): bigint
}
