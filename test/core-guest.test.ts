/**
 * CO-RE on the demo kernel: a program that knows only names of its struct task, fitted through the guest's own BTF
 * as the client finds it at /sys/kernel/btf/vmlinux, or as a file gives it.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Btf, BtfError, findComposite } from '../src/btf/index.ts'
import { AttachError, type CollectionSpec, LoadError, load, openObject } from '../src/client/index.ts'
import { ElfError, parseElf } from '../src/elf/index.ts'
import { GuestUnderTest, repositoryFile } from './support/guest.ts'

function compile(): CollectionSpec | string {
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-core-'))
  const object = join(directory, 'guest_task.bpf.o')
  const source = join(import.meta.dirname, 'data/core/guest-task.bpf.c')
  const options = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-idirafter', '/usr/include']
  try {
    execFileSync('clang-19', [...options, '-c', source, '-o', object], { stdio: 'pipe' })
    const spec = openObject(new Uint8Array(readFileSync(object)), { name: 'guest_task' })
    return 'programs' in spec ? spec : spec.message
  } catch {
    return 'needs clang-19 and libbpf-dev'
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const compiled = compile()
const [spec, reason] = typeof compiled === 'string' ? [undefined, ` (${compiled})`] : [compiled, '']

interface Seen {
  readonly calls: bigint
  readonly helper_pid_tgid: bigint
  readonly state: bigint
  readonly running: bigint
  readonly bytes: bigint
  readonly pid: number
  readonly tgid: number
  readonly parent_pid: number
  readonly has_no_such_member: number
  readonly has_no_such_state: number
  readonly has_other_kernel: number
  readonly comm: string
  readonly helper_comm: string
}

test.skipIf(spec === undefined)(`struct task, whatever its layout${reason}`, () => {
  using machine = new GuestUnderTest()
  const collection = load(spec as CollectionSpec, machine.client, { programs: ['look'] })
  if (collection instanceof LoadError) throw new Error(collection.message)
  using loaded = collection
  const links = loaded.attach()
  if (links instanceof AttachError) throw new Error(links.message)
  machine.runToEnd()
  const entries = [...loaded.map('tasks').entries()].map(([, value]) => value as unknown as Seen)
  expect(entries.length).toBeGreaterThan(3)
  const types = typesOfGuest()
  for (const seen of entries) {
    expect(BigInt(seen.tgid) * 2n ** 32n + BigInt(seen.pid)).toBe(seen.helper_pid_tgid)
    expect(seen.state).toBe(seen.running)
    expect(seen.calls).toBeGreaterThan(0n)
    expect(seen.bytes).toBe(BigInt(types.sizeOf(findComposite(types, 'task') as never) as number))
    expect([seen.has_no_such_member, seen.has_no_such_state, seen.has_other_kernel]).toEqual([0, 0, 0])
    expect(seen.comm).not.toBe('')
    expect(seen.comm).toBe(seen.helper_comm)
  }
  const pids = new Set(entries.map(({ pid }) => pid))
  const children = entries.filter(({ parent_pid }) => pids.has(parent_pid))
  expect(children.length, 'processes whose parent opened files, too').toBeGreaterThan(0)
})

test.skipIf(spec === undefined)(`the guest's types from a file${reason}`, () => {
  using machine = new GuestUnderTest()
  const bytes = typesOfGuest().bytes
  for (const targetBtf of [bytes, Btf.parse(bytes) as Btf]) {
    const collection = load(spec as CollectionSpec, machine.client, { programs: ['look'], targetBtf })
    expect(collection).not.toBeInstanceOf(LoadError)
    ;(collection as Disposable)[Symbol.dispose]()
  }
  const error = load(spec as CollectionSpec, machine.client, {
    programs: ['look'],
    targetBtf: bytes.slice(0, 10),
  })
  expect(error).toMatchObject({ code: 'environment' })
  expect((error as LoadError).message).toMatch(/the kernel's types in the option targetBtf are malformed/)
})

function typesOfGuest(): Btf {
  const elf = parseElf(repositoryFile('guest/build/kernel.elf'))
  if (elf instanceof ElfError) throw new Error(elf.message)
  const btf = Btf.parse(elf.section('.BTF')?.data ?? new Uint8Array(0))
  if (btf instanceof BtfError) throw new Error(btf.message)
  return btf
}
