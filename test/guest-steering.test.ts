/** Programs that act on the guest's tasks: signals, and system calls that return at once. */
import { describe, expect, test } from 'vitest'
import { Caller } from '../src/kernel/testing/caller.ts'
import { GuestUnderTest } from './support/guest.ts'

/** Types a line into the shell, and gives what appears on the console until it waits again. */
function typed(under: GuestUnderTest, line: string): string {
  const before = under.console.length
  under.guest.machine.sendConsole(new TextEncoder().encode(`${line}\n`))
  for (let slice = 0; slice < 400; slice++) if (under.guest.run().kind === 'idle') break
  return under.console.slice(before)
}

describe('in the guest', () => {
  function shell() {
    const under = new GuestUnderTest({ bootargs: 'script=-' })
    while (under.guest.run().kind !== 'idle');
    return { under, caller: new Caller(under.client) }
  }

  /** Attaches a program to a function for as long as `use` runs. */
  function attached(caller: Caller, source: string, symbol: string, use: () => void): void {
    const program = caller.load(source)
    const link = caller.link(program, caller.openProbe(symbol))
    expect(link).toBeGreaterThan(0)
    use()
    caller.syscalls.close(link)
  }

  test('a task that makes a certain system call is sent a signal, and ends', () => {
    const { under, caller } = shell()
    using _under = under
    expect(typed(under, 'uname')).toContain('riscv64')
    attached(caller, 'r1 = 9\ncall bpf_send_signal\nr0 = 0\nexit', 'sys_uname', () => {
      expect(typed(under, 'uname')).not.toContain('riscv64')
    })
    expect(typed(under, 'uname')).toContain('riscv64')
    // What ends nobody, and what is no signal.
    for (const signal of [0, 17, 18, 65]) {
      attached(caller, `r1 = ${signal}\ncall bpf_send_signal_thread\nr0 = 0\nexit`, 'sys_uname', () => {
        expect(typed(under, 'uname')).toContain('riscv64')
      })
    }
  })

  test('a system call returns what a program says, and does nothing', () => {
    const { under, caller } = shell()
    using _under = under
    // EROFS
    attached(caller, 'r2 = -30\ncall bpf_override_return\nr0 = 0\nexit', 'sys_mkdirat', () => {
      expect(typed(under, 'mkdir /tmp/one')).toContain('mkdir: ')
    })
    expect(typed(under, 'ls /tmp')).not.toContain('one')
    expect(typed(under, 'mkdir /tmp/two')).not.toContain('mkdir: ')
    expect(typed(under, 'ls /tmp')).toContain('two')
    const program = caller.load('r2 = 0\ncall bpf_override_return\nr0 = 0\nexit')
    expect(caller.link(program, caller.openProbe('task_kill'))).toBe(-22)
  })
})
