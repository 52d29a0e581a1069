/**
 * The machine against QEMU: guest instructions per second of a compiled integer loop, what a breakpoint costs,
 * how long a cold start takes.
 *
 * QEMU cannot say how many instructions it has run, but they are the same ones: the loop's count comes from our
 * machine, QEMU's time is that of the loop minus that of a start with no rounds. Least of several runs.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { Machine } from '../src/machine/index.ts'
import { createMachine } from '../src/machine/index.ts'

const loop = join(import.meta.dirname, 'programs', 'integer-loop.elf')
const ROUNDS_AT = 0x8010_0000
const RESULT_AT = 0x8010_0008
const ROUNDS = 200
const REPEATS = 3

const least = (times: readonly number[]) => Math.min(...times)
const repeat = (times: number, body: () => number) => Array.from({ length: times }, body)

function double(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  return bytes
}

function create(
  elf: Uint8Array,
  firmware: 'sbi' | 'none',
  disks: Uint8Array[] = [],
  onConsole = () => {},
): Machine {
  const created = createMachine({ kernel: { elf }, firmware, disks, onConsole })
  if (!created.ok) throw new Error(JSON.stringify(created.error))
  return created.machine
}

/** Milliseconds of a run of the loop, how many instructions, and the result. */
function ours(rounds: number): { ms: number; instructions: number; result: bigint } {
  const machine = create(readFileSync(loop), 'none')
  machine.writePhysical(ROUNDS_AT, double(BigInt(rounds)))
  const start = performance.now()
  const stop = machine.run()
  const ms = performance.now() - start
  if (stop.kind !== 'shutdown') throw new Error(`the loop ended with ${stop.kind}`)
  const result = new Uint8Array(8)
  machine.readPhysical(RESULT_AT, result)
  return {
    ms,
    instructions: machine.hart(0).retired,
    result: new DataView(result.buffer).getBigUint64(0, true),
  }
}

function qemu(rounds: number): number {
  const start = performance.now()
  const { status } = spawnSync('qemu-system-riscv64', [
    ...['-machine', 'virt', '-m', '64', '-bios', 'none', '-kernel', loop, '-display', 'none'],
    ...['-serial', 'none', '-monitor', 'none'],
    ...['-device', `loader,addr=${ROUNDS_AT},data=${rounds},data-len=8`],
  ])
  if (status !== 0) throw new Error(`qemu-system-riscv64 ended with ${status}`)
  return performance.now() - start
}

function integerLoop(): void {
  const cold = ours(ROUNDS)
  const warm = repeat(REPEATS, () => ours(ROUNDS).ms)
  const mips = (ms: number) => cold.instructions / ms / 1000
  console.log(
    `integer loop       ${(cold.instructions / 1e6).toFixed(0)} M instructions, result ${cold.result}`,
  )
  console.log(
    `  this machine     ${mips(least(warm)).toFixed(0)} MIPS, ${mips(cold.ms).toFixed(0)} from cold`,
  )
  if (spawnSync('qemu-system-riscv64', ['--version']).status !== 0) {
    console.log('  QEMU             skipped: no qemu-system-riscv64')
    return
  }
  const MORE = 10
  const time = least(repeat(REPEATS, () => qemu(ROUNDS * MORE))) - least(repeat(REPEATS, () => qemu(0)))
  const theirs = (cold.instructions * MORE) / time / 1000
  console.log(
    `  QEMU (TCG)       ${theirs.toFixed(0)} MIPS, ${(theirs / mips(least(warm))).toFixed(1)} times ours`,
  )
}

/** A loop of two instructions, with and without a breakpoint in it. */
function breakpoints(): void {
  const HITS = 200_000
  // addi a0, a0, -1; (ebreak or nop); bnez a0, -8; j .
  const code = (middle: number) =>
    Uint8Array.from(new Uint8Array(Uint32Array.of(0xfff50513, middle, 0xfe051ce3, 0x6f).buffer))
  const time = (middle: number, handled: boolean) => {
    const created = createMachine({ kernel: { image: code(middle) } })
    if (!created.ok) throw new Error(JSON.stringify(created.error))
    const { machine } = created
    const hart = machine.hart(0)
    let hits = 0
    if (handled) {
      machine.onBreakpoint((at, pc) => {
        at.pc = pc + 4n
        hits++
        return true
      })
    }
    const run = () => {
      hart.setX(10, BigInt(HITS))
      hart.pc = 0x8020_0000n
      const start = performance.now()
      machine.run({ maxInstructions: 3 * HITS })
      return performance.now() - start
    }
    const ms = least(repeat(5, run))
    if (handled && hits !== 5 * HITS) throw new Error(`${hits} hits`)
    return (ms * 1e6) / HITS
  }
  const EBREAK = 0x00100073
  const NOP = 0x00000013
  const with_ = time(EBREAK, true)
  console.log(
    `breakpoint         ${(with_ - time(NOP, false)).toFixed(0)} ns a hit, with a handler that moves the pc`,
  )
}

function coldStart(): void {
  const guest = join(import.meta.dirname, '..', 'guest', 'build')
  const kernel = join(guest, 'kernel.elf')
  if (!existsSync(kernel)) return
  const files = () => [readFileSync(kernel), new Uint8Array(readFileSync(join(guest, 'disk.img')))] as const
  const [elf, disk] = files()
  let firstOutput = 0
  const start = performance.now()
  const machine = create(elf, 'sbi', [disk], () => {
    firstOutput ||= performance.now() - start
  })
  const created = performance.now() - start
  const stop = machine.run({ maxInstructions: 1e9 })
  const ms = performance.now() - start
  const { retired } = machine.hart(0)
  console.log(
    `demo guest, cold   machine made in ${created.toFixed(0)} ms, first output at ${firstOutput.toFixed(0)} ms,`,
  )
  console.log(
    `                   ${stop.kind} after ${(retired / 1e6).toFixed(0)} M instructions at ${ms.toFixed(0)} ms: ${(retired / ms / 1000).toFixed(0)} MIPS`,
  )
}

// First, while nothing is warm.
coldStart()
integerLoop()
breakpoints()
