/** Calls of kernel functions on both engines, where nothing else is at hand; test/linux holds them to a running Linux. */
import { describe, expect, test } from 'vitest'
import { BPF_F_SLEEPABLE, BPF_PROG_TYPE, progTestRunAttr } from '../abi/index.ts'
import { BTF_KIND, Btf } from '../btf/index.ts'
import { DATA } from '../probes/testing/tiny-riscv.ts'
import { createKernel } from './kernel.ts'
import type { TaskIdentity } from './port.ts'
import { Caller } from './testing/caller.ts'
import { taskTypes } from './testing/task-types.ts'
import { TinyPort } from './testing/tiny-port.ts'
import type { Client } from './types.ts'

class PortWithTasks extends TinyPort {
  override types = taskTypes()

  allTasks(): readonly TaskIdentity[] {
    return [1, 5, 6, 9].map((pid) => this.#task(pid))
  }

  /** Thread 6 is one of process 5. */
  #task(pid: number): TaskIdentity {
    const offset = 0x40 * pid
    new DataView(this.data.buffer, this.data.byteOffset + offset).setInt32(0, pid, true)
    const tgid = pid === 6 ? 5 : pid
    return { pid, tgid, uid: 0, gid: 0, comm: 'task', address: DATA + BigInt(offset) }
  }
}

const typesOf = (client: Client): Btf => {
  const bytes = new Caller(client).readFile('/sys/kernel/btf/vmlinux')
  const types = typeof bytes === 'number' ? undefined : Btf.parse(bytes)
  if (!(types instanceof Btf)) throw new Error('no types')
  return types
}

describe.each(['interpreter', 'jit'] as const)('kernel functions, by the %s', (engine) => {
  /** `call NAME` of a function of the kernel's types; what the program returns, or the end of the log. */
  function run(source: string, port = new TinyPort()): number | string {
    using kernel = createKernel({ port, engine })
    using client = kernel.openClient()
    const types = typesOf(client)
    const text = source.replace(/call (bpf_\w+)/g, (_all, name: string) => {
      const id = types.find(name, BTF_KIND.FUNC)
      return `call kernel-function#${id ?? 999_999}`
    })
    const log = { text: '' }
    const caller = new Caller(client)
    const program = caller.load(
      `${text}\nexit`,
      { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL, prog_flags: BPF_F_SLEEPABLE },
      log,
    )
    if (program < 0) return log.text.split('\n').at(-3) ?? ''
    const attr = progTestRunAttr.encode({ prog_fd: program })
    expect(caller.bpf('BPF_PROG_TEST_RUN', attr)).toBe(0)
    expect(kernel.faults()).toEqual([])
    client.close(program)
    expect(kernel.stats()).toMatchObject({ programs: 0, objects: 0 })
    return progTestRunAttr.read(attr).retval | 0
  }

  const ITERATOR = 'r1 = r10\nr1 += -8'

  test('numbers from the first to the one before the last', () => {
    const source = `
      r6 = 0
      ${ITERATOR}
      r2 = -3
      r3 = 5
      call bpf_iter_num_new
    next:
      ${ITERATOR}
      call bpf_iter_num_next
      if r0 == 0 goto over
      r1 = *(s32 *)(r0 +0)
      r6 *= 10
      r6 += r1
      goto next
    over:
      ${ITERATOR}
      call bpf_iter_num_destroy
      r0 = r6`
    expect(run(source)).toBe([-3, -2, -1, 0, 1, 2, 3, 4].reduce((sum, n) => sum * 10 + n, 0))
  })

  test('an exception ends every frame', () => {
    expect(run('call inner\nr0 = 1\nexit\ninner: r1 = 77\ncall bpf_throw\nr0 = 2')).toBe(77)
  })

  test('tasks are walked through in the order of their ids', () => {
    const walk = (flags: number) => `
      r6 = 0
      call bpf_rcu_read_lock
      r1 = r10
      r1 += -24
      r2 = 0
      r3 = ${flags}
      call bpf_iter_task_new
    next:
      r1 = r10
      r1 += -24
      call bpf_iter_task_next
      if r0 == 0 goto over
      r1 = *(u32 *)(r0 +0)
      r6 *= 10
      r6 += r1
      goto next
    over:
      r1 = r10
      r1 += -24
      call bpf_iter_task_destroy
      call bpf_rcu_read_unlock
      r0 = r6`
    expect(run(walk(0), new PortWithTasks())).toBe(159)
    expect(run(walk(1), new PortWithTasks())).toBe(1569)
    expect(run(walk(3), new PortWithTasks())).toBe(0)
    expect(run(walk(0))).toBe('kernel btf_id 999999 is not a function')
  })

  test('a task is found by its id, or not', () => {
    const find = (pid: number) => `
      r1 = ${pid}
      call bpf_task_from_pid
      if r0 == 0 goto none
      r6 = *(u32 *)(r0 +0)
      r1 = r0
      call bpf_task_release
      r0 = r6
      exit
    none:
      r0 = -1`
    expect(run(find(9), new PortWithTasks())).toBe(9)
    expect(run(find(4), new PortWithTasks())).toBe(-1)
  })
})

test('the types of the system stay as they are, with the functions behind them', () => {
  const port = new PortWithTasks()
  using kernel = createKernel({ port })
  using client = kernel.openClient()
  const types = typesOf(client)
  const own = Btf.parse(port.types)
  if (!(own instanceof Btf)) throw new Error('no types')
  for (const id of own.ids()) expect(types.typeById(id)).toEqual(own.typeById(id))
  const tagged = [...types.ids()].filter((id) => types.nameOf(id) === 'bpf_kfunc')
  expect(tagged.length).toBeGreaterThan(90)
})
