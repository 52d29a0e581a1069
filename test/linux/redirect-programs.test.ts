/** Entries of devmaps and cpumaps with programs of their own, here and on the Linux that runs the tests. */
import { afterAll, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_CMD,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  errnoName,
  mapElemAttr,
  type Syscalls,
} from '../../src/abi/index.ts'
import { bpf, createMap, loadProgram } from '../../src/client/calls.ts'
import { Owner, UserBuffer } from '../../src/client/owner.ts'
import { assemble, encode } from '../../src/isa/index.ts'
import { type BothKernels, openBoth, u32 } from './two-kernels.ts'

const both = openBoth()
const why = typeof both === 'string' ? ` (skipped: ${both})` : ''
afterAll(() => {
  if (typeof both !== 'string') both[Symbol.dispose]()
})

const T = BPF_MAP_TYPE
const A = BPF_ATTACH_TYPE

/** What updates with programs of different kinds leave: answers, and whether an id is shown. */
function answers(kernel: Syscalls, type: number, first: number): string[] {
  using owner = new Owner()
  const map = createMap(kernel, { map_type: type, key_size: 4, value_size: 8, max_entries: 4 })
  if (typeof map === 'number') throw new Error(errnoName(map))
  owner.own(map)
  const assembled = assemble('r0 = 2\nexit')
  if (!assembled.ok) throw new Error(assembled.errors[0].message)
  const program = (progType: number, attachType: number) => {
    const { result } = loadProgram(
      kernel,
      {
        name: 'p',
        type: progType,
        expectedAttachType: attachType,
        flags: 0,
        license: 'GPL',
        kernelVersion: 0,
        instructions: encode(assembled.program),
        btf: undefined,
      },
      undefined,
    )
    if (typeof result === 'number') throw new Error(errnoName(result))
    return owner.own(result).fd
  }
  const xdp = BPF_PROG_TYPE.BPF_PROG_TYPE_XDP
  const programs = {
    none: 0,
    negative: -1,
    closed: 4000,
    'of xdp': program(xdp, 0),
    'for devmaps': program(xdp, A.BPF_XDP_DEVMAP),
    'for cpumaps': program(xdp, A.BPF_XDP_CPUMAP),
    'of tc': program(BPF_PROG_TYPE.BPF_PROG_TYPE_SCHED_CLS, 0),
    'the map': map.fd,
  }
  const key = owner.own(UserBuffer.of(kernel.memory, u32(0)))
  const value = owner.own(new UserBuffer(kernel.memory, 8))
  const call = (cmd: (typeof BPF_CMD)[keyof typeof BPF_CMD]) =>
    bpf(
      kernel,
      cmd,
      mapElemAttr.encode({
        map_fd: map.fd,
        key: key.pointer,
        value: cmd === BPF_CMD.BPF_MAP_DELETE_ELEM ? 0n : value.pointer,
      }),
    )
  const all: string[] = []
  for (const target of [first, 0]) {
    for (const [name, fd] of Object.entries(programs)) {
      value.bytes.set(u32(target, fd >>> 0))
      const updated = call(BPF_CMD.BPF_MAP_UPDATE_ELEM)
      value.bytes.fill(0)
      const found = call(BPF_CMD.BPF_MAP_LOOKUP_ELEM)
      const [shown, id] = new Uint32Array(value.bytes.slice().buffer)
      all.push(
        `${target} ${name}: ${updated && errnoName(updated)} ${found && errnoName(found)} ${shown} ${id !== 0}`,
      )
    }
  }
  all.push(`${call(BPF_CMD.BPF_MAP_DELETE_ELEM)}`)
  return all
}

test.skipIf(why !== '').each([
  ['devmap', T.BPF_MAP_TYPE_DEVMAP, 1],
  ['devmap_hash', T.BPF_MAP_TYPE_DEVMAP_HASH, 1],
  ['cpumap', T.BPF_MAP_TYPE_CPUMAP, 16],
])(`%s${why}`, (_name, type, first) => {
  const { linux, ours } = both as BothKernels
  expect(answers(ours, type, first)).toEqual(answers(linux, type, first))
})
