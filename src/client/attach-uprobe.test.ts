import { expect, test } from 'vitest'
import { EACCES, EINVAL, ENOENT } from '../abi/index.ts'
import { STB, STT } from '../elf/index.ts'
import { attachRawTracepoint, attachTracepoint } from './attach-tracepoint.ts'
import { attachUprobe, type UprobeTarget } from './attach-uprobe.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { buildExecutable, SEGMENT_ADDRESS, SEGMENT_OFFSET } from './testing/elf-builder.ts'
import { FakeKernel, type FakeKernelOptions } from './testing/fake-kernel.ts'
import { loadedProgram } from './testing/loaded-program.ts'

const PMU = '/sys/bus/event_source/devices/uprobe'

const executable = buildExecutable([
  { name: 'serve', address: SEGMENT_ADDRESS + 0x10n },
  { name: 'twice', address: SEGMENT_ADDRESS + 0x20n, binding: STB.LOCAL },
  { name: 'twice', address: SEGMENT_ADDRESS + 0x30n, binding: STB.LOCAL },
  { name: 'shadowed', address: SEGMENT_ADDRESS + 0x40n, binding: STB.LOCAL },
  { name: 'shadowed', address: SEGMENT_ADDRESS + 0x50n, binding: STB.WEAK },
  { name: 'shadowed', address: SEGMENT_ADDRESS + 0x60n },
  { name: 'alias', address: SEGMENT_ADDRESS + 0x70n, binding: STB.WEAK },
  { name: 'alias', address: SEGMENT_ADDRESS + 0x70n, binding: STB.WEAK },
  { name: 'malloc@@LIBC_2.0', address: SEGMENT_ADDRESS + 0x80n },
  { name: 'table', address: SEGMENT_ADDRESS, type: STT.OBJECT },
  { name: 'imported', address: 0n, isDefined: false },
  { name: 'in_bss', address: SEGMENT_ADDRESS + 0x800n },
])

function setUp(options: FakeKernelOptions = {}) {
  const kernel = new FakeKernel({
    ...options,
    files: {
      [`${PMU}/type`]: '9\n',
      [`${PMU}/format/retprobe`]: 'config:3\n',
      '/sys/kernel/debug/tracing/events/sched/sched_switch/id': '314\n',
      '/opt/server': executable,
      '/usr/lib/libserver.so.1': executable,
      '/opt/script': '#!/bin/sh\n',
      ...options.files,
    },
  })
  const result = loadedProgram(kernel)
  kernel.calls.length = 0
  return { kernel, common: { program: 'p', programFd: result.fd } }
}

const target: UprobeTarget = {
  kind: 'uprobe',
  path: '/opt/server',
  symbol: 'serve',
  offset: 0,
  isReturn: false,
  isMulti: false,
  isSession: false,
}

function linked(link: Link | AttachError): Link {
  if (link instanceof AttachError) throw new Error(link.message)
  return link
}

const place = (offset: number) => BigInt(SEGMENT_OFFSET + offset)

test.each<[string, Partial<UprobeTarget>, number | undefined, object]>([
  ['a function', {}, undefined, { symbol: '/opt/server', pid: -1, cpu: 0, config: 0n, config2: place(0x10) }],
  ['in one process', {}, 77, { pid: 77, cpu: -1, config2: place(0x10) }],
  ['behind a symbol', { offset: 4 }, undefined, { config2: place(0x14) }],
  ['an offset in the file', { symbol: '', offset: 0x1234 }, undefined, { config2: 0x1234n }],
  ['a return', { isReturn: true }, undefined, { config: 8n, config2: place(0x10) }],
  ['a global one first', { symbol: 'shadowed' }, undefined, { config2: place(0x60) }],
  ['two names for one place', { symbol: 'alias' }, undefined, { config2: place(0x70) }],
  ['a versioned name', { symbol: 'malloc' }, undefined, { config2: place(0x80) }],
  ['a library by name', { path: 'libserver.so.1' }, undefined, { symbol: '/usr/lib/libserver.so.1' }],
])('attaches to %s', (_name, to, pid, expected) => {
  const { kernel, common } = setUp()
  const scope = pid === undefined ? {} : { pid }
  const link = linked(attachUprobe(kernel, { ...common, ...scope, target: { ...target, ...to } }))
  const [event] = kernel.objects('event')
  const { type, size, config, config2 } = event?.attr ?? {}
  expect({ type, size, config, config2, ...event }).toMatchObject({
    type: 9,
    size: 136,
    isEnabled: true,
    ...expected,
  })
  expect(kernel.memory.allocations).toBe(0)
  link[Symbol.dispose]()
  link[Symbol.dispose]()
  expect([...kernel.fds.values()].map(({ kind }) => kind)).toEqual(['program'])
  expect(event?.isEnabled).toBe(false)
})

test.each<[string, FakeKernelOptions, Partial<UprobeTarget>, object, RegExp]>([
  ['a kernel without uprobes', { files: { [`${PMU}/type`]: undefined } }, {}, { code: 'no-uprobes' }, /type/],
  [
    'a kernel without uretprobes',
    { files: { [`${PMU}/format/retprobe`]: undefined } },
    { isReturn: true },
    { code: 'no-uprobes' },
    /retprobe/,
  ],
  ['no such file', {}, { path: '/opt/none' }, { code: 'bad-file', errno: ENOENT }, /'\/opt\/none' cannot be/],
  ['no such program', {}, { path: 'server' }, { code: 'bad-file', errno: ENOENT }, /'server' cannot be read/],
  ['no ELF file', {}, { path: '/opt/script' }, { code: 'bad-file' }, /'\/opt\/script'.*magic/],
  ['a misspelt name', {}, { symbol: 'sreve' }, { code: 'unknown-symbol' }, /did you mean serve\?/],
  ['an object', {}, { symbol: 'table' }, { code: 'unknown-symbol' }, /no function 'table'/],
  ['an import', {}, { symbol: 'imported' }, { code: 'unknown-symbol' }, /no function 'imported'/],
  [
    'two functions of a name',
    {},
    { symbol: 'twice' },
    { code: 'unknown-symbol' },
    /several functions 'twice'/,
  ],
  ['no file behind it', {}, { symbol: 'in_bss' }, { code: 'bad-file' }, /0x402800.*in no loaded segment/],
  [
    'a refusal',
    { fail: (_index, call) => (call === 'perf_event_open' ? -EACCES : undefined) },
    { offset: 2 },
    { code: 'refused', errno: EACCES, target: '/opt/server:serve+0x2' },
    /uprobe at \/opt\/server:serve\+0x2: EACCES: not allowed/,
  ],
])('%s is an error', (_name, options, to, expected, message) => {
  const { kernel, common } = setUp(options)
  const error = attachUprobe(kernel, { ...common, target: { ...target, ...to } })
  expect(error).toBeInstanceOf(AttachError)
  expect(error).toMatchObject(expected)
  expect((error as AttachError).message).toMatch(message)
  expect(kernel.fds.size).toBe(1)
  expect(kernel.memory.allocations).toBe(0)
})

test('whichever call fails, nothing stays open', () => {
  let calls = Number.POSITIVE_INFINITY
  for (let failing = 0; failing < calls; failing++) {
    let isArmed = false
    const { kernel, common } = setUp({
      fail: (index, call) =>
        isArmed && index === failing ? (call === 'BPF_LINK_CREATE' ? -EACCES : -EINVAL) : undefined,
    })
    isArmed = true
    const result = attachUprobe(kernel, { ...common, target: { ...target, isReturn: true } })
    if (!(result instanceof AttachError)) {
      // Closing cannot be made to fail, so a failure aimed at it did not happen.
      calls = Math.min(calls, kernel.calls.length)
      result[Symbol.dispose]()
    }
    expect(kernel.fds.size, kernel.calls.join(' ')).toBe(1)
    expect(kernel.memory.allocations).toBe(0)
  }
})

test('attaches to a tracepoint by its number', () => {
  const { kernel, common } = setUp()
  const at = { kind: 'tracepoint', category: 'sched', name: 'sched_switch' } as const
  {
    using _link = linked(attachTracepoint(kernel, { ...common, target: at, cookie: 5n }))
    const [event] = kernel.objects('event')
    expect(event?.attr).toMatchObject({ type: 2, config: 314n })
    expect(kernel.objects('link')).toMatchObject([{ cookie: 5n }])
  }
  expect(kernel.fds.size).toBe(1)
  expect(attachTracepoint(kernel, { ...common, target: { ...at, name: 'sched_swich' } })).toMatchObject({
    code: 'no-tracepoint',
    target: 'sched/sched_swich',
    errno: ENOENT,
  })
  expect(kernel.fds.size).toBe(1)
  expect(kernel.memory.allocations).toBe(0)
})

test('attaches to a raw tracepoint by its name', () => {
  const { kernel, common } = setUp()
  const at = { kind: 'rawTracepoint', name: 'sys_enter' } as const
  linked(attachRawTracepoint(kernel, { ...common, target: at }))[Symbol.dispose]()
  expect(kernel.calls).toEqual(['BPF_RAW_TRACEPOINT_OPEN', 'close'])
  expect(attachRawTracepoint(kernel, { ...common, target: { ...at, name: 'sys_entry' } })).toMatchObject({
    code: 'no-tracepoint',
    errno: ENOENT,
  })
  const gone = { ...common, programFd: 99 }
  expect(attachRawTracepoint(kernel, { ...gone, target: at })).toMatchObject({ code: 'refused', errno: 9 })
  expect(kernel.memory.allocations).toBe(0)
})
