/** Nanoseconds of system calls on the running Linux through the FFI backend, and of the client on top of it. */
import { BPF_CMD, BPF_MAP_TYPE, mapElemAttr, u32, u64 } from '../src/abi/index.ts'
import { createMap } from '../src/client/calls.ts'
import { BpfMap, MapHandle } from '../src/client/index.ts'
import { mapSpec } from '../src/client/testing/specs.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'

const opened = openLinux()
if (opened instanceof LinuxUnavailable) {
  console.log(`skipped: ${opened.message}`)
  process.exit()
}
using linux = opened

function row(name: string, count: number, call: () => unknown): void {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 7; round++) {
    const start = process.hrtime.bigint()
    for (let index = 0; index < count; index++) call()
    const each = Number(process.hrtime.bigint() - start) / count
    if (round > 0) best = Math.min(best, each)
  }
  console.log(`${name.padEnd(52)} ${best.toFixed(0).padStart(8)} ns`)
}

const descriptor = createMap(linux, {
  map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
  key_size: 4,
  value_size: 8,
  max_entries: 4,
})
if (typeof descriptor === 'number') throw new Error(`BPF_MAP_CREATE: ${descriptor}`)
const handle = new MapHandle(linux, descriptor, { keySize: 4, valueBytes: 8, maxEntries: 4 })
using map = new BpfMap(
  mapSpec({ name: 'bench', type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY, maxEntries: 4 }),
  handle,
  u32,
  u64,
)

const scratch = linux.memory.allocate(mapElemAttr.size + 16)
const [key, value] = [scratch + BigInt(mapElemAttr.size), scratch + BigInt(mapElemAttr.size + 8)]
linux.memory.view(scratch, mapElemAttr.size).set(mapElemAttr.encode({ map_fd: map.fd, key, value }))
const bytes = new Uint8Array(4)

row('bpf(2), a command that there is not', 100_000, () => linux.bpf(4711, scratch, 16))
row('bpf(2), BPF_MAP_LOOKUP_ELEM of an array', 100_000, () =>
  linux.bpf(BPF_CMD.BPF_MAP_LOOKUP_ELEM, scratch, mapElemAttr.size),
)
row('the same with bytes (MapHandle.lookup)', 100_000, () => handle.lookup(bytes))
row('the same with types (BpfMap.get)', 100_000, () => map.get(1))
row('128 bytes of user memory, allocated and freed', 100_000, () =>
  linux.memory.free(linux.memory.allocate(128)),
)
row('64 KiB of user memory, allocated and freed', 5_000, () =>
  linux.memory.free(linux.memory.allocate(65_536)),
)
linux.memory.free(scratch)
