/**
 * System calls that the guest's own user programs make to this project's kernel: bpf(2), perf_event_open(2), and
 * calls on the descriptors that these return.
 *
 * The guest hands them on by an SBI call: extension TRACER_EXTENSION, function = the Linux system call number,
 * a0..a5 = its arguments as the program gave them, result in `sbiret.value`. Three numbers are notices about the
 * calling task instead: clone (a0 = the child's pid, after it was made), execve, exit.
 *
 * Rules: a guest process has a descriptor table of its own here, whose numbers begin at TRACER_FD_BASE (the
 * guest's own are below). Its pointers are looked up in the address space of the task that the calling hart is
 * running, at that moment only.
 */
import { EFAULT, ESRCH } from '../../abi/index.ts'
import type { Kernel, Port, Process, UserAccess } from '../../kernel/index.ts'

export const TRACER_EXTENSION = 0x0a42_5046
export const TRACER_FD_BASE = 512

/** Function ids of the three notices: their system call numbers. */
const CLONE = 220
const EXECVE = 221
const EXIT = 94

export class TracerCalls implements Disposable {
  readonly #kernel: Kernel
  readonly #port: Port
  readonly #processes = new Map<number, Process>()
  /** The hart whose call is being answered. */
  #cpu = 0
  readonly #memory: UserAccess = {
    read: (pointer, into) => this.#port.readUser(this.#cpu, pointer, into) !== -EFAULT,
    write: (pointer, bytes) => this.#port.writeUser(this.#cpu, pointer, bytes) !== -EFAULT,
  }

  constructor(kernel: Kernel, port: Port) {
    this.#kernel = kernel
    this.#port = port
  }

  /** Answers one call of the task that hart `cpu` is running: a value, or -errno. */
  handle(cpu: number, functionId: number, args: readonly bigint[]): bigint {
    this.#cpu = cpu
    const task = this.#port.currentTask(cpu)
    if (task === undefined) return BigInt(-ESRCH)
    const [a0 = 0n, a1 = 0n, a2 = 0n, a3 = 0n, a4 = 0n, a5 = 0n] = args
    switch (functionId) {
      case CLONE: {
        const pid = Number(a0)
        const parent = this.#processes.get(task.tgid)
        if (parent !== undefined) this.#processes.set(pid, parent.fork({ memory: this.#memory, pid }))
        return 0n
      }
      case EXECVE:
        this.#processes.get(task.tgid)?.exec()
        return 0n
      case EXIT:
        this.#processes.get(task.tgid)?.exit()
        this.#processes.delete(task.tgid)
        return 0n
      default:
        return this.#processOf(task.tgid, task.uid, task.comm).syscall(functionId, a0, a1, a2, a3, a4, a5)
    }
  }

  #processOf(pid: number, uid: number, comm: string): Process {
    const known = this.#processes.get(pid)
    if (known !== undefined) return known
    const made = this.#kernel.createProcess({ memory: this.#memory, firstFd: TRACER_FD_BASE, pid, uid, comm })
    this.#processes.set(pid, made)
    return made
  }

  [Symbol.dispose](): void {
    for (const process of this.#processes.values()) process.exit()
    this.#processes.clear()
  }
}
