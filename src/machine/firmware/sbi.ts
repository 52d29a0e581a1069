/**
 * The supervisor binary interface 3.0, provided by the machine itself instead of by code in M-mode.
 *
 * Each extension is a row: its number and what its functions do. A call gets six arguments and answers with an
 * error and a value, which go into a0 and a1 (the legacy calls answer in a0 alone).
 *
 * Source: RISC-V Supervisor Binary Interface Specification 3.0.
 */
import { interrupt } from '../cpu/csrs.ts'
import { RAM_BASE } from '../cpu/layout.ts'
import type { Hart } from '../hart.ts'
import { hartState } from '../hart.ts'

export const sbiError = {
  success: 0n,
  failed: -1n,
  notSupported: -2n,
  invalidParameter: -3n,
  denied: -4n,
  invalidAddress: -5n,
  alreadyAvailable: -6n,
} as const

export interface SbiCall {
  readonly extensionId: number
  readonly functionId: number
  /** a0 to a5, unsigned. */
  readonly arguments: readonly [bigint, bigint, bigint, bigint, bigint, bigint]
}

/** An answer to a call; `void` for one that does not return (its registers are left alone). */
export type SbiAnswer = { readonly error: bigint; readonly value?: bigint } | undefined

export type SbiHandler = (hart: Hart, call: SbiCall) => SbiAnswer

/** What the calls need of the machine. Times are in ticks of 10 MHz. */
export interface SbiPort {
  readonly harts: readonly Hart[]
  readonly ram: Uint8Array
  /** Writes RAM; false outside it. */
  write(physical: number, bytes: Uint8Array): boolean
  setTimer(hart: Hart, ticks: number): void
  startHart(hart: Hart, address: bigint, opaque: bigint): void
  stopHart(hart: Hart): void
  suspendHart(hart: Hart): void
  /** Empties a hart's TLB. */
  fence(hart: Hart): void
  shutdown(kind: 'poweroff' | 'reboot', reason: number): void
  putBytes(bytes: Uint8Array): void
  /** The next byte of input, or -1. */
  takeByte(): number
}

const SPEC_VERSION = 3n << 24n
/** Outside the numbers that the registry of implementations has given out. */
const IMPLEMENTATION_ID = 0x61627066n

const ok = (value = 0n): SbiAnswer => ({ error: sbiError.success, value })
const fail = (error: bigint): SbiAnswer => ({ error, value: 0n })

const extension = {
  legacySetTimer: 0x00,
  legacyPutchar: 0x01,
  legacyGetchar: 0x02,
  legacyShutdown: 0x08,
  base: 0x10,
  time: 0x54494d45,
  ipi: 0x735049,
  rfence: 0x52464e43,
  hsm: 0x48534d,
  srst: 0x53525354,
  dbcn: 0x4442434e,
} as const

type Functions = Readonly<Record<number, (hart: Hart, call: SbiCall) => SbiAnswer>>

export class Sbi {
  readonly #port: SbiPort
  readonly #vendor = new Map<number, SbiHandler>()
  readonly #functions: ReadonlyMap<number, Functions>

  constructor(port: SbiPort) {
    this.#port = port
    this.#functions = new Map<number, Functions>([
      [extension.base, this.#base()],
      [extension.time, { 0: (hart, { arguments: [time] }) => this.#setTimer(hart, time) }],
      [extension.ipi, { 0: (_, call) => this.#sendIpi(call) }],
      [extension.rfence, this.#rfence()],
      [extension.hsm, this.#hsm()],
      [extension.srst, { 0: (_, call) => this.#reset(call) }],
      [extension.dbcn, this.#console()],
    ])
  }

  /** Answers calls of an extension with `handler`; replaces an earlier one. */
  onCall(extensionId: number, handler: SbiHandler): void {
    this.#vendor.set(extensionId, handler)
  }

  /** Serves the call that a hart has made; its pc is behind the ecall already. */
  serve(hart: Hart): void {
    const argument = (i: number) => hart.x(10 + i)
    const call: SbiCall = {
      extensionId: Number(BigInt.asUintN(32, hart.x(17))),
      functionId: Number(BigInt.asUintN(32, hart.x(16))),
      arguments: [argument(0), argument(1), argument(2), argument(3), argument(4), argument(5)],
    }
    if (this.#legacy(hart, call)) return
    const answer = this.#answer(hart, call)
    if (answer === undefined) return
    hart.setX(10, answer.error)
    hart.setX(11, answer.value ?? 0n)
  }

  #answer(hart: Hart, call: SbiCall): SbiAnswer {
    const vendor = this.#vendor.get(call.extensionId)
    if (vendor !== undefined) return vendor(hart, call)
    const serve = this.#functions.get(call.extensionId)?.[call.functionId]
    return serve === undefined ? fail(sbiError.notSupported) : serve(hart, call)
  }

  #legacy(hart: Hart, { extensionId, arguments: [a0] }: SbiCall): boolean {
    switch (extensionId) {
      case extension.legacySetTimer:
        this.#setTimer(hart, a0)
        hart.setX(10, 0n)
        return true
      case extension.legacyPutchar:
        this.#port.putBytes(Uint8Array.of(Number(a0 & 0xffn)))
        hart.setX(10, 0n)
        return true
      case extension.legacyGetchar:
        hart.setX(10, BigInt(this.#port.takeByte()))
        return true
      case extension.legacyShutdown:
        this.#port.shutdown('poweroff', 0)
        return true
      default:
        return false
    }
  }

  #base(): Functions {
    const probe = (id: number) =>
      this.#functions.has(id) || this.#vendor.has(id) || [0x00, 0x01, 0x02, 0x08].includes(id)
    return {
      0: () => ok(SPEC_VERSION),
      1: () => ok(IMPLEMENTATION_ID),
      2: () => ok(1n),
      3: (_, { arguments: [id] }) => ok(probe(Number(BigInt.asUintN(32, id))) ? 1n : 0n),
      4: () => ok(),
      5: () => ok(),
      6: () => ok(),
    }
  }

  #setTimer(hart: Hart, time: bigint): SbiAnswer {
    // All ones, and whatever a double cannot tell from it, is never.
    this.#port.setTimer(hart, time >= 1n << 60n ? Number.POSITIVE_INFINITY : Number(time))
    return ok()
  }

  /** The harts of a mask and its base, or undefined where one does not exist. */
  #select(mask: bigint, base: bigint): Hart[] | undefined {
    if (base === (1n << 64n) - 1n) return [...this.#port.harts]
    const chosen: Hart[] = []
    for (let bit = 0n; mask >> bit > 0n; bit++) {
      if (((mask >> bit) & 1n) === 0n) continue
      const hart = this.#port.harts[Number(base + bit)]
      if (hart === undefined) return undefined
      chosen.push(hart)
    }
    return chosen
  }

  #sendIpi({ arguments: [mask, base] }: SbiCall): SbiAnswer {
    const harts = this.#select(mask, base)
    if (harts === undefined) return fail(sbiError.invalidParameter)
    for (const hart of harts) hart.setPending(interrupt.SSI, true)
    return ok()
  }

  /** All other harts stand still during a call, so a remote fence is done when it returns. */
  #rfence(): Functions {
    const fence = (_: Hart, { arguments: [mask, base] }: SbiCall): SbiAnswer => {
      const harts = this.#select(mask, base)
      if (harts === undefined) return fail(sbiError.invalidParameter)
      for (const hart of harts) this.#port.fence(hart)
      return ok()
    }
    return { 0: fence, 1: fence, 2: fence }
  }

  #hsm(): Functions {
    const target = (id: bigint) => this.#port.harts[Number(id)]
    return {
      0: (_, { arguments: [id, address, opaque] }) => {
        const hart = target(id)
        if (hart === undefined) return fail(sbiError.invalidParameter)
        if (!this.#isRam(address, 2)) return fail(sbiError.invalidAddress)
        if (hart.scheduling.state !== hartState.stopped) return fail(sbiError.alreadyAvailable)
        this.#port.startHart(hart, address, opaque)
        return ok()
      },
      1: (hart) => {
        this.#port.stopHart(hart)
        return undefined
      },
      2: (_, { arguments: [id] }) => {
        const hart = target(id)
        return hart === undefined ? fail(sbiError.invalidParameter) : ok(BigInt(hart.scheduling.state))
      },
      3: (hart, { arguments: [type, address, opaque] }) => {
        const RETENTIVE = 0n
        const NON_RETENTIVE = 0x8000_0000n
        if (type === RETENTIVE) {
          this.#port.suspendHart(hart)
          return ok()
        }
        if (type !== NON_RETENTIVE) return fail(sbiError.invalidParameter)
        if (!this.#isRam(address, 2)) return fail(sbiError.invalidAddress)
        this.#port.startHart(hart, address, opaque)
        this.#port.suspendHart(hart)
        return undefined
      },
    }
  }

  #reset({ arguments: [type, reason] }: SbiCall): SbiAnswer {
    const SHUTDOWN = 0n
    const COLD_REBOOT = 1n
    const WARM_REBOOT = 2n
    if (type !== SHUTDOWN && type !== COLD_REBOOT && type !== WARM_REBOOT) {
      return fail(sbiError.invalidParameter)
    }
    this.#port.shutdown(type === SHUTDOWN ? 'poweroff' : 'reboot', Number(reason & 0xffff_ffffn))
    return undefined
  }

  #console(): Functions {
    const range = (count: bigint, low: bigint, high: bigint): Uint8Array | undefined => {
      if (high !== 0n || !this.#isRam(low, Number(count))) return undefined
      const start = Number(low) - RAM_BASE
      return this.#port.ram.subarray(start, start + Number(count))
    }
    return {
      0: (_, { arguments: [count, low, high] }) => {
        const bytes = range(count, low, high)
        if (bytes === undefined) return fail(sbiError.invalidParameter)
        this.#port.putBytes(bytes.slice())
        return ok(count)
      },
      1: (_, { arguments: [count, low, high] }) => {
        const bytes = range(count, low, high)
        if (bytes === undefined) return fail(sbiError.invalidParameter)
        const input: number[] = []
        while (input.length < bytes.length) {
          const byte = this.#port.takeByte()
          if (byte < 0) break
          input.push(byte)
        }
        this.#port.write(Number(low), Uint8Array.from(input))
        return ok(BigInt(input.length))
      },
      2: (_, { arguments: [byte] }) => {
        this.#port.putBytes(Uint8Array.of(Number(byte & 0xffn)))
        return ok()
      },
    }
  }

  #isRam(physical: bigint, sizeBytes: number): boolean {
    const offset = Number(physical) - RAM_BASE
    return offset >= 0 && offset + sizeBytes <= this.#port.ram.length
  }
}
