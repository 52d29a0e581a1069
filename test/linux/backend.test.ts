/**
 * One scenario, two kernels: each row runs on this project's kernel and on the Linux that runs the tests, through
 * the same client, and what it saw must be the same: results, errno for errno, contents of maps, records, errors.
 *
 * Everything is small and closed again: the running kernel belongs to everybody.
 */
import { afterAll, describe, expect, test } from 'vitest'
import {
  BPF_CMD,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  bpfMapInfo,
  bpfProgInfo,
  MAP_SHARED,
  O_RDONLY,
  objGetInfoAttr,
  PAGE_SIZE,
  PERF_TYPE,
  POLLIN,
  PROT_READ,
  perfEventAttr,
  progLoadAttr,
  type Syscalls,
} from '../../src/abi/index.ts'
import {
  type Collection,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  PerfReader,
  RingBufferReader,
  SyscallError,
  VerifierError,
} from '../../src/client/index.ts'
import { assemble, encode } from '../../src/isa/index.ts'
import { compileObject } from './compile.ts'
import { bpf, createRaw, hex } from './raw-map.ts'
import { openBoth, u32, u64 } from './two-kernels.ts'

const both = openBoth()
const why = typeof both === 'string' ? both : ''
const compiled = compileObject('scenario')
const T = BPF_MAP_TYPE

afterAll(() => {
  if (typeof both !== 'string') both[Symbol.dispose]()
})

const spec = typeof compiled === 'string' ? undefined : openObject(compiled, { name: 'scenario' })

function tried(kernel: Syscalls, options: LoadOptions): Collection | LoadError {
  if (spec === undefined || spec instanceof ObjectError) throw new Error(spec?.message)
  return load(spec, kernel, options)
}

function loaded(kernel: Syscalls, options: LoadOptions = {}): Collection {
  const collection = tried(kernel, options)
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

const contents = (collection: Collection, name: string) =>
  [...collection.map<number, unknown>(name)].sort(([a], [b]) => a - b)

const state = (collection: Collection) => ({
  globals: Object.fromEntries(collection.globals.names.map((name) => [name, collection.globals.get(name)])),
  byLength: contents(collection, 'by_length'),
  slots: contents(collection, 'slots'),
  // Which CPU a test run lands on is chance.
  perCpu: contents(collection, 'per_cpu').map(([key, values]) => [
    key,
    (values as bigint[]).length,
    (values as bigint[]).reduce((a, b) => a + b),
  ]),
})

const packet = (length: number) => new Uint8Array(length).map((_, index) => index)

/** What is the same on every machine. */
const shownRun = (result: ReturnType<ReturnType<Collection['program']>['testRun']>) =>
  result instanceof SyscallError
    ? { call: result.call, errno: result.errno }
    : { returnValue: result.returnValue, dataOut: hex(result.dataOut) }

const loadRaw = (kernel: Syscalls, type: number, text: string, level = 1, license = 'GPL') => {
  const program = assemble(text)
  if (!program.ok) throw new Error(program.errors[0].message)
  return loadBytes(kernel, type, encode(program.program), level, license)
}

function loadBytes(kernel: Syscalls, type: number, bytes: Uint8Array, level = 1, license = 'GPL') {
  const { memory } = kernel
  const text = new TextEncoder().encode(`${license}\0`)
  const [insns, licenseAt, log] = [
    memory.allocate(bytes.length),
    memory.allocate(text.length),
    memory.allocate(65536),
  ]
  memory.view(insns, bytes.length).set(bytes)
  memory.view(licenseAt, text.length).set(text)
  const attr = progLoadAttr.encode({
    prog_type: type,
    insns,
    insn_cnt: bytes.length / 8,
    license: licenseAt,
    log_level: level,
    log_buf: level === 0 ? 0n : log,
    log_size: level === 0 ? 0 : 65536,
  })
  const result = bpf(kernel, BPF_CMD.BPF_PROG_LOAD, attr)
  const said = Buffer.from(memory.view(log, 65536)).toString().split('\0')[0] ?? ''
  for (const pointer of [insns, licenseAt, log]) memory.free(pointer)
  if (result >= 0) kernel.close(result)
  return { result: result < 0 ? result : 'loaded', hasLog: said.length > 0 }
}

function shownError(error: Collection | LoadError): unknown {
  if (!(error instanceof LoadError)) throw new Error('this was loaded')
  const { code, subject, errno, message } = error
  return { code, subject, errno, message, hasLog: error instanceof VerifierError && error.log !== '' }
}

/** What this project's kernel is known not to do yet. */
class Gap {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

/** Runs a program that sees a whole Ethernet frame. */
function framesOn(kernel: Syscalls, name: string): unknown {
  using collection = loaded(kernel, { programs: [name] })
  const program = collection.program(name)
  const runs = [14, 60, 61, 1000].map((length) => {
    const data = packet(length)
    data.set([8, 0], 12)
    return program.testRun({ data, dataOutBytes: length })
  })
  runs.push(program.testRun({ data: packet(13) }), program.testRun({ data: packet(64), repeat: 5 }))
  return { runs: runs.map(shownRun), total: collection.globals.get('total') }
}

const scenarios: Readonly<Record<string, (kernel: Syscalls) => unknown>> = {
  'global variables, before and after runs'(kernel) {
    using collection = loaded(kernel, { globals: { weight: 3, total: 7, order: [9, 8, 7, 6] } })
    const before = state(collection)
    const runs = [60, 61, 100, 61].map((length) =>
      shownRun(collection.program('on_packet').testRun({ data: packet(length), dataOutBytes: length })),
    )
    const refused = [
      collection.globals.set('weight', 4),
      collection.globals.set('total', 5),
      collection.globals.set('order', [1, 1, 1, 1]),
    ].map((error) => error?.errno)
    const after = state(collection)
    return { before, runs, refused, after }
  },
  'a queue that programs fill'(kernel) {
    using collection = loaded(kernel, { programs: ['on_queued_packet'] })
    const program = collection.program('on_queued_packet')
    const pushed = [60, 61, 62, 63, 64].map((length) => shownRun(program.testRun({ data: packet(length) })))
    const { handle } = collection.map('queue')
    const popped = Array.from({ length: 5 }, () =>
      handle.lookup(new Uint8Array(0), BPF_CMD.BPF_MAP_LOOKUP_AND_DELETE_ELEM),
    ).map((one) => (typeof one === 'number' ? one : hex(one)))
    return { pushed, popped }
  },
  'test runs of each type, and their misuse'(kernel) {
    using collection = loaded(kernel)
    const [socket, raw, call] = ['on_packet', 'on_event', 'on_call'].map((name) => collection.program(name))
    const event = (number: bigint, length: number) => Uint8Array.of(...u64(number), ...u32(length, 5))
    return [
      socket?.testRun({ data: packet(64), repeat: 3 }),
      socket?.testRun({ data: packet(13) }),
      socket?.testRun({}),
      socket?.testRun({ data: packet(64), dataOutBytes: 10 }),
      raw?.testRun({ context: u64(5n, 62n) }),
      raw?.testRun({ context: new Uint8Array(200) }),
      raw?.testRun({ data: packet(64) }),
      raw?.testRun({ repeat: 2 }),
      call?.testRun({ context: event(1n, 8) }),
      call?.testRun({ context: event(2n, 9) }),
      call?.testRun({ data: packet(64) }),
      call?.testRun({ context: event(2n, 9), repeat: 2 }),
    ].map((result) => result && shownRun(result))
  },
  'xdp programs on frames': (kernel) => framesOn(kernel, 'on_frame'),
  'tc programs on frames': (kernel) => framesOn(kernel, 'on_buffer'),
  'a ring buffer over several turns'(kernel) {
    using collection = loaded(kernel)
    const opened = RingBufferReader.open(collection.map('ring'), {
      lostCounter: () => collection.globals.get('dropped') as bigint,
    })
    if (opened instanceof SyscallError) throw opened
    using reader = opened
    const turns = []
    for (let turn = 0; turn < 4; turn++) {
      const results = []
      for (let run = 0; run < 70 + 60 * turn; run++) {
        const context = Uint8Array.of(...u64(1n), ...u32(run, 5))
        const result = collection.program('on_call').testRun({ context })
        if (result instanceof SyscallError) throw result
        results.push(result.returnValue)
      }
      const backlog = reader.backlogBytes
      const records = [...reader.drain()].map(hex)
      turns.push({ results, backlog, records, lost: reader.lost, discarded: reader.discarded })
    }
    return turns
  },
  'perf buffers'(kernel) {
    using collection = loaded(kernel)
    const opened = PerfReader.open(collection.map('perf'), {
      pages: 1,
      decode: (bytes) => hex(bytes.subarray(0, 16)),
    })
    if (opened instanceof SyscallError) throw opened
    using reader = opened
    const program = collection.program('on_event')
    for (let run = 1; run <= 20; run++) program.testRun({ context: u64(BigInt(run), 60n) })
    return { samples: [...reader.drain()].sort(), lost: reader.lost }
  },
  'programs that are refused'(kernel) {
    const P = BPF_PROG_TYPE
    const rows: Record<string, () => unknown> = {
      'no instruction': () => loadBytes(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, new Uint8Array(0)),
      'no exit': () => loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'r0 = 0'),
      'a jump out of it': () => loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'r0 = 0\ngoto +5\nexit'),
      'an instruction nobody reaches': () =>
        loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'r0 = 0\ngoto +1\nr0 = 1\nexit'),
      'an unknown opcode': () =>
        loadBytes(
          kernel,
          P.BPF_PROG_TYPE_SOCKET_FILTER,
          Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0),
        ),
      'a register that is none': () =>
        loadBytes(
          kernel,
          P.BPF_PROG_TYPE_SOCKET_FILTER,
          Uint8Array.of(0xb7, 0x0c, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0),
        ),
      'a write to the frame pointer': () =>
        loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'r10 = 0\nr0 = 0\nexit'),
      'half a wide load': () =>
        loadBytes(
          kernel,
          P.BPF_PROG_TYPE_SOCKET_FILTER,
          Uint8Array.of(0x18, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0),
        ),
      'an unknown helper': () => loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'call 9999\nexit'),
      'an unknown type': () => loadRaw(kernel, 999, 'r0 = 0\nexit', 0),
      'a helper of the GPL alone': () =>
        loadRaw(kernel, P.BPF_PROG_TYPE_KPROBE, 'r1 = 0\nr2 = 0\nr3 = 0\ncall 113\nr0 = 0\nexit', 1, 'MIT'),
      'a log that has no room': () => loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'r0 = 0\nexit', 99),
      'none of these': () => loadRaw(kernel, P.BPF_PROG_TYPE_SOCKET_FILTER, 'r0 = 0\nexit', 0),
    }
    return Object.fromEntries(Object.entries(rows).map(([what, run]) => [what, run()]))
  },
  'objects whose instructions are wrong': (kernel) =>
    ['never_reached', 'jumps_out'].map((name) => shownError(tried(kernel, { programs: [name] }))),
  'an object that reads what it must not'(kernel) {
    const error = tried(kernel, { programs: ['careless'] })
    if (error instanceof LoadError) return shownError(error)
    error[Symbol.dispose]()
    return new Gap('it has no verifier that asks whether memory may be read')
  },
  'calls that make no sense'(kernel) {
    const { memory } = kernel
    const fd = createRaw(kernel, {
      map_type: T.BPF_MAP_TYPE_ARRAY,
      key_size: 4,
      value_size: 8,
      max_entries: 1,
    })
    const attr = memory.allocate(256)
    const set = (bytes: Uint8Array) => {
      memory.view(attr, 256).fill(0)
      memory.view(attr, 256).set(bytes)
      return attr
    }
    const outcome = {
      'an unknown command': kernel.bpf(4711, attr, 16),
      'an attribute at NULL': kernel.bpf(BPF_CMD.BPF_MAP_CREATE, 0n, 16),
      'a lookup in a descriptor that is none': kernel.bpf(BPF_CMD.BPF_MAP_LOOKUP_ELEM, set(u32(0x7fff)), 32),
      'a lookup of the key at NULL': kernel.bpf(BPF_CMD.BPF_MAP_LOOKUP_ELEM, set(u32(fd)), 32),
      'an attribute with more than the command takes': kernel.bpf(
        BPF_CMD.BPF_MAP_DELETE_ELEM,
        set(Uint8Array.of(...u64(BigInt(fd), 0n, 0n, 1n))),
        32,
      ),
      'an attribute longer than the kernel knows, with zeroes': kernel.bpf(
        BPF_CMD.BPF_MAP_FREEZE,
        set(u32(0x7fff)),
        256,
      ),
      'information on no descriptor': kernel.bpf(BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, set(u32(0x7fff)), 16),
      'a program by an id that is none': kernel.bpf(BPF_CMD.BPF_PROG_GET_FD_BY_ID, set(u32(0x7fff_fff0)), 12),
      'a test run of a map': kernel.bpf(BPF_CMD.BPF_PROG_TEST_RUN, set(u32(fd)), 80),
      'close twice': [kernel.close(fd), kernel.close(fd)],
      'no such file': kernel.open('/sys/kernel/none', O_RDONLY),
      'read from no descriptor': kernel.read(0x7fff, attr, 8),
      'mmap of no descriptor': kernel.mmap(0n, PAGE_SIZE, PROT_READ, MAP_SHARED, 0x7fff, 0),
      'ioctl of no descriptor': kernel.ioctl(0x7fff, 0x2400, 0n),
      'an event with an attribute too short': kernel.perfEventOpen(set(u32(0, 4)), -1, 0, -1, 0n),
      'an event of no CPU and no process': kernel.perfEventOpen(
        set(
          perfEventAttr.encode({ type: PERF_TYPE.PERF_TYPE_SOFTWARE, size: perfEventAttr.size, config: 10n }),
        ),
        -1,
        -1,
        -1,
        0n,
      ),
    }
    memory.free(attr)
    return outcome
  },
  'what a kernel says of a map and a program'(kernel) {
    using collection = loaded(kernel)
    const infoOf = (fd: number, layout: typeof bpfMapInfo | typeof bpfProgInfo) => {
      const info = kernel.memory.allocate(layout.size)
      const attr = objGetInfoAttr.encode({ bpf_fd: fd, info_len: layout.size, info })
      const result = bpf(kernel, BPF_CMD.BPF_OBJ_GET_INFO_BY_FD, attr)
      const bytes = kernel.memory.view(info, layout.size).slice()
      kernel.memory.free(info)
      return { result, bytes }
    }
    const maps = [...collection.maps].map(([name, map]) => {
      const { result, bytes } = infoOf(map.fd, bpfMapInfo)
      const { type, key_size, value_size, max_entries, map_flags, map_extra, ...info } =
        bpfMapInfo.read(bytes)
      const types = [info.btf_id !== 0, info.btf_key_type_id, info.btf_value_type_id]
      return {
        name,
        result,
        kernelName: info.name,
        type,
        key_size,
        value_size,
        max_entries,
        map_flags,
        map_extra,
        types,
      }
    })
    const programs = [...collection.programs].map(([name, program]) => {
      const { result, bytes } = infoOf(program.fd, bpfProgInfo)
      const { type, flags, nr_map_ids, tag, nr_func_info, nr_line_info, ...info } = bpfProgInfo.read(bytes)
      const tagText = hex(tag)
      return {
        name,
        result,
        kernelName: info.name,
        type,
        flags,
        nr_map_ids,
        tagText,
        nr_func_info,
        nr_line_info,
      }
    })
    return { maps, programs }
  },
  async 'a reader that waits is woken by a run'(kernel) {
    using collection = loaded(kernel)
    const opened = RingBufferReader.open(collection.map('ring'))
    if (opened instanceof SyscallError) throw opened
    using reader = opened
    const seen: string[] = []
    const context = (length: number) => ({ context: Uint8Array.of(...u64(1n), ...u32(length, 5)) })
    setTimeout(() => collection.program('on_call').testRun(context(10)), 30)
    setTimeout(() => collection.program('on_call').testRun(context(12)), 60)
    for await (const record of reader) {
      seen.push(hex(record))
      if (seen.length === 2) break
    }
    // The runs came from timers: waiting did not stop the event loop.
    return seen
  },
  async 'a reader that waits is ended by a signal'(kernel) {
    using collection = loaded(kernel)
    const opened = RingBufferReader.open(collection.map('ring'))
    if (opened instanceof SyscallError) throw opened
    using reader = opened
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 20)
    for await (const _record of reader.records(abort.signal)) throw new Error('a record out of nothing')
    return 'ended'
  },
  async 'poll of what cannot be polled'(kernel) {
    const { memory } = kernel
    const fds = memory.allocate(16)
    const view = () => new DataView(memory.view(fds, 16).buffer, memory.view(fds, 16).byteOffset)
    view().setInt32(0, 0x7fff, true)
    view().setUint32(4, POLLIN, true)
    view().setInt32(8, -1, true)
    view().setUint32(12, POLLIN, true)
    const ready = await kernel.poll(fds, 2, 1000)
    const revents = [view().getUint16(6, true), view().getUint16(14, true)]
    const start = performance.now()
    const nothing = await kernel.poll(fds, 0, 30)
    memory.free(fds)
    return { ready, revents, nothing, waited: performance.now() - start >= 25 }
  },
}

describe.skipIf(why !== '')(why === '' ? 'both kernels agree on' : `both kernels (skipped: ${why})`, () => {
  const missing = typeof compiled === 'string' ? ` (skipped: ${compiled})` : ''

  test.skipIf(missing !== '').for(Object.entries(scenarios))(`%s${missing}`, async ([, run], { skip }) => {
    if (typeof both === 'string') throw new Error(both)
    const theirs = await run(both.linux)
    // A poll that nobody waits for any more ends in a while.
    await expect.poll(() => both.linux.memory.allocations).toBe(0)
    both.expectNothingLeft()
    const ours = await run(both.ours)
    if (ours instanceof Gap) return skip(`this project's kernel: ${ours.reason}`)
    expect(ours).toEqual(theirs)
  })
})
