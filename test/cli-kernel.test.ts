/** The commands that look at a kernel, on the demo guest; and pins, on Linux, in a bpffs of the test's own. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Btf, BtfWriter } from '../src/btf/index.ts'
import { kernelCommands } from '../src/cli/kernel/commands.ts'
import { nodeHost } from '../src/cli/node-host.ts'
import { runCli } from '../src/cli/program.ts'
import { openObject } from '../src/client/index.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'

const root = join(import.meta.dirname, '..')
const object = join(root, 'bpf/syscount.bpf.o')

async function anybpf(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
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
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'anybpf-kernel-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Runs a command on a guest that has the object loaded. */
const withObject = (command: string, ...more: string[]) =>
  anybpf(...command.split(' '), '--load', object, ...more)

describe('on a guest', () => {
  test('lists what an object becomes', async () => {
    const programs = await withObject('prog list')
    expect(programs).toMatchObject({ code: 0, err: '' })
    expect(programs.out).toMatch(
      /^1: kprobe {2}name syscall_entry {2}tag [0-9a-f]{16} {2}gpl\n\tloaded_at 0 /,
    )
    const maps = JSON.parse((await withObject('map list -j')).out)
    expect(maps.map((map: { name: string; type: string }) => `${map.type} ${map.name}`)).toEqual([
      'percpu_array calls',
      'percpu_hash processes',
      'lru_hash entries',
      'array syscount.rodata',
      'array syscount.bss',
    ])
    expect(maps[3]).toMatchObject({ frozen: 1, bytes_value: 6, max_entries: 1 })
    const types = await withObject('btf list')
    expect(types.out).toMatch(
      /^1: name \[vmlinux\].*\n2: name <anon> {2}size \d+B {2}prog_ids 1,2 {2}map_ids 1,2,3,4,5\n$/,
    )
    const links = await withObject('link list')
    expect(links.out).toMatch(/^1: perf_event {2}prog 2 {2}\n\tkretprobe [0-9a-f]+ syscall_dispatch {2}\n2: /)
    expect((await withObject('link list', '--no-attach')).out).toBe('')
  })

  test('dumps instructions with lines of C, and maps after the guest has run', async () => {
    const listing = await withObject('prog dump xlated name syscall_entry')
    expect(listing.out).toMatch(/^int syscall_entry\(struct pt_regs \* ctx\):\n; int BPF_KPROBE/)
    expect(listing.out).toMatch(/^ +\d+: \(85\) call bpf_get_current_pid_tgid#14$/m)
    expect(listing.out).toMatch(/^ +\d+: \(18\) r\d = map\[id:4\]\[0\]\+0$/m)
    const first = await withObject('map lookup name calls key 64 0 0 0 -j', '--run', '4000000')
    const [row] = JSON.parse(first.out).formatted.values
    expect(row).toMatchObject({ cpu: 0, value: { count: expect.any(Number) } })
    expect(row.value.count).toBeGreaterThan(0)
    // The machine is deterministic, and so is what it counts.
    expect((await withObject('map lookup name calls key 64 0 0 0 -j', '--run', '4000000')).out).toBe(
      first.out,
    )
    const dump = await withObject('map dump name entries', '--run', '4000000')
    expect(JSON.parse(dump.out)[0]).toEqual({ key: expect.any(Number), value: expect.any(Object) })
  })

  test('writes the instructions to a file', async () => {
    const file = join(directory, 'entry.bin')
    expect((await withObject(`prog dump xlated name syscall_entry file ${file}`)).code).toBe(0)
    expect(readFileSync(file).length % 8).toBe(0)
    expect(readFileSync(file).length).toBeGreaterThan(300)
  })

  test('does several steps in one guest', async () => {
    const steps = join(directory, 'steps.txt')
    const key = 'key 7 0 0 0 0 0 0 0'
    const lines = [
      '# what one step writes, the next one sees',
      `map update name entries ${key} value hex 01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 noexist`,
      `map lookup name entries ${key}`,
      '',
      `map getnext name entries`,
      `map delete name entries ${key}`,
    ]
    writeFileSync(steps, lines.join('\n'))
    const { code, out, err } = await anybpf('batch', steps, '--load', object, '--no-attach')
    expect([code, err]).toEqual([0, ''])
    expect(out).toBe(`{
    "key": 7,
    "value": {
        "time_ns": 1,
        "call": 2
    }
}
key: None
next key:
07 00 00 00 00 00 00 00
`)
    writeFileSync(steps, [...lines, `map delete name entries ${key}`].join('\n'))
    const again = await anybpf('batch', steps, '--load', object, '--no-attach')
    expect(again.code).toBe(1)
    expect(again.err).toMatch(/steps\.txt:7: the map has no such key: 07 00/)
    writeFileSync(steps, 'map dmup name x')
    expect((await anybpf('batch', steps)).err).toMatch(
      /steps\.txt:1: there is no command 'map dmup'\n {2}map has list, dump/,
    )
  })

  test('tells what it can do', async () => {
    const { out } = await anybpf('feature', 'probe', '-j')
    const features = JSON.parse(out)
    expect(features.program_types).toMatchObject({
      have_kprobe_prog_type: true,
      have_lirc_mode2_prog_type: false,
    })
    expect(features.map_types).toMatchObject({ have_hash_map_type: true, have_ringbuf_map_type: true })
    expect(features.helpers.kprobe_available_helpers).toContain('bpf_probe_read_kernel')
    expect(features.helpers.kprobe_available_helpers).not.toContain('bpf_skb_load_bytes')
    expect(features.misc).toEqual({
      have_large_insn_limit: true,
      have_bounded_loops: true,
      have_v2_isa_extension: true,
      have_v3_isa_extension: true,
    })
  })

  test.each([
    ['map dump name nothing', /no map with the name 'nothing'\n {2}there are calls, processes, entries/, 1],
    ['map dump id 99', /BPF_MAP_GET_FD_BY_ID: ENOENT: map 99\n {2}list shows the ids/, 1],
    ['map dump', /expected id or name or pinned, found nothing\n {2}usage: anybpf map dump \(id N/, 2],
    [
      'map lookup name calls key 1 2',
      /key: expected 4 bytes, found 2\n {2}a byte is a word: key hex 00 00 00 00\n/,
      2,
    ],
    ['map lookup name entries key 1 0 0 0 0 0 0 0', /the map has no such key: 01 00/, 1],
    ['prog dump jumped id 1', /expected xlated, found 'jumped'/, 2],
    ['link detach id 1', /links of this type cannot be detached/, 1],
    ['map pin name calls nowhere/calls', /BPF_OBJ_PIN: E\w+: nowhere\/calls\n/, 1],
  ])('%s is refused with advice', async (command, message, exitCode) => {
    const { code, err } = await withObject(
      command,
      '--no-attach',
      ...(command.startsWith('link') ? ['--attach'] : []),
    )
    expect(err).toMatch(message)
    expect(code).toBe(exitCode)
  })

  test('objects that do not load say why, before a guest is booted where that can be', async () => {
    const { code, err } = await anybpf('map', 'list', '--load', join(directory, 'missing.o'))
    expect([code, err]).toEqual([1, expect.stringMatching(/missing\.o: there is no such file/)])
  })
})

test('each command has help with its words and an example that is one', async () => {
  for (const { group, name, words, summary, examples } of kernelCommands) {
    const { code, out } = await anybpf(group, name, '--help')
    expect(code).toBe(0)
    expect(out.replace(/\s+/g, ' ')).toContain(summary)
    expect(out.replace(/\s+/g, ' ')).toContain(words === '' ? '' : words)
    for (const [command] of examples)
      expect(command).toMatch(new RegExp(`^anybpf ${group} (${name}|show|list) ?`))
  }
})

describe('gen skeleton', () => {
  test('writes a module to a file or to standard output', async () => {
    const file = join(directory, 'out.gen.ts')
    expect((await anybpf('gen', 'skeleton', object, '-o', file, '--name', 'calls')).code).toBe(0)
    expect(readFileSync(file, 'utf8')).toContain('export class Calls extends Skeleton<')
    const { out } = await anybpf('gen', 'skeleton', 'bpf/syscount.bpf.o', '--no-embed')
    expect(out).toContain('Written by `anybpf gen skeleton bpf/syscount.bpf.o --no-embed`')
    expect(out).not.toContain('encodedObject')
    const wrong = await anybpf('gen', 'skeleton', object, '-r', 'events')
    expect([wrong.code, wrong.err]).toEqual([2, "anybpf: --record takes MAP=STRUCT, not 'events'\n"])
  })
})

test('gen min_core_btf writes types for objects, and says which file has none', async () => {
  const file = join(directory, 'min.btf')
  expect((await anybpf('gen', 'min_core_btf', object, file, object)).code).toBe(0)
  expect(Btf.parse(readFileSync(file))).toBeInstanceOf(Btf)
  const wrong = await anybpf('gen', 'min_core_btf', 'package.json', file, object)
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('package.json: ')])
  const split = join(directory, 'split.btf')
  const writer = new BtfWriter({ base: Btf.parse(readFileSync(file)) as Btf })
  writeFileSync(split, writer.finish() as Uint8Array)
  const out = join(directory, 'min-split.btf')
  expect((await anybpf('gen', 'min_core_btf', '-B', file, split, out, object)).code).toBe(0)
  expect(readFileSync(out)).toEqual(readFileSync(split))
})

test('gen object links objects, and says which one cannot be', async () => {
  const file = join(directory, 'linked.bpf.o')
  expect(await anybpf('gen', 'object', file, object)).toMatchObject({ code: 0, out: '', err: '' })
  expect(openObject(new Uint8Array(readFileSync(file)), { name: 'linked' })).toHaveProperty('programs')
  const twice = await anybpf('gen', 'object', file, object, object)
  expect([twice.code, twice.err]).toEqual([1, expect.stringContaining(`${object}: section '`)])
  expect(twice.err).toContain('is defined a second time')
})

const linux = openLinux()
const noMount = spawnSync('unshare', ['-m', 'true']).status !== 0 ? 'mount namespaces are not allowed' : ''
const why = linux instanceof LinuxUnavailable ? linux.message : noMount
if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()

test.skipIf(why !== '')(`pins on Linux, in a bpffs of its own${why && ` (skipped: ${why})`}`, () => {
  const mount = join(directory, 'fs')
  mkdirSync(mount)
  const main = `${process.execPath} --import tsx ${join(root, 'src/cli/main.ts')}`
  const run = (words: string) => `${main} ${words} --on linux`
  const script = [
    `mount -t bpf bpf ${mount}`,
    run(`map create ${mount}/counts type hash key 4 value 4 entries 4 name pinned_counts`),
    run(`map update pinned ${mount}/counts key 1 0 0 0 value 2 0 0 0`),
    run(`map pin pinned ${mount}/counts ${mount}/again`),
    run(`map dump pinned ${mount}/again`),
  ].join(' && ')
  const out = execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8', cwd: root })
  expect(out).toBe('key: 01 00 00 00  value: 02 00 00 00\nFound 1 element\n')
})
