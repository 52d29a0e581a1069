/** What programs do and leave behind: faults, recursion, tail calls, statistics, traces. */
import { describe, expect, test } from 'vitest'
import {
  BPF_F_SLEEPABLE,
  BPF_LINK_INFO_SIZE,
  BPF_LINK_TYPE,
  BPF_MAP_TYPE,
  BPF_PERF_EVENT_TYPE,
  BPF_PROG_TYPE,
  bpfLinkInfoKprobe,
  bpfProgInfo,
  EACCES,
  EAGAIN,
  EFAULT,
  EINVAL,
  enableStatsAttr,
  objGetInfoAttr,
  progTestRunAttr,
} from '../abi/index.ts'
import { StructureVerifier } from '../verifier/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import type { KernelOptions, ProgramFault } from './types.ts'

function setUp(options: Partial<KernelOptions> = {}) {
  const port = new TinyPort()
  const kernel = createKernel({ port, ...options })
  const client = kernel.openClient()
  return { port, kernel, client, caller: new Caller(client) }
}

function programInfo(caller: Caller, fd: number) {
  const info = caller.syscalls.memory.allocate(bpfProgInfo.size)
  const attr = objGetInfoAttr.encode({ bpf_fd: fd, info_len: bpfProgInfo.size, info })
  expect(caller.bpf('BPF_OBJ_GET_INFO_BY_FD', attr)).toBe(0)
  return bpfProgInfo.read(caller.syscalls.memory.view(info, bpfProgInfo.size))
}

describe.each(['interpreter', 'jit'] as const)(
  'a run-time error of an unproved program, by the %s',
  (engine) => {
    const setUpUnproved = (options: Partial<KernelOptions> = {}) =>
      setUp({ verifier: new StructureVerifier(), engine, ...options })

    test('ends the run, is counted, kept and reported, and the guest goes on', () => {
      const reported: ProgramFault[] = []
      const { port, kernel, caller } = setUpUnproved({ onProgramFault: (fault) => void reported.push(fault) })
      const program = caller.load('r2 = 0\nr0 = *(u64 *)(r2 +0)\nexit', { prog_name: 'wild' })
      caller.link(program, caller.openProbe('add_one'))
      expect(port.call('add_one', 1n)).toBe(2n)
      expect(port.call('add_two', 1n)).toBe(3n)
      expect(kernel.stats().faults).toBe(3)
      expect(reported).toHaveLength(3)
      expect(kernel.faults()[0]).toMatchObject({ programName: 'wild', instruction: 1 })
      expect(reported[0]?.message).toContain('0x0')
    })

    test('a helper with a bad pointer', () => {
      const { port, kernel, caller } = setUpUnproved()
      const program = caller.load('r1 = 1234\nr2 = 8\nr3 = 0\ncall bpf_trace_printk\nr0 = 0\nexit')
      caller.link(program, caller.openProbe('add_one'))
      port.call('add_one', 1n)
      expect(kernel.faults()).toMatchObject([{ instruction: 3 }])
    })

    test('a program that never ends runs out of its budget', () => {
      const { port, kernel, caller } = setUpUnproved({ instructionBudget: 10_000 })
      caller.link(
        caller.load('r0 = 0\nloop:\nr0 += 1\ngoto loop\nexit\n'.replace('goto loop', 'if r0 != 0 goto loop')),
        caller.openProbe('add_one'),
      )
      expect(port.call('add_one', 1n)).toBe(2n)
      expect(kernel.faults()[0]?.message).toContain('10000')
    })

    test('in a test run is EFAULT', () => {
      const { kernel, caller } = setUpUnproved()
      const program = caller.load('r0 = *(u64 *)(r1 +5000)\nexit', {
        prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL,
        prog_flags: BPF_F_SLEEPABLE,
      })
      expect(caller.bpf('BPF_PROG_TEST_RUN', progTestRunAttr.encode({ prog_fd: program }))).toBe(-EFAULT)
      expect(kernel.stats().faults).toBe(1)
    })
  },
)

test('a jump further than 16 bits count is loaded and taken', () => {
  const { kernel, caller } = setUp()
  const filling = 'r0 += 1\n'.repeat(70_000)
  const program = caller.load(
    `r0 = 0\nif r0 == 0 goto +1\ngoto +1\ngotol over\n${filling}over: r0 += 7\nexit`,
    {
      prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL,
      prog_flags: BPF_F_SLEEPABLE,
    },
  )
  expect(program).toBeGreaterThan(0)
  const attr = progTestRunAttr.encode({ prog_fd: program })
  expect(caller.bpf('BPF_PROG_TEST_RUN', attr)).toBe(0)
  expect(progTestRunAttr.read(attr).retval).toBe(7)
  expect(kernel.stats().faults).toBe(0)
})

test('a program may not write its registers', () => {
  const source = 'r2 = 1\n*(u64 *)(r1 +80) = r2\nr0 = 0\nexit'
  const { port, kernel, caller } = setUp({ verifier: new StructureVerifier() })
  caller.link(caller.load(source), caller.openProbe('add_one'))
  expect(port.call('add_one', 1n)).toBe(2n)
  expect(kernel.faults()).toMatchObject([{ instruction: 1 }])
  expect(setUp().caller.load(source)).toBe(-EACCES)
})

test('a program that sets off its own probe is not run again: a missed hit', () => {
  const { port, kernel, caller } = setUp()
  const count = caller.createArray(8)
  const program = caller.load(
    `r6 = r1
     r1 = map[fd:${count}][0]
     r2 = 1
     lock *(u64 *)(r1 +0) += r2
     r1 = r10
     r1 += -8
     r2 = 8
     r3 = 4096
     call bpf_probe_read_kernel
     r0 = 0
     exit`,
  )
  const link = caller.link(program, caller.openProbe('add_one'))
  // Reading kernel memory goes through a function of the kernel that is probed itself.
  const reads = port.readKernel.bind(port)
  port.readKernel = (cpu, address, into) => {
    const hart = port.harts[cpu]!
    const saved = { pc: hart.pc, x: hart.x.slice() }
    port.call('add_one', 1n, cpu)
    hart.x.set(saved.x)
    hart.pc = saved.pc
    return reads(cpu, address, into)
  }
  expect(port.call('add_one', 1n)).toBe(2n)
  expect(caller.lookupU64(count, u32(0))).toBe(1n)
  expect(kernel.stats()).toMatchObject({ faults: 0 })
  const info = caller.syscalls.memory.allocate(BPF_LINK_INFO_SIZE)
  const attr = objGetInfoAttr.encode({ bpf_fd: link, info_len: BPF_LINK_INFO_SIZE, info })
  expect(caller.bpf('BPF_OBJ_GET_INFO_BY_FD', attr)).toBe(0)
  const described = bpfLinkInfoKprobe.read(caller.syscalls.memory.view(info, BPF_LINK_INFO_SIZE))
  expect(described).toMatchObject({
    type: BPF_LINK_TYPE.BPF_LINK_TYPE_PERF_EVENT,
    perf_event_type: BPF_PERF_EVENT_TYPE.BPF_PERF_EVENT_KPROBE,
    addr: port.symbolByName('add_one')?.address,
    missed: 1n,
  })
})

describe('tail calls', () => {
  test('go on in the other program with the same context', () => {
    const { port, kernel, caller } = setUp()
    const seen = caller.createArray(8)
    const table = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 2,
    })
    const target = caller.load(
      `r2 = *(u64 *)(r1 +80)\nr1 = map[fd:${seen}][0]\n*(u64 *)(r1 +0) = r2\nr0 = 0\nexit`,
    )
    expect(caller.update(table, u32(1), u32(target))).toBe(0)
    const caller_ = caller.load(`r2 = map[fd:${table}]\nr3 = 1\ncall bpf_tail_call\nr0 = 0\nexit`)
    caller.link(caller_, caller.openProbe('add_one'))
    port.call('add_one', 77n)
    expect(caller.lookupU64(seen, u32(0))).toBe(77n)
    expect(kernel.stats().faults).toBe(0)
  })

  test('a program array lets go of its programs with its last user, though they hold the array', () => {
    const { kernel, client, caller } = setUp()
    const table = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
    })
    const program = caller.load(`r2 = map[fd:${table}]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit`)
    caller.update(table, u32(0), u32(program))
    client.close(program)
    expect(kernel.stats()).toMatchObject({ maps: 1, programs: 1 })
    client.close(table)
    expect(kernel.stats()).toMatchObject({ maps: 0, programs: 0 })
  })
})

test('run statistics are kept while someone asks for them', () => {
  const { port, client, caller } = setUp()
  const program = caller.load('r0 = 0\nexit')
  caller.link(program, caller.openProbe('add_one'))
  port.call('add_one', 1n)
  expect(programInfo(caller, program)).toMatchObject({ run_cnt: 0n, run_time_ns: 0n })
  const stats = caller.bpf('BPF_ENABLE_STATS', enableStatsAttr.encode({ type: 0 }))
  port.call('add_two', 1n)
  const info = programInfo(caller, program)
  expect(info.run_cnt).toBe(2n)
  expect(info.run_time_ns).toBeGreaterThan(0n)
  client.close(stats)
  port.call('add_one', 1n)
  expect(programInfo(caller, program).run_cnt).toBe(2n)
})

describe('the trace pipe', () => {
  const printing = `
    r1 = 0x0a6425203d206978 ll
    *(u64 *)(r10 -16) = r1
    r1 = 0
    *(u64 *)(r10 -8) = r1
    r1 = r10
    r1 += -16
    r2 = 9
    r3 = 42
    call bpf_trace_printk
    r0 = 0
    exit
  `

  test('carries lines as Linux prints them, once, to whoever reads', () => {
    const { port, client, caller } = setUp()
    caller.link(caller.load(printing), caller.openProbe('add_one'))
    const fd = client.open('/sys/kernel/tracing/trace_pipe', 0)
    const buffer = client.memory.allocate(4096)
    expect(client.read(fd, buffer, 4096)).toBe(-EAGAIN)
    port.timeNs = 12_345_678_000n
    port.call('add_one', 1n)
    const length = client.read(fd, buffer, 4096)
    const text = new TextDecoder().decode(client.memory.view(buffer, length).slice())
    expect(text).toMatch(/^ {10}worker-7 {7}\[000\] d\.\.31 {4}12\.\d{6}: bpf_trace_printk: xi = 42\n$/)
    expect(client.read(fd, buffer, 4096)).toBe(-EAGAIN)
  })

  test('counts the lines that it has no room for, and says so where they are missing', () => {
    const { port, kernel, client, caller } = setUp({ tracePipeBytes: 200 })
    caller.link(caller.load(printing), caller.openProbe('add_one'))
    for (let i = 0; i < 5; i++) port.call('add_one', 1n)
    const lost = kernel.stats().traceLinesLost
    expect(lost).toBeGreaterThan(0)
    const first = caller.readText('/sys/kernel/tracing/trace_pipe') as string
    expect(first.trimEnd().split('\n')).toHaveLength(5 - lost)
    port.call('add_one', 1n)
    expect(caller.readText('/sys/kernel/tracing/trace_pipe')).toContain(`[LOST ${lost} EVENTS]`)
    expect(client.open('/sys/kernel/tracing/no_such_file', 0)).toBe(-2)
  })
})

describe('loading', () => {
  test('the log says why', () => {
    const { caller } = setUp()
    const log = { text: '' }
    expect(caller.load('r0 = 0\ngoto +9\nexit', {}, log)).toBe(-EINVAL)
    expect(log.text).toContain('jump out of range')
  })

  test('a GPL-only helper needs a compatible licence', () => {
    const { caller } = setUp()
    const log = { text: '' }
    const source = 'r0 = 0\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall bpf_probe_read_kernel\nexit'
    expect(caller.load(source, { license: caller.put('Proprietary') }, log)).toBe(-EINVAL)
    expect(log.text).toContain('cannot call GPL-restricted function from non-GPL compatible program')
    expect(caller.load(source, { license: caller.put('Dual BSD/GPL') })).toBeGreaterThan(0)
  })

  test('a helper that the program may not call is named', () => {
    const { caller } = setUp()
    const log = { text: '' }
    expect(caller.load('r2 = 0\ncall bpf_override_return\nr0 = 0\nexit', {}, log)).toBe(-EINVAL)
    expect(log.text).toContain('program of this type cannot use helper bpf_override_return#58')
  })

  test('a helper that Linux has and this kernel has not is refused as one of another type, unless no path leads to it', () => {
    const { caller } = setUp()
    const log = { text: '' }
    const attr = { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE }
    // Whatever the arguments: who asks what a kernel has gives none, and looks for these words.
    expect(caller.load('call bpf_find_vma\nr0 = 0\nexit', attr, log)).toBe(-EINVAL)
    expect(log.text).toContain('program of this type cannot use helper bpf_find_vma#180')
    const guarded = 'r0 = 0\nr1 = 9\nif r1 == 9 goto +2\ncall bpf_find_vma\nr0 = 0\nexit'
    expect(caller.load(guarded, attr)).toBeGreaterThan(0)
  })
})
