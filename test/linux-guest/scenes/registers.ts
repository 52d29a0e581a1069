/** What tracing programs find of registers whose upper halves a function's type does not speak of, instruction by instruction. */
import {
  BPF_ATTACH_TYPE,
  BPF_PROG_TYPE,
  linkCreateTracingAttr,
  progTestRunAttr,
} from '../../../src/abi/index.ts'
import { Caller, u32 } from '../../../src/kernel/testing/caller.ts'
import { loadTyped, type TypedProgram } from '../../../src/kernel/testing/typed-program.ts'
import type { Scenes, Stage, Told } from './scene.ts'

const { BPF_TRACE_FENTRY, BPF_TRACE_FEXIT } = BPF_ATTACH_TYPE
const FRAME_BYTES = 64
const WORDS = 4

interface Case {
  /** Of `called`, at its label, which gives back what its type says. */
  readonly source: string
  readonly declaration: string
  readonly traced?: 'main' | 'called'
  /** Words of the context that are told. */
  readonly words: readonly number[]
}

const cases: Readonly<Record<string, Case>> = {
  'an int with more above it': {
    source: 'r1 = 0x1234567800000005 ll\ncall called\nexit\ncalled:\nr0 = r1\nr0 += 1\nexit',
    declaration: 'int called(int number)',
    words: [0, 1],
  },
  'a negative int': {
    source: 'w1 = -5\ncall called\nexit\ncalled:\nr0 = r1\nw0 += 1\nexit',
    declaration: 'int called(int number)',
    words: [0, 1],
  },
  'all of a u64': {
    source: 'r1 = -5\ncall called\nexit\ncalled:\nr0 = r1\nr0 *= r0\nexit',
    declaration: 'u64 called(u64 number)',
    words: [0, 1],
  },
  'a static function that changes what it was given': {
    source: 'r1 = 7\nr2 = 0x100000001 ll\ncall called\nexit\ncalled:\nr1 += r2\nr0 = r1\nr2 = 0\nexit',
    declaration: 'static u64 called(int one, u64 other)',
    words: [0, 1, 2],
  },
  'what a program returns, above 32 bits': {
    source: 'r1 = 1\ncall called\nr0 = 0x700000003 ll\nexit\ncalled:\nr0 = r1\nexit',
    declaration: 'int called(int number)',
    traced: 'main',
    words: [1],
  },
}

function tellCase({ syscalls }: Stage, { source, declaration, traced = 'called', words }: Case): Told {
  const caller = new Caller(syscalls)
  const values = caller.createArray(8 * WORDS)
  const target = loadTyped(caller, source, ['int main(struct xdp_md *context)', declaration])
  if (target.fd < 0) throw new Error(target.log)
  const run = (): Told => {
    const attr = progTestRunAttr.encode({
      prog_fd: target.fd,
      data_in: caller.put(new Uint8Array(FRAME_BYTES)),
      data_size_in: FRAME_BYTES,
    })
    const result = caller.bpf('BPF_PROG_TEST_RUN', attr)
    const stored = caller.lookup(values, u32(0), 8 * WORDS) as Uint8Array
    return [result, progTestRunAttr.read(attr).retval, ...[...new BigInt64Array(stored.buffer)].map(String)]
  }
  const told = [BPF_TRACE_FENTRY, BPF_TRACE_FEXIT].map((attachType) => {
    // The last word of those at the return is the result, which there is none of at the entry.
    const there = attachType === BPF_TRACE_FENTRY ? words.slice(0, -1) : words
    const tracer = traceWith(caller, attachType, target, traced, storing(values, there))
    const link = caller.bpf(
      'BPF_LINK_CREATE',
      linkCreateTracingAttr.encode({ prog_fd: tracer, attach_type: attachType }),
    )
    const outcome = run()
    for (const fd of [link, tracer]) syscalls.close(fd)
    return outcome
  })
  told.push(run())
  for (const fd of [target.fd, values]) syscalls.close(fd)
  return told
}

function traceWith(caller: Caller, type: number, target: TypedProgram, name: string, source: string): number {
  const { fd, log } = loadTyped(caller, source, ['int tracer(u64 *context)'], {
    prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING,
    expected_attach_type: type,
    attach_prog_fd: target.fd,
    attach_btf_id: target.id(name),
  })
  if (fd < 0) throw new Error(log)
  return fd
}

/** Stores words of the context into the map's value. */
const storing = (map: number, words: readonly number[]): string => `
  r6 = r1
  r7 = map[fd:${map}][0]
  ${words.map((word, n) => `r1 = *(u64 *)(r6 +${8 * word})\n*(u64 *)(r7 +${8 * n}) = r1`).join('\n')}
  r0 = 0
  exit`

export const registersScenes: Scenes = Object.fromEntries(
  Object.entries(cases).map(([name, each]) => [name, (stage: Stage) => tellCase(stage, each)]),
)
