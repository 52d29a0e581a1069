/**
 * The running kernel as a reference for tests: compiles `linux-bpf.c` and runs scripts of operations with it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { helperByName } from '../../src/helpers/index.ts'
import { assemble, encode } from '../../src/isa/index.ts'

export interface LinuxOracle extends Disposable {
  /** Possible CPUs. */
  readonly cpuCount: number
  /** One answer for each line of the script, all on CPU 0. */
  run(script: readonly string[]): string[]
}

/** The oracle, or why there is none here. */
export function openLinux(): LinuxOracle | string {
  if (process.platform !== 'linux') return 'not on Linux'
  if (process.getuid?.() !== 0) return 'needs root for bpf(2)'
  if (spawnSync('gcc', ['--version']).status !== 0) return 'gcc is not installed'
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-oracle-'))
  const program = join(directory, 'linux-bpf')
  const source = join(dirname(fileURLToPath(import.meta.url)), 'linux-bpf.c')
  execFileSync('gcc', ['-O1', '-o', program, source])
  const run = (script: readonly string[]) => {
    const input = script.map((line) => `${line}\n`).join('')
    const answers = execFileSync(program, { input, maxBuffer: 1 << 28 })
      .toString()
      .trimEnd()
      .split('\n')
    if (answers.length !== script.length) {
      throw new Error(`the oracle stopped after ${answers.length} of ${script.length} lines`)
    }
    return answers.map((answer) => answer.trimEnd())
  }
  const dispose = () => rmSync(directory, { recursive: true, force: true })
  try {
    const [created, cpus] = run(['create 0 2 4 8 1 0 0 0', 'cpus'])
    if (created !== '0') {
      dispose()
      return `bpf(2) answers ${created}`
    }
    return { cpuCount: Number(cpus), run, [Symbol.dispose]: dispose }
  } catch (error) {
    dispose()
    return `bpf(2) cannot be used: ${error}`
  }
}

/** Bytes of a program from its text; `MAP n` and `VALUE n offset` behind a register load what the slot holds. */
export function programBytes(text: string): Uint8Array {
  const loads: { dst: number; src: number; slot: number; offset: number }[] = []
  const source = text.replace(
    /r(\d+) = (MAP|VALUE) (\d+)(?: (\d+))?/g,
    (_all, dst: string, what: string, slot: string, offset: string | undefined) => {
      const load = { dst: Number(dst), src: what === 'MAP' ? 1 : 2, slot: Number(slot) }
      loads.push({ ...load, offset: Number(offset ?? 0) })
      // a marker with the length of what it stands for
      return `r${dst} = 0x${(0xabcd_0000_0000n + BigInt(loads.length - 1)).toString(16)} ll`
    },
  )
  const result = assemble(source, { helperId: (name) => helperByName(name)?.id })
  if (!result.ok) throw new Error(result.errors.map((error) => error.message).join('\n'))
  const bytes = encode(result.program)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < bytes.length; at += 8) {
    if (bytes[at] !== 0x18) continue
    if (view.getUint32(at + 12, true) === 0xabcd) {
      const load = loads[view.getUint32(at + 4, true)]
      if (load === undefined) throw new Error('a marker without a load')
      bytes[at + 1] = load.dst | (load.src << 4)
      view.setUint32(at + 4, load.slot, true)
      view.setUint32(at + 12, load.offset, true)
    }
    at += 8
  }
  return bytes
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
