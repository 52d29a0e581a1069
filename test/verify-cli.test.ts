/** `anybpf verify` on programs with one fault each, compiled by clang: the line, the words, the advice. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runVerify } from '../src/cli/commands/verify.ts'
import type { CliFailure } from '../src/cli/failure.ts'
import { FakeHost } from '../src/cli/testing/fake-host.ts'
import { type ElfFile, parseElf, R_BPF, STT } from '../src/elf/index.ts'
import { buildObject, code } from '../src/elf/testing/object-builder.ts'
import { assembled } from '../src/isa/testing/assembled.ts'

const folder = join(import.meta.dirname, 'verify/programs')
const MARK = '/* rejected here */'

interface Expectation {
  readonly message: RegExp
  readonly help: RegExp
  /** Other lines of source that must be shown, with what is said of them. */
  readonly leads?: readonly (readonly [line: RegExp, label: RegExp])[]
}

const EXPECTED: Readonly<Record<string, Expectation>> = {
  'null-check': {
    message: /^R0 invalid mem access 'map_value_or_null'$/,
    help: /bpf_map_lookup_elem\(\) may give NULL: test for it/,
    leads: [[/bpf_map_lookup_elem\(&counts, &key\)/, /-{19} R0 has it from here/]],
  },
  'lost-bound': {
    message: /^R0 unbounded memory access/,
    help: /bound the value right before its use/,
    leads: [[/__u32 slot = ctx->rx_queue_index/, /-{14} the offset comes from here/]],
  },
  'beyond-value': {
    message: /^R0 max value is outside of the allowed memory range$/,
    help: /i >= N/,
    leads: [[/slot > 4/, /the offset comes from here/]],
  },
  'packet-length': {
    message: /^R1 offset is outside of the packet$/,
    help: /data \+ offset \+ size > data_end/,
    leads: [[/ctx->data;/, /R1 has it from here/]],
  },
  'after-helper': {
    message: /^R6 invalid mem access 'scalar'$/,
    help: /bpf_skb_pull_data\(\) may move the packet/,
    leads: [[/bpf_skb_pull_data\(skb, 0\)/, /-{17} R6 has it from here/]],
  },
  'scalar-dereference': {
    message: /^R0 invalid mem access 'scalar'$/,
    help: /bpf_get_current_task_btf\(\)/,
  },
  'stack-index': {
    message: /^invalid variable-offset write to stack R2/,
    help: /check the index against the number of elements/,
    leads: [[/__u32 i = ctx->rx_queue_index/, /the offset comes from here/]],
  },
  'helper-size': {
    message: /^invalid write to stack R1 off=-16 size=255$/,
    help: /the size can be larger than the buffer/,
  },
  'reference-leak': {
    message: /would lead to reference leak$/,
    help: /bpf_ringbuf_discard\(\), on every way out/,
    leads: [
      [/bpf_ringbuf_reserve\(/, /is acquired here by bpf_ringbuf_reserve\(\)/],
      [/rx_queue_index == 7/, /this way out is taken/],
    ],
  },
  'lock-held': {
    message: /^function calls are not allowed while holding a lock$/,
    help: /before the lock is taken/,
    leads: [[/bpf_spin_lock\(/, /the lock is taken here/]],
  },
  'lock-kept': {
    message: /cannot be used inside bpf_spin_lock-ed region$/,
    help: /unlock before every return/,
    leads: [[/locked->count > 1000/, /this way out is taken/]],
  },
  'return-range': { message: /should have been in \[0, 3\]$/, help: /return one of the constants/ },
  'wrong-helper': {
    message: /^program of this type cannot use helper bpf_redirect#23$/,
    help: /sched_cls, sched_act, xdp, lwt_xmit/,
  },
  'endless-loop': { message: /^infinite loop detected at insn \d+$/, help: /bpf_for\(\)/ },
  'long-loop': { message: /^BPF program is too large\. Processed 1000001 insn$/, help: /bpf_loop\(\)/ },
  'deep-stack': {
    message: /^combined stack size of 2 calls is 608\. Too large$/,
    help: /per-CPU array map/,
  },
  licence: { message: /GPL-restricted function/, help: /SEC\("license"\) = "GPL"/ },
  'context-field': { message: /^invalid bpf_context access off=0 size=4$/, help: /whole fields/ },
  uninitialised: { message: /^R7 !read_ok$/, help: /give the variable a value on every path/ },
  'read-only': { message: /^write into map forbidden/, help: /const or \.rodata cannot be written/ },
  'argument-kind': { message: /^R2 type=scalar expected=fp, /, help: /pass the address of a variable/ },
  sleeping: { message: /^helper call might sleep/, help: /\.s\// },
}

/** Objects by name, those of faulty programs and those of `kernel/`, or why there are none. */
function compileAll(): ReadonlyMap<string, Uint8Array> | string {
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-verify-'))
  const include = `-I/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
  const objects = new Map<string, Uint8Array>()
  const sources = Object.keys(EXPECTED).map((name) => [name, join(folder, `${name}.bpf.c`)] as const)
  const kernel = ['kernel.c', 'uses.bpf.c', 'owns.bpf.c'].map(
    (name) => [name, join(folder, '../kernel', name)] as const,
  )
  try {
    for (const [name, source] of [...sources, ...kernel]) {
      const object = join(directory, `${name}.o`)
      const flags = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', include]
      execFileSync('clang-19', [...flags, '-c', source, '-o', object], { stdio: 'pipe' })
      objects.set(name, new Uint8Array(readFileSync(object)))
    }
    return objects
  } catch (error) {
    return `needs clang-19 and libbpf-dev: ${String(error).split('\n')[0]}`
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const objects = compileAll()
const why = typeof objects === 'string' ? ` (skipped: ${objects})` : ''

const options = {
  program: undefined as string | undefined,
  btf: undefined as string | undefined,
  kconfig: undefined as string | undefined,
  json: false,
  states: false,
  stats: false,
}

function verify(
  files: Readonly<Record<string, Uint8Array | string>>,
  more: Partial<typeof options> = {},
  types: Readonly<Record<string, Uint8Array>> = {},
) {
  const host = new FakeHost({ files: { ...files, ...types } })
  const result = runVerify(host, { ...options, ...more, paths: Object.keys(files) })
  return { host, result, out: host.stdout.text, err: host.stderr.text }
}

describe.skipIf(typeof objects === 'string')(`programs with a fault${why}`, () => {
  test.each(Object.keys(EXPECTED))('%s', (name) => {
    const { message, help, leads = [] } = EXPECTED[name] as Expectation
    const object = (objects as ReadonlyMap<string, Uint8Array>).get(name) as Uint8Array
    const source = readFileSync(join(folder, `${name}.bpf.c`), 'utf8').split('\n')
    const { result, out: json } = verify({ 'a.o': object }, { json: true })
    expect(result).toBe(1)
    const report = JSON.parse(json) as {
      accepted: boolean
      message: string
      suggestion: string
      source: { line: number; column: number; text: string }
    }
    expect(report.accepted).toBe(false)
    expect(report.message).toMatch(message)
    expect(report.suggestion).toMatch(help)
    // The line is the marked one, and the column lies in it.
    expect(source[report.source.line - 1]).toContain(MARK)
    expect(report.source.text.trimEnd()).toBe(source[report.source.line - 1])
    expect(report.source.text[report.source.column - 1]).toMatch(/\S/)
    // A million instructions are walked once only.
    if (name === 'long-loop') return
    // The excerpt shows it with the mark under that column.
    const { out } = verify({ 'a.o': object })
    const lines = out.split('\n')
    const at = lines.findIndex((line) => /^ *\d+ \| /.test(line) && line.includes(MARK))
    const marks = lines.slice(at + 1).find((line) => line.includes('^')) as string
    const column = report.source.text.slice(0, report.source.column - 1).replaceAll('\t', '    ').length
    expect(marks.indexOf('^') - (lines[at] as string).indexOf('| ') - 2).toBe(column)
    expect(out).toContain(`help: ${report.suggestion}`)
    for (const [line, label] of leads) {
      const lead = lines.findIndex((shown) => /^ *\d+ \| /.test(shown) && line.test(shown))
      expect(lead, `${line} in\n${out}`).toBeGreaterThan(0)
      expect(lines[lead + 1]).toMatch(label)
    }
  })

  test('every program of the folder is expected here', () => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.bpf.c'))
    expect(files.map((file) => file.replace('.bpf.c', '')).sort()).toEqual(Object.keys(EXPECTED).sort())
  })

  test('--states shows what is known at each instruction, and nothing of the verifier at work', () => {
    const object = (objects as ReadonlyMap<string, Uint8Array>).get('lost-bound') as Uint8Array
    const { out } = verify({ 'a.o': object }, { states: true })
    expect(out).toContain('; R0=map_value_or_null(id=1,map=counts,ks=4,vs=24)')
    expect(out).toMatch(
      /^; struct value \*value = bpf_map_lookup_elem\(&counts, &key\); @ lost-bound\.bpf\.c:7$/m,
    )
    expect(out).not.toMatch(/mark_precise|live stack/)
  })
})

describe.skipIf(typeof objects === 'string')(`programs that need a kernel${why}`, () => {
  const object = (name: string) => (objects as ReadonlyMap<string, Uint8Array>).get(name) as Uint8Array
  const kernel = () => ({
    kernel: (parseElf(object('kernel.c')) as ElfFile).section('.BTF')?.data as Uint8Array,
  })

  const known = { btf: 'kernel', kconfig: 'config' }
  const config = {
    config: new TextEncoder().encode('# Linux/x86 6.18.9 Kernel Configuration\nCONFIG_HZ=250\n'),
  }

  test('are proved for all settings where those of the kernel are not given', () => {
    const { out } = verify({ 'a.o': object('uses.bpf.c') }, { program: 'guarded', btf: 'kernel' }, kernel())
    expect(out).toMatch(/^rejected guarded \(socket\): R\d invalid mem access 'scalar'/)
  })

  test('are given its functions, symbols, settings, structs of functions and hooks', () => {
    const { result, out, err } = verify({ 'a.o': object('uses.bpf.c') }, known, { ...kernel(), ...config })
    expect(out.trimEnd().split('\n')).toEqual([
      'accepted function (tc)',
      'accepted flavours (tc)',
      'accepted symbol (socket)',
      'accepted guarded (socket)',
      'accepted undo (struct_ops/undo)',
      'accepted hook (lsm.s/file_open)',
    ])
    expect(err).toMatch(
      /program 'nowhere' \(lsm\/no_such_hook\): the kernel's types have no function 'no_such_hook'/,
    )
    expect(result).toBe(1)
  })

  test('own what they are given to own, and give it back once', () => {
    const { out } = verify({ 'a.o': object('owns.bpf.c') }, { btf: 'kernel', json: true }, kernel())
    const verdicts = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { program: string; accepted: boolean; message?: string })
      .map(({ program, message }) => [program, message])
    expect(verdicts).toEqual([
      ['dropped', undefined],
      ['kept', 'BPF_EXIT instruction in main prog would lead to reference leak'],
      ['again', 'invalid bpf_context access off=0. Reference may already be released'],
      ['elsewhere', 'no write support to Qdisc at off 4'],
      ['out', 'calling kernel function bpf_qdisc_skb_drop is not allowed'],
    ])
  })

  test('say so where its types are not given', () => {
    const { err } = verify({ 'a.o': object('uses.bpf.c') }, { program: 'function' })
    expect(err).toMatch(/extern 'bpf_rcu_read_lock': the kernel's types are not given/)
    expect(err).toMatch(/--btf FILE gives the types of a kernel/)
  })
})

describe('several objects, and bad ones', () => {
  const good = new Uint8Array(readFileSync(join(import.meta.dirname, '../bpf/opensnoop.bpf.o')))

  test('all are verified, and a table says what it took', () => {
    const { result, out } = verify({ 'a/x.o': good, 'b/y.o': good }, { stats: true })
    expect(result).toBe(0)
    const table = out.slice(out.indexOf('File'))
    expect(table.split('\n')[0]).toBe(
      'File  Program      Verdict  Duration (us)  Insns  States  Peak states  Stack  Program size',
    )
    const rows = table.split('\n').slice(2, -1)
    expect(rows.map((row) => row.split(/ +/).slice(0, 3).join(' '))).toEqual([
      'x.o open_entry success',
      'x.o open_return success',
      'y.o open_entry success',
      'y.o open_return success',
    ])
    for (const row of rows) expect(Number(row.split(/ +/)[4])).toBeGreaterThan(0)
  })

  test('a bad one does not keep the others from being verified', () => {
    const { result, out, err } = verify({ 'bad.o': 'this is text', 'good.o': good })
    expect(result).toBe(1)
    expect(out).toMatch(/accepted open_entry/)
    expect(err).toMatch(/bad\.o: this is not an ELF file/)
  })

  test('a bad one alone is the failure of the command', () => {
    const { result } = verify({ 'bad.o': 'this is text' })
    expect((result as CliFailure).message).toMatch(/bad\.o: this is not an ELF file/)
  })

  test('a program that is not there', () => {
    const { result } = verify({ 'good.o': good }, { program: 'nope' })
    expect((result as CliFailure).message).toBe("good.o: there is no program 'nope'")
  })

  test('one line of JSON for each program', () => {
    const { out } = verify({ 'a.o': good }, { json: true })
    const lines = out.trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { program: string }).program)).toEqual([
      'open_entry',
      'open_return',
    ])
  })
})

test('a function that nothing defines is named, not jumped over', () => {
  const body = code('xdp', assembled('r1 = 1', 'call pc-1', 'exit'), [
    { offset: 8, type: R_BPF['64_32'], symbol: '__bswapsi2' },
  ])
  const object = buildObject(
    [body],
    [
      { name: 'swap', section: 'xdp', size: body.data.length, type: STT.FUNC },
      { name: '__bswapsi2', type: STT.NOTYPE },
    ],
  )
  const { err } = verify({ 'swap.o': object })
  expect(err).not.toContain('--btf')
  expect(err).toMatch(
    /program 'swap': extern '__bswapsi2': the object does not define it, and BPF has no library of the compiler/,
  )
})
