/**
 * One probed address: the instruction that a breakpoint replaces, and the probes that want to hear of it.
 *
 * Rules: the text holds a breakpoint exactly while at least one member is enabled. Members run in the order of
 * their registration. The slot lives until the site is gone and no CPU is inside it.
 */
import type { DecodedInstruction, ProbeArchitecture } from './architecture.ts'
import type { SlotPool } from './slots.ts'
import type { ProbeTarget, StoppedCpu } from './target.ts'

/** A probe as its site sees it. */
export interface Member {
  readonly enabled: boolean
  /** Whether it wants to hear of the executed instruction, too. */
  readonly hasAfter: boolean
  before(cpu: StoppedCpu): void
  after(cpu: StoppedCpu): void
  /** The address was hit where handlers may not run. */
  miss(): void
}

export class Site {
  readonly address: bigint
  readonly instruction: DecodedInstruction
  readonly original: Uint8Array
  /** Where the out-of-line copy lies; undefined for a simulated instruction. */
  readonly slot: bigint | undefined
  /** Where the CPU traps again after the copy; undefined for a simulated instruction. */
  readonly stepEnd: bigint | undefined
  readonly next: bigint
  readonly #architecture: ProbeArchitecture
  readonly #target: ProbeTarget
  readonly #slots: SlotPool
  #members: readonly Member[] = []
  #hasAfter = false
  #armed = false
  #users = 0
  #removed = false

  constructor(
    architecture: ProbeArchitecture,
    target: ProbeTarget,
    slots: SlotPool,
    place: {
      address: bigint
      instruction: DecodedInstruction
      original: Uint8Array
      slot: bigint | undefined
    },
  ) {
    this.#architecture = architecture
    this.#target = target
    this.#slots = slots
    this.address = place.address
    this.instruction = place.instruction
    this.original = place.original
    this.slot = place.slot
    const length = BigInt(place.instruction.lengthBytes)
    this.stepEnd = place.slot === undefined ? undefined : place.slot + length
    this.next = place.address + length
  }

  /** A list that never changes: who walks it may add and remove members meanwhile. */
  get members(): readonly Member[] {
    return this.#members
  }

  /** Whether a member wants to hear of the executed instruction. */
  get hasAfter(): boolean {
    return this.#hasAfter
  }

  get armed(): boolean {
    return this.#armed
  }

  add(member: Member): number {
    this.#setMembers([...this.#members, member])
    const error = this.refresh()
    if (error !== 0) this.#setMembers(this.#members.filter((other) => other !== member))
    return error
  }

  #setMembers(members: readonly Member[]): void {
    this.#members = members
    this.#hasAfter = members.some((member) => member.hasAfter)
  }

  remove(member: Member): void {
    this.#setMembers(this.#members.filter((other) => other !== member))
    this.refresh()
    // Where the text cannot be restored, the site stays and steps over its breakpoint for ever.
    this.#removed = this.#members.length === 0 && !this.#armed
    this.#releaseSlot()
  }

  /** Makes the text agree with whether any member is enabled. */
  refresh(): number {
    const wanted = this.#members.some((member) => member.enabled)
    if (wanted === this.#armed) return 0
    const { lengthBytes } = this.instruction
    const bytes = wanted ? this.#architecture.breakpoint(lengthBytes) : this.original
    const error = this.#target.patchText(this.address, bytes)
    if (error === 0) this.#armed = wanted
    return error
  }

  /** A CPU is at this site or in its slot until `leave`. */
  enter(): void {
    this.#users++
  }

  leave(): void {
    this.#users--
    this.#releaseSlot()
  }

  #releaseSlot(): void {
    if (!this.#removed || this.#users > 0 || this.slot === undefined) return
    this.#slots.free(this.slot)
  }
}
