/**
 * Helpers beside those of the running kernel: programs run there by BPF_PROG_TEST_RUN, bodies called here with
 * the same arguments.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_F_RDONLY_PROG, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../src/abi/index.ts'
import {
  type HelperEnvironment,
  helperBodies,
  helperById,
  helperByName,
  helperPrototypes,
} from '../src/helpers/index.ts'
import { Arena } from '../src/memory/index.ts'
import { hex, openLinux, programBytes } from './oracle/linux.ts'

const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

const SYSCALL = BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL
const ARRAY = BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY

function environment(arena: Arena): HelperEnvironment {
  return {
    arena,
    cpu: 0,
    context: 0n,
    mapAt: () => undefined,
    monotonicNs: () => 0n,
    bootNs: () => 0n,
    task: () => undefined,
    random: () => 0,
    readKernel: () => -14,
    readUser: () => -14,
    tracePrint: () => {},
    callback: () => undefined,
    probedAddress: () => 0n,
    attachCookie: () => 0n,
  }
}

function call(env: HelperEnvironment, name: string, ...args: bigint[]): bigint {
  const body = helperBodies.get(helperByName(name)?.id as number)
  if (body === undefined) throw new Error(`${name} has no body`)
  const [r1 = 0n, r2 = 0n, r3 = 0n, r4 = 0n, r5 = 0n] = args
  const result = body(env, r1, r2, r3, r4, r5)
  if (typeof result !== 'bigint') throw new Error(JSON.stringify(result, (_, v) => `${v}`))
  return result
}

/** Where a program puts what it shows: slot 1, mapped into the answer of a lookup. */
const OUTPUT_BYTES = 1024
const STRINGS_BYTES = 1024
const ascii = (text: string) => new TextEncoder().encode(text)

/** An argument: a number, or an offset into the strings. */
type Argument = { readonly number: bigint } | { readonly string: number }

describe.skipIf(why !== '')(`the running kernel agrees${why}`, () => {
  const strings = new Uint8Array(STRINGS_BYTES)
  strings.set(ascii('hello, world'), 0)
  strings.set(ascii('%d %s'), 20)
  strings.set(Uint8Array.of(0xc3, 0xa9, 0x7f, 1), 30)
  strings.fill(0x61, 100, 700)

  /** What bpf_snprintf gives on the kernel: the whole answer as text. */
  function snprintfThere(cases: readonly { format: Uint8Array; args: readonly Argument[]; size: number }[]) {
    const script: string[] = []
    const answersAt: number[] = []
    for (const { format, args, size } of cases) {
      const formatValue = new Uint8Array(format.length + 1)
      formatValue.set(format)
      const stores = args
        .map((arg, index) => {
          const value =
            'number' in arg ? `r1 = 0x${arg.number.toString(16)} ll` : `r1 = VALUE 2 ${arg.string}`
          return `${value}\n*(u64 *)(r10 -${8 * (args.length - index)}) = r1`
        })
        .join('\n')
      const program = `
        ${stores}
        r1 = VALUE 1
        r2 = ${size}
        r3 = VALUE 0
        r4 = r10
        r4 += -${8 * args.length}
        ${args.length === 0 ? 'r4 = 0' : ''}
        r5 = ${8 * args.length}
        call bpf_snprintf
        exit`
      script.push(
        `create 0 ${ARRAY} 4 ${formatValue.length} 1 ${BPF_F_RDONLY_PROG} 0 0`,
        `update 0 00000000 ${hex(formatValue)} 0`,
        'freeze 0',
        `create 1 ${ARRAY} 4 ${OUTPUT_BYTES} 1 0 0 0`,
        `create 2 ${ARRAY} 4 ${STRINGS_BYTES} 1 0 0 0`,
        `update 2 00000000 ${hex(strings)} 0`,
        `load 0 ${SYSCALL} 1 ${hex(programBytes(program))}`,
        'run 0 00000000',
        'lookup 1 00000000 0',
      )
      answersAt.push(script.length - 1)
    }
    const answers = oracle().run(script)
    return answersAt.map((at) => {
      const load = answers[at - 2] as string
      if (!load.startsWith('0')) {
        if (!load.includes('Invalid format string')) throw new Error(load)
        return { result: 'refused', output: '' }
      }
      const result = BigInt.asIntN(32, BigInt((answers[at - 1] as string).split(' ')[0] as string))
      return { result, output: result < 0n ? '' : (answers[at] as string) }
    })
  }

  function snprintfHere({
    format,
    args,
    size,
  }: {
    format: Uint8Array
    args: readonly Argument[]
    size: number
  }) {
    const arena = new Arena()
    const put = (bytes: Uint8Array, sizeBytes = bytes.length) => {
      const offset = arena.allocate(sizeBytes) as number
      arena.bytes.set(bytes, offset)
      return arena.address(offset)
    }
    const text = new Uint8Array(format.length + 1)
    text.set(format)
    const stringsAt = put(strings)
    const raw = new BigUint64Array(
      args.map((arg) => ('number' in arg ? BigInt.asUintN(64, arg.number) : stringsAt + BigInt(arg.string))),
    )
    const argsAt = args.length === 0 ? 0n : put(new Uint8Array(raw.buffer))
    const output = put(new Uint8Array(OUTPUT_BYTES))
    const [formatAt, env] = [put(text), environment(arena)]
    const result = call(env, 'bpf_snprintf', output, BigInt(size), formatAt, argsAt, BigInt(8 * args.length))
    const start = arena.offsetOf(output)
    return { result, output: result < 0n ? '' : hex(arena.bytes.slice(start, start + OUTPUT_BYTES)) }
  }

  const numbers = fc.oneof(
    fc.constantFrom(0n, 1n, 9n, 10n, 255n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  )
  const width = fc.constantFrom(
    '',
    '',
    '',
    '1',
    '5',
    '12',
    '020',
    '-8',
    '+',
    ' ',
    '0',
    '+6',
    '-05',
    ' 09',
    '40',
  )
  const conversions = 'd i u x X ld li lu lx lX lld lli llu llx llX c px'.split(' ')
  const directive = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(width, fc.constantFrom(...conversions)).map(([w, c]) => `%${w}${c}`) },
    { weight: 4, arbitrary: width.map((w) => `%${w}s`) },
    { weight: 2, arbitrary: fc.constantFrom('%pks', '%10pks', '%pi4', '%pI4', '%pi6', '%pI6') },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '%',
        '%z',
        '%5',
        '%n',
        '%pq',
        '%pi5',
        '%hd',
        '%llld',
        '%#x',
        '%.3s',
        '%*d',
        '%sx',
        '%lc',
      ),
    },
  )
  const text = fc.oneof(
    fc.constantFrom(
      '',
      ' ',
      ' ',
      ',',
      'a',
      'value=',
      '%%',
      '%%%%',
      '\n',
      '\t',
      '\x01',
      '\x7f',
      'é',
      '\u00a0',
      '9',
      '_',
    ),
    fc.string({ maxLength: 5 }).map((any) => any.replaceAll('%', '')),
  )
  const snprintfCase = fc
    .array(fc.tuple(text, directive), { maxLength: 6 })
    .chain((parts) =>
      fc.record({
        parts: fc.constant(parts),
        tail: text,
        extra: fc.constantFrom(0, 0, 0, 1, -1),
        values: fc.array(numbers, { minLength: 8, maxLength: 8 }),
        offsets: fc.array(fc.constantFrom(0, 0, 5, 11, 12, 20, 30, 100, 600, 690), {
          minLength: 8,
          maxLength: 8,
        }),
        size: fc.constantFrom(1, 2, 10, 64, 900, 900),
      }),
    )
    .map(({ parts, tail, extra, values, offsets, size }) => {
      const format = ascii(parts.map(([before, spec]) => before + spec).join('') + tail)
      const args = parts.map(
        ([, spec], index): Argument =>
          /[si][46]?$/.test(spec) && /s|p/.test(spec)
            ? { string: offsets[index] as number }
            : { number: values[index] as bigint },
      )
      // once such text is cut, Linux takes the rest of its characters for the next arguments
      const room = parts.some(([, spec]) => /p[iI][46]|pks/.test(spec)) ? 900 : size
      if (extra > 0) args.push({ number: 7n })
      return {
        format: format.filter((byte) => byte !== 0),
        args: extra < 0 ? args.slice(1) : args,
        size: room,
      }
    })

  test('bpf_snprintf', () => {
    fc.assert(
      fc.property(fc.array(snprintfCase, { minLength: 1, maxLength: 30, size: 'max' }), (cases) => {
        const theirs = snprintfThere(cases)
        for (const [index, each] of cases.entries()) {
          const shown = `"${new TextDecoder().decode(each.format)}" ${JSON.stringify(each.args, (_, v) => (typeof v === 'bigint' ? `${v}` : v))} in ${each.size}`
          const ours = snprintfHere(each)
          // a bad format is refused when the program is loaded, before the arguments are copied
          const isRefused = theirs[index]?.result === 'refused' && ours.result < 0n
          const expected = isRefused ? ours : theirs[index]
          expect({ case: shown, ...ours }).toEqual({ case: shown, ...expected })
        }
      }),
      { numRuns: 12 },
    )
  })

  test('bpf_strtol and bpf_strtoul', () => {
    const program = (name: string) => `
      r6 = r1
      r2 = *(u64 *)(r6 +0)
      r3 = *(u64 *)(r6 +8)
      if r2 == 0 goto bad
      if r2 > 100 goto bad
      r1 = VALUE 1
      r4 = r10
      r4 += -8
      call ${name}
      r1 = *(u64 *)(r10 -8)
      *(u64 *)(r6 +16) = r1
      exit
    bad:
      r0 = 12345
      exit`
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789abcdefxX -+\t89'), maxLength: 24 })
    const input = fc.oneof(
      digits,
      fc
        .tuple(
          fc.constantFrom('', ' ', '\t\n', '-', ' -', '--', '+', '\u00a0'),
          fc.constantFrom('', '0', '0x', '0X', '00'),
          digits,
        )
        .map((p) => p.join('')),
      fc.constantFrom(
        '9223372036854775807',
        '9223372036854775808',
        '-9223372036854775808',
        '-9223372036854775809',
        '18446744073709551615',
        '18446744073709551616',
        '0x',
        '0xg',
        '-0',
        '0x8000000000000000',
        `${' '.repeat(40)}12`,
        '0'.repeat(80),
        '-'.padEnd(90, '1'),
      ),
    )
    const one = fc.record({
      input,
      flags: fc.constantFrom(0, 0, 8, 10, 16, 2, 32, 42),
      name: fc.constantFrom('bpf_strtol', 'bpf_strtoul'),
    })
    fc.assert(
      fc.property(fc.array(one, { minLength: 100, maxLength: 120, size: 'max' }), (cases) => {
        const script = [
          `create 1 ${ARRAY} 4 128 1 0 0 0`,
          `load 0 ${SYSCALL} 1 ${hex(programBytes(program('bpf_strtol')))}`,
          `load 1 ${SYSCALL} 1 ${hex(programBytes(program('bpf_strtoul')))}`,
        ]
        const expected: string[] = []
        for (const each of cases) {
          const bytes = ascii(each.input).subarray(0, 100)
          const buffer = new Uint8Array(128)
          buffer.set(bytes)
          const context = new Uint8Array(24)
          const view = new DataView(context.buffer)
          view.setBigUint64(0, BigInt(bytes.length), true)
          view.setBigUint64(8, BigInt(each.flags), true)
          script.push(
            `update 1 00000000 ${hex(buffer)} 0`,
            `run ${each.name === 'bpf_strtol' ? 0 : 1} ${hex(context)}`,
          )
          const arena = new Arena()
          const [at, to] = [arena.allocate(128) as number, arena.allocate(8) as number]
          arena.bytes.set(buffer, at)
          let result = 12345n
          if (bytes.length > 0) {
            result = call(
              environment(arena),
              each.name,
              arena.address(at),
              BigInt(bytes.length),
              BigInt(each.flags),
              arena.address(to),
            )
            view.setBigUint64(16, arena.view.getBigUint64(to, true), true)
          }
          expected.push(
            `${each.name} ${JSON.stringify(each.input)} ${each.flags}: ${BigInt.asUintN(32, result)} ${hex(context)}`,
          )
        }
        const answers = oracle().run(script)
        expect(answers.slice(0, 3)).toEqual(['0', '0', '0'])
        const theirs = cases.map(
          (each, index) =>
            `${each.name} ${JSON.stringify(each.input)} ${each.flags}: ${answers[4 + 2 * index]}`,
        )
        expect(expected).toEqual(theirs)
      }),
      { numRuns: 5 },
    )
  })

  test('which program types may call which helper', () => {
    // types that load without a target, with an attach type where they need one
    const probes = [
      'SOCKET_FILTER',
      'KPROBE',
      'SCHED_CLS',
      'SCHED_ACT',
      'TRACEPOINT',
      'PERF_EVENT',
      'XDP',
      'RAW_TRACEPOINT',
      'SK_SKB',
      'SYSCALL',
    ] as const
    // what this kernel may have been built or booted without
    const optional = new Set([
      'bpf_probe_write_user',
      'bpf_override_return',
      'bpf_get_cgroup_classid',
      'bpf_xdp_output',
    ])
    const ids = [...new Set(helperPrototypes.map(({ id }) => id))]
    const script = probes.flatMap((name) => {
      const type = BPF_PROG_TYPE[`BPF_PROG_TYPE_${name}`]
      return ids.map(
        (id) => `load 0 ${type} ${name === 'SYSCALL' ? 1 : 0} ${hex(programBytes(`call ${id}\nexit`))}`,
      )
    })
    const answers = oracle().run(script)
    const wrong: string[] = []
    for (const [at, name] of probes.entries()) {
      for (const [index, id] of ids.entries()) {
        const answer = answers[at * ids.length + index] as string
        const allowed = !/cannot use helper|unknown func|invalid func/.test(answer)
        const prototype = helperById(id, BPF_PROG_TYPE[`BPF_PROG_TYPE_${name}`])
        const helper = helperById(id)?.name as string
        if ((prototype !== undefined) !== allowed && !optional.has(helper)) {
          wrong.push(`${name} ${helper}: ${answer.slice(0, 120)}`)
        }
      }
    }
    expect(wrong).toEqual([])
  })
})
