/** A process: its descriptors, its memory, and the system calls that work on them. */

import type { KernelCore } from './core.ts'
import { DescriptorTable } from './descriptors.ts'
import type { OpenFile } from './open-file.ts'
import { dispatch } from './syscall-table.ts'
import type { Process, ProcessOptions, UserAccess } from './types.ts'

export class KernelProcess implements Process {
  readonly core: KernelCore
  readonly pid: number
  readonly uid: number
  readonly comm: string
  #memory: UserAccess
  #table: DescriptorTable

  constructor(core: KernelCore, options: ProcessOptions, table?: DescriptorTable) {
    this.core = core
    this.pid = options.pid ?? 0
    this.uid = options.uid ?? 0
    this.comm = options.comm ?? 'process'
    this.#memory = options.memory
    this.#table = table ?? new DescriptorTable(options.firstFd ?? 0)
    core.processes.add(this)
  }

  get memory(): UserAccess {
    return this.#memory
  }

  get table(): DescriptorTable {
    return this.#table
  }

  file(fd: number): OpenFile | undefined {
    return this.#table.get(fd)
  }

  /** Gives `file` a number; takes over the caller's reference. */
  install(file: OpenFile, closeOnExec: boolean): number {
    return this.#table.install(file, closeOnExec)
  }

  syscall(nr: number, a0 = 0n, a1 = 0n, a2 = 0n, a3 = 0n, a4 = 0n, a5 = 0n): bigint {
    const { timed } = this.core
    timed.runDue()
    const result = dispatch(this, nr, [a0, a1, a2, a3, a4, a5])
    timed.runDue()
    return result
  }

  owns(fd: number): boolean {
    return this.#table.get(fd) !== undefined
  }

  fork(options: { readonly memory: UserAccess; readonly pid?: number }): KernelProcess {
    return new KernelProcess(
      this.core,
      { uid: this.uid, comm: this.comm, pid: options.pid ?? this.pid, memory: options.memory },
      this.#table.clone(),
    )
  }

  exec(memory?: UserAccess): void {
    this.#table.exec()
    if (memory !== undefined) this.#memory = memory
  }

  exit(): void {
    this.#table.closeAll()
    this.core.processes.delete(this)
  }

  [Symbol.dispose](): void {
    this.exit()
  }
}
