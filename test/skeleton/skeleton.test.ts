/** Generated skeletons: they type-check under this project's settings, and drive a kernel as their types say. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Syscalls } from '../../src/abi/index.ts'
import {
  generateSkeleton,
  LoadError,
  ObjectError,
  objectIds,
  objectName,
  type RingBufferReader,
  type Skeleton,
  SkeletonError,
  SyscallError,
} from '../../src/client/index.ts'
import { GuestUnderTest, repositoryFile } from '../support/guest.ts'

const root = join(import.meta.dirname, '..', '..')
const hasClang = spawnSync('clang-19', ['--version']).status === 0
/** Inside the repository, so that its settings and packages are found. */
let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(root, 'coverage-skeleton-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const settings = (name: string) => ({ name, client: '../src/client/index.ts', abi: '../src/abi/index.ts' })

function generate(path: string, bytes: Uint8Array): string {
  const name = objectName(path)
  const text = generateSkeleton(bytes, settings(name))
  if (typeof text !== 'string') throw new Error(text.message)
  const file = join(directory, `${name}.gen.ts`)
  writeFileSync(file, text)
  return file
}

function compileKinds(): Uint8Array {
  const object = join(directory, 'kinds.bpf.o')
  const source = join(import.meta.dirname, 'kinds.bpf.c')
  const headers = ['/usr/include', '/usr/include/x86_64-linux-gnu', '/usr/include/aarch64-linux-gnu']
  const flags = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-Wall', '-Werror']
  flags.push(...headers.flatMap((path) => ['-idirafter', path]))
  execFileSync('clang-19', [...flags, '-c', source, '-o', object])
  return new Uint8Array(readFileSync(object))
}

interface Loadable {
  load(
    syscalls: Syscalls,
    options?: object,
  ): Skeleton<Record<string, never>, object, Record<string, unknown>> | LoadError | ObjectError
}

async function loadFrom(file: string, name: string, syscalls: Syscalls, options = {}) {
  const module = (await import(file)) as Record<string, Loadable>
  const loaded = (module[name] as Loadable).load(syscalls, options)
  if (loaded instanceof LoadError || loaded instanceof ObjectError) throw new Error(loaded.message)
  return loaded
}

/** Uses of a skeleton that must compile, and (marked) uses that must not. */
const uses = `
import type { BpfMap } from '../src/client/index.ts'
import { type Entry, Syscount, type Totals } from './syscount.gen.ts'
import { type Event, Opensnoop } from './opensnoop.gen.ts'
import type { Syscalls } from '../src/abi/index.ts'

declare const syscalls: Syscalls
const loaded = Syscount.load(syscalls, { globals: { target_pid: 7 }, maxEntries: { entries: 16 } })
if (!(loaded instanceof Syscount)) throw new Error(loaded.message)
using syscount = loaded
const calls: BpfMap<number, readonly Totals[]> = syscount.maps.calls
const entry: Entry | undefined = syscount.maps.entries.get(7n)
export const count: bigint | undefined = calls.get(64)?.[0]?.count ?? entry?.time_ns
syscount.globals.lost = 0n
// @ts-expect-error a constant is read-only
syscount.globals.target_pid = 1
// @ts-expect-error the key is a number
syscount.maps.calls.get(7n)
// @ts-expect-error there is no such map
syscount.maps.none
// @ts-expect-error there is no such variable
Syscount.load(syscalls, { globals: { nothing: 1 } })

const other = Opensnoop.load(syscalls)
if (!(other instanceof Opensnoop)) throw new Error(other.message)
const reader = other.readers.events()
if (reader instanceof Error) throw reader
for (const event of reader.drain()) {
  const typed: Event = event
  const name: string = typed.file_name
  console.log(name, other.programs.open_entry.testRun())
}
`

describe('a generated skeleton', () => {
  test('type-checks, for every object of this repository', () => {
    const objects = readdirSync(join(root, 'bpf')).filter((name) => name.endsWith('.bpf.o'))
    expect(objects.length).toBeGreaterThan(2)
    for (const name of objects) generate(name, repositoryFile(`bpf/${name}`))
    if (hasClang) generate('kinds.bpf.o', compileKinds())
    writeFileSync(join(directory, 'uses.ts'), uses)
    writeFileSync(
      join(directory, 'tsconfig.json'),
      JSON.stringify({ extends: '../tsconfig.json', include: ['*.ts'] }),
    )
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', directory], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([0, ''])
  }, 60_000)

  test('in the repository is what its object gives', () => {
    const command = 'anybpf gen skeleton bpf/syscount.bpf.o'
    const text = generateSkeleton(repositoryFile('bpf/syscount.bpf.o'), { name: 'syscount', command })
    // If not: npx anybpf gen skeleton bpf/syscount.bpf.o -o examples/syscount.gen.ts
    expect(readFileSync(join(root, 'examples/syscount.gen.ts'), 'utf8')).toBe(text)
  })

  test('loads, attaches and reads its maps and variables in a guest', async () => {
    const file = generate('syscount.bpf.o', repositoryFile('bpf/syscount.bpf.o'))
    using guest = new GuestUnderTest({ bootargs: 'script=/etc/rc.short' })
    using syscount = await loadFrom(file, 'Syscount', guest.client, { globals: { failed_only: false } })
    expect(Object.keys(syscount.maps)).toEqual(['calls', 'processes', 'entries', '.rodata', '.bss'])
    expect(Object.keys(syscount.programs)).toEqual(['syscall_entry', 'syscall_return'])
    const links = syscount.attach()
    expect('all' in links && links.all.length).toBe(2)
    expect(syscount.attach()).toBe(links)
    guest.guest.run({ maxInstructions: 3_000_000 })
    const [row] = (syscount.maps as unknown as { calls: { get(key: number): unknown[] } }).calls.get(64)
    expect(row).toEqual({
      count: expect.any(BigInt),
      errors: expect.any(BigInt),
      time_ns: expect.any(BigInt),
    })
    expect((row as { count: bigint }).count).toBeGreaterThan(0n)
    syscount.globals.lost = 12n
    expect(syscount.globals.lost).toBe(12n)
    expect(() => {
      syscount.globals.target_pid = 1
    }).toThrow(SyscallError)
    syscount[Symbol.dispose]()
    expect([...objectIds(guest.client, 'prog')]).toEqual([])
  })

  test('decodes records as its type of them says', async () => {
    const file = generate('opensnoop.bpf.o', repositoryFile('bpf/opensnoop.bpf.o'))
    using guest = new GuestUnderTest({ bootargs: 'script=/etc/rc.short' })
    using opensnoop = await loadFrom(file, 'Opensnoop', guest.client)
    const { readers } = opensnoop as unknown as {
      readers: { events(): RingBufferReader<object> | SyscallError }
    }
    opensnoop.attach()
    const reader = readers.events()
    if (reader instanceof SyscallError) throw reader
    using events = reader
    guest.runToEnd()
    const [first] = [...events.drain()]
    expect(first).toEqual({
      time_ns: expect.any(BigInt),
      pid: 1,
      result: expect.any(Number),
      comm: 'init',
      file_name: expect.stringMatching(/^\//),
    })
  })

  test.skipIf(!hasClang)(
    `has the types that the codecs have, kind by kind${hasClang ? '' : ' (skipped: no clang-19)'}`,
    async () => {
      const file = generate('kinds.bpf.o', compileKinds())
      expect(readFileSync(file, 'utf8')).toContain(`export interface Everything {
  readonly small: number
  readonly yes: boolean
  readonly wide: bigint
  readonly colour: Colour
  readonly level: LevelT
  readonly corners: readonly Point[]
  readonly number: Number2
  readonly name: string
  readonly raw: Uint8Array
  readonly deltas: readonly number[]
  readonly low: number
  readonly high: number
  readonly inner: number
  readonly left: number
  readonly right: number
  readonly nested: {
    readonly depth: number
  }
  readonly pointer: bigint
  readonly aligned: number
}`)
      using guest = new GuestUnderTest()
      using kinds = await loadFrom(file, 'Kinds', guest.client, { globals: { greeting: 'x', favourite: 2 } })
      const things = (kinds.maps as Record<string, unknown>).things as {
        set(key: object, value: object): unknown
        get(key: object): unknown
      }
      const value = {
        ...{ small: 1, yes: true, wide: -5n, colour: -4, level: 1, name: 'abc', low: 7, high: 3, inner: 9 },
        corners: [
          { x: 1, y: 2 },
          { x: 3, y: 4 },
        ],
        number: { whole: 0x0807_0605_0403_0201n, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
        ...{ raw: Uint8Array.of(1, 2, 3, 4), deltas: [-1, 1], left: 5, right: 5 },
        ...{ nested: { depth: 2 }, pointer: 0xffff_ffff_0000_0000n, aligned: 12 },
      }
      things.set({ x: 1, y: 2 }, value)
      expect(things.get({ x: 1, y: 2 })).toEqual(value)
      expect(kinds.globals).toMatchObject({ total: 3n, origin: { x: 1, y: 2 }, level: 0, greeting: 'x' })
      const result = kinds.collection.program('put').testRun()
      expect(result).toMatchObject({ returnValue: 1 })
      const { readers } = kinds as unknown as {
        readers: { sample_ring(): RingBufferReader<object> | SyscallError }
      }
      const reader = readers.sample_ring()
      if (reader instanceof SyscallError) throw reader
      expect([...reader.drain()]).toEqual([{ number: 5, text: 'x' }])
      reader[Symbol.dispose]()
      expect(kinds.globals.total).toBe(4n)
      expect(() => (kinds.programs as Record<string, unknown>).look).toThrow(/no program 'look', only put/)
    },
  )

  test('says what it cannot do', () => {
    const bytes = repositoryFile('bpf/opensnoop.bpf.o')
    expect(generateSkeleton(bytes, { name: 'opensnoop', records: { events: 'nothing' } })).toEqual(
      new SkeletonError("the object has no struct 'nothing'"),
    )
    expect(generateSkeleton(bytes, { name: 'opensnoop', records: { opens: 'event' } })).toEqual(
      new SkeletonError("the object has no buffer 'opens', only events"),
    )
    expect(generateSkeleton(new Uint8Array(100), { name: 'x' })).toBeInstanceOf(ObjectError)
  })
})
