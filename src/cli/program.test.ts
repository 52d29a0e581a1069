import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { BPF_RINGBUF_HDR_SZ, PAGE_SIZE } from '../abi/index.ts'
import type { FakeMap } from '../client/testing/fake-kernel.ts'
import { CliFailure } from './failure.ts'
import { runCli } from './program.ts'
import { FakeHost, type FakeHostOptions } from './testing/fake-host.ts'

const repository = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url))
const files = {
  'package/bpf/syscount.bpf.o': repository('bpf/syscount.bpf.o'),
  'opensnoop.bpf.o': repository('bpf/opensnoop.bpf.o'),
  'hello.bpf.o': repository('bpf/hello.bpf.o'),
  'package/guest/build/kernel.elf': repository('guest/build/kernel.elf'),
  'notes.txt': 'not an object',
  'x86.o': repository('guest/build/kernel.elf').subarray(0, 64),
}
const running = { kind: 'running' } as const

async function run(argv: string, options: FakeHostOptions = {}) {
  const host = new FakeHost({ files, ...options })
  const exitCode = await runCli(host, argv.split(' '), '1.2.3')
  return { host, exitCode, out: host.stdout.text, err: host.stderr.text }
}

const mapNamed = (host: FakeHost, name: string) =>
  host.kernel.objects('map').find(({ attr }) => attr.map_name === name) as FakeMap

/** Adds to the counters of a call on the first CPU. */
function count(host: FakeHost, number: number, calls: number, errors = 0, ns = 0): void {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(number)
  const view = new DataView(mapNamed(host, 'calls').elements.get(key.toString('hex'))!.buffer)
  for (const [index, value] of [calls, errors, ns].entries()) {
    view.setBigUint64(index * 8, view.getBigUint64(index * 8, true) + BigInt(value), true)
  }
}

/** A guest that makes 10 reads (one fails) and 3 writes in each of `slices` slices, then turns itself off. */
const worker = (slices: number) => (slice: number, host: FakeHost) => {
  if (slice >= slices) return { kind: 'ended', message: 'the guest did a poweroff' } as const
  count(host, 63, 10, 1, 5000)
  count(host, 64, 3, 0, 90_000)
  return running
}

describe('syscount', () => {
  test('prints plain tables into a pipe, and the totals at the end', async () => {
    const { out, err, exitCode, host } = await run('syscount', { onSlice: worker(20) })
    expect(exitCode).toBe(0)
    expect(err).toBe('')
    expect(out.split('\n')).toEqual([
      'Tracing syscalls, printing top 10... Ctrl+C to quit.',
      '[03:04:05] guest 0.080 s',
      'SYSCALL                    COUNT   ERRORS',
      'read                          80        8',
      'write                         24        0',
      '',
      '[03:04:05] guest 0.210 s, total: the guest did a poweroff',
      'SYSCALL                    COUNT   ERRORS',
      'read                         200       20',
      'write                         60        0',
      '',
      '',
    ])
    expect(host.isGuestOpen).toBe(false)
    expect(host.kernel.fds.size).toBe(0)
    expect(host.kernel.memory.allocations).toBe(0)
  })

  test('with an interval counts each one by itself', async () => {
    const { out } = await run('syscount -i 0.1 -T 1', { onSlice: worker(12) })
    const rows = out.split('\n').filter((line) => line.startsWith('read'))
    expect(rows.map((row) => row.split(/\s+/))).toEqual([
      ['read', '50', '5'],
      ['read', '50', '5'],
      ['read', '120', '12'],
    ])
    expect(out).not.toContain('write')
  })

  test('with latency sorts by time', async () => {
    const { out } = await run('syscount -L', { onSlice: worker(2) })
    expect(out.split('\n').slice(2, 5)).toEqual([
      'SYSCALL                    COUNT   ERRORS        TIME (us)',
      'write                          6        0          180.000',
      'read                          20        2           10.000',
    ])
  })

  test('prints JSON with both clocks and every row', async () => {
    const { out } = await run('syscount -j -i 0.1 -T 1', { onSlice: worker(7) })
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ type, wallMs, guestNs, total }) => [type, wallMs, guestNs, total.count])).toEqual([
      ['interval', 100, 50_000_000, 65],
      ['total', 160, 80_000_000, 91],
    ])
    expect(lines[1].calls).toEqual([
      { number: 63, name: 'read', count: 70, errors: 7, timeNs: 35_000 },
      { number: 64, name: 'write', count: 21, errors: 0, timeNs: 630_000 },
    ])
  })

  test('redraws on a terminal and leaves the totals', async () => {
    const { out } = await run('syscount', { onSlice: worker(21), terminal: { columns: 80, rows: 24 } })
    const parts = out.split('\x1b[4A\x1b[J')
    expect(parts).toHaveLength(3)
    expect(parts[1]).toContain('read                         200')
    expect(parts[2]).toContain('total: the guest did a poweroff')
    expect(parts[2]).toContain('read                         210')
  })

  test('cuts what does not fit the terminal', async () => {
    const terminal = { columns: 20, rows: 3 }
    const { out } = await run('syscount', { onSlice: worker(11), terminal, hasColours: true })
    const drawn = out.split('\n').slice(1, 3)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken out
    for (const line of drawn) expect(line.replace(/\x1b\[[0-9;]*m/g, '').length).toBeLessThan(20)
    expect(out).toContain('\x1b[2A\x1b[J')
  })

  test('Ctrl-C detaches and prints the totals', async () => {
    const { out, exitCode, host } = await run('syscount', {
      onSlice(slice, host) {
        count(host, 172, 1)
        if (slice === 4) host.interrupt()
        return running
      },
    })
    expect(exitCode).toBe(0)
    expect(out).toContain('Detaching...\n[03:04:05] guest 0.050 s, total\n')
    expect(out).toContain('getpid                         5        0')
    expect(host.kernel.fds.size).toBe(0)
  })

  test('ends when its time is up', async () => {
    const { out, exitCode } = await run('syscount -d 0.2', { onSlice: worker(1000) })
    expect(exitCode).toBe(0)
    expect(out).toContain('guest 0.100 s, total\n')
  })

  test('a guest that panics is reported after the totals, and the exit code says so', async () => {
    const report =
      'guest kernel panic: out of memory\n     pc ffffffc080201000\nCall trace:\n [<0>] page_alloc+0x4'
    const { out, err, exitCode } = await run('syscount', {
      onSlice: () => ({ kind: 'failed', message: 'the guest panicked: out of memory', report }),
    })
    expect(exitCode).toBe(1)
    expect(out).toContain(', total\n')
    expect(err).toBe(`${report}\nanybpf: the guest panicked: out of memory\n`)
  })

  test('hands its filters to the programs and its options to the guest', async () => {
    let rodata: Uint8Array | undefined
    const { host, out } = await run(
      'syscount -x -P -p 7 --harts 2 --memory 32 --kernel k --disk d --script ls',
      {
        onSlice(_slice, host) {
          rodata = mapNamed(host, 'syscount.rodata').elements.get('00000000')
          return { kind: 'ended', message: 'off' }
        },
      },
    )
    expect(rodata).toEqual(Uint8Array.of(7, 0, 0, 0, 1, 1))
    expect(out).toContain('Tracing failed syscalls')
    expect(out).toContain('PID    COMM')
    expect(host.guestOptions).toMatchObject({
      harts: 2,
      memoryMb: 32,
      kernelPath: 'k',
      diskPath: 'd',
      script: 'ls',
      onConsole: undefined,
    })
  })

  test('reads a script from a file, and shows the console where asked', async () => {
    const { host, err } = await run('syscount --script notes.txt --console', {
      onSlice(_slice, host) {
        host.guestOptions?.onConsole?.(new TextEncoder().encode('booting\r\nlast words'))
        return { kind: 'ended', message: 'off' }
      },
    })
    expect(host.guestOptions?.script).toBe('not an object')
    expect(err).toBe('booting\nlast words\n')
  })

  test('an unknown function names the nearest ones', async () => {
    const { err, exitCode } = await run('syscount', {
      symbols: ['syscall_enter'],
      near: ['syscall_despatch', 'x'],
    })
    expect(exitCode).toBe(1)
    expect(err.split('\n')).toEqual([
      "anybpf: package/bpf/syscount.bpf.o: program 'syscall_return': the kernel has no function 'syscall_dispatch'",
      '  did you mean syscall_despatch or x?',
      '  anybpf kernel symbols PATTERN lists what there is',
      '',
    ])
  })

  test('a guest that cannot be had is an error', async () => {
    const openFailure = new CliFailure('k: this is no guest kernel', { advice: ['give another'] })
    const { err, exitCode } = await run('syscount', { openFailure })
    expect([exitCode, err]).toEqual([1, 'anybpf: k: this is no guest kernel\n  give another\n'])
  })
})

describe('run', () => {
  const symbols = ['sys_openat', 'sys_execve']

  function submit(host: FakeHost, pid: number, name: string): void {
    const ring = mapNamed(host, 'events')
    const view = new DataView(ring.producer.buffer)
    const start = Number(view.getBigUint64(0, true))
    const at = PAGE_SIZE + start
    view.setUint32(at, 128, true)
    view.setBigUint64(at + 8, 1234n, true)
    view.setUint32(at + 16, pid, true)
    view.setInt32(at + 20, -2, true)
    ring.producer.set(new TextEncoder().encode('cat'), at + 24)
    ring.producer.set(new TextEncoder().encode(name), at + 40)
    view.setBigUint64(0, BigInt(start + BPF_RINGBUF_HDR_SZ + 128), true)
  }

  const opener = (slice: number, host: FakeHost) => {
    if (slice > 1) return { kind: 'ended', message: 'off' } as const
    submit(host, slice + 1, `/etc/${slice}`)
    const [pipe] = host.kernel.objects('file').filter(({ path }) => path.endsWith('trace_pipe'))
    if (pipe) pipe.text = new TextEncoder().encode(`hello ${slice}\n`)
    return running
  }

  test('shows the trace pipe, the records and at the end the maps', async () => {
    const { out, exitCode, host, err } = await run('run opensnoop.bpf.o hello.bpf.o', {
      symbols,
      onSlice: opener,
    })
    expect(err).toBe('')
    expect(exitCode).toBe(0)
    expect(out.split('\n')).toEqual([
      'Attached open_entry, open_return, hello. Ctrl+C to end.',
      'hello 0',
      'events: time_ns=1234 pid=1 result=-2 comm="cat" file_name="/etc/0"',
      'hello 1',
      'events: time_ns=1234 pid=2 result=-2 comm="cat" file_name="/etc/1"',
      '',
      'names (lru_hash, 0 entries)',
      '',
      'dropped = 0',
      '',
    ])
    expect(host.kernel.fds.size).toBe(0)
    expect(host.kernel.memory).toMatchObject({ allocations: 0, mappings: 0 })
  })

  test('prints all of it as JSON', async () => {
    const { out } = await run('run opensnoop.bpf.o -j', { symbols, onSlice: opener })
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines[0]).toEqual({ type: 'trace', line: 'hello 0' })
    expect(lines[1]).toEqual({
      type: 'record',
      map: 'events',
      value: { time_ns: 1234, pid: 1, result: -2, comm: 'cat', file_name: '/etc/0' },
    })
    expect(lines.slice(4)).toEqual([
      { type: 'map', name: 'names', mapType: 'lru_hash', entries: [] },
      { type: 'globals', values: { dropped: 0 } },
    ])
  })

  test('sets globals before loading', async () => {
    let rodata: Uint8Array | undefined
    await run('run opensnoop.bpf.o -s target_pid=0x10 -s failed_only=true --no-maps', {
      symbols,
      onSlice(_slice, host) {
        rodata = mapNamed(host, 'opensnoo.rodata').elements.get('00000000')
        return { kind: 'ended', message: 'off' }
      },
    })
    expect(rodata).toEqual(Uint8Array.of(16, 0, 0, 0, 1))
  })

  test.each<[string, number, RegExp]>([
    ['run missing.o', 1, /^anybpf: missing\.o: there is no such file\n$/],
    [
      'run notes.txt',
      1,
      /^anybpf: notes\.txt: .*\n {2}this takes eBPF objects: compile it with clang -target bpf/,
    ],
    ['run package/guest/build/kernel.elf', 1, /kernel\.elf: .*RISC-V.*\n {2}this takes eBPF objects/i],
    ['run x86.o', 1, /^anybpf: x86\.o: /],
    ['run opensnoop.bpf.o -s nothing=1', 1, /no global variable 'nothing'/],
    ['run opensnoop.bpf.o -s target=1', 1, /no global variable 'target'; did you mean target_pid\?/],
    ['run opensnoop.bpf.o -s target_pid', 2, /--set takes NAME=VALUE, not 'target_pid'/],
    ['run opensnoop.bpf.o -s target_pid=many', 1, /'target_pid': expected an integer, found string many/],
    ['run opensnoop.bpf.o -r events=nothing', 2, /has no struct 'nothing'/],
  ])('%s: exit code %i', async (argv, code, message) => {
    const { err, out, exitCode, host } = await run(argv, { symbols })
    expect(err).toMatch(message)
    expect(exitCode).toBe(code)
    expect(out).toBe('')
    expect(host.kernel.fds.size).toBe(0)
    expect(host.isGuestOpen).toBe(false)
  })
})

describe('prog disasm', () => {
  test('lists instructions with their lines of C, maps and helpers by name', async () => {
    const { out, exitCode } = await run('prog disasm hello.bpf.o')
    expect(exitCode).toBe(0)
    expect(out.split('\n').slice(0, 5)).toEqual([
      'kprobe/sys_execve: hello',
      expect.stringMatching(/^; bpf_printk\("hello from process %d".* @ bpf\/hello\.bpf\.c:\d+$/),
      '   0: (85) call bpf_get_current_pid_tgid#14',
      '   1: (77) r0 >>= 32',
      '   2: (18) r1 = map[.rodata][0]+0',
    ])
  })

  test('shows one program, without source', async () => {
    const { out } = await run('prog disasm opensnoop.bpf.o -p open_return --no-source')
    expect(out).not.toContain(';')
    expect(out).not.toContain('open_entry')
    expect(out).toContain('= map[names]')
    expect(out).toMatch(/\(95\) exit\n$/)
  })

  test.each<[string, RegExp]>([
    ['prog disasm missing.o', /there is no such file/],
    ['prog disasm hello.bpf.o -p helo', /there is no program 'helo'\n {2}there is hello/],
    ['prog disasm notes.txt', /this takes eBPF objects/],
  ])('%s fails', async (argv, message) => {
    const { err, exitCode } = await run(argv)
    expect(exitCode).toBe(1)
    expect(err).toMatch(message)
  })
})

describe('btf dump', () => {
  test('prints a listing, or a header', async () => {
    const listing = await run('btf dump hello.bpf.o')
    expect(listing.exitCode).toBe(0)
    expect(listing.out.split('\n').slice(0, 2)).toEqual([
      "[1] PTR '(anon)' type_id=2",
      expect.stringMatching(/^\[2\] STRUCT 'pt_regs' size=\d+ vlen=\d+$/),
    ])
    expect((await run('btf dump file hello.bpf.o format raw')).out).toBe(listing.out)
    const header = await run('btf dump package/guest/build/kernel.elf format c')
    expect(header.out).toMatch(/^#ifndef __VMLINUX_H__\n/)
    expect(header.out).toContain('\nstruct task {\n')
  })

  test.each<[string, number, RegExp]>([
    ['btf dump missing.o', 1, /there is no such file/],
    ['btf dump notes.txt', 1, /notes\.txt: \.BTF offset 0x0: expected/],
    ['btf dump x86.o', 1, /x86\.o: /],
    ['btf dump hello.bpf.o format', 2, /expected 'format c' or 'format raw'/],
    ['btf dump hello.bpf.o format json', 2, /found 'format json'/],
  ])('%s fails', async (argv, code, message) => {
    const { err, exitCode } = await run(argv)
    expect(exitCode).toBe(code)
    expect(err).toMatch(message)
  })
})

describe('kernel symbols', () => {
  test('finds parts of names, and whole names with wildcards', async () => {
    const part = await run('kernel symbols -f syscall_d')
    expect(part.out).toMatch(/^[0-9a-f]{16} T syscall_dispatch \d+\n$/)
    const whole = await run('kernel symbols -f sys_open*')
    expect(whole.out).toMatch(/^[0-9a-f]{16} T sys_openat \d+\n$/)
    const json = await run('kernel symbols -j sys_openat')
    expect(JSON.parse(json.out)).toMatchObject({ name: 'sys_openat', kind: 'function', isGlobal: true })
  })

  test('suggests names where there is none', async () => {
    const { err, exitCode } = await run('kernel symbols sys_opnat')
    expect(exitCode).toBe(1)
    expect(err).toMatch(/no symbol matches 'sys_opnat'\n {2}did you mean sys_openat/)
  })

  test('says what is wrong with the file', async () => {
    const { err, exitCode } = await run('kernel symbols --kernel notes.txt')
    expect(exitCode).toBe(1)
    expect(err).toMatch(/^anybpf: notes\.txt: .*ELF/)
  })
})

describe('the command line', () => {
  test.each<[string, number, RegExp]>([
    ['--version', 0, /^1\.2\.3\n$/],
    ['--help', 0, /Examples:/],
    ['syscount --help', 0, /Examples:[\s\S]*--script/],
    ['run --help', 0, /Examples:/],
    ['prog disasm --help', 0, /Examples:/],
    ['kernel symbols --help', 0, /Examples:/],
  ])('%s helps on standard output', async (argv, code, text) => {
    const { out, err, exitCode } = await run(argv)
    expect(exitCode).toBe(code)
    expect(out).toMatch(text)
    expect(err).toBe('')
  })

  test.each<[string, RegExp]>([
    ['syscont', /unknown command 'syscont'[\s\S]*syscount/],
    ['prog', /disasm/],
    ['syscount --harts 9', /--harts.*'9'.*from 1 to 8/],
    ['syscount --harts two', /from 1 to 8/],
    ['syscount -T 0', /whole number from 1/],
    ['syscount -i -1', /greater than 0/],
    ['syscount -d never', /greater than 0/],
    ['syscount --frobnicate', /unknown option '--frobnicate'/],
    ['syscount extra', /too many arguments/],
    ['run', /missing required argument 'object'/],
    ['prog disasm', /missing required argument 'object'/],
    ['run opensnoop.bpf.o -r event', /--record takes MAP=STRUCT, not 'event'/],
    ['run opensnoop.bpf.o -r other=event', /no map 'other'\n {2}the maps are .*events/],
  ])('%s is a usage error', async (argv, text) => {
    const { out, err, exitCode } = await run(argv)
    expect(exitCode).toBe(2)
    expect(err).toMatch(text)
    expect(out).toBe('')
  })
})
