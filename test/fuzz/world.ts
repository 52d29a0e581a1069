/**
 * A kernel with something of everything in it, and the calls of bpf(2) that put it there.
 *
 * Two worlds of the same objects are the same, addresses and descriptors included, so that a call that was recorded in
 * one can be made in another.
 */

import type { Syscalls, UserMemory, UserPointer } from '../../src/abi/index.ts'
import * as abi from '../../src/abi/index.ts'
import { load, ObjectError, openObject } from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import { Caller } from '../../src/kernel/testing/caller.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import type { Client, Kernel, KernelStats } from '../../src/kernel/types.ts'
import { Flaw, type Seed } from './target.ts'

export interface RecordedCall {
  readonly cmd: number
  readonly attr: Uint8Array
}

const ARENA_BYTES = 32 << 20
/** Enough for what is loaded here; endless programs end soon. */
const BUDGET = 200_000

const T = abi.BPF_MAP_TYPE

/** Settings that every type of map takes. */
const MAPS: readonly [type: number, keySize: number, valueSize: number, entries: number, flags?: number][] = [
  ...[T.BPF_MAP_TYPE_HASH, T.BPF_MAP_TYPE_LRU_HASH, T.BPF_MAP_TYPE_PERCPU_HASH].map(
    (type) => [type, 4, 8, 4] as [number, number, number, number],
  ),
  [T.BPF_MAP_TYPE_ARRAY, 4, 8, 4],
  [T.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4],
  [T.BPF_MAP_TYPE_LPM_TRIE, 8, 4, 4, abi.BPF_F_NO_PREALLOC],
  [T.BPF_MAP_TYPE_QUEUE, 0, 8, 4],
  [T.BPF_MAP_TYPE_STACK, 0, 8, 4],
  [T.BPF_MAP_TYPE_BLOOM_FILTER, 0, 4, 8],
  [T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096],
  [T.BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096],
  [T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2],
  [T.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2],
  [T.BPF_MAP_TYPE_STACK_TRACE, 4, 16, 4],
  [T.BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 2],
  [T.BPF_MAP_TYPE_DEVMAP, 4, 4, 2],
  [T.BPF_MAP_TYPE_CPUMAP, 4, 4, 2],
]

export class World implements Disposable {
  readonly kernel: Kernel
  readonly client: Client
  readonly port = new TinyPort({ cpuCount: 2 })
  readonly calls: readonly RecordedCall[]
  readonly caller: Caller
  /** The first number that no descriptor has. */
  readonly firstFreeFd: number
  readonly #text: Uint8Array

  constructor(objects: readonly Seed[]) {
    this.#text = this.port.text.slice()
    this.kernel = createKernel({ port: this.port, arenaBytes: ARENA_BYTES, instructionBudget: BUDGET })
    this.client = this.kernel.openClient({ firstFd: 3 })
    const recorder = new Recorder(this.client)
    this.caller = new Caller(recorder)
    for (const { name, bytes } of objects) {
      const spec = openObject(bytes, { name })
      if (spec instanceof ObjectError) throw new Error(spec.message)
      load(spec, recorder)
    }
    fill(this.caller, this.client)
    this.calls = recorder.calls
    this.firstFreeFd = this.client.open('/sys/fs/bpf', 0)
    this.client.close(this.firstFreeFd)
  }

  /** Closes everything, and sees that nothing is left. */
  [Symbol.dispose](): void {
    this.client[Symbol.dispose]()
    this.kernel[Symbol.dispose]()
    nothingLeft(this.kernel.stats())
    const isRestored =
      Buffer.compare(this.port.text.subarray(0, 0x3000), this.#text.subarray(0, 0x3000)) === 0
    if (!isRestored) throw new Flaw("probes are left in the kernel's text")
  }
}

function nothingLeft(stats: KernelStats): void {
  const { maps, programs, links, btfs, probes, descriptors } = stats
  const left = Object.entries({ maps, programs, links, btfs, probes, descriptors }).filter(
    ([, count]) => count !== 0,
  )
  if (left.length > 0) {
    throw new Flaw(`left in the kernel: ${left.map(([what, count]) => `${count} ${what}`).join(', ')}`)
  }
}

/** Keeps what is sent: nothing that a call points to is freed, no descriptor is closed. */
class Recorder implements Syscalls {
  readonly memory: UserMemory
  readonly calls: RecordedCall[] = []
  readonly #under: Syscalls
  readonly #seen = new Set<string>()

  constructor(under: Syscalls) {
    this.#under = under
    const { memory } = under
    this.memory = {
      allocate: (sizeBytes) => memory.allocate(sizeBytes),
      free: () => {},
      view: (pointer, sizeBytes) => memory.view(pointer, sizeBytes),
    }
  }

  bpf(cmd: number, attr: UserPointer, sizeBytes: number): number {
    const bytes = this.memory.view(attr, sizeBytes).slice()
    const key = `${cmd} ${Buffer.from(bytes).toString('hex')}`
    if (!this.#seen.has(key)) this.calls.push({ cmd, attr: bytes })
    this.#seen.add(key)
    return this.#under.bpf(cmd, attr, sizeBytes)
  }

  perfEventOpen(attr: UserPointer, pid: number, cpu: number, groupFd: number, flags: bigint): number {
    return this.#under.perfEventOpen(attr, pid, cpu, groupFd, flags)
  }

  ioctl(fd: number, request: number, argument: bigint): number {
    return this.#under.ioctl(fd, request, argument)
  }

  mmap(
    address: UserPointer,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint {
    return this.#under.mmap(address, length, prot, flags, fd, offset)
  }

  munmap(): number {
    return 0
  }

  poll(fds: UserPointer, count: number, timeoutMs: number): Promise<number> {
    return this.#under.poll(fds, count, timeoutMs)
  }

  open(path: string, flags: number): number {
    return this.#under.open(path, flags)
  }

  read(fd: number, buffer: UserPointer, length: number): number {
    return this.#under.read(fd, buffer, length)
  }

  close(): number {
    return 0
  }
}

/** Calls of every command that loading objects does not make. */
function fill(caller: Caller, client: Client): void {
  const buffer = (bytes = 256) => caller.put(new Uint8Array(bytes))
  const maps = MAPS.map(([map_type, key_size, value_size, max_entries, map_flags = 0]) =>
    caller.createMap({ map_type, key_size, value_size, max_entries, map_flags }),
  )
  const inner = caller.createArray(8, 4)
  for (const map_type of [T.BPF_MAP_TYPE_ARRAY_OF_MAPS, T.BPF_MAP_TYPE_HASH_OF_MAPS]) {
    maps.push(caller.createMap({ map_type, key_size: 4, value_size: 4, max_entries: 2, inner_map_fd: inner }))
  }
  for (const map_fd of maps) {
    const attr = abi.mapElemAttr.encode({ map_fd, key: buffer(), value: buffer() })
    caller.bpf('BPF_MAP_UPDATE_ELEM', attr)
    caller.bpf('BPF_MAP_LOOKUP_ELEM', attr)
    caller.bpf('BPF_MAP_LOOKUP_AND_DELETE_ELEM', attr)
    caller.bpf('BPF_MAP_GET_NEXT_KEY', abi.mapNextKeyAttr.encode({ map_fd, key: 0n, next_key: buffer() }))
    caller.bpf('BPF_MAP_DELETE_ELEM', abi.mapElemAttr.encode({ map_fd, key: buffer() }))
    const batch = { map_fd, keys: buffer(), values: buffer(), out_batch: buffer(), count: 4 }
    caller.bpf('BPF_MAP_UPDATE_BATCH', abi.mapBatchAttr.encode(batch))
    caller.bpf('BPF_MAP_LOOKUP_BATCH', abi.mapBatchAttr.encode(batch))
    caller.bpf('BPF_MAP_DELETE_BATCH', abi.mapBatchAttr.encode(batch))
    caller.bpf('BPF_MAP_LOOKUP_AND_DELETE_BATCH', abi.mapBatchAttr.encode(batch))
  }
  caller.bpf('BPF_MAP_FREEZE', abi.mapFreezeAttr.encode({ map_fd: caller.createArray(8) }))

  const P = abi.BPF_PROG_TYPE
  const programs = [
    caller.load('r0 = 0\nexit'),
    ...[P.BPF_PROG_TYPE_XDP, P.BPF_PROG_TYPE_SCHED_CLS, P.BPF_PROG_TYPE_SOCKET_FILTER].map((prog_type) =>
      caller.load('r0 = 0\nexit', { prog_type }, { text: '' }),
    ),
    caller.load('r0 = *(u64 *)(r1 +0)\nexit', { prog_type: P.BPF_PROG_TYPE_RAW_TRACEPOINT }),
    caller.load('r0 = 1\nexit', {
      prog_type: P.BPF_PROG_TYPE_SK_LOOKUP,
      expected_attach_type: abi.BPF_ATTACH_TYPE.BPF_SK_LOOKUP,
    }),
    caller.load('r0 = *(u64 *)(r10 -8)\nexit', {}, { text: '' }),
  ]
  const [probe, xdp, , , raw, lookup] = programs as [number, number, number, number, number, number]
  for (const prog_fd of programs) {
    const data = { data_in: buffer(), data_size_in: 64, data_out: buffer(), data_size_out: 64 }
    const context = { ctx_in: buffer(), ctx_size_in: 32, ctx_out: buffer(), ctx_size_out: 32 }
    caller.bpf('BPF_PROG_TEST_RUN', abi.progTestRunAttr.encode({ prog_fd, ...data, repeat: 2 }))
    caller.bpf('BPF_PROG_TEST_RUN', abi.progTestRunAttr.encode({ prog_fd, ...context }))
    caller.bpf('BPF_PROG_BIND_MAP', abi.progBindMapAttr.encode({ prog_fd, map_fd: inner }))
    const stream = { prog_fd, stream_id: 1, stream_buf: buffer(), stream_buf_len: 64 }
    caller.bpf('BPF_PROG_STREAM_READ_BY_FD', abi.progStreamReadAttr.encode(stream))
  }
  const event = caller.openProbe('add_one')
  const link = caller.link(probe, event, 7n)
  caller.link(probe, caller.openProbe('add_two', { isReturn: true }))
  const namespace = client.open('/proc/self/ns/net', 0)
  const netLink = caller.link(lookup, namespace, 0n, abi.BPF_ATTACH_TYPE.BPF_SK_LOOKUP)
  caller.bpf('BPF_LINK_UPDATE', abi.linkUpdateAttr.encode({ link_fd: netLink, new_prog_fd: lookup }))
  caller.bpf('BPF_ITER_CREATE', abi.iterCreateAttr.encode({ link_fd: link }))
  const attach = {
    target_fd: namespace,
    attach_bpf_fd: lookup,
    attach_type: abi.BPF_ATTACH_TYPE.BPF_FLOW_DISSECTOR,
  }
  caller.bpf('BPF_PROG_ATTACH', abi.progAttachAttr.encode(attach))
  caller.bpf('BPF_PROG_DETACH', abi.progAttachAttr.encode(attach))
  const query = { target_fd: namespace, attach_type: abi.BPF_ATTACH_TYPE.BPF_SK_LOOKUP }
  caller.bpf('BPF_PROG_QUERY', abi.progQueryAttr.encode({ ...query, prog_ids: buffer(), prog_cnt: 8 }))
  const tracepoint = { name: caller.put('sys_enter'), prog_fd: raw }
  caller.bpf('BPF_RAW_TRACEPOINT_OPEN', abi.rawTracepointAttr.encode(tracepoint))
  const task = { pid: 0, fd: event, buf: buffer(), buf_len: 64 }
  caller.bpf('BPF_TASK_FD_QUERY', abi.taskFdQueryAttr.encode(task))
  caller.bpf('BPF_ENABLE_STATS', abi.enableStatsAttr.encode({}))
  caller.bpf('BPF_TOKEN_CREATE', abi.tokenCreateAttr.encode({ bpffs_fd: client.open('/sys/fs/bpf', 0) }))

  const types = caller.bpf('BPF_BTF_LOAD', smallTypes(caller))
  for (const bpf_fd of [inner, ...maps, ...programs, link, netLink, types]) {
    const info = { bpf_fd, info: buffer(512), info_len: 512 }
    caller.bpf('BPF_OBJ_GET_INFO_BY_FD', abi.objGetInfoAttr.encode(info))
  }
  for (const what of ['PROG', 'MAP', 'BTF', 'LINK'] as const) {
    caller.bpf(`BPF_${what}_GET_NEXT_ID`, abi.getIdAttr.encode({ id: 0 }))
    caller.bpf(`BPF_${what}_GET_FD_BY_ID`, abi.getIdAttr.encode({ id: 1 }))
  }
  const pathname = caller.put('/sys/fs/bpf/pinned')
  caller.bpf('BPF_OBJ_PIN', abi.objPinAttr.encode({ pathname, bpf_fd: xdp }))
  caller.bpf('BPF_OBJ_GET', abi.objPinAttr.encode({ pathname }))
  caller.bpf('BPF_LINK_DETACH', abi.linkDetachAttr.encode({ link_fd: netLink }))
}

/** `int` and a pointer to it. */
function smallTypes(caller: Caller): Uint8Array {
  const words = [1, 1 << 24, 4, (1 << 24) | 32, 0, 2 << 24, 1]
  const strings = '\0int\0'
  const bytes = new Uint8Array(24 + words.length * 4 + strings.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0xeb9f, true)
  view.setUint8(2, 1)
  const header = [24, 0, words.length * 4, words.length * 4, strings.length]
  for (const [i, word] of [...header, ...words].entries()) view.setUint32(4 + i * 4, word, true)
  bytes.set(new TextEncoder().encode(strings), 24 + words.length * 4)
  return abi.btfLoadAttr.encode({
    btf: caller.put(bytes),
    btf_size: bytes.length,
    btf_log_level: 1,
    btf_log_buf: caller.put(new Uint8Array(4096)),
    btf_log_size: 4096,
  })
}
