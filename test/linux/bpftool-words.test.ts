/** The commands that look at a kernel, held against what bpftool prints of the same objects in this machine's kernel. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir, uptime } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CliFailure } from '../../src/cli/failure.ts'
import type { OutputForm } from '../../src/cli/kernel/command.ts'
import { kernelCommands } from '../../src/cli/kernel/commands.ts'
import { runOn } from '../../src/cli/kernel/run-command.ts'
import { nodeHost } from '../../src/cli/node-host.ts'
import {
  AttachError,
  type Collection,
  type Link,
  LoadError,
  load,
  mapInfo,
  ObjectError,
  objectIds,
  open,
  programInfo,
  SyscallError,
} from '../../src/client/index.ts'
import { type LinuxSyscalls, LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'

const tools = ['bpftool', 'clang-19'].filter((tool) => spawnSync(tool, ['--version']).status !== 0)
const linux = openLinux()
const why =
  linux instanceof LinuxUnavailable ? linux.message : tools.length > 0 ? `no ${tools.join(', ')}` : ''
const skipped = why === '' ? '' : ` (skipped: ${why})`

function compile(): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'bpftool-words-'))
  const object = join(directory, 'observed.bpf.o')
  const headers = ['/usr/include', '/usr/include/x86_64-linux-gnu', '/usr/include/aarch64-linux-gnu']
  const flags = [
    '-target',
    'bpf',
    '-mcpu=v3',
    '-O2',
    '-g',
    ...headers.flatMap((path) => ['-idirafter', path]),
  ]
  try {
    const source = join(import.meta.dirname, 'observed.bpf.c')
    execFileSync('clang-19', [...flags, '-c', source, '-o', object])
    return new Uint8Array(readFileSync(object))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const flags: Readonly<Record<OutputForm, readonly string[]>> = { plain: [], json: ['-j'], pretty: ['-p'] }

function bpftool(form: OutputForm, ...words: string[]): string {
  const { stdout } = spawnSync('bpftool', [...flags[form], ...words], { encoding: 'utf8' })
  return stdout
}

async function ours(form: OutputForm, ...[group, name, ...words]: string[]): Promise<string> {
  const command = kernelCommands.find(
    (row) => row.group === group && (row.name === name || row.alias === name),
  )
  if (command === undefined) throw new Error(`there is no ${group} ${name}`)
  const stream = {
    text: '',
    columns: undefined,
    rows: undefined,
    write(text: string) {
      stream.text += text
    },
  }
  const host = nodeHost({ stdout: stream, stderr: stream })
  const bootTimeMs = Date.now() - uptime() * 1000
  const result = await runOn(host, { syscalls: linux as LinuxSyscalls, bootTimeMs }, command, words, form)
  return result instanceof CliFailure && result.exitCode !== 1 ? result.toString() : stream.text
}

/**
 * What may differ: the clock of a loading time is read twice; ids come in the order of a hash table; bpftool 7.1 does
 * not quote pointers, and knows neither the cookies of links nor per-CPU addresses.
 */
const comparable = (text: string): string =>
  text
    .replace(/loaded_at \S+/, 'loaded_at TIME')
    .replace(/("loaded_at": ?)\d+/, '$1TIME')
    .replace(/\n\tpids .*/g, '')
    .replace(/"pointer": (0x[0-9a-f]+|\(nil\))/g, '"pointer": "$1"')
    .replace(/,\s*"cookie": ?0/g, '')
    .replace(/&\(void __percpu \*\)\((r\d)\)/g, '$1')
    .replace(/\d+(,\d+)+/g, (ids) => ids.split(',').sort().join(','))

describe.skipIf(why !== '')(`beside bpftool${skipped}`, () => {
  let collection: Collection
  let link: Link
  const ids = { watch: 0, named: 0, link: 0, btf: 0 }
  const maps = new Map<string, number>()

  beforeAll(() => {
    if (linux instanceof LinuxUnavailable) throw new Error(linux.message)
    const spec = open(compile(), { name: 'observed' })
    if (spec instanceof ObjectError) throw new Error(spec.message)
    const loaded = load(spec, linux)
    if (loaded instanceof LoadError) throw new Error(loaded.message)
    collection = loaded
    const before = new Set(objectIds(linux, 'link'))
    const attached = loaded.program('watch').attach()
    if (attached instanceof AttachError) throw new Error(attached.message)
    link = attached
    ids.link = [...objectIds(linux, 'link')].find((id) => !before.has(id)) ?? 0
    for (const [name, map] of loaded.maps) {
      const info = mapInfo(linux, map.fd)
      if (info instanceof SyscallError) throw info
      maps.set(name, info.id)
      ids.btf = Math.max(ids.btf, info.btf_id)
    }
    for (const [key, name] of [
      ['watch', 'watch'],
      ['named', 'a_name_longer_than_fifteen'],
    ] as const) {
      const info = programInfo(linux, loaded.program(name).fd)
      if (info instanceof SyscallError) throw info
      ids[key] = info.id
    }
    const value = {
      ...{ small: 200, yes: true, wide: -5n, colour: -4, name: 'a"b', raw: Uint8Array.of(0, 1, 65, 255) },
      ...{ unprintable: '\u0001', low: 5, high: 17, left: 70_000, pointer: 0xffff_8880_0000_1000n },
    }
    loaded.map('things').set({ x: -1, letter: 97 }, value)
    loaded.map('things').set({ x: 2, letter: 0 }, { ...value, colour: 99, pointer: 0n })
    loaded.map('untyped').set(1, Uint8Array.of(1, 2, 3, 4, 5, 255))
    loaded.map('recent').set(7, 8)
    const rows = loaded.map<number, readonly bigint[]>('rows')
    rows.set(
      1,
      (rows.get(1) ?? []).map((_, cpu) => BigInt(cpu + 1)),
    )
    const bytes = loaded.map<Uint8Array | number, readonly Uint8Array[]>('untyped_rows')
    const fresh = Array.from({ length: rows.get(0)?.length ?? 1 }, (_, cpu) => new Uint8Array(20).fill(cpu))
    bytes.set(3, fresh)
    const word = new Uint8Array(4)
    new DataView(word.buffer).setInt32(0, loaded.program('watch').fd, true)
    loaded.map('jumps').handle.update(Uint8Array.of(1, 0, 0, 0), word, 0)
  })
  afterAll(() => {
    link?.[Symbol.dispose]()
    collection?.[Symbol.dispose]()
    if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
  })

  const forms: readonly OutputForm[] = ['plain', 'json', 'pretty']

  const same = (...words: string[]) => sameAs(forms, ...words)

  async function sameAs(some: readonly OutputForm[], ...words: string[]): Promise<void> {
    for (const form of some) {
      const theirs = bpftool(form, ...words)
      expect(theirs.length).toBeGreaterThan(1)
      expect(comparable(await ours(form, ...words))).toBe(comparable(theirs))
    }
  }

  test('prog show', async () => {
    await same('prog', 'show', 'id', String(ids.watch))
    await same('prog', 'show', 'id', String(ids.named))
  })

  test('prog dump xlated', async () => {
    // Each reads the kernel's hundred thousand symbols, twice.
    const dump = ['prog', 'dump', 'xlated', 'id']
    await sameAs(['plain', 'json'], ...dump, String(ids.named))
    await sameAs(['plain', 'pretty'], ...dump, String(ids.named), 'opcodes')
    await sameAs(['plain', 'pretty'], ...dump, String(ids.watch), 'linum')
  })

  test('map show', async () => {
    expect(maps.size).toBe(9)
    for (const id of maps.values()) await same('map', 'show', 'id', String(id))
  })

  test('map dump', async () => {
    for (const [name, id] of maps) {
      // bpftool 7.1 knows no errors of the newest kernels for these.
      if (name !== 'jumps') await same('map', 'dump', 'id', String(id))
    }
  })

  test('map lookup and getnext', async () => {
    const id = String(maps.get('things'))
    const key = ['key', '0xff', '0xff', '0xff', '0xff', '97', '0', '0', '0']
    await same('map', 'lookup', 'id', id, ...key)
    await same('map', 'lookup', 'id', id, 'key', ...Array<string>(8).fill('0'))
    await same('map', 'lookup', 'id', String(maps.get('untyped')), 'key', 'hex', '01', '00', '00', '00')
    await same('map', 'lookup', 'id', String(maps.get('rows')), 'key', '1', '0', '0', '0')
    await same('map', 'getnext', 'id', String(maps.get('untyped')))
    await same('map', 'getnext', 'id', String(maps.get('untyped')), 'key', '0', '0', '0', '0')
  })

  test('map update and delete', async () => {
    const id = String(maps.get('recent'))
    const key = ['key', '9', '0', '0', '0']
    await ours('plain', 'map', 'update', 'id', id, ...key, 'value', 'hex', 'ff', '01', '00', '00', 'noexist')
    expect(collection.map('recent').get(9)).toBe(511)
    await same('map', 'lookup', 'id', id, ...key)
    expect(await ours('json', 'map', 'delete', 'id', id, ...key)).toBe('null\n')
    expect(collection.map('recent').get(9)).toBeUndefined()
  })

  test('btf show', async () => {
    await same('btf', 'show', 'id', String(ids.btf))
    await same('btf', 'show', 'id', '1')
  })

  test('link show', async () => {
    await same('link', 'show', 'id', String(ids.link))
  })

  test('feature probe, but for what bpftool 7.1 misreads in newer kernels', async () => {
    interface Features {
      readonly [part: string]: Readonly<Record<string, unknown>>
    }
    const theirs = JSON.parse(bpftool('json', 'feature', 'probe')) as Features
    const own = JSON.parse(await ours('json', 'feature', 'probe')) as Features
    expect(own.system_config).toEqual(theirs.system_config)
    expect(own.syscall_config).toEqual(theirs.syscall_config)
    expect(own.misc).toEqual(theirs.misc)
    expect(own.map_types).toMatchObject(theirs.map_types ?? {})
    const {
      have_tracing_prog_type: _1,
      have_lsm_prog_type: _2,
      have_ext_prog_type: _3,
      ...rest
    } = theirs.program_types ?? {}
    expect(own.program_types).toMatchObject(rest)
    expect(own.helpers?.xdp_available_helpers).toContain('bpf_xdp_adjust_head')
    expect(own.helpers?.xdp_available_helpers).not.toContain('bpf_skb_load_bytes')
    expect(own.helpers?.lirc_mode2_available_helpers).toEqual([])
  })
})
