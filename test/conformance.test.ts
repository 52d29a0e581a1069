/** The instruction tests of test/data/conformance, on every engine and on the Linux that runs the tests. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import {
  bytesFromHex,
  conformanceEngines,
  conformanceFailure,
  conformancePlugin,
  parseConformanceTest,
} from '../src/cli/conformance.ts'
import { encode, type Row, rows } from '../src/isa/index.ts'
import { LinuxOracle } from './support/linux-oracle.ts'

const directory = new URL('./data/conformance/', import.meta.url)
const files = readdirSync(directory).filter((file) => file.endsWith('.data'))
const tests = files.map((file) => {
  const parsed = parseConformanceTest(readFileSync(new URL(file, directory), 'utf8'))
  if (parsed.kind !== 'test') throw new Error(`${file}: ${parsed.reason}`)
  return { file, test: parsed.test }
})

/** Rows without a file: what they need is not in the format. */
const untested: Readonly<Record<string, string>> = {
  addr_space_cast: 'an arena map',
  call_kfunc: 'a kernel function',
  callx: 'Linux refuses it; the public suite has a test',
  lddw_map_fd: 'a map',
  lddw_map_value: 'a map',
  lddw_btf_id: 'BTF',
  lddw_function: 'a helper that calls back',
  lddw_map_index: 'a map',
  lddw_map_index_value: 'a map',
  ldabsw: 'a packet',
  ldabsh: 'a packet',
  ldabsb: 'a packet',
  ldindw: 'a packet',
  ldindh: 'a packet',
  ldindb: 'a packet',
}

const oracle = LinuxOracle.open()
afterAll(() => {
  if (typeof oracle !== 'string') oracle[Symbol.dispose]()
})

describe('the instruction tests', () => {
  it('have a file for every row of the table, or a reason', () => {
    const missing = rows.map(({ name }: Row) => name).filter((name) => !files.includes(`${name}.data`))
    expect(missing.sort()).toEqual(Object.keys(untested).sort())
  })

  it.each(Object.entries(conformanceEngines))('pass on the %s', (_, engine) => {
    const failures = tests.flatMap(({ file, test }) => {
      const failure = conformanceFailure(test, engine)
      return failure === undefined ? [] : [`${file}: ${failure}`]
    })
    expect(failures).toEqual([])
    expect(files.length).toBeGreaterThan(160)
  })

  const reason = typeof oracle === 'string' ? ` (skipped: ${oracle})` : ''
  it.skipIf(typeof oracle === 'string')(`pass on Linux${reason}`, () => {
    const data = new Uint8Array(64)
    const questions = tests.map(({ test }) => ({ program: test.program, data }))
    const answers = (oracle as LinuxOracle).ask(questions)
    const failures = files.filter((_, i) => answers[i]!.returned !== 0)
    expect(failures).toEqual([])
  })
})

describe('the .data format', () => {
  it('lets raw win over asm, the last result line win, and # begin a comment', () => {
    const text = [
      '# a comment',
      '-- asm',
      'mov %r0, 1 # not this',
      'exit',
      '-- raw',
      '0x00000007000000b7 0x0000000000000095',
      '-- mem',
      'aa bb # two',
      '0c',
      '-- result',
      '5',
      '0x7',
    ].join('\n')
    const parsed = parseConformanceTest(text)
    expect(parsed).toMatchObject({ kind: 'test', test: { expected: { kind: 'result', value: 7n } } })
    if (parsed.kind !== 'test') return
    expect([...parsed.test.memory]).toEqual([0xaa, 0xbb, 0x0c])
    expect(conformanceFailure(parsed.test, conformanceEngines.interpreter!)).toBeUndefined()
  })

  it('reports a wrong result, a fault, and an error that was expected', () => {
    const failure = (text: string) => {
      const parsed = parseConformanceTest(text)
      return parsed.kind === 'test'
        ? conformanceFailure(parsed.test, conformanceEngines.interpreter!)
        : parsed
    }
    expect(failure('-- asm\nmov %r0, 1\nexit\n-- result\n0x2')).toBe('expected r0 = 0x2, found 0x1')
    expect(failure('-- asm\nldxw %r0, [%r1]\nexit\n-- result\n0x2')).toMatch(/found an error: .*invalid read/)
    expect(failure('-- asm\nldxw %r0, [%r1]\nexit\n-- error\nbad')).toBeUndefined()
    expect(failure('-- asm\nmov %r0, 1\nexit\n-- error\nbad')).toBe('expected an error, found r0 = 0x1')
    expect(failure('-- asm\nmov %r0\nexit\n-- result\n1')).toMatchObject({
      kind: 'malformed',
      reason: '2:1: unexpected token `mov`; expected mov %rN, N or mov %rN, %rN',
    })
    expect(failure('-- asm\nexit')).toMatchObject({ kind: 'skip' })
    expect(failure('-- result\n0')).toMatchObject({ kind: 'skip' })
    expect(failure('-- nonsense\n0')).toMatchObject({ kind: 'malformed' })
  })

  it('passes memory in r1 and its length in r2', () => {
    const parsed = parseConformanceTest(
      '-- asm\nldxb %r0, [%r1+2]\nlsh %r0, 8\nadd %r0, %r2\nexit\n-- mem\n01 02 03\n-- result\n0x303',
    )
    expect(
      parsed.kind === 'test' && conformanceFailure(parsed.test, conformanceEngines.interpreter!),
    ).toBeUndefined()
  })
})

describe('bin/conformance-plugin', () => {
  const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  const { program, memory } = (() => {
    const parsed = parseConformanceTest(
      '-- asm\nldxdw %r0, [%r1]\nexit\n-- mem\n01 02 03 04 05 06 07 88\n-- result\n0',
    )
    if (parsed.kind !== 'test') throw new Error(parsed.reason)
    return parsed.test
  })()
  const input = hex(encode(program))

  it('reads hex with and without spaces', () => {
    expect([...bytesFromHex(' 0a  ff\n1 ')!]).toEqual([10, 255, 1])
    expect([...bytesFromHex('0aff')!]).toEqual([10, 255])
    expect(bytesFromHex('0x1')).toBeUndefined()
    expect(bytesFromHex('abc')).toBeUndefined()
  })

  it('prints r0 in hex, or an error with status 1', () => {
    expect(conformancePlugin(hex(memory), input)).toEqual({
      status: 0,
      stdout: '8807060504030201\n',
      stderr: '',
    })
    expect(conformancePlugin(undefined, input)).toMatchObject({ status: 1, stdout: '' })
    expect(conformancePlugin('zz', input)).toMatchObject({ status: 1 })
    expect(conformancePlugin('--elf', input)).toMatchObject({ status: 1 })
    expect(conformancePlugin(undefined, 'b7 00')).toMatchObject({ status: 1 })
  })

  const built = existsSync(new URL('../dist/cli/conformance.js', import.meta.url))
  it.skipIf(!built)(`runs as a process${built ? '' : ' (skipped: dist/ is not built)'}`, () => {
    const plugin = fileURLToPath(new URL('../bin/conformance-plugin', import.meta.url))
    expect(execFileSync(plugin, [hex(memory)], { input, encoding: 'utf8' })).toBe('8807060504030201\n')
  })
})
