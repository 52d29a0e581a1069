/** A program in the kernel, ready to be attached or test-run. */
import { BPF_CMD, BPF_F_TEST_XDP_LIVE_FRAMES, progTestRunAttr, type Syscalls } from '../abi/index.ts'
import { type AttachOptions, attachProgram } from './attach.ts'
import type { PerfEventPlace } from './attach-perf-event.ts'
import type { Place } from './attach-place.ts'
import { bpf } from './calls.ts'
import { AttachError, SyscallError } from './errors.ts'
import { IteratorReader } from './iterator.ts'
import type { Link } from './link.ts'
import { type Descriptor, Owner, UserBuffer } from './owner.ts'
import type { AttachTarget, ProgramSpec } from './spec/index.ts'
import type { UsdtSpecs } from './usdt/specs.ts'

export interface TestRun {
  /** Input packet or buffer. */
  readonly data?: Uint8Array
  /** Room for the output buffer, in bytes. Default: none. */
  readonly dataOutBytes?: number
  readonly context?: Uint8Array
  /** How often to run it. Default 1. */
  readonly repeat?: number
  /**
   * XDP: each run has a frame of its own, and what the program decides about it is done. Frames are dealt with in batches
   * of at most this many; 0: of as many as the kernel likes.
   */
  readonly liveFrameBatch?: number
}

export interface TestRunResult {
  /** r0, its low 32 bits. */
  readonly returnValue: number
  /** Nanoseconds per run, on average. */
  readonly durationNs: number
  readonly dataOut: Uint8Array
}

/** A loaded program: owns its descriptor. Links that were made of it stay when it is disposed. */
export class Program implements Disposable {
  readonly spec: ProgramSpec
  readonly #syscalls: Syscalls
  readonly #descriptor: Descriptor
  /** Of the object that it came with, where that has some. */
  readonly usdt: UsdtSpecs | undefined

  constructor(syscalls: Syscalls, spec: ProgramSpec, descriptor: Descriptor, usdt?: UsdtSpecs) {
    this.usdt = usdt
    this.#syscalls = syscalls
    this.spec = spec
    this.#descriptor = descriptor
  }

  get name(): string {
    return this.spec.name
  }

  get fd(): number {
    return this.#descriptor.fd
  }

  /** Whether `attach()` has a place to go to: the section's name says one. */
  get hasTarget(): boolean {
    return this.spec.definition.attach.kind !== 'none'
  }

  /** Attaches to where the section's name says, or to `target`: another place of the kind, or one that no name can say. */
  attach(
    target: AttachTarget | Place | PerfEventPlace = this.spec.definition.attach,
    options: AttachOptions = {},
  ): Link | AttachError {
    return attachProgram(this.#syscalls, this, target, options)
  }

  /** Iterators: attaches the program, and opens one walk of it. */
  openIterator(options: AttachOptions = {}): IteratorReader | AttachError | SyscallError {
    const link = this.attach(this.spec.definition.attach, options)
    if (link instanceof AttachError) return link
    const reader = IteratorReader.open(this.#syscalls, link, link)
    if (reader instanceof SyscallError) link[Symbol.dispose]()
    return reader
  }

  /** BPF_PROG_TEST_RUN: runs the program now, with input from here. */
  testRun(options: TestRun = {}): TestRunResult | SyscallError {
    using owner = new Owner()
    const memory = this.#syscalls.memory
    const put = (bytes: Uint8Array | undefined) =>
      bytes === undefined ? 0n : owner.own(UserBuffer.of(memory, bytes)).pointer
    const out = owner.own(new UserBuffer(memory, options.dataOutBytes ?? 0))
    const attr = progTestRunAttr.encode({
      prog_fd: this.fd,
      repeat: options.repeat ?? 0,
      data_in: put(options.data),
      data_size_in: options.data?.length ?? 0,
      ctx_in: put(options.context),
      ctx_size_in: options.context?.length ?? 0,
      data_out: options.dataOutBytes ? out.pointer : 0n,
      data_size_out: options.dataOutBytes ?? 0,
      flags: options.liveFrameBatch === undefined ? 0 : BPF_F_TEST_XDP_LIVE_FRAMES,
      batch_size: options.liveFrameBatch ?? 0,
    })
    const result = bpf(this.#syscalls, BPF_CMD.BPF_PROG_TEST_RUN, attr)
    if (result < 0) return new SyscallError('BPF_PROG_TEST_RUN', result, `program '${this.name}'`)
    const answer = progTestRunAttr.read(attr)
    return {
      returnValue: answer.retval,
      durationNs: answer.duration,
      dataOut: out.bytes.slice(0, Math.min(answer.data_size_out, out.sizeBytes)),
    }
  }

  [Symbol.dispose](): void {
    this.#descriptor[Symbol.dispose]()
  }
}
