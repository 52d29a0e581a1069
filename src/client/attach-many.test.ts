/** What the client asks of a kernel for programs at many functions and at system calls. */
import { expect, test } from 'vitest'
import { EOPNOTSUPP, ESRCH, linkCreateKprobeMultiAttr } from '../abi/index.ts'
import { attachKprobeMulti, type KprobeMultiAttachment } from './attach-kprobe-multi.ts'
import { attachKsyscall } from './attach-ksyscall.ts'
import { AttachError } from './errors.ts'
import { FakeKernel, type FakeKernelOptions } from './testing/fake-kernel.ts'
import { loadedProgram } from './testing/loaded-program.ts'

const KALLSYMS = `ffffffff81000010 T vfs_read
ffffffff81000020 t vfs_readv
ffffffff81000030 T vfs_write
ffffffff81000040 t vfs_readlink
ffffffff81000050 t vfs_readlink
ffffffff81000060 D vfs_readable
ffffffff81000070 t vfs_readahead	[ext]
`

function setUp(options: FakeKernelOptions = {}) {
  const links: object[] = []
  const link = (bytes: Uint8Array, memory: FakeKernel['memory']) => {
    const { syms, addrs, cookies, cnt, flags, attach_type } = linkCreateKprobeMultiAttr.read(bytes)
    const words = (at: bigint) =>
      at === 0n ? undefined : [...new BigUint64Array(memory.view(at, 8 * cnt).slice().buffer)]
    const text = (at: bigint) => {
      let found = ''
      for (let next = at; memory.view(next, 1)[0] !== 0; next++)
        found += String.fromCharCode(memory.view(next, 1)[0] as number)
      return found
    }
    links.push({
      names: words(syms)?.map(text),
      addresses: words(addrs),
      cookies: words(cookies),
      flags,
      attach_type,
    })
    return 0
  }
  const kernel = new FakeKernel({ link, ...options })
  const result = loadedProgram(kernel)
  const common = { program: 'p', programFd: result.fd }
  const attach = (pattern: string, more: Partial<KprobeMultiAttachment> = {}) => {
    const target = { kind: 'kprobeMulti', pattern, isReturn: false, isSession: false } as const
    const made = attachKprobeMulti(kernel, { ...common, target, ...more })
    if (made instanceof AttachError) return made
    made[Symbol.dispose]()
    expect(kernel.memory.allocations).toBe(0)
    expect(kernel.fds.size).toBe(1)
    return links.pop()
  }
  return { kernel, common, attach }
}

const target = { kind: 'kprobeMulti', pattern: 'vfs_*', isReturn: false, isSession: false } as const
const at = (...offsets: number[]) => offsets.map((offset) => 0xffffffff81000000n + BigInt(offset))
const listed = '/sys/kernel/tracing/available_filter_functions'

test.each<[string, Record<string, string>, string, object]>([
  [
    'the list with addresses',
    {
      [`${listed}_addrs`]:
        'ffffffff81000010 vfs_read\nffffffff81000050 vfs_readlink\n0000000000000001 other [m]\n',
    },
    'vfs_*',
    { addresses: at(0x10, 0x50) },
  ],
  [
    'all functions, where there is no list',
    { '/proc/kallsyms': KALLSYMS },
    'vfs_read*',
    { addresses: at(0x10, 0x20, 0x40, 0x50, 0x70) },
  ],
  [
    'those of the list, by their symbols',
    {
      '/proc/kallsyms': KALLSYMS,
      [listed.replace('tracing', 'debug/tracing')]: 'vfs_read\nvfs_readahead [ext]\nvfs_none\n',
    },
    'vfs_read*',
    { addresses: at(0x10, 0x70) },
  ],
  ['one name', { '/proc/kallsyms': KALLSYMS }, 'vfs_read', { addresses: at(0x10) }],
  [
    'names, where addresses are hidden',
    { '/proc/kallsyms': KALLSYMS.replace(/^\w+/gm, '0000000000000000') },
    'vfs_?ead',
    { names: ['vfs_read'], addresses: undefined },
  ],
  ['a name, where nothing is told', {}, 'vfs_read', { names: ['vfs_read'], addresses: undefined }],
])('a pattern stands for %s', (_name, files, pattern, expected) => {
  expect(setUp({ files }).attach(pattern)).toMatchObject({
    flags: 0,
    attach_type: 42,
    cookies: undefined,
    ...expected,
  })
})

test('returns, sessions and cookies are asked for', () => {
  const { attach } = setUp({ files: { '/proc/kallsyms': KALLSYMS } })
  expect(attach('', { target: { ...target, isReturn: true }, cookie: 9n })).toMatchObject({
    flags: 1,
    attach_type: 42,
    cookies: [9n, 9n, 9n, 9n, 9n, 9n],
  })
  expect(attach('', { target: { ...target, isSession: true } })).toMatchObject({ flags: 0, attach_type: 56 })
  const symbols = ['vfs_write', 'vfs_read']
  expect(attach('', { target: { ...target, symbols }, cookies: [1n, 2n] })).toMatchObject({
    names: symbols,
    cookies: [1n, 2n],
  })
})

test.each<[string, FakeKernelOptions, Partial<KprobeMultiAttachment>, object, RegExp]>([
  [
    'nothing of the pattern',
    {},
    { target: { ...target, pattern: 'xfs_*' } },
    { code: 'unknown-symbol' },
    /at xfs_\*: the kernel has no such function/,
  ],
  [
    'too few cookies',
    {},
    { target: { ...target, symbols: ['a', 'b'] }, cookies: [1n] },
    { code: 'bad-target' },
    /1 cookies for 2 symbols/,
  ],
  ['cookies for a pattern', {}, { cookies: [1n] }, { code: 'bad-target' }, /1 cookies for an unknown number/],
  [
    'an unknown function',
    { link: () => -ESRCH },
    {},
    { code: 'unknown-symbol', errno: ESRCH },
    /no such function/,
  ],
  [
    'a kernel without such links',
    { link: () => -EOPNOTSUPP },
    {},
    { code: 'refused', errno: EOPNOTSUPP },
    /has no kprobe.multi links/,
  ],
])('%s is an error', (_name, options, more, expected, message) => {
  const { kernel, attach } = setUp({ files: { '/proc/kallsyms': KALLSYMS }, ...options })
  const error = attach('vfs_*', { target, ...more })
  expect(error).toMatchObject(expected)
  expect((error as AttachError).message).toMatch(message)
  expect(kernel.fds.size).toBe(1)
  expect(kernel.memory.allocations).toBe(0)
})

test.each([
  ['x86-64', '__x64_sys_read', '__se_sys_read ksys_read __ia32_sys_read'],
  ['RISC-V', '__riscv_sys_read', '__se_sys_read __do_sys_read'],
  ['an architecture without wrappers', '__se_sys_read', 'sys_read sys_readv'],
  ['a kernel that names them plainly', 'sys_read', 'ksys_read do_sys_read'],
  ['nothing but the inner function', 'ksys_read', '__sys_read'],
])('a system call of %s is %s', (_name, symbol, others) => {
  const names = [...others.split(' '), symbol]
  const text = names.map((name) => `ffffffff81000000 T ${name}\n`).join('')
  const { kernel, common } = setUp({ symbols: [symbol], files: { '/proc/kallsyms': text } })
  for (const isReturn of [false, true]) {
    const call = { kind: 'ksyscall', syscall: 'read', isReturn } as const
    const link = attachKsyscall(kernel, { ...common, target: call, cookie: 3n })
    if (link instanceof AttachError) throw new Error(link.message)
    expect(link.target).toBe(call)
    expect(kernel.objects('event')).toMatchObject([{ symbol, attr: { config: isReturn ? 1n : 0n } }])
    expect(kernel.objects('link')).toMatchObject([{ cookie: 3n }])
    link[Symbol.dispose]()
  }
  expect(kernel.fds.size).toBe(1)
})

test('a system call that the kernel has not is an error', () => {
  const call = { kind: 'ksyscall', syscall: 'raed', isReturn: false } as const
  for (const files of [{ '/proc/kallsyms': KALLSYMS }, {}]) {
    const { kernel, common } = setUp({ files })
    expect(attachKsyscall(kernel, { ...common, target: call })).toMatchObject({
      code: 'unknown-symbol',
      target: 'raed',
      message: expect.stringMatching(/^system call 'raed': the kernel (has no|does not tell)/),
    })
  }
})
