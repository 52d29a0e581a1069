/**
 * Nanoseconds per load and store of a word, by a program that loops over them: in an arena and in an array's value, on
 * this project's kernel and on the running Linux, in one run.
 */
import {
  BPF_CMD,
  BPF_F_MMAPABLE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  progTestRunAttr,
  type Syscalls,
} from '../src/abi/index.ts'
import { bpf, createMap, loadProgram } from '../src/client/calls.ts'
import { UserBuffer } from '../src/client/owner.ts'
import { assemble, encode, WIDE_SOURCE, wideInstruction } from '../src/isa/index.ts'
import { createKernel } from '../src/kernel/index.ts'
import { TinyPort } from '../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../src/ports/linux/index.ts'

const ROUNDS = 1000
const REPEAT = 2000

function assembled(text: string) {
  const result = assemble(text)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

/** Best of seven test runs, in nanoseconds per load and store. */
function measure(kernel: Syscalls, where: 'arena' | 'array'): number {
  const isArena = where === 'arena'
  const map = createMap(
    kernel,
    isArena
      ? { map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA, max_entries: 100, map_flags: BPF_F_MMAPABLE }
      : { map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4096, max_entries: 1 },
  )
  if (typeof map === 'number') throw new Error(`BPF_MAP_CREATE: ${map}`)
  using open = map
  if (isArena) {
    const at = kernel.mmap(0n, 100 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, open.fd, 0)
    if (at < 0n) throw new Error(`mmap: ${at}`)
    kernel.memory.view(at, 8).fill(0)
  }
  const instructions = encode([
    ...wideInstruction(6, WIDE_SOURCE.MAP_VALUE, BigInt(open.fd)),
    ...assembled(`
      ${isArena ? 'r6 = addr_space_cast(r6, 0, 1)' : 'r6 = r6'}
      r7 = ${ROUNDS}
      r1 = *(u64 *)(r6 +8)
      r1 += r7
      *(u64 *)(r6 +8) = r1
      r7 -= 1
      if r7 != 0 goto -5
      r0 = 2
      exit`),
  ])
  const { result, log } = loadProgram(
    kernel,
    {
      name: 'bench',
      type: BPF_PROG_TYPE.BPF_PROG_TYPE_XDP,
      expectedAttachType: 0,
      flags: 0,
      license: 'GPL',
      kernelVersion: 0,
      instructions,
      btf: undefined,
    },
    { level: 1, sizeBytes: 1 << 20 },
  )
  if (typeof result === 'number') throw new Error(`BPF_PROG_LOAD: ${result}\n${log.slice(-500)}`)
  using program = result
  using data = UserBuffer.of(kernel.memory, new Uint8Array(64))
  const attr = { prog_fd: program.fd, data_in: data.pointer, data_size_in: 64, repeat: REPEAT }
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 7; round++) {
    const start = process.hrtime.bigint()
    const status = bpf(kernel, BPF_CMD.BPF_PROG_TEST_RUN, progTestRunAttr.encode(attr))
    const each = Number(process.hrtime.bigint() - start) / REPEAT / ROUNDS
    if (status < 0) throw new Error(`BPF_PROG_TEST_RUN: ${status}`)
    best = Math.min(best, each)
  }
  return best
}

const linux = openLinux()
using kernel = createKernel({ port: new TinyPort() })
using client = kernel.openClient()
for (const where of ['array', 'arena'] as const) {
  const ours = measure(client, where)
  const theirs = linux instanceof LinuxUnavailable ? undefined : measure(linux, where)
  const ratio =
    theirs === undefined ? 'no Linux' : `${(ours / theirs).toFixed(2)} times Linux's ${theirs.toFixed(2)}`
  console.log(`${where.padEnd(8)} ${ours.toFixed(2).padStart(8)} ns  ${ratio}`)
}
if (!(linux instanceof LinuxUnavailable)) linux[Symbol.dispose]()
