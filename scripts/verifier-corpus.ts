/**
 * Reads a folder of programs with the verdicts that a Linux kernel gave them: the input of `agreement.ts` and of
 * `bench/verifier.ts`. The folder's own README describes the format.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Btf, BtfError } from '../src/btf/index.ts'
import { decode } from '../src/isa/index.ts'
import type { MapSpec, ProgramInput } from '../src/verifier/program.ts'
import { type ProofVerdict, prove } from '../src/verifier/prover.ts'

export interface RecordedVerdict {
  readonly id: string
  readonly corpus: string
  readonly object: string
  readonly program: string
  readonly prog_type: string
  readonly insn_cnt: number
  readonly verdict: 'accept' | 'reject'
  readonly errno: number
  readonly message: string
  readonly processed_insns: number
  readonly verification_time_us: number | null
}

export interface RecordedMap {
  readonly type: number
  readonly name: string
  readonly key_size: number
  readonly value_size: number
  readonly max_entries: number
  readonly flags: number
  readonly inner: number
  readonly extra: number
  readonly key_type_id: number
  readonly value_type_id: number
  readonly vmlinux_value_type_id: number
  readonly btf: string | null
  readonly frozen: boolean
  readonly value: string | null
}

export interface RecordedLoad {
  readonly id: string
  readonly btf_dir: string
  readonly prog_type_id: number
  readonly expected_attach_type: number
  readonly prog_flags: number
  readonly kern_version: number
  readonly license: string
  readonly prog_name: string
  readonly attach_btf_id: number
  readonly attach_prog_fd: number
  readonly insns: string
  readonly maps: readonly RecordedMap[]
  readonly btf: string | null
  readonly func_info: readonly (readonly [number, number])[]
  readonly fd_array: readonly { idx: number; map: number; btf: string | null }[]
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '')

function parsed(bytes: Uint8Array): Btf | undefined {
  const btf = Btf.parse(bytes)
  return btf instanceof BtfError ? undefined : btf
}

/**
 * The recorder names an inner map by a file descriptor that the loader may have closed and used again: then the map it
 * names is not the template, which was declared like an ordinary map of the object.
 */
export function innerIndex(maps: RecordedLoad['maps'], index: number): number {
  const outer = maps[index]
  if (outer === undefined || outer.inner < 0) return -1
  const recorded = maps[outer.inner]
  const isTemplate =
    recorded === undefined || !recorded.name.includes('.') || recorded.name.startsWith(`${outer.name}.`)
  if (isTemplate) return outer.inner
  const declared = maps.findIndex((m, i) => i !== index && m.btf !== null && !m.name.includes('.'))
  return declared >= 0 ? declared : outer.inner
}

export interface RecordedProgram {
  readonly verdict: RecordedVerdict
  readonly load: RecordedLoad
  readonly input: ProgramInput
}

/** Recorded programs, made into inputs when asked for. */
export class Corpus {
  readonly #folder: string
  readonly #kernels = new Map<string, Btf | undefined>()
  readonly #blobs = new Map<string, Uint8Array>()
  readonly #btfs = new Map<string, Btf | undefined>()
  readonly verdicts: ReadonlyMap<string, RecordedVerdict>

  constructor(folder: string) {
    this.#folder = folder
    const verdicts = lines(readFileSync(join(folder, 'verdicts.jsonl'), 'utf8')).map(
      (line) => JSON.parse(line) as RecordedVerdict,
    )
    this.verdicts = new Map(verdicts.map((v) => [v.id, v]))
    for (const line of lines(gunzipSync(readFileSync(join(folder, 'btf/blobs.jsonl.gz'))).toString())) {
      const { sha, btf } = JSON.parse(line) as { sha: string; btf: string }
      this.#blobs.set(sha, Buffer.from(btf, 'base64'))
    }
  }

  static isAt(folder: string): boolean {
    return existsSync(join(folder, 'verdicts.jsonl'))
  }

  /** Types of the kernel that judged. */
  kernel(name: string): Btf | undefined {
    if (!this.#kernels.has(name)) {
      const file = join(this.#folder, `btf/vmlinux-${name}.btf.xz`)
      const { stdout } = spawnSync('xz', ['-dc', file], { maxBuffer: 1 << 26 })
      this.#kernels.set(name, parsed(stdout))
    }
    return this.#kernels.get(name)
  }

  /** BTF as it was given to BPF_BTF_LOAD. */
  blob(sha: string): Uint8Array | undefined {
    return this.#blobs.get(sha)
  }

  /** The section that types of this corpus were read from. */
  bytesOf(btf: Btf): Uint8Array | undefined {
    for (const [sha, parsedBtf] of this.#btfs) if (parsedBtf === btf) return this.#blobs.get(sha)
    return undefined
  }

  #btf(sha: string | null): Btf | undefined {
    if (sha === null) return undefined
    if (!this.#btfs.has(sha)) {
      const bytes = this.#blobs.get(sha)
      this.#btfs.set(sha, bytes === undefined ? undefined : parsed(bytes))
    }
    return this.#btfs.get(sha)
  }

  *programs(corpus?: string): Iterable<RecordedProgram> {
    for (const file of readdirSync(join(this.#folder, 'loads')).sort()) {
      const name = file.replace('.jsonl.gz', '')
      if (corpus !== undefined && name !== corpus) continue
      for (const line of lines(gunzipSync(readFileSync(join(this.#folder, 'loads', file))).toString())) {
        const load = JSON.parse(line) as RecordedLoad
        const verdict = this.verdicts.get(load.id)
        if (verdict !== undefined) yield { verdict, load, input: this.#input(load) }
      }
    }
  }

  #input(load: RecordedLoad): ProgramInput {
    const decoded = decode(Buffer.from(load.insns, 'base64'))
    if (!decoded.ok) throw new Error(`${load.id}: ${decoded.error.message}`)
    const maps: MapSpec[] = []
    const mapAt = (index: number): MapSpec | undefined => {
      const known = maps[index]
      const m = load.maps[index]
      if (known !== undefined || m === undefined) return known
      const inner = mapAt(innerIndex(load.maps, index))
      const btf = this.#btf(m.btf)
      const map: MapSpec = {
        type: m.type,
        name: m.name,
        keySize: m.key_size,
        valueSize: m.value_size,
        maxEntries: m.max_entries,
        flags: m.flags,
        extra: BigInt(m.extra),
        keyTypeId: m.key_type_id,
        valueTypeId: m.value_type_id,
        frozen: m.frozen,
        ...(inner === undefined ? {} : { inner }),
        ...(btf === undefined ? {} : { btf }),
        ...(m.value === null ? {} : { value: Buffer.from(m.value, 'base64') }),
      }
      maps[index] = map
      return map
    }
    load.maps.forEach((_, i) => {
      mapAt(i)
    })
    const kernel = this.kernel(load.btf_dir)
    const descriptors: ProgramInput['descriptors'][number][] = []
    for (const entry of load.fd_array) {
      const map = maps[entry.map]
      descriptors[entry.idx] = {
        ...(map === undefined ? {} : { map }),
        ...(entry.btf === 'vmlinux' && kernel !== undefined ? { btf: kernel } : {}),
        isModule: entry.btf === 'module',
      }
    }
    const btf = this.#btf(load.btf)
    return {
      instructions: decoded.program,
      programType: load.prog_type_id,
      expectedAttachType: load.expected_attach_type,
      flags: load.prog_flags,
      license: load.license,
      name: load.prog_name,
      maps,
      descriptors,
      functions: load.func_info.map(([instruction, typeId]) => ({ instruction, typeId })),
      lines: [],
      logLevel: 0,
      ...(btf === undefined ? {} : { btf }),
      ...(kernel === undefined ? {} : { kernelTypes: kernel }),
      ...(load.attach_btf_id === 0 && load.attach_prog_fd === 0
        ? {}
        : { attach: { btfId: load.attach_btf_id, isProgram: load.attach_prog_fd !== 0 } }),
    }
  }
}

/** A proof is repeated: the first time is the compiler's, and Linux's verifier was compiled before. */
const ENOUGH_US = 1_500_000
const REPEATS = 6

/** The verdict, and the time that it takes a process that has been verifying for a while. */
export function timedProof(input: ProgramInput): { proof: ProofVerdict; microseconds: number } {
  let best = Number.POSITIVE_INFINITY
  let proof: ProofVerdict | undefined
  let total = 0
  for (let i = 0; i < REPEATS && total < ENOUGH_US; i++) {
    const start = process.hrtime.bigint()
    const cpu = process.cpuUsage()
    proof = prove(input)
    const { user, system } = process.cpuUsage(cpu)
    // The processor's time where others want it, too.
    const took = Math.min(Number(process.hrtime.bigint() - start) / 1000, user + system)
    best = Math.min(best, took)
    total += took
  }
  return { proof: proof as ProofVerdict, microseconds: best }
}
