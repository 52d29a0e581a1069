/**
 * SYN cookies without a socket, on the Linux that runs the tests and on both engines: the same sizes and errors for the
 * same headers, and each believes its own cookies only. The cookies themselves are of secrets.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { Syscalls } from '../../src/abi/index.ts'
import { type Collection, load, openObject, SyscallError } from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const linux = openLinux()
const object = compileObject('syncookie')
const noLinux = linux instanceof LinuxUnavailable ? linux.message : ''
const why = typeof object === 'string' ? object : noLinux
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

const IP_BYTES = 40
const TCP_MOST = 60
const EINVAL = -22n
const EACCES = -13n

function open(kernel: Syscalls): Collection {
  const spec = openObject(object as Uint8Array, { name: 'syncookie' })
  if (!('programs' in spec)) throw new Error(spec.message)
  const loaded = load(spec, kernel)
  if (!('program' in loaded))
    throw new Error(`${loaded.message} ${'log' in loaded ? String(loaded.log) : ''}`)
  return loaded
}

/** The numbers of `out`, by name. */
function cookie(collection: Collection, version: string, headers: Uint8Array, tcpBytes: number) {
  const request = {
    ip: headers.slice(0, IP_BYTES),
    tcp: headers.slice(IP_BYTES),
    tcp_bytes: tcpBytes,
  }
  collection.globals.set('request', request)
  const none = { made: 0n, right: 0n, wrong_number: 0n, wrong_address: 0n, wrong_port: 0n, wrong_minute: 0n }
  collection.globals.set('out', none)
  const run = collection.program(`cookie_${version}`).testRun({ data: new Uint8Array(64) })
  if (run instanceof SyscallError) throw new Error(run.message)
  return collection.globals.get('out') as typeof none
}

/** A TCP header with `options`, which say how long it is unless `offset` does. */
function headers(options: readonly number[], offset = 5 + Math.ceil(options.length / 4)): Uint8Array {
  const bytes = Uint8Array.from({ length: IP_BYTES + TCP_MOST }, (_, i) => (i * 37 + 11) & 0xff)
  bytes[IP_BYTES + 12] = offset << 4
  bytes.fill(0, IP_BYTES + 20)
  bytes.set(options, IP_BYTES + 20)
  return bytes
}

const size = (mss: number) => [2, 4, mss >> 8, mss & 0xff]

describe.skipIf(why !== '')(`SYN cookies${why && ` (skipped: ${why})`}`, () => {
  const kernels: Collection[] = []
  const owned: Disposable[] = []
  if (why === '') {
    kernels.push(open(linux as Syscalls & Disposable))
    for (const engine of ['jit', 'interpreter'] as const) {
      const kernel = createKernel({ port: new TinyPort(), engine })
      owned.push(kernel)
      kernels.push(open(kernel.openClient()))
    }
  }
  afterAll(() => {
    for (const one of [...kernels, ...owned]) one[Symbol.dispose]()
  })
  const same = (version: string, bytes: Uint8Array, tcpBytes: number) => {
    const [there, ...here] = kernels.map((one) => cookie(one, version, bytes, tcpBytes))
    for (const one of here) expect(one).toEqual(there)
    return there as NonNullable<typeof there>
  }

  test.each(['ipv4', 'ipv6'])(
    '%s: what each size and error is, and that only the right answer is believed',
    (version) => {
      const smallest = version === 'ipv4' ? 536n : 1220n
      for (const mss of [0, 1, 535, 536, 1219, 1220, 1299, 1300, 1419, 1420, 1440, 1460, 8940, 65535]) {
        const found = same(version, headers(size(mss)), 24)
        expect(found).toMatchObject({ right: 0n, wrong_number: EACCES, wrong_minute: EACCES })
        expect(found).toMatchObject({ wrong_address: EACCES, wrong_port: EACCES })
      }
      expect(same(version, headers([]), 20).made).toBe(smallest)
      for (const [offset, bytes] of [
        [5, 19],
        [5, 24],
        [6, 20],
        [4, 16],
        [15, 60],
        [0, 0],
      ] as const) {
        const isRight = offset * 4 === bytes && bytes >= 20
        expect(same(version, headers([], offset), bytes).made).toBe(isRight ? smallest : EINVAL)
      }
    },
  )

  test('options of any kind', () => {
    const option = fc.oneof(
      fc.constantFrom(
        [0],
        [1],
        [3, 3, 7],
        [2, 3, 5],
        [2, 4],
        [2, 4, 5, 0xb4],
        [2, 4, 0, 0],
        [4, 2],
        [8, 10],
        [2, 0],
        [2],
      ),
      fc.nat(65535).map(size),
    )
    const options = fc.array(option, { maxLength: 9 }).map((all) => all.flat().slice(0, 40))
    fc.assert(
      fc.property(options, fc.constantFrom('ipv4', 'ipv6'), (some, version) => {
        const bytes = headers(some)
        same(version, bytes, ((bytes[IP_BYTES + 12] as number) >> 4) * 4)
      }),
      { numRuns: 60 },
    )
  })
})
