/**
 * Registers probes and answers breakpoints.
 *
 * A hit goes: trap at the probed address; members run, with the registers as they stand and pc at the address;
 * the original instruction is simulated, or its copy is executed out of line with interrupts masked until the
 * breakpoint behind it traps; members' post handlers run; the CPU goes on where the instruction left it.
 *
 * Rules:
 * - Everything a hit needs is per CPU or immutable: CPUs can be at the same site, in the same slot, at once.
 * - Handlers are called with nothing held: they may register, enable, disable and unregister anything.
 * - Inside a handler no handler runs: a nested hit counts as missed and is only stepped over.
 * - A breakpoint that was taken away between the trap and this answer is executed again, as what it now is.
 */
import { EINVAL, ENOMEM } from '../abi/errno.ts'
import type { ProbeArchitecture } from './architecture.ts'
import type { Kprobe, KprobeOptions, Kretprobe, KretprobeOptions, ProbeManagerOptions } from './probe.ts'
import { RegisteredKprobe, RegisteredKretprobe } from './registered.ts'
import { ReturnTrampoline } from './returns.ts'
import { riscv64 } from './riscv64/index.ts'
import { probeableInstruction } from './safety.ts'
import { type Member, Site } from './site.ts'
import { SlotPool } from './slots.ts'
import type { Architecture, ProbeTarget, StoppedCpu } from './target.ts'

const architectures: Readonly<Partial<Record<Architecture, ProbeArchitecture>>> = { riscv64 }

/** One CPU on its way through probes. */
interface CpuState {
  /** Handlers that this CPU is inside of. */
  depth: number
  /** Where it hit last; looking a bigint up in a map costs more than a comparison. */
  lastSite: Site | undefined
  /** Out-of-line steps under way, the innermost last; more than one only where handlers themselves hit probes. */
  readonly steps: { readonly site: Site; readonly savedInterrupts: bigint; readonly runAfter: boolean }[]
}

/** All probes of one kernel: disposing it takes the breakpoints and the trap handlers away. */
export class ProbeManager implements Disposable {
  readonly #target: ProbeTarget
  readonly #options: ProbeManagerOptions
  readonly #architecture: ProbeArchitecture | undefined
  readonly #slots: SlotPool
  readonly #sites = new Map<bigint, Site>()
  readonly #probes = new Set<{ unregister(): void }>()
  readonly #cpus: CpuState[]
  readonly #returns: ReturnTrampoline
  #disposed = false

  constructor(target: ProbeTarget, options: ProbeManagerOptions = {}) {
    this.#target = target
    this.#options = options
    this.#architecture = architectures[target.architecture]
    this.#slots = new SlotPool(target.stepArea, this.#architecture?.slotBytes ?? 16)
    this.#cpus = Array.from({ length: target.cpuCount }, () => ({ depth: 0, lastSite: undefined, steps: [] }))
    this.#returns = new ReturnTrampoline(target, this.#architecture, this.#slots, options)
    target.setTrapHandlers(
      (cpu) => this.#onBreakpoint(cpu),
      (cpu) => this.#onStepFault(cpu),
    )
  }

  /** Probes registered now. */
  get size(): number {
    return this.#probes.size
  }

  /** Slots of the step area in use, the return trampoline's included. */
  get slotsInUse(): number {
    return this.#slots.inUse
  }

  /**
   * Stops at an instruction. Or -ENOENT: no symbol covers the address; -EILSEQ: it is not the start of an
   * instruction; -EINVAL: not code, refused, or an instruction that cannot be stepped; -ENOMEM: the step area is
   * full; or what the target says when it cannot patch the text.
   */
  registerKprobe(options: KprobeOptions): Kprobe | number {
    const site = this.#siteAt(options.address)
    if (typeof site === 'number') return site
    const probe = new RegisteredKprobe(site, options, (self) => this.#forget(self, site))
    return this.#enter(site, probe)
  }

  /** Stops where a function returns. Errors as `registerKprobe`; -EINVAL too where no function begins there. */
  registerKretprobe(options: KretprobeOptions): Kretprobe | number {
    const maxactive = options.maxactive ?? 0
    if (!Number.isInteger(maxactive) || maxactive < 0) return -EINVAL
    const symbol = this.#options.symbolAt?.(options.address)
    if (symbol !== undefined && symbol.address !== options.address) return -EINVAL
    const site = this.#siteAt(options.address)
    if (typeof site === 'number') return site
    const error = this.#returns.prepare()
    if (error !== 0) {
      this.#dropIfUnused(site)
      return error
    }
    const probe = new RegisteredKretprobe(site, this.#returns, options, this.#target.cpuCount, (self) =>
      this.#forget(self, site),
    )
    return this.#enter(site, probe)
  }

  /**
   * Unregisters every probe and restores the text. Calls whose return address was taken over still return: the
   * trap handlers stay until the last of them has.
   */
  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const probe of [...this.#probes]) probe.unregister()
    this.#letGoWhenIdle()
  }

  #letGoWhenIdle(): void {
    if (!this.#disposed || this.#returns.active > 0) return
    if (this.#cpus.some((cpu) => cpu.steps.length > 0)) return
    this.#target.setTrapHandlers(undefined, undefined)
  }

  #siteAt(address: bigint): Site | number {
    const known = this.#sites.get(address)
    if (known !== undefined) return known
    const architecture = this.#architecture
    if (architecture === undefined || this.#disposed) return -EINVAL
    const target = this.#target
    const found = probeableInstruction(
      architecture,
      target,
      this.#options,
      (at, into) => this.#readOriginal(at, into),
      address,
    )
    if (typeof found === 'number') return found
    const original = new Uint8Array(found.lengthBytes)
    if (target.readText(address, original) !== 0) return -EINVAL
    let slot: bigint | undefined
    if (found.action === 'copy') {
      slot = this.#slots.allocate()
      if (slot === undefined) return -ENOMEM
      const error = target.patchText(slot, concat(original, architecture.breakpoint(found.lengthBytes)))
      if (error !== 0) {
        this.#slots.free(slot)
        return error
      }
    }
    const site = new Site(architecture, target, this.#slots, { address, instruction: found, original, slot })
    this.#sites.set(address, site)
    return site
  }

  #enter<P extends Member & { unregister(): void }>(site: Site, probe: P): P | number {
    const error = site.add(probe)
    if (error !== 0) {
      this.#dropIfUnused(site)
      return error
    }
    this.#probes.add(probe)
    return probe
  }

  #forget(probe: Member & { unregister(): void }, site: Site): void {
    this.#probes.delete(probe)
    site.remove(probe)
    if (site.members.length === 0 && !site.armed) this.#dropSite(site)
  }

  #dropSite(site: Site): void {
    this.#sites.delete(site.address)
    for (const cpu of this.#cpus) if (cpu.lastSite === site) cpu.lastSite = undefined
  }

  #dropIfUnused(site: Site): void {
    if (site.members.length > 0) return
    this.#dropSite(site)
    if (site.slot !== undefined) this.#slots.free(site.slot)
  }

  /** Text as it was before any breakpoint. */
  #readOriginal(address: bigint, into: Uint8Array): number {
    const error = this.#target.readText(address, into)
    if (error !== 0) return error
    for (const site of this.#sites.values()) {
      if (!site.armed) continue
      const start = Number(site.address - address)
      for (let i = 0; i < site.original.length; i++) {
        if (start + i >= 0 && start + i < into.length) into[start + i] = site.original[i] as number
      }
    }
    return 0
  }

  #onBreakpoint(cpu: StoppedCpu): boolean {
    const state = this.#cpus[cpu.index] as CpuState
    const { pc } = cpu
    const step = state.steps.at(-1)
    if (step !== undefined && pc === step.site.stepEnd) {
      this.#finishStep(cpu, state)
      return true
    }
    if (pc === this.#returns.address) return this.#onReturn(cpu, state)
    const site = state.lastSite?.address === pc ? state.lastSite : this.#sites.get(pc)
    if (site === undefined || !site.armed) return this.#wasTakenAway(pc)
    state.lastSite = site
    this.#onHit(cpu, state, site)
    return true
  }

  #onHit(cpu: StoppedCpu, state: CpuState, site: Site): void {
    const mayRun = state.depth === 0
    site.enter()
    if (mayRun) this.#run(cpu, state, site.members, 'before', site.address)
    else for (const member of site.members) if (member.enabled) member.miss()
    // A handler sent the CPU elsewhere, or took the breakpoint away: then the instruction is there to be executed.
    if (cpu.pc !== site.address || !site.armed) {
      site.leave()
      return
    }
    if (site.slot !== undefined) {
      state.steps.push({ site, savedInterrupts: cpu.maskInterrupts(), runAfter: mayRun && site.hasAfter })
      cpu.pc = site.slot
      return
    }
    site.instruction.simulate?.(cpu, site.instruction.encoding, site.address)
    if (mayRun && site.hasAfter) this.#run(cpu, state, site.members, 'after', cpu.pc)
    site.leave()
  }

  #finishStep(cpu: StoppedCpu, state: CpuState): void {
    const step = state.steps.pop() as CpuState['steps'][number]
    cpu.restoreInterrupts(step.savedInterrupts)
    cpu.pc = step.site.next
    if (step.runAfter) this.#run(cpu, state, step.site.members, 'after', cpu.pc)
    step.site.leave()
    this.#letGoWhenIdle()
  }

  /** The copy faulted: the operating system shall see the fault at the probed instruction. */
  #onStepFault(cpu: StoppedCpu): void {
    const state = this.#cpus[cpu.index] as CpuState
    const step = state.steps.at(-1)
    if (step === undefined || cpu.pc !== step.site.slot) return
    state.steps.pop()
    cpu.restoreInterrupts(step.savedInterrupts)
    cpu.pc = step.site.address
    step.site.leave()
    this.#letGoWhenIdle()
  }

  #onReturn(cpu: StoppedCpu, state: CpuState): boolean {
    const mayRun = state.depth === 0
    state.depth++
    const ours = this.#returns.onReturn(cpu, mayRun)
    state.depth--
    this.#letGoWhenIdle()
    return ours
  }

  #run(
    cpu: StoppedCpu,
    state: CpuState,
    members: readonly Member[],
    phase: 'before' | 'after',
    pc: bigint,
  ): void {
    state.depth++
    try {
      for (const member of members) {
        if (!member.enabled) continue
        if (phase === 'before') member.before(cpu)
        else member.after(cpu)
        if (cpu.pc !== pc) break
      }
    } finally {
      state.depth--
    }
  }

  /** True where no breakpoint is left at `pc`: the CPU executes there what is there now. */
  #wasTakenAway(pc: bigint): boolean {
    const architecture = this.#architecture as ProbeArchitecture
    const bytes = new Uint8Array(architecture.longestInstructionBytes)
    if (this.#target.readText(pc, bytes) !== 0) {
      const shortest = bytes.subarray(0, architecture.alignmentBytes)
      if (this.#target.readText(pc, shortest) !== 0) return false
    }
    return !architecture.isBreakpoint(bytes)
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}
