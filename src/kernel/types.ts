/** What a kernel's embedder gives and gets: options in, `Kernel` and `Process` out. */
import type { Syscalls } from '../abi/syscalls.ts'
import type { Verifier } from '../verifier/index.ts'
import type { Port } from './port.ts'
import type { StructOpsType } from './struct-ops/types.ts'

/**
 * The memory of a process, seen from the kernel. A user's pointer is a claim until one of these has looked at
 * it; a kernel copies in once and never reads the same range again.
 */
export interface UserAccess {
  /** Fills `into` from `pointer`; false (EFAULT) where any byte is not readable. */
  read(pointer: bigint, into: Uint8Array): boolean
  /** Copies `bytes` to `pointer`; false (EFAULT) where any byte is not writable. */
  write(pointer: bigint, bytes: Uint8Array): boolean
  /**
   * Shows kernel memory to the process and returns where, or undefined where there is no room. Absent where the
   * process cannot share memory with this kernel: mmap(2) is then -ENODEV.
   */
  map?(mapping: Mapping): bigint | undefined
  /** Ends a mapping that `map` made; false where there is none at exactly this place. */
  unmap?(address: bigint, lengthBytes: number): boolean
}

export interface MappingPlace {
  /** A multiple of the page size; 0n: anywhere. */
  readonly address: bigint
  /** There or nowhere. */
  readonly isRequired: boolean
  /** All of its addresses have the same upper 32 bits. */
  readonly keepsUpperWord: boolean
}

/** Kernel memory that a process asks to see; `close` is called when it is unmapped. */
export interface Mapping {
  readonly lengthBytes: number
  readonly writable: boolean
  /** Where it is to lie. Default: anywhere. */
  readonly place?: MappingPlace
  /** Accesses are split at multiples of this, since no more lies in one piece. Default: all of it does. */
  readonly pieceBytes?: number
  /**
   * `sizeBytes` of the memory itself from byte `start` on; undefined where touching it is a fault. Ask at each access:
   * growing the kernel's memory moves it.
   */
  bytes(start: number, sizeBytes: number): Uint8Array | undefined
  /** It has been shown at `address`. */
  opened?(address: bigint): void
  close(): void
}

export interface ProcessOptions {
  readonly memory: UserAccess
  /** The lowest descriptor that this kernel gives out. Default 0; a guest's own descriptors lie below. */
  readonly firstFd?: number
  /** What `current` is to the process's own calls. Default: pid 0, comm `process`. */
  readonly pid?: number
  readonly uid?: number
  readonly comm?: string
}

/** A process of the operating system that calls this kernel: its descriptor table and its memory. */
export interface Process extends Disposable {
  /**
   * One system call by its number on riscv64 (the generic table): bpf 280, perf_event_open 241, ioctl 29,
   * close 57, openat 56, mmap 222, munmap 215, ppoll 73, read 63, dup 23, dup3 24, fcntl 25. Returns a value or
   * -errno; other numbers are -ENOSYS. Never blocks: ppoll answers what is ready now (0: nothing), read of an
   * empty trace pipe -EAGAIN; the operating system sleeps and asks again.
   */
  syscall(nr: number, a0?: bigint, a1?: bigint, a2?: bigint, a3?: bigint, a4?: bigint, a5?: bigint): bigint
  /** Whether `fd` is a descriptor of this kernel, and not of the operating system's own. */
  owns(fd: number): boolean
  /** fork(2): a process with the same descriptors. */
  fork(options: { readonly memory: UserAccess; readonly pid?: number }): Process
  /** execve(2): closes what is marked close-on-exec; the memory is a new one. */
  exec(memory?: UserAccess): void
  /** Closes every descriptor; same as disposing it. */
  exit(): void
}

/** A run-time error of a program: what a verifier would have refused. */
export interface ProgramFault {
  readonly programId: number
  readonly programName: string
  /** Index of the instruction that could not go on; -1 where it is not known. */
  readonly instruction: number
  readonly message: string
}

export interface KernelStats {
  readonly maps: number
  readonly programs: number
  readonly links: number
  /** Type information that user space has loaded. */
  readonly btfs: number
  /** What programs have allocated and not let go of. */
  readonly objects: number
  /** Descriptors open in all processes. */
  readonly descriptors: number
  readonly probes: number
  /** Runs that did not happen because the program was already running on that CPU. */
  readonly recursionMisses: number
  readonly faults: number
  /** Lines that the trace pipe had no room for. */
  readonly traceLinesLost: number
  readonly arenaBytesInUse: number
}

export interface ClientOptions {
  readonly pid?: number
  readonly comm?: string
  /** Default 3. */
  readonly firstFd?: number
}

/** A client in this process: the system calls, and memory that `mmap` aliases with the kernel's. */
export interface Client extends Syscalls, Disposable {
  /** mkdir(2), on the BPF file system under /sys/fs/bpf: 0 or -errno. */
  mkdir(path: string): number
  rmdir(path: string): number
  /** unlink(2): takes a pinned object's name away. */
  unlink(path: string): number
  /** The names in a directory, or -errno. */
  readDirectory(path: string): readonly string[] | number
}

export interface KernelOptions {
  /**
   * Structs of functions that programs may implement for the operating system's kernel. `bpf_dummy_ops` is there where
   * the kernel's types have it.
   */
  readonly structOps?: readonly StructOpsType[]
  readonly port: Port
  /** Says which programs may run. Default: `ProvingVerifier`. What it leaves unproved runs with every access checked. */
  readonly verifier?: Verifier
  /** How programs are run. Default: `jit`. */
  readonly engine?: 'jit' | 'interpreter'
  /** Bytes that maps, contexts and stacks may take together. Default and most: 2 GiB. */
  readonly arenaBytes?: number
  /** Instructions that one run of a program may execute. Default 2^31 - 1; more than that is a fault. */
  readonly instructionBudget?: number
  /** 32 random bits, unsigned, for bpf_get_prandom_u32 and hash seeds. Default: a fixed sequence. */
  readonly random?: () => number
  /** What run statistics measure with. Default: the port's monotonic clock. */
  readonly profilingClockNs?: () => bigint
  /** Bytes of kept trace pipe text. Default 1 MiB. */
  readonly tracePipeBytes?: number
  /** Told when a timer is started that is due before all others; see `Kernel.nextTimerNs`. */
  readonly onTimer?: () => void
  /** Told of each run-time error of a program; they are counted in any case. */
  readonly onProgramFault?: (fault: ProgramFault) => void
}

/** The eBPF subsystem of one operating system instance. */
export interface Kernel extends Disposable {
  readonly port: Port
  createProcess(options: ProcessOptions): Process
  openClient(options?: ClientOptions): Client
  stats(): KernelStats
  /**
   * When the next callback is due that a program has set off (bpf_timer, bpf_wq), by the port's monotonic clock, so that
   * whoever drives the operating system calls `runTimers` then; undefined: none waits.
   */
  nextTimerNs(): bigint | undefined
  /** Runs the callbacks that are due. They also run before and after each system call. */
  runTimers(): void
  /** The last run-time errors, newest last; at most 64 are kept. */
  faults(): readonly ProgramFault[]
}
