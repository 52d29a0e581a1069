import { expect, test } from 'vitest'
import type { KernelSymbol } from '../../kernel/index.ts'
import { formatPanic, PanicCollector } from './panic-report.ts'

const symbols: KernelSymbol[] = [
  { name: 'sys_write', address: 0xffffffc080201000n, sizeBytes: 0x100, isFunction: true },
  { name: 'trap_handle', address: 0xffffffc080202000n, sizeBytes: 0x40, isFunction: true },
]
const symbolAt = (address: bigint) =>
  symbols.find((symbol) => address >= symbol.address && address < symbol.address + BigInt(symbol.sizeBytes))

const words = [
  'sh: hello\n',
  'kernel panic: load page fault at 0x8\r\n',
  'panic: cpu 1 hart 1 task 7 my task\n',
  'panic: reg pc ffffffc080201010\npanic: reg ra ffffffc080202040\npanic: reg sp 0xffffffffc0007f00\n',
  'panic: backtrace ffffffc080201010\npanic: backtrace ffffffc080202040\npanic: backtrace 1234\npanic: end\n',
].join('')

test('a panic is collected from console output cut anywhere, and its addresses get names', () => {
  for (let cut = 1; cut < 20; cut += 3) {
    const collector = new PanicCollector()
    const bytes = new TextEncoder().encode(words)
    for (let at = 0; at < bytes.length; at += cut) collector.write(bytes.subarray(at, at + cut))
    const panic = collector.report(symbolAt)
    if (panic === undefined) throw new Error('no panic found')
    expect(formatPanic(panic).split('\n')).toEqual([
      'guest kernel panic: load page fault at 0x8',
      'hart 1, task 7 (my task)',
      '     pc ffffffc080201010     ra ffffffc080202040     sp ffffffffc0007f00',
      'Call trace:',
      ' [<ffffffc080201010>] sys_write+0x10/0x100',
      // The call is the last instruction of trap_handle, so the return address lies behind it.
      ' [<ffffffc080202040>] trap_handle+0x40/0x40',
      ' [<0000000000001234>] ?',
    ])
  }
})

test('ordinary output is no panic, even where it speaks of one', () => {
  const collector = new PanicCollector()
  collector.write(new TextEncoder().encode('panic: reg pc 1\nwhat is a kernel panic?\n'))
  expect(collector.report(symbolAt)).toBeUndefined()
})
