import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import * as abi from '../abi/index.ts'
import { BTF_KIND, Btf, type BtfId, BtfWriter, type NewBtfType } from '../btf/index.ts'
import { LoadError } from './errors.ts'
import { KernelFacts, parseConfiguration } from './kernel-facts.ts'
import { kernelSymbol } from './kernel-symbols.ts'
import type { KsymExtern } from './spec/index.ts'
import { FakeKernel, type FakeKernelOptions } from './testing/fake-kernel.ts'

const id = (n: number) => n as BtfId
const int: NewBtfType = {
  kind: BTF_KIND.INT,
  name: 'int',
  size: 4,
  bits: 32,
  bitOffset: 0,
  isSigned: true,
  isChar: false,
  isBool: false,
}
const prototype = (parameters: number): NewBtfType => ({
  kind: BTF_KIND.FUNC_PROTO,
  name: '',
  returns: id(1),
  parameters: Array.from({ length: parameters }, (_, i) => ({ name: `p${i}`, type: id(1) })),
  isVariadic: false,
})

function types(all: readonly NewBtfType[], base?: Btf): Uint8Array {
  const writer = new BtfWriter(base === undefined ? {} : { base })
  for (const type of all) writer.add(type)
  return writer.finish() as Uint8Array
}

/** int, int (int), function `known`, variable `counter`. */
const kernelTypes = types([
  int,
  prototype(1),
  { kind: BTF_KIND.FUNC, name: 'known', type: id(2), linkage: 0 },
  { kind: BTF_KIND.VAR, name: 'counter', type: id(1), linkage: 1 },
])
const base = Btf.parse(kernelTypes) as Btf
/** Function `in_module`, after the kernel's. */
const moduleTypes = types([{ kind: BTF_KIND.FUNC, name: 'in_module', type: id(2), linkage: 0 }], base)

/** Tells of its BTF objects: the kernel's, a module's, one that a program brought. */
class KernelWithModule extends FakeKernel {
  static readonly objects = [
    { name: 'vmlinux', bytes: kernelTypes, isKernel: 1 },
    { name: 'floppy', bytes: moduleTypes, isKernel: 1 },
    { name: '', bytes: kernelTypes, isKernel: 0 },
  ]
  readonly #opened = new Map<number, (typeof KernelWithModule.objects)[number]>()

  override bpf(cmd: number, pointer: bigint, sizeBytes: number): number {
    const attr = this.memory.view(pointer, sizeBytes)
    const view = new DataView(attr.buffer, attr.byteOffset)
    switch (cmd) {
      case abi.BPF_CMD.BPF_BTF_GET_NEXT_ID: {
        const last = view.getUint32(0, true)
        if (last >= KernelWithModule.objects.length) return -abi.ENOENT
        view.setUint32(4, last + 1, true)
        return 0
      }
      case abi.BPF_CMD.BPF_BTF_GET_FD_BY_ID: {
        const object = KernelWithModule.objects[view.getUint32(0, true) - 1]
        if (object === undefined) return -abi.ENOENT
        const fd = this.open('/sys/kernel/btf/vmlinux')
        this.#opened.set(fd, object)
        return fd
      }
      case abi.BPF_CMD.BPF_OBJ_GET_INFO_BY_FD: {
        const { bpf_fd, info, info_len } = abi.objGetInfoAttr.read(attr)
        const object = this.#opened.get(bpf_fd)
        if (object === undefined) return -abi.EBADF
        const bytes = this.memory.view(info, info_len)
        const asked = abi.bpfBtfInfo.read(bytes)
        if (asked.btf !== 0n)
          this.memory.view(asked.btf, asked.btf_size).set(object.bytes.subarray(0, asked.btf_size))
        if (asked.name !== 0n)
          this.memory.view(asked.name, asked.name_len).set(new TextEncoder().encode(`${object.name}\0`))
        bytes.set(
          abi.bpfBtfInfo.encode({ ...asked, btf_size: object.bytes.length, kernel_btf: object.isKernel }),
        )
        return 0
      }
      default:
        return super.bpf(cmd, pointer, sizeBytes)
    }
  }
}

const files = (extra: FakeKernelOptions['files'] = {}) => ({
  files: { '/sys/kernel/btf/vmlinux': kernelTypes, ...extra },
})

describe('modules', () => {
  test('are those of the kernel that are not the kernel; their descriptors are closed with the facts', () => {
    const kernel = new KernelWithModule(files())
    {
      using facts = new KernelFacts(kernel, {})
      expect(facts.modules().map(({ name }) => name)).toEqual(['floppy'])
      expect([...facts.allTypes()]).toHaveLength(2)
      expect(kernel.fds.size).toBe(1)
    }
    expect(kernel.fds.size).toBe(0)
    expect(kernel.memory.allocations).toBe(0)
  })

  test('do not count where the caller gives the types, nor where the kernel does not tell', () => {
    using given = new KernelFacts(new KernelWithModule(files()), { targetBtf: base })
    expect(given.modules()).toEqual([])
    using silent = new KernelFacts(new FakeKernel(files()), {})
    expect(silent.modules()).toEqual([])
  })
})

describe('symbols', () => {
  const local = Btf.parse(
    types([
      int,
      prototype(1),
      { kind: BTF_KIND.FUNC, name: 'known', type: id(2), linkage: 2 },
      { kind: BTF_KIND.FUNC, name: 'in_module', type: id(2), linkage: 2 },
      { kind: BTF_KIND.VAR, name: 'counter', type: id(1), linkage: 2 },
      { kind: BTF_KIND.VAR, name: 'untyped', type: id(0), linkage: 2 },
      prototype(2),
      { kind: BTF_KIND.FUNC, name: 'known', type: id(7), linkage: 2 },
    ]),
  ) as Btf
  const extern = (name: string, type: number, more: Partial<KsymExtern> = {}): KsymExtern => ({
    kind: 'ksym',
    name,
    type: id(type),
    isWeak: false,
    isFunction: local.kindOf(id(type)) === BTF_KIND.FUNC,
    ...more,
  })
  const kallsyms =
    'ffffffff81000010 T other\nffffffff81000020 t static_one\nffffffff81000030 t static_one\n' +
    'ffffffff81000040 D untyped\nffffffffc0000000 t untyped_not\t[floppy]\n0000000000000000 T hidden\n'
  const ask = (one: KsymExtern) => {
    using facts = new KernelFacts(new KernelWithModule(files({ '/proc/kallsyms': kallsyms })), {})
    const value = kernelSymbol(one, local, facts)
    return value instanceof LoadError ? value.message : value
  }

  test('with types are ids in the kernel or in a module', () => {
    expect(ask(extern('known', 3))).toEqual({ kind: 'function', id: 3, btfFd: 0 })
    expect(ask(extern('counter', 5))).toEqual({ kind: 'variable', id: 4, btfFd: 0 })
    expect(ask(extern('in_module', 4))).toMatchObject({ kind: 'function', id: 5, btfFd: expect.any(Number) })
    expect((ask(extern('in_module', 4)) as { btfFd: number }).btfFd).toBeGreaterThan(0)
  })

  test('without types are addresses', () => {
    expect(ask(extern('untyped', 6))).toEqual({ kind: 'address', address: 0xffffffff81000040n })
    expect(ask(extern('other', 6))).toEqual({ kind: 'address', address: 0xffffffff81000010n })
  })

  test('that are weak and missing are 0', () => {
    expect(ask(extern('nowhere', 6, { isWeak: true }))).toEqual({ kind: 'address', address: 0n })
    expect(ask(extern('nowhere', 5, { isWeak: true }))).toEqual({ kind: 'address', address: 0n })
    expect(ask(extern('nowhere', 3, { isWeak: true }))).toEqual({ kind: 'no-function' })
  })

  test.each([
    [extern('nowhere', 6), "extern 'nowhere': the kernel has no such symbol"],
    [extern('nowhere', 5), "extern 'nowhere': the kernel's types have no such variable"],
    [extern('nowhere', 3), "extern 'nowhere': the kernel's types have no such function"],
    [
      extern('known', 8),
      "extern 'known': expected the type 'int (int p0, int p1)', found 'int (int p0)' in the kernel",
    ],
    [extern('hidden', 6), "extern 'hidden': the kernel hides its addresses (kernel.kptr_restrict)"],
    [
      extern('static_one', 6),
      "extern 'static_one': the kernel has several symbols of this name, at 0xffffffff81000020, 0xffffffff81000030",
    ],
  ])('that cannot be resolved are named (%#)', (one, message) => expect(ask(one)).toBe(message))
})

describe('the version', () => {
  const versionOf = (extra: FakeKernelOptions['files']) => {
    using facts = new KernelFacts(new FakeKernel(files(extra)), {})
    return facts.version()
  }
  const code = (a: number, b: number, c: number) => (a << 16) | (b << 8) | c

  test.each([
    ['Linux version 6.18.44-fc (x@y) #1 SMP', undefined, code(6, 18, 44)],
    ['Linux version 4.14.336 (x@y) #1 SMP', undefined, code(4, 14, 255)],
    [
      'Linux version 6.1.0-49-amd64 (d@d) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-01-01)',
      undefined,
      code(6, 1, 192),
    ],
    [
      'Linux version 5.15.0-91-generic (b@l) #101-Ubuntu SMP',
      'Ubuntu 5.15.0-91.101-generic 5.15.131\n',
      code(5, 15, 131),
    ],
  ])('of %s', (version, signature, expected) => {
    expect(versionOf({ '/proc/version': version, '/proc/version_signature': signature })).toBe(expected)
  })

  test('is not made up', () => expect(versionOf({})).toBeUndefined())
})

describe('the configuration', () => {
  const text =
    '# comment\nCONFIG_A=y\nCONFIG_B="two words"\r\nCONFIG_A=n\n# CONFIG_C is not set\nCONFIG_D=0x10  \n'
  const expected = [
    ['CONFIG_A', 'y'],
    ['CONFIG_B', '"two words"'],
    ['CONFIG_D', '0x10'],
  ]

  test('is a list of settings, the first of a name counts', () => {
    expect([...parseConfiguration(text)]).toEqual(expected)
  })

  test.each([
    ['/boot', { '/proc/version': 'Linux version 6.1.2-mine (x)', '/boot/config-6.1.2-mine': text }],
    ['/proc/config.gz', { '/proc/config.gz': new Uint8Array(gzipSync(text)) }],
  ])('is found in %s', (_place, extra) => {
    using facts = new KernelFacts(new FakeKernel(files(extra)), {})
    expect([...facts.configuration()]).toEqual(expected)
  })
})

test('types that cannot be read or are malformed are errors that say where from', () => {
  const messageOf = (kernel: FakeKernel, targetBtf?: Uint8Array) => {
    using facts = new KernelFacts(kernel, targetBtf === undefined ? {} : { targetBtf })
    const result = facts.types()
    return result instanceof LoadError ? result.message : 'types'
  }
  expect(messageOf(new FakeKernel(files()))).toBe('types')
  expect(messageOf(new FakeKernel())).toMatch(
    /cannot be read from \/sys\/kernel\/btf\/vmlinux: ENOENT; give them as/,
  )
  expect(messageOf(new FakeKernel(), new Uint8Array(3))).toMatch(
    /in the option targetBtf are malformed: \.BTF offset 0x0/,
  )
  expect(messageOf(new FakeKernel({ files: { '/sys/kernel/btf/vmlinux': 'text' } }))).toMatch(
    /in \/sys\/kernel.* malformed/,
  )
})
