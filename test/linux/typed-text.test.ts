/**
 * Values printed by their types, on the Linux that runs the tests and here, with Linux's own types: the same bytes must
 * give the same text, whatever the type.
 *
 * Rules: only types of values are printed there. Linux 6.18 goes down when it is to print `const void`.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { EINVAL, ENOENT, type Syscalls } from '../../src/abi/index.ts'
import { BTF_KIND, Btf, type BtfId } from '../../src/btf/index.ts'
import { type Collection, load, openObject, SyscallError } from '../../src/client/index.ts'
import { TYPED_TEXT } from '../../src/helpers/typed-text.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'
import { compileObject } from './compile.ts'

const TYPES = '/sys/kernel/btf/vmlinux'

const linux = openLinux()
const object = compileObject('typed-text')
const why = typeof object === 'string' ? object : linux instanceof LinuxUnavailable ? linux.message : ''
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

const DATA_BYTES = 4_096
const TEXT_BYTES = 16_384

interface Request {
  readonly type: number
  readonly flags: number
  readonly room?: number
  readonly pointerBytes?: number
  readonly data?: Uint8Array
  readonly address?: bigint
}

const oneOf = (numbers: readonly number[]) =>
  fc.integer({ min: 0, max: numbers.length - 1 }).map((n) => numbers[n] as number)

function open(kernel: Syscalls): Collection {
  const spec = openObject(object as Uint8Array, { name: 'typed-text' })
  if (!('programs' in spec)) throw new Error(spec.message)
  const loaded = load(spec, kernel)
  if ('program' in loaded) return loaded
  throw new Error(`${loaded.message} ${'log' in loaded ? String(loaded.log) : ''}`)
}

/** The result, and the text with whatever `%p` made of pointers taken out. */
function print(collection: Collection, request: Request): { result: bigint; text: string } {
  const { type, flags, room = TEXT_BYTES, pointerBytes = 16, data = new Uint8Array(), address = 0n } = request
  const value = new Uint8Array(DATA_BYTES)
  value.set(data)
  collection.globals.set('data', value)
  collection.globals.set('text', new Uint8Array(TEXT_BYTES).fill(0x55))
  collection.globals.set('request', {
    at: { ptr: address, type_id: type, flags: 0 },
    flags: BigInt(flags),
    room,
    pointer_bytes: pointerBytes,
    result: 0n,
  })
  const run = collection.program('prints').testRun()
  if (run instanceof SyscallError) throw new Error(run.message)
  const { result } = collection.globals.get('request') as { result: bigint }
  const bytes = Buffer.from(collection.globals.get('text') as Uint8Array)
  const end = bytes.indexOf(0)
  const text = bytes.subarray(0, end < 0 ? 32 : end).toString('latin1')
  return { result, text: (flags & TYPED_TEXT.PTR_RAW) !== 0 ? text : text.replace(/0x0{8}[0-9a-f]+/g, '0x*') }
}

describe.skipIf(why !== '')(
  `text of values, as Linux prints it${why === '' ? '' : ` (skipped: ${why})`}`,
  () => {
    const section = new Uint8Array(why === '' ? readFileSync(TYPES) : [])
    const types = Btf.parse(section)
    const port = new TinyPort()
    port.types = section
    const kernel = createKernel({ port, engine: 'interpreter' })
    const client = kernel.openClient()
    const both =
      why === '' && !(linux instanceof LinuxUnavailable)
        ? { there: open(linux), here: open(client) }
        : undefined
    afterAll(() => {
      both?.there[Symbol.dispose]()
      both?.here[Symbol.dispose]()
      client[Symbol.dispose]()
      kernel[Symbol.dispose]()
    })

    function compare(request: Request) {
      if (both === undefined) throw new Error('no kernels')
      const [there, here] = [print(both.there, request), print(both.here, request)]
      expect({ request, ...here }).toEqual({ request, ...there })
      return here
    }

    const { INT, PTR, ARRAY, STRUCT, UNION, ENUM, ENUM64, TYPEDEF, CONST, VOLATILE } = BTF_KIND
    const values: readonly number[] = [INT, PTR, ARRAY, STRUCT, UNION, ENUM, ENUM64]
    const shown: readonly number[] = [...values, TYPEDEF, CONST, VOLATILE]
    /** Values, and nothing else: Linux falls over a type that is `void` behind a qualifier, and may over others. */
    const isShown = (of: Btf, id: BtfId) =>
      shown.includes(of.kindOf(id)) && values.includes(of.kindOf(of.resolve(id))) && (of.sizeOf(id) ?? 0) > 0
    const ids = !(types instanceof Btf)
      ? []
      : [...types.ids()].filter((id) => isShown(types, id) && (types.sizeOf(id) ?? 0) <= DATA_BYTES)

    test('of types of every kind, with any flags', () => {
      if (!(types instanceof Btf)) throw types
      const ofKind = (kind: number) => ids.filter((id) => types.kindOf(id) === kind)
      const anyType = fc.oneof(
        ...shown
          .map(ofKind)
          .filter((of) => of.length > 0)
          .map(oneOf),
      )
      const cases = fc.record({
        type: fc.oneof(anyType, oneOf(ofKind(STRUCT))),
        flags: fc.integer({ min: 0, max: 15 }),
        room: fc.oneof(fc.constant(TEXT_BYTES), fc.integer({ min: 1, max: 200 })),
        seed: fc.integer({ min: 1, max: 0x7fff_ffff }),
        density: fc.constantFrom(0, 1, 16, 255),
      })
      fc.assert(
        fc.property(cases, ({ seed, density, ...request }) => {
          let state = seed
          const random = () => {
            state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
            return (state >> 8) & 0xff
          }
          const data = Uint8Array.from({ length: types.sizeOf(request.type as never) ?? 0 }, () =>
            random() <= density ? random() : 0,
          )
          compare({ ...request, data })
        }),
        { numRuns: 400 },
      )
    })

    test('what cannot be printed', () => {
      const int = ids[0] as number
      expect(compare({ type: 0, flags: 0 }).result).toBe(BigInt(-EINVAL))
      expect(compare({ type: 0x7fff_ffff, flags: 0 }).result).toBe(BigInt(-ENOENT))
      expect(compare({ type: 0xffff_fff0, flags: 0 }).result).toBe(BigInt(-ENOENT))
      expect(compare({ type: int, flags: 16 }).result).toBe(BigInt(-EINVAL))
      expect(compare({ type: int, flags: 0, pointerBytes: 8 }).result).toBe(BigInt(-EINVAL))
    })
  },
)
