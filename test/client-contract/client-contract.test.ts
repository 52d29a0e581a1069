/**
 * One client, two kernels: this project's and the Linux that runs the tests, called from another process and from
 * this one. Each test runs on all, with an object that is compiled here.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  BPF_EXIST,
  BPF_NOEXIST,
  E2BIG,
  EACCES,
  EEXIST,
  ENOENT,
  EPERM,
  type Syscalls,
} from '../../src/abi/index.ts'
import {
  AttachError,
  type BtfValue,
  btfCodec,
  type Collection,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  PerfReader,
  RingBufferReader,
  recordsOf,
  SyscallError,
  VerifierError,
} from '../../src/client/index.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { GuestUnderTest, repositoryFile } from '../support/guest.ts'
import { LinuxProcess } from '../support/linux-process.ts'

function compile(name: string): Uint8Array | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'client-contract-'))
  const object = join(directory, `${name}.bpf.o`)
  try {
    const source = join(import.meta.dirname, `${name}.bpf.c`)
    execFileSync('clang-19', ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-c', source, '-o', object], {
      stdio: 'pipe',
    })
    return readFileSync(object)
  } catch {
    return undefined
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const object = compile('events')
const refused = compile('refused')
const linux = LinuxProcess.open()
const direct = openLinux()

afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
  if (!(direct instanceof LinuxUnavailable)) direct[Symbol.dispose]()
})

interface KernelUnderTest extends Disposable {
  readonly syscalls: Syscalls
}

const kernels: readonly {
  name: string
  missing: string
  provesSafety: boolean
  open: () => KernelUnderTest
}[] = [
  {
    name: "this project's kernel",
    missing: '',
    // Its verifier is yet to come: programs run in a checked interpreter.
    provesSafety: false,
    open() {
      const guest = new GuestUnderTest({ harts: 2 })
      return { syscalls: guest.client, [Symbol.dispose]: () => guest[Symbol.dispose]() }
    },
  },
  {
    name: 'the running Linux, in another process',
    missing: typeof linux === 'string' ? linux : '',
    provesSafety: true,
    open() {
      const process = linux as LinuxProcess
      return {
        syscalls: process,
        [Symbol.dispose]() {
          expect(process.allocations).toBe(0)
        },
      }
    },
  },
  {
    name: 'the running Linux',
    missing: direct instanceof LinuxUnavailable ? direct.message : '',
    provesSafety: true,
    open() {
      const syscalls = direct as Exclude<typeof direct, LinuxUnavailable>
      return {
        syscalls,
        [Symbol.dispose]() {
          expect(syscalls.openDescriptors).toEqual([])
          expect(syscalls.memory.allocations).toBe(0)
        },
      }
    },
  },
]

const missingCompiler = object === undefined ? 'needs clang-19 and libbpf-dev' : ''

describe.each(kernels)('on $name', ({ missing, open, provesSafety }) => {
  const why = missing || missingCompiler
  describe.skipIf(why !== '')(why === '' ? 'the client' : `the client (skipped: ${why})`, () => {
    let kernel: KernelUnderTest
    const spec = object === undefined ? undefined : openObject(object, { name: 'events' })
    beforeAll(() => {
      kernel = open()
    })
    afterAll(() => kernel[Symbol.dispose]())

    function loaded(options?: LoadOptions): Collection {
      if (spec === undefined || spec instanceof ObjectError) throw new Error(spec?.message)
      const collection = load(spec, kernel.syscalls, options)
      if (collection instanceof LoadError) throw new Error(`${collection.message}\n${logOf(collection)}`)
      return collection
    }

    /** What the program makes of its `number`th run. */
    const sample = (number: bigint, colour: BtfValue = number & 1n ? 7 : 8) => ({
      number,
      colour,
      low: Number(number) & 31,
      middle: (Number(number) * 3) & 2047,
      odd: (number & 1n) === 1n,
      text: 'sample',
      grid: [
        [0, 0, 0],
        [0, 0, Number(BigInt.asIntN(16, -number))],
      ],
      word: 0x04030201,
      bytes: Uint8Array.of(1, 2, 3, 4),
    })

    function run(collection: Collection, times = 1): void {
      for (let time = 0; time < times; time++) {
        const result = collection.program('record').testRun()
        if (result instanceof SyscallError) throw result
        expect(result.returnValue).toBe(Number(collection.globals.get('runs')))
      }
    }

    test('reads what a program wrote, with the types of the object', () => {
      using collection = loaded({ globals: { step: 5, runs: 2n ** 31n - 6n } })
      expect(collection.globals.get('last')).toMatchObject({ text: 'nothing yet' })
      run(collection)
      const number = 2n ** 31n - 1n
      expect(collection.globals.get('last')).toEqual(sample(number, 7))
      expect([...collection.map('seen')]).toEqual([[number, sample(number)]])
      const counts = collection.map<number, readonly bigint[]>('per_cpu').get(0)
      expect(counts).toHaveLength(collection.cpuCount as number)
      expect(counts?.reduce((a, b) => a + b)).toBe(1n)
    })

    test('names enumerators where asked, and takes them', () => {
      using collection = loaded({
        values: { enums: 'name' },
        globals: {
          last: {
            colour: 'GREEN',
            grid: [
              [1, 2, 3],
              [4, 5, 6],
            ],
          },
        },
      })
      expect(collection.globals.get('last')).toMatchObject({
        colour: 'GREEN',
        text: 'nothing yet',
        grid: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      })
      run(collection, 2)
      expect(collection.map('seen').get(2n)).toMatchObject({ colour: 'BLUE' })
    })

    test('writes, deletes and iterates', () => {
      using collection = loaded()
      const seen = collection.map<bigint, object>('seen')
      expect(seen.set(1n, sample(1n), BPF_EXIST)).toMatchObject({ errno: ENOENT })
      for (let number = 1n; number <= 64n; number++)
        expect(seen.set(number, sample(number), BPF_NOEXIST)).toBeUndefined()
      expect(seen.set(1n, sample(1n), BPF_NOEXIST)).toMatchObject({ errno: EEXIST })
      expect(seen.set(65n, sample(65n))).toMatchObject({ errno: E2BIG })
      const numbers = Array.from({ length: 64 }, (_, index) => BigInt(index + 1))
      const ascending = (a: bigint, b: bigint) => (a < b ? -1 : 1)
      expect([...seen.keys()].sort(ascending)).toEqual(numbers)
      expect(seen.take(9n)).toEqual(sample(9n))
      const met: bigint[] = []
      for (const [number, value] of seen) {
        expect(value).toEqual(sample(number))
        met.push(number)
        expect(seen.delete(number)).toBe(true)
      }
      expect(met.sort(ascending)).toEqual(numbers.filter((number) => number !== 9n))
      expect(seen.delete(1n)).toBe(false)
      expect([...seen]).toEqual([])
    })

    test('cannot change constants', () => {
      using collection = loaded({ globals: { step: 3 } })
      expect(collection.globals.get('step')).toBe(3)
      expect(collection.globals.set('step', 4)).toMatchObject({ errno: EPERM })
      expect(collection.globals.set('dropped', 4n)).toBeUndefined()
      expect(collection.globals.get('dropped')).toBe(4n)
    })

    test('follows a ring buffer over many turns, and knows what was lost', async () => {
      using collection = loaded()
      const type = collection.spec.btf?.find('sample')
      if (type === undefined || collection.spec.btf === undefined) throw new Error('no struct sample')
      const codec = btfCodec(collection.spec.btf, type)
      if (codec === undefined) throw new Error('struct sample has no codec')
      const opened = RingBufferReader.open(collection.map('ring'), {
        decode: recordsOf(codec),
        lostCounter: () => collection.globals.get('dropped') as bigint,
      })
      if (opened instanceof SyscallError) throw opened
      using reader = opened
      let next = 1n
      for (let turn = 0; turn < 8; turn++) {
        run(collection, 30)
        for (const record of reader.drain()) expect(record).toEqual(sample(next++))
        expect(next).toBe(BigInt((turn + 1) * 30 + 1))
      }
      expect(reader.lost).toBe(0)
      run(collection, 100)
      const kept = [...reader.drain()]
      expect(kept[0]).toEqual(sample(next))
      expect(reader.lost).toBe(100 - kept.length)
      expect(reader.lost).toBeGreaterThan(0)

      setTimeout(() => run(collection), 20)
      for await (const record of reader) {
        expect(record).toEqual(sample(next + 100n))
        break
      }
    })

    test('follows perf buffers', () => {
      using collection = loaded()
      const opened = PerfReader.open(collection.map('perf'), {
        pages: 1,
        decode: (bytes) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true),
      })
      if (opened instanceof SyscallError) throw opened
      using reader = opened
      run(collection, 20)
      const ascending = (a: bigint, b: bigint) => (a < b ? -1 : 1)
      expect([...reader.drain()].sort(ascending)).toEqual(
        Array.from({ length: 20 }, (_, index) => BigInt(index + 1)),
      )
      expect(reader.lost).toBe(0)
    })

    test.skipIf(!provesSafety)(
      `says why a program was refused${provesSafety ? '' : ' (skipped: this kernel has no verifier yet)'}`,
      () => {
        const careless = openObject(refused as Uint8Array, { name: 'refused' })
        if (careless instanceof ObjectError) throw new Error(careless.message)
        const error = load(careless, kernel.syscalls)
        expect(error).toBeInstanceOf(VerifierError)
        expect(error).toMatchObject({
          code: 'verifier',
          subject: 'careless',
          errno: EACCES,
          section: 'raw_tp',
        })
        expect((error as VerifierError).message).toMatch(
          /refused: EACCES: R\d invalid mem access 'map_value_or_null'$/,
        )
        // Line information travelled with the program: the log quotes the source.
        expect((error as VerifierError).log).toContain('return *value;')
        expect((error as VerifierError).report).toMatchObject({
          reason: expect.stringMatching(/invalid mem access/),
          disassembly: expect.stringMatching(/^\(79\) r\d = \*\(u64 \*\)/),
          source: { file: expect.stringMatching(/refused\.bpf\.c$/), line: 21, text: 'return *value;' },
        })
      },
    )

    test('loads the objects of the tools', () => {
      for (const name of ['syscount', 'opensnoop', 'hello']) {
        const tool = openObject(repositoryFile(`bpf/${name}.bpf.o`), { name })
        if (tool instanceof ObjectError) throw new Error(tool.message)
        const collection = load(tool, kernel.syscalls)
        if (collection instanceof LoadError) throw new Error(`${collection.message}\n${logOf(collection)}`)
        // A kernel that is not the guest's may have no kprobes at all, but no function of ours.
        const links = collection.attach()
        if (links instanceof AttachError) expect(['no-kprobes', 'unknown-symbol']).toContain(links.code)
        else links[Symbol.dispose]()
        collection[Symbol.dispose]()
      }
    })
  })
})

const logOf = (error: LoadError): string => (error instanceof VerifierError ? error.log : '')
