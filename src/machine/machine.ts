/**
 * The embedded computer: harts, memory, devices and firmware, and the clock that drives them.
 *
 * Time is virtual. An instruction takes one instruction time (10 ns); harts run side by side in rounds, one
 * after the other within a round, so that the same guest and the same input give the same trace. A hart in wfi
 * lets its time pass; when all harts wait, time jumps to the next timer.
 *
 * Rules: between two runs every hart's `pc` and registers are those of an instruction boundary, and may be
 * changed. Handlers (breakpoints, SBI calls, console) are called inside `run`, between two instructions of the
 * hart that they are told; they may do everything but call `run`.
 */
import { board, boardTree } from './board.ts'
import { Bus } from './bus.ts'
import type { Cpu } from './cpu/cpu.ts'
import { createCpu } from './cpu/cpu.ts'
import { interrupt } from './cpu/csrs.ts'
import { exitReason } from './cpu/exits.ts'
import { PAGE_BYTES, RAM_BASE } from './cpu/layout.ts'
import { INSTRUCTIONS_PER_TICK } from './cpu/privileged.ts'
import { Clint } from './devices/clint.ts'
import { Plic } from './devices/plic.ts'
import { TestFinisher } from './devices/test-finisher.ts'
import { Uart } from './devices/uart.ts'
import { VirtioBlock } from './devices/virtio-block.ts'
import { flattenDeviceTree } from './firmware/device-tree.ts'
import type { LoadError, LoadResult } from './firmware/loader.ts'
import { loadElf, loadImage } from './firmware/loader.ts'
import type { SbiHandler } from './firmware/sbi.ts'
import { Sbi } from './firmware/sbi.ts'
import { GuestMemory } from './guest-memory.ts'
import type { Privilege, RunningHart } from './hart.ts'
import { Hart, hartState, privilege } from './hart.ts'
import type { BreakpointHandler, ExceptionHandler, MachineOptions, StopReason } from './options.ts'
import { checkOptions, INSTRUCTION_NS } from './options.ts'

/** Instructions that a hart runs before the next one's turn. */
const ROUND_SHARED = 5_000
/** Alone, a hart may run longer; V8 exchanges code for better code only when a run comes back. */
const ROUND_ALONE = 50_000

export type CreateMachineResult =
  | { readonly ok: true; readonly machine: Machine }
  | { readonly ok: false; readonly error: LoadError }

/**
 * Builds a machine and puts the kernel into it. Fails where the kernel's file is not what it should be; throws
 * a RangeError for options out of range.
 */
export function createMachine(options: MachineOptions): CreateMachineResult {
  const machine = new Machine(options)
  const error = machine.load(options)
  return error === undefined ? { ok: true, machine } : { ok: false, error }
}

/** The computer: runs when told, stops where it is told to, and can be looked at in between. */
export class Machine {
  readonly harts: readonly Hart[]
  /** RAM itself. Who writes into it bypasses the decoded code: use `writePhysical`. */
  readonly ram: Uint8Array
  readonly uart: Uart
  readonly sbi: Sbi
  readonly #cpu: Cpu
  readonly #memory: GuestMemory
  readonly #firmware: 'sbi' | 'none'
  readonly #onConsole: ((bytes: Uint8Array) => void) | undefined
  #onBreakpoint: BreakpointHandler | undefined
  #onException: ExceptionHandler | undefined
  #stop: StopReason | undefined

  // The round: see `run`.
  #roundStart = 0
  readonly #roundLength: number
  #turn = 0
  #slice: Slice | undefined

  constructor(options: MachineOptions) {
    const { harts, ramBytes, codeCacheBytes, disks } = checkOptions(options)
    this.#firmware = options.firmware ?? 'sbi'
    this.#onConsole = options.onConsole
    this.#roundLength = harts === 1 ? ROUND_ALONE : ROUND_SHARED

    const bus = new Bus()
    const cpu = createCpu(ramBytes, codeCacheBytes, harts, bus)
    this.#cpu = cpu
    this.#memory = new GuestMemory(cpu)
    this.ram = this.#memory.ram
    const running: RunningHart = { index: 0 }
    this.harts = Array.from({ length: harts }, (_, i) => new Hart(i, cpu, running))

    const plic = new Plic(harts, (context, raised) =>
      this.hart(context >>> 1).setPending(context & 1 ? interrupt.SEI : interrupt.MEI, raised),
    )
    const clint = new Clint({
      harts,
      mtime: () => Math.floor(this.#now / INSTRUCTIONS_PER_TICK),
      setMachineSoftware: (hart, raised) => this.hart(hart).setPending(interrupt.MSI, raised),
      setMachineTimer: (index, ticks) => {
        const hart = this.hart(index)
        hart.scheduling.machineTimer = ticks * INSTRUCTIONS_PER_TICK
        hart.setPending(interrupt.MTI, false)
        this.#endSlice()
      },
    })
    this.uart = new Uart(
      (byte) => this.#onConsole?.(Uint8Array.of(byte)),
      (raised) => plic.setSource(board.uart.interrupt, raised),
    )
    const finisher = new TestFinisher(({ kind, code }) => {
      this.#stop = { kind: 'shutdown', type: kind, reason: code }
      this.#endSlice()
    })
    bus.map(board.uart.base, board.uart.size, this.uart)
    bus.map(board.clint.base, board.clint.size, clint)
    bus.map(board.plic.base, board.plic.size, plic)
    for (let i = 0; i < board.virtio.count; i++) {
      const source = board.virtio.firstInterrupt + i
      const device = new VirtioBlock(`anybpf-disk${i}`, disks[i], this.#memory, (raised) =>
        plic.setSource(source, raised),
      )
      bus.map(board.virtio.base + i * board.virtio.size, board.virtio.size, device)
    }
    bus.map(board.test.base, board.test.size, finisher)

    this.sbi = new Sbi({
      harts: this.harts,
      ram: this.ram,
      write: (physical, bytes) => this.writePhysical(physical, bytes),
      setTimer: (hart, ticks) => {
        hart.scheduling.supervisorTimer = ticks * INSTRUCTIONS_PER_TICK
        hart.setPending(interrupt.STI, false)
      },
      startHart: (hart, address, opaque) => this.#startHart(hart, address, opaque),
      stopHart: (hart) => {
        hart.scheduling.state = hartState.stopped
      },
      suspendHart: (hart) => {
        hart.scheduling.state = hartState.suspended
        hart.scheduling.waiting = true
      },
      fence: (hart) => hart.flushTlb(),
      shutdown: (type, reason) => {
        this.#stop = { kind: 'shutdown', type, reason }
      },
      putBytes: (bytes) => this.#onConsole?.(bytes),
      takeByte: () => this.uart.take(),
    })
  }

  /** Puts kernel, initial RAM disk and device tree into RAM and the harts at the entry. @internal */
  load(options: MachineOptions): LoadError | undefined {
    const { kernel, initrd } = options
    const loaded: LoadResult =
      'elf' in kernel ? loadElf(kernel.elf, this.ram) : loadImage(kernel.image, board.kernel, this.ram)
    if (!loaded.ok) return loaded.error

    // From the top of RAM down: the device tree, the initial RAM disk.
    const ramEnd = RAM_BASE + this.ram.length
    const DEVICE_TREE_BYTES = 0x1_0000
    const treeAt = ramEnd - DEVICE_TREE_BYTES
    const initrdAt = (treeAt - (initrd?.length ?? 0)) & -PAGE_BYTES
    const initrdStart = initrdAt >>> 0
    if (initrdStart < loaded.end) {
      return {
        offset: 0,
        expected: `kernel, initial RAM disk and device tree within ${this.ram.length} bytes of RAM`,
        found: `a kernel that ends at 0x${loaded.end.toString(16)} and ${initrd?.length ?? 0} bytes of RAM disk`,
      }
    }
    if (initrd !== undefined) this.ram.set(initrd, initrdStart - RAM_BASE)
    const tree = flattenDeviceTree(
      boardTree({
        harts: this.harts.length,
        ramBytes: this.ram.length,
        bootargs: options.bootargs ?? '',
        rngSeed: options.rngSeed ?? Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 1),
        initrd: initrd && { start: initrdStart, end: initrdStart + initrd.length },
      }),
    )
    this.ram.set(tree, treeAt - RAM_BASE)

    const started = this.#firmware === 'sbi' ? this.harts.slice(0, 1) : this.harts
    for (const hart of this.harts) {
      if (this.#firmware !== 'sbi') continue
      hart.setWord('supervisorCallsLeave', 1)
      hart.setCsr(0x303, -1n)
      // Calls from S-mode are the firmware's, everything else is the kernel's.
      hart.setCsr(0x302, ~(1n << 9n))
      hart.setCsr(0x306, -1n)
    }
    for (const hart of started) this.#startHart(hart, BigInt(loaded.entry), BigInt(treeAt))
    return undefined
  }

  /** Throws a RangeError for a hart that does not exist. */
  hart(index: number): Hart {
    const hart = this.harts[index]
    if (hart === undefined) throw new RangeError(`no hart ${index}`)
    return hart
  }

  /** Virtual nanoseconds since the machine was made, as the hart that runs sees them. */
  get timeNs(): number {
    return this.#now * INSTRUCTION_NS
  }

  /** Input for the console. */
  sendConsole(bytes: Uint8Array): void {
    this.uart.receive(bytes)
  }

  /**
   * Sets who gets breakpoint instructions before the guest does; undefined leaves them to the guest. The
   * handler runs with the hart's pc on the instruction.
   *
   * Source: RISC-V Debug Specification 1.0, `dcsr.ebreakm`, `ebreaks`, `ebreaku`.
   */
  onBreakpoint(handler: BreakpointHandler | undefined): void {
    this.#onBreakpoint = handler
    for (const hart of this.harts) hart.setWord('breakpointsLeave', handler === undefined ? 0 : 1)
  }

  /**
   * Tells `handler` of exceptions that instructions in `sizeBytes` bytes at the virtual address `start` raise,
   * before the guest is told; breakpoints and environment calls are not among them. The handler may move the
   * hart's pc: that is where the guest will find that the exception happened.
   */
  onExceptionWithin(start: bigint, sizeBytes: number, handler: ExceptionHandler | undefined): void {
    this.#onException = handler
    for (const hart of this.harts) {
      hart.setSlot('watchStart', start)
      hart.setSlot('watchBytes', handler === undefined ? 0n : BigInt(sizeBytes))
    }
  }

  /** Answers the SBI calls of a vendor's or a firmware's extension. */
  onSbiCall(extensionId: number, handler: SbiHandler): void {
    this.sbi.onCall(extensionId, handler)
  }

  /** Makes `run` come back soon: at once after a handler, else at the end of a hart's turn. */
  requestStop(): void {
    this.#stop ??= { kind: 'requested' }
  }

  /** Reads RAM at a physical address; false where the range is not all RAM. */
  readPhysical(address: number, into: Uint8Array): boolean {
    return this.#memory.read(address, into)
  }

  /** Writes RAM at a physical address, code included; false (and nothing written) where it is not all RAM. */
  writePhysical(address: number, bytes: Uint8Array): boolean {
    return this.#memory.write(address, bytes)
  }

  /**
   * Reads memory at a virtual address as the hart's present page table maps it. No side effects: no accessed
   * bits, no devices. False, with `into` partly filled, where a page is not mapped or not RAM.
   *
   * `as` says whose pages: `user` those with the U bit, `supervisor` those without, `machine` both; it is the
   * hart's present privilege where it is not given. Without a page table, virtual addresses are physical.
   */
  readVirtual(hart: Hart, address: bigint, into: Uint8Array, as: Privilege = hart.privilege): boolean {
    return this.#memory.readVirtual(hart, address, into, as)
  }

  /** Writes memory as `readVirtual` reads it, write-protected pages included; all or nothing. */
  writeVirtual(hart: Hart, address: bigint, bytes: Uint8Array, as: Privilege = hart.privilege): boolean {
    return this.#memory.writeVirtual(hart, address, bytes, as)
  }

  /** Replaces code at a virtual address; all harts execute the new bytes from their next instruction on. */
  patchText(hart: Hart, address: bigint, bytes: Uint8Array): boolean {
    return this.writeVirtual(hart, address, bytes, privilege.machine)
  }

  /** The physical address that a virtual one is mapped to, or undefined. See `readVirtual`. */
  translate(hart: Hart, address: bigint, as: Privilege = hart.privilege): number | undefined {
    const offset = this.#memory.translate(hart, address, as)
    return offset === undefined ? undefined : RAM_BASE + offset
  }

  /**
   * Runs one instruction of a hart, whoever's turn it is; an interrupt or exception is taken instead where one
   * is due. Gives the reason where it ended the machine. May be called from a breakpoint handler.
   */
  step(hart: Hart): StopReason | undefined {
    const outer = this.#slice
    if (outer?.hart === hart) {
      // Take the instruction from the budget of the slice that the handler interrupted.
      const others = hart.word('budget') - 1
      this.#extendSlice(outer, -others)
      this.#execute(outer)
      this.#extendSlice(outer, others)
    } else {
      this.#fireTimers(hart, this.#roundStart + hart.scheduling.elapsed)
      if (hart.scheduling.waiting && !hart.hasPendingInterrupt) return undefined
      hart.scheduling.waiting = false
      hart.scheduling.elapsed += this.#runSlice(hart, 1)
      this.#slice = outer
    }
    return this.#takeStop()
  }

  /**
   * Runs all harts until something in `StopReason` happens. `maxInstructions` counts those of all harts
   * together, and traps; how a run is divided into several makes no difference to the guest.
   */
  run({ maxInstructions = Number.POSITIVE_INFINITY }: { maxInstructions?: number } = {}): StopReason {
    if (this.#slice !== undefined) throw new Error('run called from inside run')
    let left = maxInstructions
    for (;;) {
      const stop = this.#takeStop()
      if (stop !== undefined) return stop
      if (left <= 0) return { kind: 'budget' }
      if (this.#turn === this.harts.length) {
        if (!this.#beginRound()) return { kind: 'idle' }
        continue
      }
      const hart = this.harts[this.#turn] as Hart
      const most = this.#due(hart)
      if (most === 0) this.#turn++
      else {
        const done = this.#runSlice(hart, Math.min(most, left))
        hart.scheduling.elapsed += done
        left -= done
      }
    }
  }

  /** Instruction times since the machine was made, as the hart whose turn it is sees them. */
  get #now(): number {
    if (this.#slice !== undefined) return this.#slice.end - this.#slice.hart.word('budget')
    return this.#roundStart + (this.harts[this.#turn]?.scheduling.elapsed ?? this.#roundLength)
  }

  /**
   * Brings a hart's time forward as far as it does not run. How many instructions it may run then; 0 when its
   * part of the round is over.
   */
  #due(hart: Hart): number {
    const { scheduling } = hart
    const length = this.#roundLength
    for (;;) {
      if (scheduling.elapsed >= length) return 0
      if (scheduling.state === hartState.stopped) {
        scheduling.elapsed = length
        return 0
      }
      const now = this.#roundStart + scheduling.elapsed
      this.#fireTimers(hart, now)
      const wake = Math.min(scheduling.supervisorTimer, scheduling.machineTimer) - this.#roundStart
      if (!scheduling.waiting) return Math.min(length, wake) - scheduling.elapsed
      if (hart.hasPendingInterrupt) {
        scheduling.waiting = false
        scheduling.state = hartState.started
      } else scheduling.elapsed = Math.min(length, wake)
    }
  }

  #fireTimers(hart: Hart, now: number): void {
    const { scheduling } = hart
    if (scheduling.supervisorTimer <= now) {
      scheduling.supervisorTimer = Number.POSITIVE_INFINITY
      hart.setPending(interrupt.STI, true)
    }
    if (scheduling.machineTimer <= now) {
      scheduling.machineTimer = Number.POSITIVE_INFINITY
      hart.setPending(interrupt.MTI, true)
    }
  }

  /** False when no hart will ever run again by itself. */
  #beginRound(): boolean {
    this.#turn = 0
    this.#roundStart += this.#roundLength
    let wake = Number.POSITIVE_INFINITY
    for (const hart of this.harts) {
      const { scheduling } = hart
      // A step may have gone beyond the round.
      scheduling.elapsed = Math.max(0, scheduling.elapsed - this.#roundLength)
      if (scheduling.state === hartState.stopped) continue
      if (!scheduling.waiting || hart.hasPendingInterrupt) wake = 0
      wake = Math.min(wake, scheduling.supervisorTimer, scheduling.machineTimer)
    }
    if (wake === Number.POSITIVE_INFINITY) {
      // The round that has just ended is still the present one.
      this.#turn = this.harts.length
      this.#roundStart -= this.#roundLength
      return false
    }
    if (wake > this.#roundStart) this.#roundStart = wake
    return true
  }

  #startHart(hart: Hart, address: bigint, opaque: bigint): void {
    for (let i = 1; i < 32; i++) hart.setX(i, 0n)
    hart.setX(10, BigInt(hart.index))
    hart.setX(11, opaque)
    hart.pc = address
    if (this.#firmware === 'sbi') {
      // SIE off and no translation, as the HSM extension wants it.
      hart.setCsr(0x100, 0n)
      hart.setCsr(0x180, 0n)
      hart.privilege = privilege.supervisor
    }
    hart.scheduling.state = hartState.started
    hart.scheduling.waiting = false
  }

  #takeStop(): StopReason | undefined {
    const stop = this.#stop
    this.#stop = undefined
    return stop
  }

  /** Makes the running slice end with the present instruction, since a timer of some hart has changed. */
  #endSlice(): void {
    if (this.#slice === undefined) return
    this.#slice.isOver = true
    this.#slice.hart.setWord('attention', 1)
  }

  /** Runs a hart for at most `limit` instructions; how many it ran. */
  #runSlice(hart: Hart, limit: number): number {
    const start = this.#roundStart + hart.scheduling.elapsed
    hart.setBudget(limit, start)
    const slice: Slice = { hart, end: start + limit, isOver: false }
    this.#slice = slice
    this.#execute(slice)
    const left = hart.word('budget')
    this.#extendSlice(slice, -left)
    this.#slice = undefined
    return limit - left
  }

  #extendSlice(slice: Slice, instructions: number): void {
    slice.end += instructions
    slice.hart.extendBudget(instructions, slice.end)
  }

  /** Runs until the budget is used up, or the slice is over for another reason. */
  #execute(slice: Slice): void {
    const { hart } = slice
    while (this.#stop === undefined && !slice.isOver) {
      // A handler may have looked into another hart.
      hart.activate()
      let reason = this.#cpu.exports.run()
      if (reason === exitReason.budget) {
        const left = hart.budget
        if (left > 0) reason = this.#runCut(hart, left)
        if (reason === exitReason.budget && hart.budget <= 0) return
      }
      this.#handle(slice, reason)
    }
  }

  /** The next block is longer than the budget: runs as much of it as there is budget for. */
  #runCut(hart: Hart, count: number): number {
    const { exports, code } = this.#cpu
    if (!this.#fetch(hart.pc)) throw new Error('a decoded block cannot be fetched')
    return code.withCutBlock(hart.word('fetchOffset') >>> 0, count, () => exports.run())
  }

  #handle(slice: Slice, reason: number): void {
    const { hart } = slice
    switch (reason) {
      case exitReason.decode:
        this.#cpu.code.decodeAt(hart.word('fetchOffset') >>> 0)
        return
      case exitReason.crossing:
        if (!this.#decodeCrossing(hart)) this.#cpu.exports.raise()
        return
      case exitReason.budget:
      case exitReason.cut:
      case exitReason.attention:
        return
      case exitReason.supervisorCall:
        this.sbi.serve(hart)
        // The call may have changed timers and harts.
        slice.isOver = true
        return
      case exitReason.breakpoint: {
        const pc = hart.pc
        if (this.#onBreakpoint?.(hart, pc) === true) return
        hart.activate()
        hart.setSlot('cause', BREAKPOINT)
        hart.setSlot('tval', pc)
        this.#cpu.exports.raise()
        return
      }
      case exitReason.watched: {
        const cause = hart.slot('cause')
        const tval = hart.slot('tval')
        this.#onException?.(hart)
        hart.activate()
        hart.setSlot('cause', cause)
        hart.setSlot('tval', tval)
        this.#cpu.exports.raise()
        return
      }
      case exitReason.wait:
        if (hart.hasPendingInterrupt) return
        hart.scheduling.waiting = true
        slice.isOver = true
        return
      case exitReason.fault:
        this.#stop = this.#fault(hart)
        return
      default:
        throw new Error(`the CPU came back with ${reason}`)
    }
  }

  /** The instruction in the last halfword of a page goes on on the next one. False after a fault. */
  #decodeCrossing(hart: Hart): boolean {
    const { pc } = hart
    if (!this.#fetch(BigInt.asUintN(64, pc + 2n))) return false
    const nextPage = hart.word('fetchOffset') >>> 0
    if (!this.#fetch(pc)) return false
    const page = (hart.word('fetchOffset') & -PAGE_BYTES) >>> 0
    this.#cpu.code.decodeCrossing(page, nextPage)
    return true
  }

  /** Puts the offset into RAM of an address to be executed into `fetchOffset`; false after a fault. */
  #fetch(pc: bigint): boolean {
    return this.#cpu.exports.fetch(Number(pc >> 32n) | 0, Number(pc & 0xffff_ffffn) | 0) !== 1
  }

  /** The trap that nobody handles is the one whose handler could not be fetched. */
  #fault(hart: Hart): StopReason {
    const [cause, tval, pc] = hart.privilege === privilege.machine ? MACHINE_TRAP : SUPERVISOR_TRAP
    return {
      kind: 'fault',
      hart: hart.index,
      cause: hart.slot(cause),
      tval: hart.slot(tval),
      pc: hart.slot(pc),
    }
  }
}

interface Slice {
  readonly hart: Hart
  /** The time when the hart's budget reaches 0. */
  end: number
  isOver: boolean
}

const BREAKPOINT = 3n
const MACHINE_TRAP = ['mcause', 'mtval', 'mepc'] as const
const SUPERVISOR_TRAP = ['scause', 'stval', 'sepc'] as const
