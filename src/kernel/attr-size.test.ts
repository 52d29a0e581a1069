/** The size rules of bpf(2) and perf_event_open(2), told without a Linux to ask. */
import { expect, test } from 'vitest'
import {
  BPF_ATTR_SIZE,
  BPF_MAP_TYPE,
  E2BIG,
  EFAULT,
  EINVAL,
  mapCreateAttr,
  PAGE_SIZE,
  perfEventAttr,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

const array = mapCreateAttr.encode({
  map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARRAY,
  key_size: 4,
  value_size: 8,
  max_entries: 1,
})

/** The attribute of an array map in `sizeBytes`, with a 1 at `dirty`. */
function attribute(sizeBytes: number, dirty?: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  bytes.set(array.subarray(0, sizeBytes))
  if (dirty !== undefined) bytes[dirty] = 1
  return bytes
}

test.each<[string, Uint8Array, number]>([
  ['shorter than the members that matter: the rest is zero', attribute(16), 0],
  ['too short for max_entries', attribute(12), -EINVAL],
  ['empty', attribute(0), -EINVAL],
  ['just what is known', attribute(BPF_ATTR_SIZE), 0],
  ['longer, with zeros', attribute(BPF_ATTR_SIZE + 40), 0],
  ['longer, with a bit past what is known', attribute(BPF_ATTR_SIZE + 40, BPF_ATTR_SIZE), -E2BIG],
  ['longer, with a bit in its last byte', attribute(BPF_ATTR_SIZE + 40, BPF_ATTR_SIZE + 39), -E2BIG],
  ['a bit past what the command uses', attribute(BPF_ATTR_SIZE, BPF_ATTR_SIZE - 1), -EINVAL],
  ['a page', attribute(PAGE_SIZE), 0],
  ['more than a page', attribute(PAGE_SIZE + 1), -E2BIG],
])('an attribute of bpf(2) that is %s', (_, attr, expected) => {
  const caller = new Caller(createKernel({ port: new TinyPort() }).openClient())
  expect(Math.min(caller.bpf('BPF_MAP_CREATE', attr), 0)).toBe(expected)
})

test('an attribute of bpf(2) that cannot be read', () => {
  const { syscalls } = new Caller(createKernel({ port: new TinyPort() }).openClient())
  expect(syscalls.bpf(0, 1n, BPF_ATTR_SIZE)).toBe(-EFAULT)
  expect(syscalls.bpf(0, 1n, BPF_ATTR_SIZE + 8)).toBe(-EFAULT)
})

test.each([-1, 9999, 2 ** 31 - 1])('command %i, which there is not', (command) => {
  const caller = new Caller(createKernel({ port: new TinyPort() }).openClient())
  expect(caller.bpf(command, attribute(BPF_ATTR_SIZE))).toBe(-EINVAL)
})

test('perf_event_open says how large an attribute it knows', () => {
  const { syscalls } = new Caller(createKernel({ port: new TinyPort() }).openClient())
  const size = perfEventAttr.size + 8
  const pointer = syscalls.memory.allocate(size)
  syscalls.memory.view(pointer, size).set(perfEventAttr.encode({ size }))
  syscalls.memory.view(pointer, size)[size - 1] = 1
  expect(syscalls.perfEventOpen(pointer, -1, 0, -1, 0n)).toBe(-E2BIG)
  expect(perfEventAttr.read(syscalls.memory.view(pointer, size)).size).toBe(perfEventAttr.size)
})
