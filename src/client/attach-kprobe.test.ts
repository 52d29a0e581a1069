import { expect, test } from 'vitest'
import { EACCES, EILSEQ, EINVAL, ENOENT } from '../abi/index.ts'
import { attachKprobe, type KprobeTarget } from './attach-kprobe.ts'
import { AttachError } from './errors.ts'
import type { Link } from './link.ts'
import { FakeKernel, type FakeKernelOptions } from './testing/fake-kernel.ts'
import { loadedProgram } from './testing/loaded-program.ts'

const target: KprobeTarget = { kind: 'kprobe', symbol: 'do_work', offset: 0, isReturn: false }

function setUp(options: FakeKernelOptions = {}) {
  const kernel = new FakeKernel(options)
  const result = loadedProgram(kernel)
  kernel.calls.length = 0
  const attach = (to: Partial<KprobeTarget> = {}) =>
    attachKprobe(kernel, { program: 'p', programFd: result.fd, target: { ...target, ...to } })
  return { kernel, attach, program: result }
}

function linked(link: Link | AttachError): Link {
  if (link instanceof AttachError) throw new Error(link.message)
  return link
}

test('makes the calls that libbpf makes, and undoes them', () => {
  const { kernel, attach } = setUp()
  const link = linked(attach({ offset: 0x10 }))
  expect(kernel.calls).toEqual([
    'open',
    'read',
    'read',
    'close',
    'perf_event_open',
    'BPF_LINK_CREATE',
    'PERF_EVENT_IOC_ENABLE',
  ])
  const [event] = kernel.objects('event')
  expect(event).toMatchObject({ symbol: 'do_work', isEnabled: true })
  expect(event?.attr).toMatchObject({ type: 8, size: 136, config: 0n, config2: 0x10n })
  expect(kernel.objects('link')).toHaveLength(1)
  expect(kernel.memory.allocations).toBe(0)
  link[Symbol.dispose]()
  link[Symbol.dispose]()
  expect([...kernel.fds.values()].map(({ kind }) => kind)).toEqual(['program'])
  expect(event?.isEnabled).toBe(false)
})

test('a return probe sets the bit that the PMU names', () => {
  const { kernel, attach } = setUp({
    files: { '/sys/bus/event_source/devices/kprobe/format/retprobe': 'config:3\n' },
  })
  using _ = linked(attach({ isReturn: true }))
  expect(kernel.objects('event')[0]?.attr.config).toBe(8n)
})

test('a kernel without links for perf events gets the program by ioctl', () => {
  const { kernel, attach, program } = setUp({
    fail: (_index, call) => (call === 'BPF_LINK_CREATE' ? -EINVAL : undefined),
  })
  const link = linked(attach())
  expect(kernel.calls.slice(-3)).toEqual([
    'BPF_LINK_CREATE',
    'PERF_EVENT_IOC_SET_BPF',
    'PERF_EVENT_IOC_ENABLE',
  ])
  expect(kernel.objects('event')[0]).toMatchObject({ programFd: program.fd, isEnabled: true })
  link[Symbol.dispose]()
  expect(kernel.fds.size).toBe(1)
})

test.each<[string, FakeKernelOptions, Partial<KprobeTarget>, object]>([
  [
    'no kprobe PMU',
    { files: { '/sys/bus/event_source/devices/kprobe/type': undefined } },
    {},
    { code: 'no-kprobes', message: /offers no kprobes/ },
  ],
  [
    'no return probes',
    { files: { '/sys/bus/event_source/devices/kprobe/format/retprobe': undefined } },
    { isReturn: true },
    { code: 'no-kprobes', message: /offers no kretprobes/ },
  ],
  [
    'unknown function',
    {},
    { symbol: 'do_wrok' },
    { code: 'unknown-symbol', errno: ENOENT, target: 'do_wrok', message: /no function 'do_wrok'/ },
  ],
  [
    'in the middle of an instruction',
    { fail: (_index, call) => (call === 'perf_event_open' ? -EILSEQ : undefined) },
    { offset: 1 },
    { code: 'refused', errno: EILSEQ, target: 'do_work+0x1', message: /middle of an instruction/ },
  ],
  [
    'not allowed',
    { fail: (_index, call) => (call === 'perf_event_open' ? -EACCES : undefined) },
    {},
    { code: 'refused', errno: EACCES, message: /not allowed/ },
  ],
])('%s', (_name, options, to, expected) => {
  const { kernel, attach } = setUp(options)
  const error = attach(to)
  expect(error).toBeInstanceOf(AttachError)
  const { message, ...rest } = expected as { message: RegExp }
  expect(error).toMatchObject(rest)
  expect((error as AttachError).message).toMatch(message)
  expect(kernel.fds.size).toBe(1)
  expect(kernel.memory.allocations).toBe(0)
})

test('whichever call fails, nothing stays open', () => {
  for (const isReturn of [false, true]) {
    let calls = Number.POSITIVE_INFINITY
    for (let failing = 0; failing < calls; failing++) {
      let isArmed = false
      const { kernel, attach } = setUp({
        fail: (index, call) =>
          isArmed && index === failing ? (call === 'BPF_LINK_CREATE' ? -EACCES : -EINVAL) : undefined,
      })
      isArmed = true
      const result = attach({ isReturn })
      if (result instanceof AttachError) {
        expect(kernel.fds.size, kernel.calls.join(' ')).toBe(1)
      } else {
        // Closing cannot be made to fail, so a failure aimed at it did not happen.
        calls = Math.min(calls, kernel.calls.length)
        result[Symbol.dispose]()
        expect(kernel.fds.size).toBe(1)
      }
      expect(kernel.memory.allocations).toBe(0)
    }
  }
})
