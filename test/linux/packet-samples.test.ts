/** Samples with packets behind them, of the Linux that runs the tests and of both engines: the same bytes and answers. */
import { afterAll, describe, expect, test } from 'vitest'
import { BPF_F_CURRENT_CPU, type Syscalls } from '../../src/abi/index.ts'
import { type Collection, load, openObject, PerfReader, SyscallError } from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('packet-samples')
const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
const why = typeof object === 'string' ? object : noLinux
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

interface Side {
  readonly collection: Collection
  readonly reader: PerfReader
}

function open(kernel: Syscalls): Side {
  const spec = openObject(object as Uint8Array, { name: 'packet-samples' })
  if (!('programs' in spec)) throw new Error(spec.message)
  const collection = load(spec, kernel)
  if (!('program' in collection)) throw new Error(collection.message)
  const reader = PerfReader.open(collection.map('events'), { pages: 32 })
  if (reader instanceof SyscallError) throw reader
  return { collection, reader }
}

const frame = (size: number) =>
  Uint8Array.from({ length: size }, (_, n) => (n < 12 ? 0 : (n * 37 + 1) & 0xff))
const BYTES = Uint8Array.from({ length: 64 }, (_, n) => 0xc0 ^ n)

describe.skipIf(why !== '')(`packets behind samples${why && ` (skipped: ${why})`}`, () => {
  const owned: Disposable[] = []
  const sides: Side[] = []
  if (why === '') {
    sides.push(open(linux as Syscalls & Disposable))
    for (const engine of ['jit', 'interpreter'] as const) {
      const kernel = createKernel({ port: new TinyPort(), engine })
      owned.push(kernel)
      sides.push(open(kernel.openClient()))
    }
  }
  afterAll(() => {
    for (const { collection, reader } of sides) {
      reader[Symbol.dispose]()
      collection[Symbol.dispose]()
    }
    for (const one of owned) one[Symbol.dispose]()
  })

  function sample({ collection, reader }: Side, name: string, data: Uint8Array, size: number, flags: bigint) {
    collection.globals.set('request', { flags, size, bytes: BYTES })
    collection.globals.set('answer', 0n)
    const result = collection.program(name).testRun(name === 'of_raw_tp' ? {} : { data })
    if (result instanceof SyscallError) throw result
    const follows = Number((flags >> 32n) & 0xf_ffffn)
    // How long it is shows the padding; what is in there is nobody's.
    const samples = [...reader.drain()].map((one) => [one.length, ...one.subarray(0, size + follows)])
    return { answer: collection.globals.get('answer'), samples }
  }

  test.each(['of_xdp', 'of_xdp_frags', 'of_tc', 'of_socket', 'of_lwt_xmit', 'of_cgroup_skb', 'of_raw_tp'])(
    '%s',
    (name) => {
      let sent = 0
      for (const length of name === 'of_xdp_frags' ? [64, 5000, 9000] : [64, 1500]) {
        for (const size of [0, 1, 4, 8, 13, 64]) {
          for (const follows of [0, 1, 7, 14, 50, 51, 63, 64, 65, 1486, 1500, 1501, 5000, 9000, 0xf_ffff]) {
            for (const more of [0n, 1n << 52n, 1n << 63n]) {
              const flags = BPF_F_CURRENT_CPU | (BigInt(follows) << 32n) | more
              const [there, ...here] = sides.map((side) => sample(side, name, frame(length), size, flags))
              for (const one of here) expect(one).toEqual(there)
              sent += there?.samples.length ?? 0
            }
          }
        }
      }
      expect(sent).toBeGreaterThan(name === 'of_raw_tp' ? 5 : 50)
    },
  )

  test('an entry that there is not, behind the packet that is too short', () => {
    for (const index of [500n, 0xffff_fffen]) {
      for (const follows of [0n, 64n, 65n]) {
        const flags = index | (follows << 32n)
        const [there, ...here] = sides.map((side) => sample(side, 'of_xdp', frame(64), 8, flags))
        for (const one of here) expect(one).toEqual(there)
      }
    }
  })
})
