/**
 * Which functions of the kernel a program may attach to.
 *
 * Rules: to change what a function returns, or to sleep where it begins, errors must be injectable there. A kernel says
 * where they are; of a Linux whose types are all that is known, they are at its system calls.
 *
 * Source: check_attach_btf_id, bpf_check_attach_target, btf_id_deny, noreturn_deny in kernel/bpf/verifier.c,
 * bpf_test_modify_return_ids in net/bpf/test_run.c, bpf_mptcp_fmodret_ids in net/mptcp/bpf.c of Linux 6.18.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import type { Proof } from '../proof.ts'
import { EINVAL, ENOENT } from '../refusal.ts'
import { checkLsmHook, SLEEPABLE_LSM_HOOKS } from './lsm-hooks.ts'

/** A program there would be run by what the trampoline itself calls. */
const DENIED: ReadonlySet<string> = new Set([
  '___migrate_enable',
  'migrate_disable',
  'migrate_enable',
  'rcu_read_unlock_strict',
  'preempt_count_add',
  'preempt_count_sub',
  '__rcu_read_lock',
  '__rcu_read_unlock',
])

/** They do not return, so nothing can run behind them. */
const NO_RETURN: ReadonlySet<string> = new Set([
  '__ia32_sys_exit',
  '__ia32_sys_exit_group',
  '__kunit_abort',
  'kunit_try_catch_throw',
  '__module_put_and_kthread_exit',
  '__x64_sys_exit',
  '__x64_sys_exit_group',
  'do_exit',
  'do_group_exit',
  'kthread_complete_and_exit',
  'kthread_exit',
  'make_task_dead',
])

/** Functions that types describe but that the compiler may have left without an address of their own. */
const INLINED: ReadonlySet<string> = new Set(['blk_account_io_done'])

/** Functions that are there for their results to be changed, and whether programs may sleep in them. */
const MODIFIABLE: Readonly<Record<string, { readonly sleeps: boolean }>> = {
  bpf_modify_return_test: { sleeps: false },
  bpf_modify_return_test2: { sleeps: false },
  bpf_modify_return_test_tp: { sleeps: false },
  bpf_fentry_test1: { sleeps: true },
  update_socket_protocol: { sleeps: false },
}

/** Errors can be injected, but not everywhere that they are called may one sleep. */
const NEVER_SLEEPS: ReadonlySet<string> = new Set([
  '__filemap_add_folio',
  'should_fail_alloc_page',
  'should_failslab',
])

const SYSTEM_CALL = /^__(x64|ia32|arm64|riscv|s390x)_sys_/

export function checkFunction(p: Proof, name: string, btfId: number): void {
  const { programType, expectedAttachType, hasFunction } = p.input
  if (!(hasFunction?.(name) ?? !INLINED.has(name)))
    throw p.refuse(ENOENT, `The address of function ${name} cannot be found`)
  const isChanged = expectedAttachType === BPF_ATTACH_TYPE.BPF_MODIFY_RETURN
  if (p.isSleepable) {
    if (!maySleep(p, name)) throw p.refuse(EINVAL, `${name} is not sleepable`)
  } else if (isChanged && !isModifiable(p, name)) {
    throw p.refuse(EINVAL, `${name}() is not modifiable`)
  }
  if (programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM) {
    checkLsmHook(p, name, btfId)
    return
  }
  if (DENIED.has(name)) {
    throw p.refuse(EINVAL, `Attaching tracing programs to function '${name}' is rejected.`)
  }
  const isBehind = isChanged || expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_FEXIT
  if (isBehind && NO_RETURN.has(name)) {
    throw p.refuse(EINVAL, `Attaching fexit/fmod_ret to __noreturn function '${name}' is rejected.`)
  }
}

const isInjectable = ({ input }: Proof, name: string): boolean =>
  input.isErrorInjectable?.(name) ?? SYSTEM_CALL.test(name)

function maySleep(p: Proof, name: string): boolean {
  if (p.input.programType === BPF_PROG_TYPE.BPF_PROG_TYPE_LSM) return SLEEPABLE_LSM_HOOKS.has(name)
  return (isInjectable(p, name) && !NEVER_SLEEPS.has(name)) || MODIFIABLE[name]?.sleeps === true
}

const isModifiable = (p: Proof, name: string): boolean =>
  isInjectable(p, name) || name.startsWith('security_') || MODIFIABLE[name] !== undefined
