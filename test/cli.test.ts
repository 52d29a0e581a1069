/** The command line on the demo guest; as a process where exit codes, streams and signals are the process's. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nodeHost } from '../src/cli/node-host.ts'
import { runCli } from '../src/cli/program.ts'
import { repositoryFile } from './support/guest.ts'

const root = join(import.meta.dirname, '..')
const main = ['--import', 'tsx', join(root, 'src/cli/main.ts')]

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** `anybpf ARGV` as a process of its own. */
const spawnAnybpf = (...argv: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...main, ...argv],
      { cwd: root, env: { ...process.env, NO_COLOR: '1' }, maxBuffer: 1 << 24 },
      (_error, out, err) => resolve({ code: child.exitCode, out, err }),
    )
  })

/** The same in this process, with its streams caught: the start of a process takes longer than most commands. */
async function anybpf(...argv: string[]): Promise<Outcome> {
  const stream = () => ({
    text: '',
    columns: undefined,
    rows: undefined,
    write(text: string) {
      this.text += text
    },
  })
  const [stdout, stderr] = [stream(), stream()]
  const code = await runCli(nodeHost({ stdout, stderr }), argv, '0.0.0')
  return { code, out: stdout.text, err: stderr.text }
}

let directory = ''
const scratch = (name: string, content: Uint8Array | string): string => {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'anybpf-cli-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('a mistake is told with what to do about it', () => {
  test('an object that is for another machine', async () => {
    const { code, out, err } = await spawnAnybpf('run', 'guest/build/kernel.elf')
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(
      /^anybpf: guest\/build\/kernel\.elf: .*RISC-V.*\n {2}this takes eBPF objects: compile it with clang/i,
    )
  })

  test('a file that is no object, and one that is not there', async () => {
    const { code, err } = await anybpf('run', scratch('notes.o', 'just text'))
    expect(code).toBe(1)
    expect(err).toMatch(/notes\.o: .*\n {2}this takes eBPF objects/)
    const missing = await anybpf('prog', 'disasm', join(directory, 'missing.o'))
    expect(missing.code).toBe(1)
    expect(missing.err).toMatch(/missing\.o: there is no such file\n$/)
  })

  test('an object that is cut short', async () => {
    const whole = repositoryFile('bpf/syscount.bpf.o')
    const { code, err } = await anybpf('run', scratch('half.o', whole.subarray(0, 3000)))
    expect(code).toBe(1)
    expect(err).toMatch(/^anybpf: .*half\.o: .+\n/)
    expect(err).not.toMatch(/at .*\.ts/)
  })

  test('a function that the guest does not have', async () => {
    // The symbol's name stands in the section's name: sys_openat becomes sys_opemat.
    const bytes = Buffer.from(repositoryFile('bpf/opensnoop.bpf.o'))
    for (let at = bytes.indexOf('sys_openat'); at >= 0; at = bytes.indexOf('sys_openat'))
      bytes.write('sys_opemat', at)
    const { code, err } = await anybpf('run', scratch('misspelt.o', bytes))
    expect(code).toBe(1)
    expect(err).toMatch(/has no function 'sys_opemat'\n {2}did you mean sys_openat/)
  })

  test('a kernel that is none', async () => {
    const { code, err } = await anybpf('syscount', '--kernel', 'bpf/hello.bpf.o')
    expect(code).toBe(1)
    expect(err).toMatch(/^anybpf: bpf\/hello\.bpf\.o: this is no guest kernel: .*\n {2}--kernel takes/)
  })

  test('a disk of an odd size', async () => {
    const { code, err } = await anybpf('syscount', '--disk', scratch('odd.img', 'x'.repeat(100)))
    expect(code).toBe(1)
    expect(err).toMatch(/a disk is whole sectors of 512 bytes, not 100 bytes/)
  })

  test('a script line that the console cannot take', async () => {
    const { code, err } = await anybpf('syscount', '--script', `echo ${'x'.repeat(300)}`)
    expect(code).toBe(2)
    expect(err).toMatch(/--script: a line is 305 characters long\n {2}.*break the line/)
  })

  test.skipIf(!existsSync('/dev/full'))('a full disk (skipped without /dev/full)', async () => {
    const sink = openSync('/dev/full', 'w')
    try {
      const child = spawn(process.execPath, [...main, 'kernel', 'symbols'], {
        cwd: root,
        stdio: ['ignore', sink, 'pipe'],
      })
      let err = ''
      child.stderr?.on('data', (data) => {
        err += data
      })
      expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1)
      expect(err).toMatch(/^anybpf: standard output: .*ENOSPC.*\n$/)
    } finally {
      closeSync(sink)
    }
  })

  test('a wrong command line', async () => {
    const { code, out, err } = await spawnAnybpf('syscount', '--harts', '9')
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/--harts.*from 1 to 8/)
    const nothing = await anybpf()
    expect(nothing.code).toBe(2)
    expect(nothing.err).toContain('Examples:')
  })
})

describe.concurrent('a guest', () => {
  test('is counted to its end, and the JSON agrees with what its script did', async () => {
    const { code, out, err } = await anybpf(
      'syscount',
      '-j',
      '-i',
      '60',
      '--script',
      'ls /; cat /no/such/file',
    )
    expect([code, err]).toEqual([0, ''])
    const [total, ...rest] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rest).toEqual([])
    expect(total).toMatchObject({ type: 'total', lost: 0 })
    const calls = new Map<string, { count: number; errors: number }>(
      total.calls.map((row: { name: string; count: number; errors: number }) => [row.name, row]),
    )
    // The shell, ls, cat.
    expect(calls.get('execve')).toMatchObject({ count: 3, errors: 0 })
    expect(calls.get('openat')?.errors).toBe(1)
    expect(calls.get('reboot')).toMatchObject({ count: 1 })
  })

  test('has as much memory as the options allow', async () => {
    const { code, err } = await anybpf('syscount', '--memory', '1024', '-d', '0.01')
    expect([code, err]).toEqual([0, ''])
  })

  test('that panics shows registers and a backtrace with names, after the totals', async () => {
    const { code, out, err } = await spawnAnybpf('syscount', '-i', '60', '--script', 'panic')
    expect(code).toBe(1)
    expect(out).toContain(', total')
    expect(err).toMatch(/^guest kernel panic: /)
    expect(err).toMatch(/ {5}pc ffffffc[0-9a-f]{9}/)
    expect(err).toMatch(/Call trace:\n( \[<[0-9a-f]{16}>\] .+\n)+anybpf: the guest panicked: /)
    expect(err).toContain('sys_panic+0x')
  })

  test('runs the programs of an object', async () => {
    const { code, out, err } = await anybpf('run', 'bpf/opensnoop.bpf.o', '--script', 'wc /etc/rc')
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^events: .*comm="wc" file_name="\/etc\/rc"$/m)
    expect(out).toContain('dropped = 0')
  })

  /** A guest that would run for hours, until `act` has done something to it. */
  async function endless(act: (child: ChildProcess) => void): Promise<Outcome> {
    const argv = [...main, 'syscount', '-i', '0.2', '--script', 'yes']
    const child = spawn(process.execPath, argv, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (data) => {
      out += data
      if (/^write/m.test(out)) act(child)
    })
    child.stderr.on('data', (data) => {
      err += data
    })
    const code = await new Promise<number | null>((resolve) => child.on('exit', resolve))
    return { code, out, err }
  }

  test('is left at Ctrl-C, with the totals', async () => {
    let isSent = false
    const { code, out, err } = await endless((child) => {
      if (!isSent) child.kill('SIGINT')
      isSent = true
    })
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/Detaching\.\.\.\n\[.*\] guest .* s, total\nSYSCALL +COUNT +ERRORS\nwrite +\d+/)
  })

  test('is left without a word when nobody reads any more', async () => {
    const { code, err } = await endless((child) => child.stdout?.destroy())
    expect([code, err]).toEqual([0, ''])
  })
})
