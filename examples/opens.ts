/**
 * Every file that the guest's processes open: bpf/opensnoop.bpf.o in a guest kernel, with its records decoded by
 * the types that clang left in the object.
 */
import { readFileSync } from 'node:fs'
import {
  AttachError,
  LoadError,
  load,
  ObjectError,
  open,
  RingBufferReader,
  recordsOf,
  SyscallError,
} from 'anybpf'
import { chars, s32, struct, u32, u64 } from 'anybpf/abi'
import { structCodec } from 'anybpf/client'
import { createGuest } from 'anybpf/ports/embedded'

const file = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url))

// 1. A computer with the demo kernel in it, booted as far as its first process.
const made = createGuest({ kernelElf: file('guest/build/kernel.elf'), bootargs: 'script=/etc/rc.short' })
if (!made.ok) throw new Error('the guest does not load')
using guest = made.guest
guest.boot()

// 2. The object, loaded into that kernel through bpf(2).
const spec = open(file('bpf/opensnoop.bpf.o'), { name: 'opensnoop' })
if (spec instanceof ObjectError) throw new Error(spec.message)
using syscalls = guest.kernel.openClient()
const loaded = load(spec, syscalls, { globals: { failed_only: false } })
if (loaded instanceof LoadError) throw new Error(loaded.message)
using collection = loaded

// 3. kprobe/sys_openat and kretprobe/sys_openat, as the sections' names say.
const links = collection.attach()
if (links instanceof AttachError) throw new Error(links.message)

// 4. The ring buffer, record by record, while the guest runs.
const event = structCodec(
  struct('event', { time_ns: u64, pid: u32, result: s32, comm: chars(16), file_name: chars(96) }),
)
const reader = RingBufferReader.open(collection.map('events'), { decode: recordsOf(event) })
if (reader instanceof SyscallError) throw reader
for (
  let state = guest.run({ maxInstructions: 1_000_000 });
  ;
  state = guest.run({ maxInstructions: 1_000_000 })
) {
  for (const { time_ns, pid, comm, result, file_name } of reader.drain()) {
    const time = (Number(time_ns) / 1e9).toFixed(6)
    console.log(
      `${time}  ${String(pid).padStart(4)} ${comm.padEnd(12)} ${String(result).padStart(4)}  ${file_name}`,
    )
  }
  if (state.kind !== 'budget') break
}
reader[Symbol.dispose]()
links[Symbol.dispose]()
console.log(`${collection.globals.get('dropped')} records found no room`)
