/** Maps with LIBBPF_PIN_BY_NAME, from one load to the next, and whole collections: on this project's kernel, and on the running Linux. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Syscalls } from '../../src/abi/index.ts'
import {
  type Collection,
  type CollectionSpec,
  LoadError,
  load,
  type MapSpec,
  ObjectError,
  openObject,
  openPinned,
  type ProgramInfo,
  pinObject,
  programInfo,
  SyscallError,
} from '../../src/client/index.ts'
import type { Descriptor } from '../../src/client/owner.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const compiled = compileObject('pinned')

/** The object, or one that declares the pinned map with values of another size. */
function object(valueSize = 8): CollectionSpec {
  const spec = openObject(compiled as Uint8Array, { name: 'pinned' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const changed = (map: MapSpec) => (map.name === 'kept' && valueSize !== 8 ? { ...map, valueSize } : map)
  return { ...spec, maps: spec.maps.map(changed) }
}

function loaded(syscalls: Syscalls, pinRoot: string): Collection {
  const collection = load(object(), syscalls, { pinRoot })
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

/** What must hold wherever there is a BPF file system; `names` lists the directory. */
function holds(syscalls: Syscalls, root: string, names: () => readonly string[]): void {
  const key = new Uint8Array([1, 0, 0, 0])
  {
    using first = loaded(syscalls, root)
    expect(names()).toContain('kept')
    for (const name of ['kept', 'ours']) {
      expect(first.map(name).handle.update(key, new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]), 0)).toBe(0)
    }
  }
  {
    using second = loaded(syscalls, root)
    expect(second.map('kept').handle.lookup(key)).toEqual(new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]))
    expect(second.map('ours').handle.lookup(key)).toBe(-2)
  }
  const other = load(object(16), syscalls, { pinRoot: root })
  expect(other).toMatchObject({ code: 'pinned-map', subject: 'kept' })
  expect((other as LoadError).message).toContain('values of bytes: 16 declared, 8 pinned')
  const nowhere = load(object(), syscalls, { pinRoot: `${root}/absent` })
  expect(nowhere).toMatchObject({ code: 'map', subject: 'kept', errno: 2 })
}

/** All of an object, pinned and unpinned; `names` lists a folder. */
function holdsOfCollections(
  syscalls: Syscalls,
  root: string,
  names: (folder: string) => readonly string[],
): void {
  const folder = `${root}/all`
  using collection = loaded(syscalls, root)
  const all = [...collection.maps.keys(), ...collection.programs.keys()].map((name) => name.replace('.', '_'))
  expect(all.length).toBeGreaterThan(2)
  expect(collection.pin(folder)).toBeUndefined()
  expect([...names(folder)].sort()).toEqual(all.sort())
  const [program] = collection.programs.keys()
  using again = openedAt(syscalls, `${folder}/${program}`)
  expect(programInfo(syscalls, again.fd)).toMatchObject({
    id: (programInfo(syscalls, collection.program(program as string).fd) as ProgramInfo).id,
  })
  // A second object finds its names taken.
  using other = loaded(syscalls, root)
  expect(other.pin(folder)).toMatchObject({ errno: 17, call: 'BPF_OBJ_PIN' })
  expect(collection.unpin(folder)).toBeUndefined()
  expect(names(folder)).toEqual([])
  expect(collection.unpin(folder)).toBeUndefined()

  // What one name hinders leaves nothing behind.
  const taken = `${folder}/${program}`
  expect(pinObject(syscalls, collection.map('ours').fd, taken)).toBeUndefined()
  expect(collection.pin(folder)).toMatchObject({ errno: 17 })
  expect(names(folder)).toEqual([program])
  expect(syscalls.unlink?.(taken)).toBe(0)
  expect(collection.pin(`${root}/no/where`)).toMatchObject({ call: 'mkdir', errno: 2 })

  // Maps that are pinned by name in the same folder already are theirs.
  const before = names(root)
  expect(collection.pin(root)).toBeUndefined()
  expect([...names(root)].sort()).toEqual([...new Set([...before, ...all])].sort())
  expect(collection.unpin(root)).toBeUndefined()
  // Names with dots are Linux's own.
  expect(names(root).filter((name) => !name.includes('.'))).toEqual(['all'])
  expect(pinObject(syscalls, collection.map('kept').fd, `${root}/kept`)).toBeUndefined()
}

function openedAt(syscalls: Syscalls, path: string): Descriptor {
  const opened = openPinned(syscalls, path)
  if (opened instanceof SyscallError) throw opened
  return opened
}

const noObject = typeof compiled === 'string' ? compiled : ''

test.skipIf(noObject !== '')(`on this kernel${noObject && ` (skipped: ${noObject})`}`, () => {
  using kernel = createKernel({ port: new TinyPort() })
  using client = kernel.openClient()
  expect(client.mkdir('/sys/fs/bpf/app')).toBe(0)
  holds(client, '/sys/fs/bpf/app', () => client.readDirectory('/sys/fs/bpf/app') as readonly string[])
  holdsOfCollections(client, '/sys/fs/bpf/app', (path) => client.readDirectory(path) as readonly string[])
  expect(kernel.stats()).toMatchObject({ maps: 1, programs: 0 })
  client.unlink('/sys/fs/bpf/app/kept')
  expect(kernel.stats().maps).toBe(0)
})

const directory = mkdtempSync(join(tmpdir(), 'anybpf-pins-'))
const mounted = spawnSync('mount', ['-t', 'bpf', 'none', directory]).status === 0
const missing = noObject || (mounted ? '' : 'a BPF file system cannot be mounted here')

afterAll(() => {
  if (mounted) execFileSync('umount', [directory])
  rmSync(directory, { recursive: true })
})

test.skipIf(missing !== '')(`on the running Linux${missing && ` (skipped: ${missing})`}`, () => {
  const opened = openLinux()
  if (opened instanceof LinuxUnavailable) throw new Error(opened.message)
  using linux = opened
  holds(linux, directory, () => readdirSync(directory))
  holdsOfCollections(linux, directory, (path) => readdirSync(path))
  expect(linux.openDescriptors).toEqual([])
})
