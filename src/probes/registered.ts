import { EINVAL } from '../abi/errno.ts'
import type { Kprobe, KprobeOptions, Kretprobe, KretprobeOptions, ProbeHandler } from './probe.ts'
import type { ReturnTrampoline } from './returns.ts'
import type { Member, Site } from './site.ts'
import type { StoppedCpu } from './target.ts'

/** What kprobes and kretprobes share: counting, switching on and off, ending. */
abstract class RegisteredProbe {
  readonly address: bigint
  hits = 0
  missed = 0
  readonly #site: Site
  readonly #forget: () => void
  #enabled: boolean
  #registered = true

  constructor(site: Site, enabled: boolean, forget: () => void) {
    this.address = site.address
    this.#site = site
    this.#enabled = enabled
    this.#forget = forget
  }

  get enabled(): boolean {
    return this.#enabled
  }

  enable(): number {
    return this.#set(true)
  }

  disable(): number {
    return this.#set(false)
  }

  #set(enabled: boolean): number {
    if (!this.#registered) return -EINVAL
    const before = this.#enabled
    this.#enabled = enabled
    const error = this.#site.refresh()
    if (error !== 0) this.#enabled = before
    return error
  }

  unregister(): void {
    if (!this.#registered) return
    this.#registered = false
    this.#enabled = false
    this.#forget()
  }

  [Symbol.dispose](): void {
    this.unregister()
  }

  miss(): void {
    this.missed++
  }
}

export class RegisteredKprobe extends RegisteredProbe implements Kprobe, Member {
  readonly kind = 'kprobe'
  readonly hasAfter: boolean
  readonly #handler: ProbeHandler
  readonly #postHandler: ProbeHandler | undefined

  constructor(site: Site, options: KprobeOptions, forget: (self: RegisteredKprobe) => void) {
    super(site, options.enabled ?? true, () => forget(this))
    this.#handler = options.handler
    this.#postHandler = options.postHandler
    this.hasAfter = options.postHandler !== undefined
  }

  before(cpu: StoppedCpu): void {
    this.hits++
    this.#handler(cpu, this)
  }

  after(cpu: StoppedCpu): void {
    this.#postHandler?.(cpu, this)
  }
}

export class RegisteredKretprobe extends RegisteredProbe implements Kretprobe, Member {
  readonly kind = 'kretprobe'
  readonly hasAfter = false
  readonly maxactive: number
  active = 0
  readonly #returns: ReturnTrampoline
  readonly #options: KretprobeOptions

  constructor(
    site: Site,
    returns: ReturnTrampoline,
    options: KretprobeOptions,
    cpuCount: number,
    forget: (self: RegisteredKretprobe) => void,
  ) {
    super(site, options.enabled ?? true, () => forget(this))
    this.#returns = returns
    this.#options = options
    this.maxactive = options.maxactive || Math.max(10, 2 * cpuCount)
  }

  before(cpu: StoppedCpu): void {
    this.#returns.onEntry(cpu, this)
  }

  after(): void {}

  accepts(cpu: StoppedCpu): boolean {
    return this.#options.entryHandler?.(cpu, this) ?? true
  }

  capture(cpu: StoppedCpu): unknown {
    return this.#options.capture?.(cpu)
  }

  returned(cpu: StoppedCpu, captured: unknown): void {
    this.hits++
    this.#options.handler(cpu, this, captured)
  }
}
