import { describe, expect, test } from 'vitest'
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/bpf.ts'
import { parseSectionName, sectionRows } from './index.ts'

test.each(sectionRows.map((row) => [row.pattern, row] as const))(
  '%s alone is its row, without a target',
  (pattern, row) => {
    const definition = parseSectionName(pattern.replace('+', ''))
    expect(definition).toMatchObject({
      pattern,
      programType: row.type,
      expectedAttachType: row.attach,
      attach: { kind: 'none' },
    })
  },
)

test('every program type that has a section name is reachable, and every pattern stands once', () => {
  const types = new Set<number>(sectionRows.map((row) => row.type))
  const missing = Object.entries(BPF_PROG_TYPE).filter(([, type]) => !types.has(type))
  expect(missing.map(([name]) => name)).toEqual(['BPF_PROG_TYPE_UNSPEC'])
  expect(new Set(sectionRows.map((row) => row.pattern)).size).toBe(sectionRows.length)
})

describe('targets', () => {
  const uprobe = { kind: 'uprobe', isReturn: false, isMulti: false, isSession: false }
  test.each([
    ['kprobe/sys_read', { kind: 'kprobe', symbol: 'sys_read', offset: 0, isReturn: false }],
    ['kprobe/sys_read+0x10', { kind: 'kprobe', symbol: 'sys_read', offset: 16, isReturn: false }],
    ['kprobe/sys_read+16', { kind: 'kprobe', symbol: 'sys_read', offset: 16, isReturn: false }],
    ['kprobe/sys_read+020', { kind: 'kprobe', symbol: 'sys_read', offset: 16, isReturn: false }],
    [
      'kprobe/_ZN4core3fmt17h0123E',
      { kind: 'kprobe', symbol: '_ZN4core3fmt17h0123E', offset: 0, isReturn: false },
    ],
    ['kretprobe/sys_read', { kind: 'kprobe', symbol: 'sys_read', offset: 0, isReturn: true }],
    ['kprobe/sys_read+', { kind: 'invalid', text: 'sys_read+', expected: '<symbol> or <symbol>+<offset>' }],
    [
      'kprobe/sys_read+ten',
      { kind: 'invalid', text: 'sys_read+ten', expected: '<symbol> or <symbol>+<offset>' },
    ],
    [
      'kretprobe/f+4',
      { kind: 'invalid', text: 'f+4', expected: '<symbol> without an offset: a return has no place inside' },
    ],
    ['kprobe.multi/tcp_*', { kind: 'kprobeMulti', pattern: 'tcp_*', isReturn: false, isSession: false }],
    ['kprobe.session/tcp_*', { kind: 'kprobeMulti', pattern: 'tcp_*', isReturn: false, isSession: true }],
    ['uprobe//bin/sh:main+8', { ...uprobe, path: '/bin/sh', symbol: 'main', offset: 8 }],
    ['uprobe/libc.so.6:malloc', { ...uprobe, path: 'libc.so.6', symbol: 'malloc', offset: 0 }],
    ['uprobe//bin/sh:0x1234', { ...uprobe, path: '/bin/sh', symbol: '', offset: 0x1234 }],
    [
      'uretprobe.multi.s//bin/sh:f*',
      { ...uprobe, path: '/bin/sh', symbol: 'f*', offset: 0, isReturn: true, isMulti: true },
    ],
    [
      'uprobe/nothing',
      {
        kind: 'invalid',
        text: 'nothing',
        expected: '<path>:<symbol>, <path>:<symbol>+<offset> or <path>:<offset>',
      },
    ],
    ['ksyscall/openat', { kind: 'ksyscall', syscall: 'openat', isReturn: false }],
    ['kretsyscall/openat', { kind: 'ksyscall', syscall: 'openat', isReturn: true }],
    [
      'usdt//usr/bin/node:node:gc__start',
      { kind: 'usdt', path: '/usr/bin/node', provider: 'node', name: 'gc__start' },
    ],
    ['usdt/node', { kind: 'invalid', text: 'node', expected: '<path>:<provider>:<name>' }],
    [
      'tracepoint/syscalls/sys_enter_openat',
      { kind: 'tracepoint', category: 'syscalls', name: 'sys_enter_openat' },
    ],
    ['tp/sched/sched_switch', { kind: 'tracepoint', category: 'sched', name: 'sched_switch' }],
    ['tp/sched', { kind: 'invalid', text: 'sched', expected: '<category>/<name>' }],
    ['raw_tp/sched_switch', { kind: 'rawTracepoint', name: 'sched_switch' }],
    ['fentry/vfs_read', { kind: 'btf', name: 'vfs_read', module: undefined }],
    ['fexit/xfs:xfs_read', { kind: 'btf', name: 'xfs_read', module: 'xfs' }],
    ['lsm/file_open', { kind: 'btf', name: 'file_open', module: undefined }],
    ['iter/task', { kind: 'btf', name: 'task', module: undefined }],
    ['struct_ops/init', { kind: 'structOps', name: 'init' }],
  ])('%s', (section, target) => {
    expect(parseSectionName(section).attach).toEqual(target)
  })
})

describe('which row', () => {
  test.each([
    ['xdp', 'xdp'],
    ['xdp/devmap', 'xdp/devmap'],
    ['xdp.frags/devmap', 'xdp.frags/devmap'],
    // Older loaders put a label behind the word.
    ['xdp/my_program', 'xdp'],
    ['classifier/ingress', 'classifier'],
    ['tc/ingress', 'tc/ingress'],
    ['tc/other', 'tc'],
    ['cgroup/sock', 'cgroup/sock'],
    ['cgroup/sock_create', 'cgroup/sock_create'],
    ['cgroup/skb/any', 'cgroup/skb'],
    ['kprobe.multi/x', 'kprobe.multi+'],
    ['tp_btf/x', 'tp_btf+'],
    ['kprobes/x', ''],
    ['xdping', ''],
    ['.text', ''],
    ['my_section', ''],
  ])('%s is %s', (section, pattern) => {
    expect(parseSectionName(section).pattern).toBe(pattern)
  })

  test('a name of no row has no type', () => {
    expect(parseSectionName('mine')).toEqual({
      pattern: '',
      programType: BPF_PROG_TYPE.BPF_PROG_TYPE_UNSPEC,
      expectedAttachType: 0,
      sleepable: false,
      xdpFrags: false,
      attach: { kind: 'none' },
    })
  })

  test('sleepable and multi-buffer rows say so', () => {
    expect(parseSectionName('fentry.s/f')).toMatchObject({
      sleepable: true,
      expectedAttachType: BPF_ATTACH_TYPE.BPF_TRACE_FENTRY,
    })
    expect(parseSectionName('xdp.frags')).toMatchObject({ xdpFrags: true })
  })
})
