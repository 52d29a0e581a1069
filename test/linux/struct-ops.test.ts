/**
 * struct_ops maps and programs beside those of the Linux that runs the tests, with the same types: the kernel of this
 * project is given Linux's own. Nothing is registered on Linux.
 */
import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_F_LINK,
  BPF_F_RDONLY,
  BPF_F_SLEEPABLE,
  BPF_F_VTYPE_BTF_OBJ_FD,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  bpfMapInfo,
  errnoName,
  linkCreatePerfEventAttr,
  type mapCreateAttr,
  mapElemAttr,
  mapFreezeAttr,
  mapNextKeyAttr,
  objGetInfoAttr,
  progTestRunAttr,
  type StructValue,
  type Syscalls,
} from '../../src/abi/index.ts'
import { BTF_KIND, Btf, BtfWriter } from '../../src/btf/index.ts'
import { bpf, createMap, loadBtf, loadProgram } from '../../src/client/calls.ts'
import { type Descriptor, Owner, UserBuffer } from '../../src/client/owner.ts'
import { assemble, encode } from '../../src/isa/index.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'

const linux = openLinux()
const types =
  linux instanceof LinuxUnavailable ? undefined : new Uint8Array(readFileSync('/sys/kernel/btf/vmlinux'))
const btf = types === undefined ? undefined : Btf.parse(types)
const dummyId = btf instanceof Btf ? btf.find('bpf_dummy_ops', BTF_KIND.STRUCT) : undefined
const why =
  linux instanceof LinuxUnavailable
    ? linux.message
    : dummyId === undefined
      ? 'Linux has no bpf_dummy_ops'
      : undefined
afterAll(() => {
  if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
})

const found = (name: string) => (btf as Btf).find(name, BTF_KIND.STRUCT) as number
const VALUE = 'bpf_struct_ops_bpf_dummy_ops'
const VALUE_BYTES = 128
const DATA = 64

/** This project's kernel with Linux's types, read once. */
const port = new TinyPort()
port.types = types
const kernel = why === undefined ? createKernel({ port }) : undefined
const client = kernel?.openClient()
afterAll(() => {
  client?.[Symbol.dispose]()
  kernel?.[Symbol.dispose]()
})

/** The same on both kernels: Linux's answer first. */
function both<T>(ask: (kernel: Syscalls, types: Descriptor) => T): readonly [T, T] {
  const [theirs, ours] = [linux as Syscalls, client as Syscalls].map((on) => {
    const writer = new BtfWriter({})
    writer.add({ kind: BTF_KIND.INT, name: 'int', size: 4, bits: 32, bitOffset: 0, encoding: 1 } as never)
    const bytes = writer.finish()
    if (!(bytes instanceof Uint8Array)) throw bytes
    const loaded = loadBtf(on, bytes)
    if (typeof loaded === 'number') throw new Error(errnoName(loaded))
    using own = loaded
    return ask(on, own)
  })
  expect(kernel?.faults()).toEqual([])
  return [theirs as T, ours as T]
}

const same = <T>([theirs, ours]: readonly [T, T]): T => {
  expect(ours).toEqual(theirs)
  return theirs
}

const attrOf = (own: Descriptor, changes: Partial<StructValue<typeof mapCreateAttr>> = {}) => ({
  map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_STRUCT_OPS,
  key_size: 4,
  value_size: VALUE_BYTES,
  max_entries: 1,
  btf_fd: own.fd,
  btf_vmlinux_value_type_id: found(VALUE),
  ...changes,
})

function made(kernel: Syscalls, own: Descriptor, changes = {}): Descriptor {
  const map = createMap(kernel, attrOf(own, changes))
  if (typeof map === 'number') throw new Error(errnoName(map))
  return map
}

const nameOf = (result: number) => (result < 0 ? errnoName(result) : 'fine')

interface Program {
  readonly member: number
  readonly text: string
  readonly flags?: number
  readonly license?: string
  readonly typeId?: number
}

function loaded(kernel: Syscalls, { member, text, flags = 0, license = 'GPL', typeId }: Program) {
  const program = assemble(text)
  if (!program.ok) throw new Error(program.errors[0].message)
  return loadProgram(
    kernel,
    {
      name: 'p',
      type: BPF_PROG_TYPE.BPF_PROG_TYPE_STRUCT_OPS,
      expectedAttachType: member,
      flags,
      license,
      kernelVersion: 0,
      instructions: encode(program.program),
      attachTo: { id: typeId ?? (dummyId as number), btfFd: 0 },
      btf: undefined,
    },
    { level: 1, sizeBytes: 1 << 16 },
  )
}

const RETURNS_1 = 'r0 = 1\nexit'

describe.skipIf(why !== undefined)(`struct_ops${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  test.each<[string, Partial<StructValue<typeof mapCreateAttr>>]>([
    ['as it should be', {}],
    ['for links', { map_flags: BPF_F_LINK }],
    ['of a read-only descriptor', { map_flags: BPF_F_RDONLY }],
    ['of two entries', { max_entries: 2 }],
    ['of no entries', { max_entries: 0 }],
    ['of long keys', { key_size: 8 }],
    ['of short values', { value_size: 120 }],
    ['without a type', { btf_vmlinux_value_type_id: 0 }],
    ['of a type that there is not', { btf_vmlinux_value_type_id: 0x7f_ffff }],
    ['of the struct itself', { btf_vmlinux_value_type_id: 1 }],
    ['with types of its own', { btf_key_type_id: 1, btf_value_type_id: 1 }],
    ['with a closed descriptor of BTF', { btf_fd: 4000 }],
    ['of the types of a module', { map_flags: BPF_F_VTYPE_BTF_OBJ_FD, value_type_btf_obj_fd: 4000 }],
    ['of another type of map', { map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY }],
    ['with map_extra', { map_extra: 1n }],
  ])('BPF_MAP_CREATE %s', (_name, changes) => {
    same(
      both((kernel, own) => {
        const map = createMap(kernel, attrOf(own, changes))
        if (typeof map === 'number') return errnoName(map)
        map[Symbol.dispose]()
        return 'made'
      }),
    )
  })

  test('the commands on elements', () => {
    const answers = same(
      both((kernel, own) => {
        using owner = new Owner()
        const map = owner.own(made(kernel, own))
        const linkable = owner.own(made(kernel, own, { map_flags: BPF_F_LINK }))
        const program = loaded(kernel, { member: 0, text: RETURNS_1 }).result
        if (typeof program === 'number') throw new Error(errnoName(program))
        owner.own(program)
        const key = owner.own(new UserBuffer(kernel.memory, 4))
        const value = owner.own(new UserBuffer(kernel.memory, VALUE_BYTES))
        const all: string[] = []
        const element = (
          cmd: number,
          at: { index?: number; set?: [number, number]; flags?: bigint; on?: Descriptor },
        ) => {
          const { index = 0, set, flags = 0n, on = map } = at
          key.bytes.set(Uint8Array.of(index, 0, 0, 0))
          value.bytes.fill(0)
          if (set !== undefined) value.bytes[set[0]] = set[1]
          const attr = mapElemAttr.encode({
            map_fd: on.fd,
            key: key.pointer,
            value: cmd === BPF_CMD.BPF_MAP_DELETE_ELEM ? 0n : value.pointer,
            flags,
          })
          all.push(`${cmd} ${index} ${set?.[0] ?? ''} ${flags}: ${nameOf(bpf(kernel, cmd as never, attr))}`)
          if (cmd === BPF_CMD.BPF_MAP_LOOKUP_ELEM) all.push(Buffer.from(value.bytes).toString('hex'))
        }
        const {
          BPF_MAP_LOOKUP_ELEM,
          BPF_MAP_UPDATE_ELEM,
          BPF_MAP_DELETE_ELEM,
          BPF_MAP_LOOKUP_AND_DELETE_ELEM,
        } = BPF_CMD
        for (const on of [map, linkable]) {
          element(BPF_MAP_LOOKUP_ELEM, { on })
          element(BPF_MAP_LOOKUP_ELEM, { on, index: 1 })
          element(BPF_MAP_LOOKUP_ELEM, { on, flags: 4n })
          element(BPF_MAP_DELETE_ELEM, { on })
          element(BPF_MAP_DELETE_ELEM, { on, index: 1 })
          element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, { on })
          element(BPF_MAP_UPDATE_ELEM, { on })
          element(BPF_MAP_UPDATE_ELEM, { on, index: 1 })
          for (const flags of [1n, 2n, 4n]) element(BPF_MAP_UPDATE_ELEM, { on, flags })
          // The count, the state, the holes around the struct, its members.
          for (const at of [0, 4, 8, 60, DATA + 24, 127]) element(BPF_MAP_UPDATE_ELEM, { on, set: [at, 1] })
          element(BPF_MAP_UPDATE_ELEM, { on, set: [DATA, program.fd] })
          element(BPF_MAP_UPDATE_ELEM, { on, set: [DATA + 8, 255] })
          const next = mapNextKeyAttr.encode({ map_fd: on.fd, key: key.pointer, next_key: value.pointer })
          key.bytes.fill(0)
          all.push(`next: ${nameOf(bpf(kernel, BPF_CMD.BPF_MAP_GET_NEXT_KEY, next))}`)
          all.push(
            `freeze: ${nameOf(bpf(kernel, BPF_CMD.BPF_MAP_FREEZE, mapFreezeAttr.encode({ map_fd: on.fd })))}`,
          )
          const link = linkCreatePerfEventAttr.encode({
            prog_fd: on.fd,
            attach_type: BPF_ATTACH_TYPE.BPF_STRUCT_OPS,
          })
          all.push(`link: ${nameOf(bpf(kernel, BPF_CMD.BPF_LINK_CREATE, link))}`)
        }
        const info = owner.own(new UserBuffer(kernel.memory, bpfMapInfo.size))
        const query = objGetInfoAttr.encode({ bpf_fd: map.fd, info_len: bpfMapInfo.size, info: info.pointer })
        bpf(kernel, BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, query)
        all.push(`value type ${bpfMapInfo.read(info.bytes).btf_vmlinux_value_type_id - found(VALUE)}`)
        return all
      }),
    )
    expect(answers.some((answer) => answer.endsWith('EOPNOTSUPP'))).toBe(true)
  })

  test.each<[string, Program]>([
    ['the first member', { member: 0, text: RETURNS_1 }],
    ['a member that may sleep', { member: 2, text: RETURNS_1, flags: BPF_F_SLEEPABLE }],
    ['a member that may not', { member: 0, text: RETURNS_1, flags: BPF_F_SLEEPABLE }],
    ['no member', { member: 3, text: RETURNS_1 }],
    ['another licence', { member: 0, text: RETURNS_1, license: 'MIT' }],
    ['a struct of no functions', { member: 0, text: RETURNS_1, typeId: 3 }],
    ['an argument too far', { member: 0, text: 'r0 = *(u64 *)(r1 +8)\nexit' }],
    ['a pointer that may be null', { member: 0, text: 'r1 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r1 +0)\nexit' }],
    [
      'a store beyond the state',
      { member: 2, text: 'r1 = *(u64 *)(r1 +0)\nr0 = 0\n*(u64 *)(r1 +0) = r0\nexit' },
    ],
  ])('BPF_PROG_LOAD for %s', (_name, program) => {
    same(
      both((kernel) => {
        const { result, log } = loaded(kernel, program)
        const lines = log
          .split('\n')
          .filter((line) => !/^processed|^verification time|^\d+: |^stack depth/.test(line))
        if (typeof result === 'number') return { errno: errnoName(result), lines }
        result[Symbol.dispose]()
        return { errno: 'loaded', lines: [] }
      }),
    )
  })

  const STATE = 'r6 = *(u64 *)(r1 +0)\n'
  test.each<[string, Program, number, readonly (bigint | 'state')[]]>([
    [
      'test_1',
      {
        member: 0,
        text: `${STATE}r0 = 7\nif r6 == 0 goto +3\nr0 = *(s32 *)(r6 +0)\nr1 = 90\n*(u32 *)(r6 +0) = r1\nexit`,
      },
      33,
      ['state'],
    ],
    [
      'test_1 without a state',
      { member: 0, text: `${STATE}r0 = 7\nif r6 == 0 goto +1\nr0 = *(u32 *)(r6 +0)\nexit` },
      0,
      [0n],
    ],
    [
      'test_2',
      {
        member: 1,
        text: `${STATE}r0 = *(u64 *)(r1 +8)\nr2 = *(u64 *)(r1 +16)\nr0 += r2\nr2 = *(u64 *)(r1 +24)\nr0 += r2\nr2 = *(u64 *)(r1 +32)\nr0 += r2\n*(u32 *)(r6 +0) = r0\nexit`,
      },
      1,
      ['state', 0x11n, 0x2_2222n, 0x333n, 0x4444_4444_4444n],
    ],
    ['test_2 without a state', { member: 1, text: RETURNS_1 }, 0, [0n, 1n, 2n, 3n, 4n]],
    ['too few arguments', { member: 1, text: RETURNS_1 }, 0, ['state', 1n]],
    ['an address of nothing', { member: 0, text: RETURNS_1 }, 0, [16n]],
    [
      'test_sleepable',
      {
        member: 2,
        text: `${STATE}r0 = *(u32 *)(r6 +0)\nr0 += 1\n*(u32 *)(r6 +0) = r0\nexit`,
        flags: BPF_F_SLEEPABLE,
      },
      41,
      ['state'],
    ],
  ])('BPF_PROG_TEST_RUN of %s', (_name, program, initial, words) => {
    same(
      both((kernel) => {
        const { result, log } = loaded(kernel, program)
        if (typeof result === 'number') throw new Error(`${errnoName(result)}\n${log}`)
        using owner = new Owner()
        owner.own(result)
        const state = owner.own(new UserBuffer(kernel.memory, 4))
        state.bytes.set(new Uint8Array(Int32Array.of(initial).buffer))
        const context = BigUint64Array.from(words.map((word) => (word === 'state' ? state.pointer : word)))
        const given = owner.own(UserBuffer.of(kernel.memory, new Uint8Array(context.buffer)))
        const attr = progTestRunAttr.encode({
          prog_fd: result.fd,
          ctx_in: given.pointer,
          ctx_size_in: context.byteLength,
        })
        const status = bpf(kernel, BPF_CMD.BPF_PROG_TEST_RUN, attr)
        return {
          status: nameOf(status),
          returned: progTestRunAttr.read(attr).retval,
          state: [...state.bytes],
        }
      }),
    )
  })
})
