/** Programs that follow typed pointers into the operating system's memory, on both engines. */
import { describe, expect, test } from 'vitest'
import { BPF_PROG_TYPE, progTestRunAttr } from '../abi/index.ts'
import { DATA } from '../probes/testing/tiny-riscv.ts'
import { createKernel } from './kernel.ts'
import { Caller } from './testing/caller.ts'
import { taskTypes } from './testing/task-types.ts'
import { TinyPort } from './testing/tiny-port.ts'

describe.each(['interpreter', 'jit'] as const)('a typed pointer, by the %s', (engine) => {
  const port = new TinyPort()
  port.types = taskTypes()
  const at = (offset: number) => new DataView(port.data.buffer, port.data.byteOffset + offset)
  const writeTask = (offset: number, pid: number, nice: number, level: number, parent: bigint) => {
    at(offset).setInt32(0, pid, true)
    at(offset).setInt16(4, nice, true)
    at(offset).setInt8(6, level)
    at(offset).setBigUint64(8, parent, true)
  }
  writeTask(0x40, 7, -3, -1, DATA + 0x80n)
  writeTask(0x80, 1, 5, 2, 0n)
  port.tasks[0] = { pid: 7, tgid: 7, uid: 0, gid: 0, comm: 'child', address: DATA + 0x40n }
  const kernel = createKernel({ port, engine })
  const caller = new Caller(kernel.openClient())

  const run = (source: string) => {
    const log = { text: '' }
    const program = caller.load(
      `call bpf_get_current_task_btf\n${source}\nexit`,
      { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT },
      log,
    )
    if (program < 0) throw new Error(log.text)
    const attr = progTestRunAttr.encode({ prog_fd: program })
    expect(caller.bpf('BPF_PROG_TEST_RUN', attr)).toBe(0)
    expect(kernel.faults()).toEqual([])
    return progTestRunAttr.read(attr).retval | 0
  }

  test.each([
    ['a word', 'r0 = *(u32 *)(r0 +0)', 7],
    ['a half word', 'r0 = *(u16 *)(r0 +4)', 0xfffd],
    ['a half word with its sign', 'r0 = *(s16 *)(r0 +4)', -3],
    ['a byte', 'r0 = *(u8 *)(r0 +6)', 0xff],
    ['a byte with its sign', 'r0 = *(s8 *)(r0 +6)', -1],
    ['of another task', 'r0 = *(u64 *)(r0 +8)\nr0 = *(u32 *)(r0 +0)', 1],
    ['where it leads nowhere', 'r0 = *(u64 *)(r0 +8)\nr0 = *(u64 *)(r0 +8)\nr0 = *(u32 *)(r0 +0)', 0],
  ])('gives %s', (_name, source, expected) => {
    expect(run(source)).toBe(expected)
  })

  test('is not to be written through', () => {
    expect(() => run('r1 = 1\n*(u32 *)(r0 +0) = r1')).toThrow('only read is supported')
  })

  test('cannot be had where the system has no such type', () => {
    using other = createKernel({ port: new TinyPort(), engine })
    const log = { text: '' }
    const source = 'call bpf_get_current_task_btf\nr0 = 0\nexit'
    const type = { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT }
    expect(new Caller(other.openClient()).load(source, type, log)).toBeLessThan(0)
    expect(log.text).not.toBe('')
  })
})
