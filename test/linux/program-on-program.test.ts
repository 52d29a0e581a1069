/**
 * Programs for functions of other programs, on this project's kernel and on the Linux that runs the tests: what both say
 * to those that they refuse.
 *
 * Rules: where Linux lets nobody load extensions and fentry programs (EPERM before its verifier looks), the other kinds
 * of tracing programs show what it asks of a target; they are refused by both kernels in the end.
 */
import { afterAll, describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_F_XDP_HAS_FRAGS,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  EPERM,
  type Syscalls,
} from '../../src/abi/index.ts'
import { Caller, u32 } from '../../src/kernel/testing/caller.ts'
import { loadTyped, type TypedProgram } from '../../src/kernel/testing/typed-program.ts'
import { openBoth } from './two-kernels.ts'

const { BPF_PROG_TYPE_EXT, BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_XDP } =
  BPF_PROG_TYPE
const { BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_TRACE_ITER, BPF_TRACE_RAW_TP, BPF_MODIFY_RETURN } =
  BPF_ATTACH_TYPE

const both = openBoth()
const why = typeof both === 'string' ? both : ''
afterAll(() => {
  if (typeof both === 'string') return
  expect(both.linux.openDescriptors).toEqual([])
  both[Symbol.dispose]()
})

/** A called function, one that only code calls that never runs, a static one, one that gives a struct back. */
const SOURCE = `
  r6 = r1
  r1 = 20
  if r1 == 21 goto never
  call twice
  r1 = 3
  call hidden
  r1 = r6
  call gives_nothing
  r0 = 0
  exit
never:
  call unused
  exit
twice:
  r0 = r1
  r0 += r0
  exit
hidden:
  r0 = r1
  exit
unused:
  r0 = 1
  exit
gives_nothing:
  r0 = 0
  exit`
const FUNCTIONS = [
  'int main(struct xdp_md *context)',
  'int twice(int number)',
  'static int hidden(int number)',
  'int unused(int number)',
  'static void gives_nothing(struct xdp_md *context)',
] as const

type Id = (target: TypedProgram) => number
const named =
  (name: string): Id =>
  (target) =>
    target.id(name)

const ROWS: readonly (readonly [what: string, attachType: number, id: Id])[] = [
  ['no function', BPF_TRACE_RAW_TP, () => 0],
  ['no type', BPF_TRACE_RAW_TP, () => 999],
  ['a number', BPF_TRACE_RAW_TP, () => 1],
  ['a function that is gone', BPF_TRACE_RAW_TP, named('unused')],
  ['a function', BPF_TRACE_RAW_TP, named('twice')],
  ['a static function', BPF_TRACE_RAW_TP, named('hidden')],
  ['the program', BPF_TRACE_RAW_TP, named('main')],
  ['no function, as an iterator', BPF_TRACE_ITER, () => 0],
  ['a function that is gone, as an iterator', BPF_TRACE_ITER, named('unused')],
  ['a function, as an iterator', BPF_TRACE_ITER, named('twice')],
  ['a function without a result, as an iterator', BPF_TRACE_ITER, named('gives_nothing')],
  ['a function, as what it is not', BPF_ATTACH_TYPE.BPF_XDP, named('twice')],
]

describe.skipIf(why !== '')(`both kernels${why && ` (skipped: ${why})`}`, () => {
  const { linux, ours } = both as Exclude<typeof both, string>

  /** What the kernel answers, without what it counts; its descriptors are closed again. */
  function on<T>(syscalls: Syscalls, ask: (caller: Caller, target: TypedProgram) => T): T {
    const caller = new Caller(syscalls)
    const target = loadTyped(caller, SOURCE, FUNCTIONS)
    if (target.fd < 0) throw new Error(`the target: ${target.fd}\n${target.log}`)
    try {
      return ask(caller, target)
    } finally {
      syscalls.close(target.fd)
    }
  }

  function answer(
    caller: Caller,
    attr: NonNullable<Parameters<typeof loadTyped>[3]>,
  ): readonly [number, string] {
    const { fd, log } = loadTyped(caller, 'r0 = 0\nexit', ['int mine(int number)'], attr)
    if (fd >= 0) caller.syscalls.close(fd)
    return [Math.min(fd, 0), log]
  }

  test.each(ROWS)('say the same of a tracing program of %s', (_what, expected_attach_type, id) => {
    const ask = (syscalls: Syscalls) =>
      on(syscalls, (caller, target) =>
        answer(caller, {
          prog_type: BPF_PROG_TYPE_TRACING,
          expected_attach_type,
          attach_prog_fd: target.fd,
          attach_btf_id: id(target),
        }),
      )
    const theirs = ask(linux)
    expect(theirs[0]).toBeLessThan(0)
    expect(ask(ours)).toEqual(theirs)
  })

  test('say the same of one whose target has no types', () => {
    const ask = (syscalls: Syscalls) => {
      const caller = new Caller(syscalls)
      const fd = caller.load('r0 = 0\nexit', { prog_type: BPF_PROG_TYPE_SOCKET_FILTER })
      const attr = {
        prog_type: BPF_PROG_TYPE_TRACING,
        expected_attach_type: BPF_TRACE_RAW_TP,
        attach_prog_fd: fd,
        attach_btf_id: 1,
      }
      const said = answer(caller, attr)
      syscalls.close(fd)
      return said
    }
    expect(ask(ours)).toEqual(ask(linux))
  })

  test.each([
    ['attach types of XDP', BPF_PROG_TYPE_XDP, [0, BPF_ATTACH_TYPE.BPF_XDP], [0, 0]],
    ['the same attach type', BPF_PROG_TYPE_XDP, [BPF_ATTACH_TYPE.BPF_XDP, BPF_ATTACH_TYPE.BPF_XDP], [0, 0]],
    ['XDP with fragments', BPF_PROG_TYPE_XDP, [0, 0], [BPF_F_XDP_HAS_FRAGS, 0]],
    ['attach types that mean nothing', BPF_PROG_TYPE_SOCKET_FILTER, [0, 5], [0, 0]],
  ] as const)('let the same programs into one array: %s', (_what, prog_type, attachTypes, flags) => {
    const ask = (syscalls: Syscalls) => {
      const caller = new Caller(syscalls)
      const newArray = () =>
        caller.createMap({
          map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
          key_size: 4,
          value_size: 4,
          max_entries: 2,
        })
      const program = (n: 0 | 1, array?: number) =>
        caller.load(
          array === undefined
            ? 'r0 = 1\nexit'
            : `r2 = map[fd:${array}]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit`,
          { prog_type, expected_attach_type: attachTypes[n], prog_flags: flags[n] },
        )
      const [called, inserted] = [newArray(), newArray()]
      const opened = [called, inserted, program(0, called), program(0), program(1)]
      const [, , calls = -1, first = -1, second = -1] = opened
      const late = [
        caller.update(called, u32(0), u32(second)),
        caller.update(called, u32(1), u32(calls)),
        caller.update(inserted, u32(0), u32(first)),
        caller.update(inserted, u32(1), u32(second)),
        program(1, inserted),
      ]
      for (const fd of [...opened, ...late.slice(4)]) if (fd >= 0) syscalls.close(fd)
      return late.map((result) => Math.min(result, 0))
    }
    expect(ask(ours)).toEqual(ask(linux))
  })

  test('say the same of programs of other types', () => {
    const ask = (syscalls: Syscalls) =>
      on(syscalls, (caller, target) => [
        answer(caller, { attach_prog_fd: target.fd, attach_btf_id: target.id('twice') }),
        answer(caller, { attach_prog_fd: target.fd }),
      ])
    expect(ask(ours)).toEqual(ask(linux))
  })

  test.each([
    ['an extension', BPF_PROG_TYPE_EXT, 0, 'twice'],
    ['an extension of a function that is gone', BPF_PROG_TYPE_EXT, 0, 'unused'],
    ['an extension of a static function', BPF_PROG_TYPE_EXT, 0, 'hidden'],
    ['an extension of another type', BPF_PROG_TYPE_EXT, 0, 'main'],
    ['an fentry program', BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, 'hidden'],
    ['an fexit program', BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, 'twice'],
    ['one that would change results', BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, 'twice'],
  ])(
    'say the same of %s, unless Linux lets nobody load it',
    (_what, prog_type, expected_attach_type, name) => {
      const ask = (syscalls: Syscalls) =>
        on(syscalls, (caller, target) =>
          answer(caller, {
            prog_type,
            expected_attach_type,
            attach_prog_fd: target.fd,
            attach_btf_id: target.id(name),
          }),
        )
      const theirs = ask(linux)
      if (theirs[0] === -EPERM) expect(theirs[1]).toBe('')
      else expect(ask(ours)).toEqual(theirs)
    },
  )
})
