/**
 * The demo guest on QEMU: the same kernel image that the embedded machine runs, on somebody else's idea of the
 * board and somebody else's firmware. Skipped where there is no qemu-system-riscv64.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ElfError, parseElf, SymbolTable } from '../src/elf/index.ts'
import { GuestUnderTest } from './support/guest.ts'

const qemu = 'qemu-system-riscv64'
const hasQemu = spawnSync(qemu, ['--version']).status === 0
const build = join(import.meta.dirname, '..', 'guest', 'build')
const kernel = join(build, 'kernel.elf')
const scratch = mkdtempSync(join(tmpdir(), 'anybpf-guest-'))
afterAll(() => rmSync(scratch, { recursive: true }))

interface Run {
  readonly harts?: number
  /** Kernel command line. */
  readonly arguments: string
  /** Typed on the console, line by line, each when the shell has prompted. */
  readonly typed?: readonly string[]
  readonly disk?: boolean
}

interface Result {
  /** What the kernel and its programs wrote, without the firmware's part; newlines are `\n`. */
  readonly console: string
  readonly exitCode: number | null
}

/** Boots the guest and runs it to its end. Rejects after `timeoutMs`, with what it wrote. */
function boot(run: Run, timeoutMs = 120_000): Promise<Result> {
  const drive = join(build, 'disk.img')
  const disk = [
    ...['-drive', `file=${drive},if=none,format=raw,id=d0,snapshot=on`],
    ...['-device', 'virtio-blk-device,drive=d0'],
  ]
  const process = spawn(
    qemu,
    [
      ...['-M', 'virt', '-global', 'virtio-mmio.force-legacy=false', '-m', '64'],
      ...['-smp', String(run.harts ?? 1), '-kernel', kernel, '-append', run.arguments],
      ...['-display', 'none', '-serial', 'stdio', '-monitor', 'none'],
      ...((run.disk ?? true) ? disk : []),
    ],
    { env: { ...globalThis.process.env, TMPDIR: scratch } },
  )
  return new Promise((resolve, reject) => {
    let text = ''
    const typed = [...(run.typed ?? [])]
    const timer = setTimeout(() => {
      process.kill('SIGKILL')
      reject(new Error(`the guest did not end within ${timeoutMs} ms; it wrote:\n${text}`))
    }, timeoutMs)
    const collect = (bytes: Buffer) => {
      text += bytes.toString('latin1').replaceAll('\r', '')
      if (typed.length > 0 && text.endsWith('\n# ')) process.stdin.write(`${typed.shift()}\n`)
    }
    process.stdout.on('data', collect)
    process.stderr.on('data', collect)
    process.on('error', reject)
    process.on('close', (exitCode) => {
      clearTimeout(timer)
      resolve({ console: text.slice(Math.max(text.indexOf('anybpf guest:'), 0)), exitCode })
    })
  })
}

describe.skipIf(!hasQemu)('guest on QEMU (skipped without qemu-system-riscv64)', () => {
  test.each([1, 2, 3, 4])('runs the short workload on %i harts and turns itself off', async (harts) => {
    const { console, exitCode } = await boot({ harts, arguments: 'script=/etc/rc.short' })
    expect(exitCode).toBe(0)
    expect(console).toContain(harts === 1 ? 'anybpf guest: 1 hart,' : `anybpf guest: ${harts} harts,`)
    for (const line of [
      'burn: 2262 primes below 20000',
      'diskwrite: 16 blocks written and verified',
      '100 100 292 -',
      'fail: 1 rounds, 0 calls did not fail as they should',
      'forktest: 1 times 4 children',
      'pipetest: 16 KiB in order, 50 round trips',
      'done',
    ]) {
      expect(console.split('\n')).toContain(line)
    }
    expect(console).not.toContain('kernel panic')
  })

  test('answers every system call as Linux does, and leaks no page', async () => {
    const memory = 'grep MemFree /proc/meminfo'
    const typed = ['systest', memory, 'systest', 'forktest 20 5', memory, 'exit']
    const { console, exitCode } = await boot({ harts: 4, arguments: 'script=-', typed })
    expect(exitCode).toBe(0)
    const [first, second] = [...console.matchAll(/^systest: (\d+) passed$/gm)].map((match) => match[1])
    expect(Number(first)).toBeGreaterThan(140)
    expect(second).toBe(first)
    const free = [...console.matchAll(/^MemFree: +(\d+) kB$/gm)].map((match) => match[1])
    expect(free).toHaveLength(2)
    expect(free[1]).toBe(free[0])
  })

  test('counts its own system calls exactly', async () => {
    const typed = ['cat /proc/syscalls', 'calls 1234', 'fail 3', 'cat /proc/syscalls', 'exit']
    const { console } = await boot({ harts: 2, arguments: 'script=-', typed })
    const lists = console
      .split('# cat /proc/syscalls')
      .slice(1)
      .map((text) => new Map([...text.matchAll(/^ *\d+ +(\d+) (\w+)$/gm)].map((m) => [m[2], Number(m[1])])))
    const added = (name: string) => (lists[1]?.get(name) ?? 0) - (lists[0]?.get(name) ?? 0)
    expect(lists).toHaveLength(2)
    expect(added('getppid')).toBe(1234)
    expect(added('pipe2')).toBe(3)
    expect(added('unlinkat')).toBe(6)
    // calls, fail and the second cat, and one attempt in each round of fail
    expect(added('execve')).toBe(3 + 3)
  })

  test('does without a disk, and says so to those who ask for one', async () => {
    const { console, exitCode } = await boot({
      arguments: 'script=-',
      typed: ['cat /dev/disk', 'systest', 'bpfdemo', 'exit'],
      disk: false,
    })
    expect(exitCode).toBe(0)
    expect(console).toContain('cat: /dev/disk: ENXIO')
    expect(console).toMatch(/systest: no disk.*\nsystest: \d+ passed/)
    expect(console).toContain('bpfdemo: no tracer serves this kernel')
  })

  test('reads the pattern of the committed disk image', async () => {
    const typed = ['head -n 1 /dev/disk', 'exit']
    const { console } = await boot({ arguments: 'script=-', typed })
    expect(console).toContain('block 0000 of the anybpf guest disk')
  })

  test('computes the same with every instruction form as on the embedded machine', async () => {
    const hashesIn = (text: string) => [...text.matchAll(/^forms: ([0-9a-f]{16})/gm)].map((match) => match[1])
    const onQemu = hashesIn((await boot({ arguments: 'script=/etc/rc.short' })).console)
    using guest = new GuestUnderTest({ bootargs: 'script=/etc/rc.short' })
    const embedded = hashesIn(guest.runToEnd().replaceAll('\r', ''))
    expect(onQemu).toHaveLength(2)
    expect(onQemu[1]).not.toBe(onQemu[0])
    expect(embedded).toEqual(onQemu)
  })

  test('a panic names its place in addresses that symbols explain, and ends the machine', async () => {
    const elf = parseElf(new Uint8Array(readFileSync(kernel)))
    if (elf instanceof ElfError) throw elf
    const symbols = SymbolTable.fromElf(elf)
    if (symbols instanceof ElfError) throw symbols
    const { console, exitCode } = await boot({ harts: 3, arguments: 'script=-', typed: ['panic'] })
    // OpenSBI 1.1 reports "system failure" to QEMU without a code, and QEMU then exits with 0.
    expect(exitCode).not.toBeNull()
    expect(console).toContain('kernel panic: asked for by the system call panic')
    expect(console).toMatch(/^panic: cpu \d hart \d task \d+ panic$/m)
    const trace = [...console.matchAll(/^panic: backtrace ([0-9a-f]{16})$/gm)]
    // A call that never returns may be its function's last instruction: look at the byte before.
    const names = trace.map((match) => symbols.nearest(BigInt(`0x${match[1]}`) - 1n)?.symbol.name)
    expect(names).toEqual(['sys_panic', 'syscall_dispatch', 'trap_handler', 'trap_entry'])
    expect(console.trimEnd().endsWith('panic: end')).toBe(true)
  })
})
