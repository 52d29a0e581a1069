/** Machines for tests: a program at the start of RAM in M-mode, or at the kernel's place in S-mode. */
import { board } from '../board.ts'
import { RAM_BASE } from '../cpu/layout.ts'
import type { Machine } from '../machine.ts'
import { createMachine } from '../machine.ts'
import type { MachineOptions, StopReason } from '../options.ts'
import { Program } from './program.ts'

export interface TestMachine {
  readonly machine: Machine
  readonly program: Program
  /** Runs to the end, or for a million instructions. */
  run(): StopReason
  /** What the guest has written to its console. */
  console(): string
  word(address: number): bigint
}

type Options = Omit<MachineOptions, 'kernel' | 'onConsole'>

/** All harts start in M-mode at the program, which lies at the start of RAM. */
export function bareMachine(build: (program: Program) => void, options: Options = {}): TestMachine {
  return testMachine(new Program(RAM_BASE), build, { ...options, firmware: 'none' })
}

/** Hart 0 starts in S-mode at the program, which lies where a kernel does; the machine answers SBI calls. */
export function kernelMachine(build: (program: Program) => void, options: Options = {}): TestMachine {
  return testMachine(new Program(board.kernel), build, { ...options, firmware: 'sbi' })
}

function testMachine(program: Program, build: (program: Program) => void, options: Options): TestMachine {
  build(program)
  let output = ''
  const created = createMachine({
    ramBytes: 4 << 20,
    codeCacheBytes: 1 << 20,
    ...options,
    kernel: { elf: executable(program) },
    onConsole: (bytes) => {
      for (const byte of bytes) output += String.fromCharCode(byte)
    },
  })
  if (!created.ok) throw new Error(JSON.stringify(created.error))
  const { machine } = created
  return {
    machine,
    program,
    run: () => machine.run({ maxInstructions: 1_000_000 }),
    console: () => output,
    word: (address) => {
      const bytes = new Uint8Array(8)
      if (!machine.readPhysical(address, bytes)) throw new Error(`0x${address.toString(16)} is not RAM`)
      return new DataView(bytes.buffer).getBigUint64(0, true)
    },
  }
}

/** An ELF executable with the program as its only segment; the entry is its first instruction. */
export function executable(program: Program): Uint8Array<ArrayBuffer> {
  const code = program.bytes()
  const HEADERS = 64 + 56
  const file = new Uint8Array(HEADERS + code.length)
  const view = new DataView(file.buffer)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint16(16, 2, true)
  view.setUint16(18, 243, true)
  view.setUint32(20, 1, true)
  view.setBigUint64(24, BigInt(program.base), true)
  view.setBigUint64(32, 64n, true)
  view.setUint16(52, 64, true)
  view.setUint16(54, 56, true)
  view.setUint16(56, 1, true)
  view.setUint32(64, 1, true)
  view.setUint32(68, 7, true)
  view.setBigUint64(72, BigInt(HEADERS), true)
  view.setBigUint64(80, BigInt(program.base), true)
  view.setBigUint64(88, BigInt(program.base), true)
  view.setBigUint64(96, BigInt(code.length), true)
  view.setBigUint64(104, BigInt(code.length), true)
  view.setBigUint64(112, 4096n, true)
  file.set(code, HEADERS)
  return file
}
