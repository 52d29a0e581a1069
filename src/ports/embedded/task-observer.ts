/**
 * Who is running: reads the demo kernel's `struct cpu` and `struct task` from outside.
 *
 * Rules: the layout comes from the kernel's own BTF, never from numbers written down here, so a rebuilt kernel
 * needs no change. Every
 * question reads the guest's memory anew: a task that the CPU has left is not remembered. The
 * names that are read are an interface of the guest (guest/README.md).
 */
import { EPERM } from '../../abi/index.ts'
import { type Btf, findComposite, findMember, type MemberPlace } from '../../btf/index.ts'
import type { TaskIdentity } from '../../kernel/index.ts'

/** Fills `into` from a kernel virtual address; false where it is not mapped. */
export type KernelReader = (cpu: number, address: bigint, into: Uint8Array) => boolean

/** Where the guest keeps its CPUs and its tasks: two arrays. */
export interface TaskArrays {
  readonly cpus: bigint
  readonly tasks: bigint
  /** Bytes of all of `tasks`. */
  readonly tasksBytes: number
}

interface Layout {
  readonly cpuBytes: number
  readonly current: MemberPlace
  readonly hartid: MemberPlace
  readonly pid: MemberPlace
  readonly tgid: MemberPlace
  readonly uid: MemberPlace
  readonly gid: MemberPlace
  readonly comm: MemberPlace
  /** Bytes from the start of `struct task` that hold all that is read of it. */
  readonly taskBytes: number
  /** Bytes from one task to the next. */
  readonly taskStride: number
  readonly state: MemberPlace
  /** What ends the task before it returns to user mode, if the kernel has signals. */
  readonly killSignal: MemberPlace | undefined
  /** Values of `state` of a slot whose task has ended, or that has none. */
  readonly ended: ReadonlySet<number>
}

const INIT_PID = 1
/** None, SIGCHLD, SIGCONT. */
const HARMLESS_SIGNALS: readonly number[] = [0, 17, 18]

const decoder = new TextDecoder()

/** A task as it was when it was read; the name is decoded once, where somebody asks for it. */
class ObservedTask implements TaskIdentity {
  readonly pid: number
  readonly tgid: number
  readonly uid: number
  readonly gid: number
  readonly address: bigint
  readonly #comm: Uint8Array
  #name: string | undefined

  constructor(layout: Layout, task: DataView, address: bigint) {
    this.address = address
    this.pid = task.getUint32(layout.pid.offset, true)
    this.tgid = task.getUint32(layout.tgid.offset, true)
    this.uid = task.getUint32(layout.uid.offset, true)
    this.gid = task.getUint32(layout.gid.offset, true)
    this.#comm = new Uint8Array(task.buffer, layout.comm.offset, layout.comm.size).slice()
  }

  get comm(): string {
    if (this.#name === undefined) {
      const end = this.#comm.indexOf(0)
      this.#name = decoder.decode(end < 0 ? this.#comm : this.#comm.subarray(0, end))
    }
    return this.#name
  }
}

/** What was last read for one hart. The same bytes make the same identity, so most questions allocate nothing. */
class HartView {
  /** Address of the hart's `struct cpu`, once found: the array never moves. */
  cpuAddress: bigint | undefined
  readonly pointer = new DataView(new ArrayBuffer(8))
  readonly pointerBytes = new Uint8Array(this.pointer.buffer)
  readonly task: DataView
  readonly taskBytes: Uint8Array
  readonly #layout: Layout
  #seen: Uint8Array | undefined
  #identity: TaskIdentity | undefined

  constructor(layout: Layout) {
    this.#layout = layout
    this.task = new DataView(new ArrayBuffer(layout.taskBytes))
    this.taskBytes = new Uint8Array(this.task.buffer)
  }

  /** The identity that `taskBytes`, read from `address`, spell. */
  identity(address: bigint): TaskIdentity {
    const { taskBytes } = this
    const seen = this.#seen
    if (seen !== undefined && this.#identity !== undefined) {
      let i = 0
      while (i < seen.length && seen[i] === taskBytes[i]) i++
      if (i === seen.length) return this.#identity
    }
    this.#seen = taskBytes.slice()
    this.#identity = new ObservedTask(this.#layout, this.task, address)
    return this.#identity
  }
}

export class TaskObserver {
  readonly #layout: Layout
  readonly #arrays: TaskArrays
  readonly #read: KernelReader
  readonly #views: readonly HartView[]
  readonly #cpuCount: number

  private constructor(layout: Layout, arrays: TaskArrays, cpuCount: number, read: KernelReader) {
    this.#layout = layout
    this.#arrays = arrays
    this.#cpuCount = cpuCount
    this.#read = read
    this.#views = Array.from({ length: cpuCount }, () => new HartView(layout))
  }

  /** An observer, or what the kernel's types lack. */
  static create(btf: Btf, arrays: TaskArrays, cpuCount: number, read: KernelReader): TaskObserver | string {
    const layout = layoutOf(btf)
    if (typeof layout === 'string') return layout
    return new TaskObserver(layout, arrays, cpuCount, read)
  }

  /** The task that hart `cpu` is running; undefined while the kernel boots there. */
  current(cpu: number): TaskIdentity | undefined {
    const view = this.#views[cpu] as HartView
    view.cpuAddress ??= this.#addressOf(cpu)
    if (view.cpuAddress === undefined) return undefined
    const pointerAddress = view.cpuAddress + BigInt(this.#layout.current.offset)
    if (!this.#read(cpu, pointerAddress, view.pointerBytes)) return undefined
    const taskAddress = view.pointer.getBigUint64(0, true)
    if (taskAddress === 0n || !this.#read(cpu, taskAddress, view.taskBytes)) return undefined
    return view.identity(taskAddress)
  }

  /**
   * Sends the task that hart `cpu` is running a signal, as kill(2) of the guest does: a fatal one ends it before it
   * returns to user mode, others do nothing. 0, or -EPERM: it is none of a user, or the first.
   */
  sendSignal(cpu: number, signal: number, write: (address: bigint, bytes: Uint8Array) => number): number {
    const { killSignal } = this.#layout
    const task = this.current(cpu)
    if (task === undefined || task.pid <= INIT_PID || killSignal === undefined) return -EPERM
    if (HARMLESS_SIGNALS.includes(signal)) return 0
    const at = (task.address ?? 0n) + BigInt(killSignal.offset)
    const bytes = new Uint8Array(4)
    if (!this.#read(cpu, at, bytes)) return -EPERM
    if (bytes.some((byte) => byte !== 0)) return 0
    new DataView(bytes.buffer).setUint32(0, signal, true)
    return write(at, bytes)
  }

  /** Whether there is a task `pid` that has not ended. */
  exists(pid: number): boolean {
    for (const { view } of this.#slots()) {
      if (view.getUint32(this.#layout.pid.offset, true) === pid) return true
    }
    return false
  }

  /** Every task that has not ended, in the order of the guest's slots; the idle tasks have none. */
  all(): readonly TaskIdentity[] {
    return Array.from(this.#slots(), ({ view, address }) => new ObservedTask(this.#layout, view, address))
  }

  /** The slots whose tasks have not ended, one after the other in the same bytes. */
  *#slots(): Iterable<{ readonly view: DataView; readonly address: bigint }> {
    const { taskStride, taskBytes, state, ended } = this.#layout
    const bytes = new Uint8Array(taskBytes)
    const view = new DataView(bytes.buffer)
    for (let offset = 0; offset + taskStride <= this.#arrays.tasksBytes; offset += taskStride) {
      const address = this.#arrays.tasks + BigInt(offset)
      if (!this.#read(0, address, bytes)) return
      if (!ended.has(view.getUint32(state.offset, true))) yield { view, address }
    }
  }

  /** `cpus[i]` with `hartid == hart`; `cpus[]` is in the order in which harts came up. */
  #addressOf(hart: number): bigint | undefined {
    const { cpuBytes, current, hartid } = this.#layout
    const bytes = new Uint8Array(cpuBytes)
    const view = new DataView(bytes.buffer)
    for (let index = 0; index < this.#cpuCount; index++) {
      const address = this.#arrays.cpus + BigInt(index * cpuBytes)
      if (!this.#read(hart, address, bytes)) return undefined
      // A cpu that is not up yet reads as hart 0 without a task.
      if (view.getBigUint64(current.offset, true) === 0n) continue
      if (view.getUint32(hartid.offset, true) !== hart) continue
      return address
    }
    return undefined
  }
}

function layoutOf(btf: Btf): Layout | string {
  const missing: string[] = []
  const place = (struct: string, member: string): MemberPlace => {
    const id = findComposite(btf, struct)
    const found = id === undefined ? undefined : findMember(btf, id, member)
    if (found !== undefined) return found
    missing.push(`struct ${struct}.${member}`)
    return { bitOffset: 0, bitSize: 0, offset: 0, size: 0, type: 0 as MemberPlace['type'] }
  }
  const cpu = findComposite(btf, 'cpu')
  const cpuBytes = cpu === undefined ? 0 : (btf.sizeOf(cpu) ?? 0)
  const task = {
    pid: place('task', 'pid'),
    tgid: place('task', 'tgid'),
    uid: place('task', 'uid'),
    gid: place('task', 'gid'),
    comm: place('task', 'comm'),
    state: place('task', 'state'),
  }
  const states = btf.typeById(btf.resolve(task.state.type))
  const ended = new Set<number>()
  if (states !== undefined && 'values' in states) {
    for (const { name, value } of states.values) {
      if (name === 'TASK_UNUSED' || name === 'TASK_ZOMBIE') ended.add(Number(value))
    }
  }
  if (ended.size !== 2) missing.push('enum task_state with TASK_UNUSED and TASK_ZOMBIE')
  const taskId = findComposite(btf, 'task')
  const taskStride = taskId === undefined ? 0 : (btf.sizeOf(taskId) ?? 0)
  const layout = { cpuBytes, current: place('cpu', 'current'), hartid: place('cpu', 'hartid'), ...task }
  if (missing.length > 0) return `the kernel's BTF has no ${missing.join(', ')}`
  const taskBytes = Math.max(...Object.values(task).map((member) => member.offset + member.size))
  const killSignal = taskId === undefined ? undefined : findMember(btf, taskId, 'kill_signal')
  return { ...layout, taskBytes, taskStride, killSignal, ended }
}
