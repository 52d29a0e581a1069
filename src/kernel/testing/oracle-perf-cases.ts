/** Calls that linux-oracle.test.ts makes of both kernels: perf_event_open(2), ioctl and mmap of its descriptors. */
import * as abi from '../../abi/index.ts'
import { perfEventAttr, type StructValue } from '../../abi/index.ts'
import { createMap, define, hash, loadProgram, type OracleCase, TRIVIAL } from './oracle.ts'
import type { Script } from './script.ts'

type Attr = Partial<StructValue<typeof perfEventAttr>>

const output: Attr = {
  type: abi.PERF_TYPE.PERF_TYPE_SOFTWARE,
  size: perfEventAttr.size,
  config: abi.PERF_COUNT_SW_BPF_OUTPUT,
  sample_type: abi.PERF_SAMPLE_RAW,
  wakeup_events: 1,
}

export function perfCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  const event = (script: Script, change: Attr = {}) =>
    script.buffer(perfEventAttr.encode({ ...output, ...change }))

  for (const size of [0, 63, 64, 72, 136, 144, 4096, 4097]) {
    for (const last of [0, 1]) {
      add(`perf_event_open: size ${size}, last byte ${last}`, (script) => {
        const bytes = new Uint8Array(4200)
        bytes.set(perfEventAttr.encode({ ...output, size }))
        if (size > 136) bytes[size - 1] = last
        const attr = script.buffer(bytes)
        script.perf(attr)
        script.dump(attr, 0, 8)
      })
    }
  }

  add('perf_event_open: pid, cpu, group, flags', (script) => {
    const attr = event(script)
    script.perf(attr, -1, 0)
    script.perf(attr, -1, -1)
    script.perf(attr, -1, 9999)
    script.perf(attr, -1, -2)
    script.perf(attr, 0, -1)
    script.perf(attr, 0, 0)
    script.perf(attr, 99_999_999, 0)
    script.perf(attr, -1, 0, undefined, 0)
    script.perf(attr, -1, 0, undefined, 16)
    script.perf(attr, -1, -1, undefined, 4)
    script.perf(attr, -1, 0, createMap(script, hash))
    script.perf(undefined)
  })

  for (const [name, change] of [
    ['an unknown type', { type: 999 }],
    ['unknown sample types', { sample_type: 1n << 40n }],
    ['an unknown read format', { read_format: 1n << 40n }],
    ['an unknown flag', { flags: 1n << 63n }],
    ['disabled', { flags: 1n }],
    ['a reserved member', { reserved_2: 1 }],
  ] as readonly [string, Attr][]) {
    add(`perf_event_open: ${name}`, (script) => script.perf(event(script, change)))
  }

  add('ioctl of perf events', (script) => {
    const opened = script.perf(event(script))
    const map = createMap(script, hash)
    script.ioctl(opened, abi.PERF_EVENT_IOC_ENABLE, 0)
    script.ioctl(opened, abi.PERF_EVENT_IOC_DISABLE, 0)
    script.ioctl(opened, abi.PERF_EVENT_IOC_RESET, 0)
    script.ioctl(opened, 0x9999, 0)
    script.ioctl(opened, abi.PERF_EVENT_IOC_SET_BPF, loadProgram(script, TRIVIAL))
    script.ioctl(opened, abi.PERF_EVENT_IOC_SET_BPF, map)
    script.ioctl(opened, abi.PERF_EVENT_IOC_SET_BPF, 999)
    script.ioctl(opened, abi.PERF_EVENT_IOC_SET_BPF, -1)
    script.ioctl(opened, abi.PERF_EVENT_IOC_QUERY_BPF, script.buffer(64))
    script.ioctl(opened, abi.PERF_EVENT_IOC_ID, 16)
    script.ioctl(opened, abi.PERF_EVENT_IOC_ID, script.buffer(8))
    script.ioctl(map, abi.PERF_EVENT_IOC_ENABLE, 0)
    script.close(opened)
    script.ioctl(opened, abi.PERF_EVENT_IOC_ENABLE, 0)
  })

  add('mmap of perf events', (script) => {
    const both = abi.PROT_READ | abi.PROT_WRITE
    const opened = script.perf(event(script))
    for (const [pages, sharing] of [
      [4, abi.MAP_SHARED],
      [3, abi.MAP_PRIVATE],
      [3, abi.MAP_SHARED],
      [5, abi.MAP_SHARED],
      [3, abi.MAP_SHARED],
    ] as const) {
      script.mmap(opened, 4096 * pages, both, sharing, 0)
    }
    const other = script.perf(event(script))
    script.mmap(other, 4096 * 2, abi.PROT_READ, abi.MAP_SHARED, 0)
  })
  return cases
}
