/** The Linux kernel that runs the tests, as an oracle: `linux-oracle.c` compiled where it is needed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encode, type Program } from '../../src/isa/index.ts'

export interface Question {
  readonly program: Program
  /** BPF_PROG_TYPE_*; default socket filter. */
  readonly programType?: number
  readonly license?: string
  /** Run the program on this packet if it is accepted. */
  readonly data?: Uint8Array
  /** How often to run it; default once. */
  readonly repeat?: number
}

export interface Answer {
  /** Positive; 0 where the program was accepted. */
  readonly errno: number
  readonly log: string
  /** The last line of the log that is no statistic. */
  readonly message: string
  /** What the program returned, 32 bits; undefined where it was not run. */
  readonly returned: number | undefined
  /** Nanoseconds that a run took, on average. */
  readonly durationNs: number
}

export class LinuxOracle implements Disposable {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** The oracle, or why there is none here. */
  static open(): LinuxOracle | string {
    if (process.platform !== 'linux') return 'needs Linux'
    if (process.getuid?.() !== 0) return 'needs root, for bpf(2)'
    const directory = mkdtempSync(join(tmpdir(), 'linux-oracle-'))
    const oracle = new LinuxOracle(directory)
    const source = fileURLToPath(new URL('./linux-oracle.c', import.meta.url))
    try {
      execFileSync('gcc', ['-O1', '-o', join(directory, 'oracle'), source], { stdio: 'pipe' })
    } catch (error) {
      oracle[Symbol.dispose]()
      return `needs gcc and linux/bpf.h: ${String(error).split('\n')[0]}`
    }
    const exit = { opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 }
    const [answer] = oracle.ask([{ program: [{ ...exit, opcode: 0xb7 }, exit] }])
    if (answer!.errno === 0) return oracle
    oracle[Symbol.dispose]()
    return `bpf(2) refuses with errno ${answer!.errno}`
  }

  /** One answer for each question, in order. */
  ask(questions: readonly Question[]): Answer[] {
    const input = questions.map(({ program, programType = 1, license = 'GPL', data, repeat = 1 }) => {
      const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
      return [
        programType,
        license,
        hex(encode(program)),
        ...(data === undefined ? [] : [hex(data), repeat]),
      ].join(' ')
    })
    const options = { input: `${input.join('\n')}\n`, encoding: 'utf8', maxBuffer: 2 ** 30 } as const
    const { stdout, status } = spawnSync(join(this.#directory, 'oracle'), options)
    const lines = stdout.trimEnd().split('\n')
    if (status !== 0 || lines.length !== questions.length) {
      throw new Error(`the oracle answered ${lines.length} of ${questions.length} questions`)
    }
    return lines.map(parseAnswer)
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function parseAnswer(line: string): Answer {
  const [errno, hexLog, runErrno, returned, duration] = line.split(' ')
  const log = Buffer.from(hexLog ?? '', 'hex').toString('utf8')
  const lines = log
    .split('\n')
    .filter((text) => text !== '' && !/^(processed \d|verification time|stack depth)/.test(text))
  return {
    errno: Number(errno),
    log,
    message: lines.at(-1) ?? '',
    returned: runErrno === '0' ? Number(returned) : undefined,
    durationNs: Number(duration),
  }
}
