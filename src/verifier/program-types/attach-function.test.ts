/** Functions of the kernel that programs attach to: which, who may sleep there, and what a security hook returns. */
import { describe, expect, test } from 'vitest'
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import { functionTypes } from '../../btf/testing/function-types.ts'
import { assemble } from '../../isa/index.ts'
import type { ProgramInput } from '../program.ts'
import { prove } from '../prover.ts'

const A = BPF_ATTACH_TYPE

const kernelTypes = functionTypes(
  'int vfs_read(struct file *file)',
  'void blk_account_io_done(struct request *request)',
  'int filp_close(struct file *file)',
  'int bpf_sk_storage_free(struct sock *sk)',
  'int __x64_sys_getpid(struct pt_regs *regs)',
  'int __rcu_read_lock(int number)',
  'int do_exit(int code)',
  'int security_file_open(struct file *file)',
  'int bpf_lsm_file_open(struct file *file)',
  'int bpf_lsm_task_kill(struct task_struct *task)',
  'int bpf_lsm_vm_enough_memory(struct mm_struct *mm)',
  'int bpf_lsm_inode_xattr_skipcap(int flags)',
)
const BPF_F_SLEEPABLE = 0x10

interface Attaching extends Partial<ProgramInput> {
  readonly source?: string
}

/** The verdict's last line, or 'accepted'. */
function attach(to: string, type: number, { source = 'r0 = 0\nexit', ...more }: Attaching = {}): string {
  const assembled = assemble(source)
  if (!assembled.ok) throw new Error(JSON.stringify(assembled.errors))
  const isLsm = type === A.BPF_LSM_MAC
  const verdict = prove({
    instructions: assembled.program,
    programType: isLsm ? BPF_PROG_TYPE.BPF_PROG_TYPE_LSM : BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING,
    expectedAttachType: type,
    flags: 0,
    license: 'GPL',
    name: 'p',
    maps: [],
    descriptors: [],
    functions: [],
    lines: [],
    logLevel: 0,
    kernelTypes,
    attach: { btfId: kernelTypes.find(to, BTF_KIND.FUNC) ?? 0 },
    ...more,
  })
  return verdict.accepted ? 'accepted' : verdict.message
}

describe('a program for a function', () => {
  test.each([
    ['vfs_read', A.BPF_TRACE_FENTRY, 'accepted'],
    ['vfs_read', A.BPF_TRACE_FEXIT, 'accepted'],
    ['vfs_read', A.BPF_MODIFY_RETURN, 'vfs_read() is not modifiable'],
    ['security_file_open', A.BPF_MODIFY_RETURN, 'accepted'],
    ['__x64_sys_getpid', A.BPF_MODIFY_RETURN, 'accepted'],
    [
      '__rcu_read_lock',
      A.BPF_TRACE_FENTRY,
      "Attaching tracing programs to function '__rcu_read_lock' is rejected.",
    ],
    ['do_exit', A.BPF_TRACE_FENTRY, 'accepted'],
    ['do_exit', A.BPF_TRACE_FEXIT, "Attaching fexit/fmod_ret to __noreturn function 'do_exit' is rejected."],
  ])('%s as %i: %s', (name, type, expected) => {
    expect(attach(name, type)).toBe(expected)
  })

  test('has an address, by what the kernel says if it does', () => {
    const none = 'The address of function blk_account_io_done cannot be found'
    expect(attach('blk_account_io_done', A.BPF_TRACE_FENTRY)).toBe(none)
    const hasFunction = (name: string) => name === 'blk_account_io_done'
    expect(attach('blk_account_io_done', A.BPF_TRACE_FENTRY, { hasFunction })).toBe('accepted')
    expect(attach('vfs_read', A.BPF_TRACE_FENTRY, { hasFunction })).toBe(
      'The address of function vfs_read cannot be found',
    )
  })

  test('sleeps only where errors can be injected', () => {
    const flags = BPF_F_SLEEPABLE
    expect(attach('vfs_read', A.BPF_TRACE_FENTRY, { flags })).toBe('vfs_read is not sleepable')
    expect(attach('__x64_sys_getpid', A.BPF_TRACE_FENTRY, { flags })).toBe('accepted')
  })

  test('asks the kernel where errors can be injected, if it says so', () => {
    const isErrorInjectable = (name: string) => name === 'vfs_read'
    const more = { flags: BPF_F_SLEEPABLE, isErrorInjectable }
    expect(attach('vfs_read', A.BPF_TRACE_FENTRY, more)).toBe('accepted')
    expect(attach('vfs_read', A.BPF_MODIFY_RETURN, { isErrorInjectable })).toBe('accepted')
    expect(attach('__x64_sys_getpid', A.BPF_TRACE_FENTRY, more)).toBe('__x64_sys_getpid is not sleepable')
  })
})

describe('a helper that is not for every function', () => {
  // Before its arguments are looked at.
  test.each([
    ['vfs_read', 147, 'helper call is not allowed in probe'],
    ['filp_close', 147, 'R1 type=ctx expected=ptr_, trusted_ptr_, rcu_ptr_'],
    ['bpf_sk_storage_free', 107, 'helper call is not allowed in probe'],
    ['vfs_read', 107, 'R1 type=ctx expected=map_ptr'],
  ])('in %s: %i', (name, helper, expected) => {
    expect(attach(name, A.BPF_TRACE_FENTRY, { source: `call ${helper}\nr0 = 0\nexit` })).toBe(expected)
  })
})

describe('a program for a security hook', () => {
  const id = kernelTypes.find('bpf_lsm_vm_enough_memory', BTF_KIND.FUNC)
  const other = kernelTypes.find('vfs_read', BTF_KIND.FUNC)

  test.each([
    ['bpf_lsm_file_open', {}, 'accepted'],
    ['bpf_lsm_file_open', { flags: BPF_F_SLEEPABLE }, 'accepted'],
    ['bpf_lsm_task_kill', { flags: BPF_F_SLEEPABLE }, 'bpf_lsm_task_kill is not sleepable'],
    ['bpf_lsm_vm_enough_memory', {}, `attach_btf_id ${id} points to disabled hook bpf_lsm_vm_enough_memory`],
    ['vfs_read', {}, `attach_btf_id ${other} points to wrong type name vfs_read`],
    ['bpf_lsm_file_open', { license: 'MIT' }, 'LSM programs must have a GPL compatible license'],
  ])('%s with %j: %s', (name, more, expected) => {
    expect(attach(name, A.BPF_LSM_MAC, more)).toBe(expected)
  })

  test('knows the range of what the hook is going to return', () => {
    const source = 'r0 = *(u64 *)(r1 + 8)\nexit'
    expect(attach('bpf_lsm_file_open', A.BPF_LSM_MAC, { source })).toBe('accepted')
    expect(attach('bpf_lsm_inode_xattr_skipcap', A.BPF_LSM_MAC, { source })).toBe('accepted')
    const one = 'r0 = *(u64 *)(r1 + 8)\nr0 += 1\nexit'
    expect(attach('bpf_lsm_file_open', A.BPF_LSM_MAC, { source: one })).toMatch(
      /^At program exit the register R0 has .* should have been in \[-4095, 0\]$/,
    )
  })
})
