/**
 * Arenas: each program runs on the Linux that runs the tests, in this project's compiler and in its interpreter, and
 * all three must leave the same in the global `out` and in the arena.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import {
  BPF_CMD,
  BPF_F_MMAPABLE,
  BPF_F_NO_USER_CONV,
  BPF_F_RDONLY,
  BPF_F_SEGV_ON_FAULT,
  BPF_F_SLEEPABLE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  errnoName,
  MAP_PRIVATE,
  MAP_SHARED,
  mapElemAttr,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
} from '../../src/abi/index.ts'
import { loadProgram } from '../../src/client/calls.ts'
import {
  type Collection,
  createMap,
  LoadError,
  load,
  type MapSpec,
  ObjectError,
  openObject,
  SyscallError,
} from '../../src/client/index.ts'
import { assemble, encode, type Program, WIDE_SOURCE, wideInstruction } from '../../src/isa/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

/** Of the object's arena. */
const PAGES = 100

const linux = openLinux()
const object = compileObject('arena')
const why =
  linux instanceof LinuxUnavailable ? linux.message : typeof object === 'string' ? object : undefined
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

function open(bytes: Uint8Array) {
  const spec = openObject(bytes, { name: 'arena' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return spec
}

const assembled = (lines: readonly string[]): Program => {
  const result = assemble(lines.join('\n'))
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

/** What is asked of BPF_MAP_CREATE beside what the object says. */
type Changes = Partial<Pick<MapSpec, 'maxEntries' | 'flags'>>

/** One program of the object, with the arena at `start`. */
function loadOn(kernel: Syscalls, program: string, start: bigint, changes: Changes = {}): Collection {
  const spec = open(object as Uint8Array)
  const maps = spec.maps.map((map) => (map.name === 'arena' ? { ...map, ...changes, mapExtra: start } : map))
  const collection = load({ ...spec, maps }, kernel, { programs: [program], globals: { start } })
  if (collection instanceof LoadError) {
    const log = 'log' in collection ? `\n${String(collection.log).slice(-1500)}` : ''
    throw new Error(`${collection.message}${log}`)
  }
  return collection
}

/** What the program leaves. */
function runOn(kernel: Syscalls, program: string, start: bigint, changes?: Changes): unknown {
  using collection = loadOn(kernel, program, start, changes)
  const run = collection.program(program).testRun({})
  if (run instanceof SyscallError) throw run
  const { arena } = collection.map('arena')
  // Page by page: what is there, and what touching it makes be there.
  const pages = Array.from({ length: PAGES }, (_, page) => {
    const bytes = arena.read(arena.address + BigInt(page * PAGE_SIZE), PAGE_SIZE)
    return bytes.every((byte) => byte === 0)
      ? ''
      : Buffer.from(bytes)
          .toString('hex')
          .replace(/(00)+$/, '')
  })
  return {
    returned: run.returnValue,
    out: collection.globals.get('out'),
    pages,
    seven: collection.globals.get('seven'),
  }
}

describe.skipIf(why !== undefined)(`arenas${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  const names =
    why === undefined
      ? open(object as Uint8Array)
          .programs.map(({ name }) => name)
          .filter((name) => name !== 'scripted')
      : []
  // Addresses that were looked at are this process's until the collector has been.
  let last = 2n ** 44n
  const compare = (name: string, changes?: Changes) => {
    last += 2n ** 33n
    const expected = runOn(linux as Syscalls, name, last, changes)
    for (const engine of ['interpreter', 'jit'] as const) {
      using kernel = createKernel({ port: new TinyPort(), engine })
      using client = kernel.openClient()
      const found = runOn(client, name, last, changes)
      expect(kernel.faults()).toEqual([])
      expect({ engine, found }).toEqual({ engine, found: expected })
    }
  }
  test.each(names)('%s', (name) => compare(name))

  test.each(['allocates', 'missing', 'across'])('%s, in 4 GiB', (name) => {
    compare(name, { maxEntries: 2 ** 20 })
  })

  test.each(['list', 'casts'])('%s, with addresses of 32 bits', (name) => {
    compare(name, { flags: BPF_F_MMAPABLE | BPF_F_NO_USER_CONV })
  })

  test('no program uses an arena whose place is not settled', () => {
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    const answers = [linux as Syscalls, client].map((on) => {
      const arena = createMap(on, {
        map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA,
        max_entries: 1,
        map_flags: BPF_F_MMAPABLE,
      })
      if (typeof arena === 'number') throw new Error(errnoName(arena))
      using open_ = arena
      const program = [
        ...wideInstruction(1, WIDE_SOURCE.MAP_FD, BigInt(open_.fd)),
        ...assembled(['r0 = 0', 'exit']),
      ]
      const { result, log } = loadProgram(
        on,
        {
          name: 'p',
          type: BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL,
          expectedAttachType: 0,
          flags: BPF_F_SLEEPABLE,
          license: 'GPL',
          kernelVersion: 0,
          instructions: encode(program),
          btf: undefined,
        },
        { level: 1, sizeBytes: 4096 },
      )
      return { result: typeof result === 'number' ? errnoName(result) : 'loaded', log: log.split('\n')[0] }
    })
    expect(answers[1]).toEqual(answers[0])
    expect(answers[0]?.result).toBe('EINVAL')
  })

  test('random scripts of allocations get the same pages', () => {
    const start = 2n ** 45n
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    const address = fc.oneof(
      fc.constant(0n),
      fc.nat(101).map((page) => start + BigInt(page * PAGE_SIZE)),
      fc.nat(99).map((page) => start + BigInt(page * PAGE_SIZE + 8)),
    )
    const command = fc.record({
      operation: fc.constantFrom(1n, 1n, 1n, 2n, 2n, 3n),
      address,
      count: fc.oneof(fc.constantFrom(0n, 1n, 1n, 2n, 3n), fc.bigInt({ min: 1n, max: 40n })),
    })
    const script = fc.array(command, { minLength: 119, maxLength: 119 })
    // What one script has left is given back by the next.
    const everything = { operation: 2n, address: start, count: 100n, result: 0n }
    using theirs = loadOn(linux as Syscalls, 'scripted', start)
    using ours = loadOn(client, 'scripted', start)
    const results = (collection: Collection, commands: readonly object[]) => {
      const { globals } = collection
      globals.set('script', [everything, ...commands.map((each) => ({ ...each, result: 0n }))])
      const run = collection.program('scripted').testRun({})
      if (run instanceof SyscallError) throw run
      return globals.get('script')
    }
    fc.assert(
      fc.property(script, (commands) => {
        expect(results(ours, commands)).toEqual(results(theirs, commands))
      }),
      { numRuns: 60 },
    )
  })

  describe('mmap answers the same', () => {
    const A = 2n ** 46n
    const MAP_FIXED = 0x10
    const READ_WRITE = PROT_READ | PROT_WRITE
    type Map = readonly [address: bigint, pages: number, prot?: number, flags?: number, offset?: number]
    interface Case {
      readonly extra?: bigint
      readonly flags?: number
      readonly maps: readonly Map[]
    }
    const FIXED = MAP_SHARED | MAP_FIXED
    const cases: Record<string, Case> = {
      'anywhere, then there again': {
        maps: [
          [0n, 3],
          [0n, 3],
        ],
      },
      'anywhere, smaller than it is, then larger': {
        maps: [
          [0n, 2],
          [0n, 3],
        ],
      },
      'where map_extra says': { extra: A, maps: [[A, 3, READ_WRITE, FIXED]] },
      'where map_extra says, as a hint': { extra: A + 0x100000n, maps: [[A + 0x100000n, 3]] },
      elsewhere: {
        extra: A,
        maps: [
          [A + 0x200000n, 3, READ_WRITE, FIXED],
          [0n, 3],
        ],
      },
      'too large and too small': {
        extra: A,
        maps: [
          [A, 4, READ_WRITE, FIXED],
          [A, 2, READ_WRITE, FIXED],
        ],
      },
      'from an offset': { maps: [[0n, 2, READ_WRITE, MAP_SHARED, PAGE_SIZE]] },
      'more than 4 GiB': { maps: [[0n, 2 ** 20 + 1]] },
      privately: { maps: [[0n, 3, READ_WRITE, MAP_PRIVATE]] },
      'to be read only': { maps: [[0n, 3, PROT_READ]] },
      'a read-only descriptor': {
        flags: BPF_F_MMAPABLE | BPF_F_RDONLY,
        maps: [
          [0n, 3],
          [0n, 3, PROT_READ],
        ],
      },
    }
    const answers = (kernel: Syscalls, { extra = 0n, flags = BPF_F_MMAPABLE, maps }: Case) => {
      const map = createMap(kernel, {
        map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA,
        max_entries: 3,
        map_flags: flags,
        map_extra: extra,
      })
      if (typeof map === 'number') return errnoName(map)
      using open_ = map
      return maps.map(([address, pages, prot = READ_WRITE, how = MAP_SHARED, offset = 0]) => {
        const result = kernel.mmap(address, pages * PAGE_SIZE, prot, how, open_.fd, offset)
        if (result < 0n) return errnoName(Number(result))
        kernel.munmap(result, pages * PAGE_SIZE)
        return extra === 0n ? 'mapped' : `mapped at 0x${result.toString(16)}`
      })
    }
    test.each(Object.entries(cases))('%s', (_name, each) => {
      using kernel = createKernel({ port: new TinyPort() })
      using client = kernel.openClient()
      expect(answers(client, each)).toEqual(answers(linux as Syscalls, each))
    })
  })

  /** Where a page is missing and may not come by being touched, only a system call can be asked without harm. */
  test('a kernel that copies to a page that is not there makes it, or answers EFAULT', () => {
    const answers = (kernel: Syscalls, flags: number) => {
      const create = (attr: Parameters<typeof createMap>[1]) => {
        const map = createMap(kernel, attr)
        if (typeof map === 'number') throw new Error(errnoName(map))
        return map
      }
      const { BPF_MAP_TYPE_ARENA, BPF_MAP_TYPE_ARRAY } = BPF_MAP_TYPE
      using arena = create({
        map_type: BPF_MAP_TYPE_ARENA,
        max_entries: 3,
        map_flags: BPF_F_MMAPABLE | flags,
      })
      using array = create({ map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4096, max_entries: 1 })
      const at = kernel.mmap(0n, 3 * PAGE_SIZE, READ_AND_WRITE, MAP_SHARED, arena.fd, 0)
      if (at < 0n) return errnoName(Number(at))
      // The value goes to what lies across two pages; the key comes from the third.
      const attr = mapElemAttr.encode({
        map_fd: array.fd,
        key: at + BigInt(2 * PAGE_SIZE),
        value: at + 100n,
        flags: 0n,
      })
      const pointer = kernel.memory.allocate(attr.length)
      kernel.memory.view(pointer, attr.length).set(attr)
      const looked = kernel.bpf(BPF_CMD.BPF_MAP_LOOKUP_ELEM, pointer, attr.length)
      kernel.memory.free(pointer)
      kernel.munmap(at, 3 * PAGE_SIZE)
      return looked
    }
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    for (const flags of [0, BPF_F_SEGV_ON_FAULT]) {
      expect({ flags, answer: answers(client, flags) }).toEqual({
        flags,
        answer: answers(linux as Syscalls, flags),
      })
    }
  })
})

const READ_AND_WRITE = PROT_READ | PROT_WRITE
