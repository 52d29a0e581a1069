/** A GuestSession on the embedded machine. */
import { ElfError } from '../elf/index.ts'
import { createGuest, formatPanic, type Guest } from '../ports/embedded/index.ts'
import { CliFailure, EXIT_USAGE } from './failure.ts'
import type { GuestOptions, GuestSession, GuestState } from './guest-session.ts'
import type { Host } from './host.ts'
import { MOST_CHARACTERS, ScriptFeeder } from './script-feeder.ts'

/** Guest instructions between two looks at the clock: some two milliseconds. */
const SLICE = 400_000
const REGISTER_NAMES =
  'zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6'.split(
    ' ',
  )

const rebuild = 'npm run artefacts builds the guest of this package'

/** Reads the files, makes the machine, and runs it until kernel text can be probed. */
export function openEmbeddedSession(
  host: Pick<Host, 'readFile' | 'artefact'>,
  options: GuestOptions,
): GuestSession | CliFailure {
  const tooLong = options.script === undefined ? undefined : ScriptFeeder.tooLong(options.script)
  if (tooLong !== undefined) {
    return new CliFailure(`--script: a line is ${tooLong.length} characters long`, {
      advice: [`the guest's console takes less than ${MOST_CHARACTERS} of them; break the line`],
      exitCode: EXIT_USAGE,
    })
  }
  const kernelPath = options.kernelPath ?? host.artefact('guest/build/kernel.elf')
  const kernelElf = host.readFile(kernelPath)
  if (kernelElf instanceof CliFailure) {
    return options.kernelPath === undefined
      ? new CliFailure(kernelElf.message, { advice: [rebuild] })
      : kernelElf
  }
  const disk = host.readFile(options.diskPath ?? host.artefact('guest/build/disk.img'))
  if (disk instanceof CliFailure && options.diskPath !== undefined) return disk
  if (!(disk instanceof CliFailure) && disk.length % 512 !== 0) {
    return new CliFailure(
      `${options.diskPath}: a disk is whole sectors of 512 bytes, not ${disk.length} bytes`,
    )
  }
  const made = createGuest({
    kernelElf,
    harts: options.harts,
    ramBytes: options.memoryMb * 1024 * 1024,
    // The guest writes into its disk: give it a copy.
    disks: disk instanceof CliFailure ? [] : [Uint8Array.from(disk)],
    bootargs: options.script === undefined ? '' : 'script=-',
    ...(options.onConsole === undefined ? {} : { onConsole: options.onConsole }),
  })
  if (!made.ok) {
    const { error } = made
    const what =
      error instanceof ElfError ? error.message : `expected ${error.expected}, found ${error.found}`
    return new CliFailure(`${kernelPath}: this is no guest kernel: ${what}`, {
      advice: ['--kernel takes a kernel for RISC-V 64 as an ELF file'],
    })
  }
  const { guest } = made
  const feeder = options.script === undefined ? undefined : new ScriptFeeder(options.script)
  const session = new EmbeddedSession(guest, feeder)
  const state = session.boot()
  if (state.kind === 'running') return session
  session[Symbol.dispose]()
  const details = state.kind === 'failed' ? state.report : ''
  return new CliFailure(`${kernelPath}: the guest ended before it had booted: ${state.message}`, { details })
}

class EmbeddedSession implements GuestSession {
  readonly syscalls
  readonly #guest: Guest
  readonly #script: ScriptFeeder | undefined
  readonly #client
  #end: GuestState | undefined

  constructor(guest: Guest, script: ScriptFeeder | undefined) {
    this.#guest = guest
    this.#script = script
    this.#client = guest.kernel.openClient({ comm: 'anybpf' })
    this.syscalls = this.#client
  }

  get timeNs(): number {
    return this.#guest.timeNs
  }

  suggestFunctions(name: string): readonly string[] {
    return this.#guest.suggestFunctions(name)
  }

  /** Runs until the kernel can be probed; the state is another than `running` where it never came so far. */
  boot(): GuestState {
    const stopped = this.#guest.boot()
    if (stopped === undefined) return { kind: 'running' }
    if (stopped.kind === 'budget' || stopped.kind === 'requested') {
      return { kind: 'ended', message: 'it has no functions, or does not map them where its symbols say' }
    }
    return this.#endOf(stopped)
  }

  runFor(wallMs: number): GuestState {
    const end = performance.now() + wallMs
    let state: GuestState
    do state = this.#run(SLICE)
    while (state.kind === 'running' && performance.now() < end)
    return state
  }

  runInstructions(count: number): GuestState {
    let state: GuestState = { kind: 'running' }
    for (let left = count; left > 0 && state.kind === 'running'; left -= SLICE) {
      state = this.#run(Math.min(SLICE, left))
    }
    return state
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
    this.#guest[Symbol.dispose]()
  }

  #run(maxInstructions: number): GuestState {
    if (this.#end !== undefined) return this.#end
    const reason = this.#guest.run({ maxInstructions })
    if (reason.kind === 'budget' || reason.kind === 'requested') return { kind: 'running' }
    if (reason.kind === 'idle') {
      const input = this.#script?.next()
      if (input !== undefined) {
        this.#guest.machine.uart.receive(input)
        return { kind: 'running' }
      }
    }
    this.#end = this.#endOf(reason)
    return this.#end
  }

  #endOf(reason: Exclude<ReturnType<Guest['run']>, { kind: 'budget' | 'requested' }>): GuestState {
    const { panic } = this.#guest
    if (panic !== undefined) {
      // A kernel that panics on its own account, not in a trap, prints no registers: show those that it stopped with.
      const registers = panic.registers.length > 0 ? panic.registers : this.#registersOf(panic.hart ?? 0)
      const report = formatPanic({ ...panic, registers })
      return { kind: 'failed', message: `the guest panicked: ${panic.message}`, report }
    }
    switch (reason.kind) {
      case 'idle':
        return { kind: 'ended', message: 'the guest waits for input' }
      case 'shutdown':
        if (reason.reason === 0) return { kind: 'ended', message: `the guest did a ${reason.type}` }
        return {
          kind: 'failed',
          message: `the guest did a ${reason.type} because of a failure (reason ${reason.reason})`,
          report: '',
        }
      case 'fault':
        return { kind: 'failed', message: faultMessage(reason), report: this.#faultReport(reason.hart) }
      default: {
        const unreachable: never = reason
        throw new Error(`no such reason: ${JSON.stringify(unreachable)}`)
      }
    }
  }

  /** As the ABI names them, `pc` first. */
  #registersOf(index: number): { readonly name: string; readonly value: bigint }[] {
    const hart = this.#guest.machine.hart(index)
    const general = REGISTER_NAMES.map((name, number) => ({ name, value: hart.x(number) }))
    return [{ name: 'pc', value: hart.pc }, ...general.slice(1)]
  }

  #faultReport(index: number): string {
    const { pc } = this.#guest.machine.hart(index)
    const symbol = this.#guest.port.symbolAt(pc)
    return formatPanic({
      message: 'an exception that nothing handles',
      hart: index,
      pid: undefined,
      comm: undefined,
      registers: this.#registersOf(index),
      backtrace: [{ address: pc, symbol, offset: symbol === undefined ? 0n : pc - symbol.address }],
    })
  }
}

function faultMessage(fault: {
  readonly hart: number
  readonly cause: bigint
  readonly pc: bigint
  readonly tval: bigint
}) {
  return (
    `hart ${fault.hart} of the guest met exception ${fault.cause} at pc 0x${fault.pc.toString(16)} ` +
    `(value 0x${fault.tval.toString(16)}), which nothing handles`
  )
}
