/**
 * What a helper body sees of the world: the kernel lends one `HelperEnvironment` for the duration of one run.
 *
 * Rules
 * - A body takes r1..r5 as they stand, 64 bits unsigned, and gives r0, which the caller wraps to 64 bits.
 * - Pointer arguments are claims: a body checks each against the arena and answers a `HelperFault` where a
 *   program without proof passed a bad one. For a verified program that cannot happen.
 * - A failure that Linux reports to the program is an -errno in r0, not a fault.
 */
import type { Btf } from '../btf/index.ts'
import type { BpfMap } from '../maps/index.ts'
import type { Access, Arena, PacketBuffer } from '../memory/index.ts'
import type { ObjectHeap } from './objects.ts'
import type { SeqText } from './seq-text.ts'
import type { TimedCalls } from './timed.ts'

/** The task that the CPU is running, as tracing programs see it. */
export interface HelperTask {
  /** Thread id. */
  readonly pid: number
  /** Thread group id. */
  readonly tgid: number
  readonly uid: number
  readonly gid: number
  /** At most 15 bytes. */
  readonly comm: string
  /** Of the operating system's own structure, where it says. */
  readonly address?: bigint | undefined
}

/** Of the process that has a program run: what the program may ask for on its behalf. All are -errno where they fail. */
export interface SystemCalls {
  /** bpf(2) with an attribute in the program's memory. */
  bpf(command: number, pointer: bigint, sizeBytes: number): number
  close(fd: number): number
}

/** Whom a signal is for: any thread of the process, or the one that runs. */
export type SignalScope = 'process' | 'thread'

/** Where a program has said that its frame is to go. */
export type FrameTarget =
  | { readonly kind: 'device'; readonly index: number }
  | { readonly kind: 'entry'; readonly map: BpfMap; readonly index: number }
  /** To all devices of the map. */
  | { readonly kind: 'all'; readonly map: BpfMap; readonly exceptIngress: boolean }

/** What the last helper said, until a frame is redirected there. */
export interface Redirection {
  target: FrameTarget | undefined
}

export interface HelperEnvironment {
  readonly arena: Arena
  readonly cpu: number
  /** Pointer to the run's context. */
  readonly context: bigint
  /** What programs have allocated; absent: they cannot. */
  readonly objects?: ObjectHeap | undefined
  /** Callbacks that run later; absent: there are none. */
  readonly timed?: TimedCalls | undefined
  /** Of an iterator's program: what it writes to, and the address of the `seq_file` that stands for it. */
  readonly seq?: { readonly address: bigint; readonly text: SeqText } | undefined
  /** The packet of a run that has one; of a tracing program, that of the program that it traces. */
  readonly packetBuffer?: PacketBuffer | undefined
  /** Pointer to the context that the packet belongs to. Absent: to the run's own. */
  readonly packetContext?: bigint | undefined
  /** Of a run with a live frame: where it goes if the program returns XDP_REDIRECT. Absent: nowhere. */
  readonly redirection?: Redirection | undefined
  /** The map whose header is at `address`. */
  mapAt(address: bigint): BpfMap | undefined
  /** Nanoseconds since boot without the time spent suspended. */
  monotonicNs(): bigint
  /** Nanoseconds since boot with it. */
  bootNs(): bigint
  task(): HelperTask | undefined
  /** All tasks, threads too; absent where they cannot be listed. */
  tasks?(): readonly HelperTask[]
  /** Adds to the words of a program (`caller`) for those who look after it: stream 1 or 2. False: there is no room. */
  writeStream?(caller: object, stream: number, text: string): boolean
  /** Whether the thread with this id has not ended; without it values of ended tasks stay. */
  taskExists?(pid: number): boolean
  /** Addresses of the frames that led here, innermost first; undefined where they cannot be found. */
  backtrace?(space: 'kernel' | 'user'): readonly bigint[] | undefined
  /** 32 random bits, unsigned. */
  random(): number
  /** 64 random bits that stay the same for as long as the kernel lives, for SYN cookies. Absent: 0. */
  syncookieSecret?(): bigint
  /** Copies from the operating system's kernel memory: 0, or -EFAULT. Arena addresses never come here. */
  readKernel(address: bigint, into: Uint8Array): number
  /** Copies from the current task's memory: 0, or -EFAULT. */
  readUser(address: bigint, into: Uint8Array): number
  /** Copies to the current task's memory: 0, or -EFAULT. Absent: programs may not. */
  writeUser?(address: bigint, bytes: Uint8Array): number
  /** One line for the trace pipe, its newline as the program wrote it; the pipe adds task, CPU and time. */
  tracePrint(text: string): void
  /** Runs the subprogram at `address`; undefined: it faulted, and the whole run is to be aborted. */
  callback(address: bigint, r1: bigint, r2: bigint, r3: bigint, r4: bigint): bigint | undefined
  /** What the engine runs that called: where subprograms lie that are to be called after it has ended. */
  caller?: object | undefined
  /** Address that the program's probe sits on, for bpf_get_func_ip; 0 where there is none. */
  probedAddress(): bigint
  /** The kernel symbol that covers `address`, for %ps and %pS; without it they print the address. */
  symbolAt?(
    address: bigint,
  ): { readonly name: string; readonly address: bigint; readonly sizeBytes: number } | undefined
  /** Absent where no process has the program run. */
  readonly system?: SystemCalls | undefined
  /** Id of one of the kernel's types; undefined: there is none of this name and kind. */
  typeId?(name: string, kind: number): number | undefined
  /** The kernel's types; undefined: it has none. */
  kernelTypes?(): Btf | undefined
  /** Address of one of the kernel's symbols; undefined: there is none of this name. */
  symbolAddress?(name: string): bigint | undefined
  /**
   * Sends the task that is running a signal, which reaches it when it next returns to its own code: 0, -EPERM where it
   * may not be sent one, -EBUSY. Signal 0 only asks. Absent: no task can be sent one.
   */
  sendSignal?(signal: number, scope: SignalScope): number
  /** The function that the probe stopped at is to return `value` at once: 0 or -errno. Absent: it cannot. */
  overrideReturn?(value: bigint): number
  /** The value of a map of control groups' storage that belongs to this run. Absent: the run belongs to no group. */
  localStorage?(map: BpfMap): bigint | undefined
  /** What LINK_CREATE's `bpf_cookie` said; 0 by default. */
  attachCookie(): bigint
}

/** A bad pointer in an argument: the run is to be aborted. */
export interface HelperFault {
  readonly kind: 'fault'
  /** 1..5; the register that held the pointer. */
  readonly argument: number
  readonly address: bigint
  readonly sizeBytes: number
  readonly access: Exclude<Access, 'none'> | 'map' | 'record' | 'call'
  /** A sentence for the log. */
  readonly reason: string
}

/** bpf_tail_call found its target: the caller goes on in `program` with r1 as it was; it does not come back. */
export interface TailCall {
  readonly kind: 'tailCall'
  /** The entry that the kernel put into the program array. */
  readonly program: object
}

/** bpf_throw: all frames end, and what the program's exception callback makes of the cookie is what it returns. */
export interface Thrown {
  readonly kind: 'throw'
  readonly cookie: bigint
}

/** r0 (any integer, wrapped to 64 bits by the caller), or a reason not to go on after the call. */
export type HelperResult = bigint | HelperFault | TailCall | Thrown

export type HelperBody = (
  env: HelperEnvironment,
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
) => HelperResult
