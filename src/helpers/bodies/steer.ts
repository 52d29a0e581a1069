/**
 * What a program does to the task that it interrupts: send it a signal, return from the function that it is about to
 * call.
 *
 * Source: bpf_send_signal_common(), bpf_override_return() of kernel/trace/bpf_trace.c of Linux.
 */
import { EINVAL, EPERM } from '../../abi/index.ts'
import { failure, u32Of } from '../access.ts'
import type { HelperBody, SignalScope } from '../environment.ts'

const LARGEST_SIGNAL = 64

const sends =
  (scope: SignalScope): HelperBody =>
  (env, r1) => {
    const signal = u32Of(r1)
    if (env.sendSignal === undefined || env.task() === undefined) return failure(EPERM)
    // Who must not be sent a signal is not sent a bad one either.
    const isValid = signal <= LARGEST_SIGNAL
    const result = env.sendSignal(isValid ? signal : 0, scope)
    return BigInt(result === 0 && !isValid ? -EINVAL : result)
  }

export const sendSignal = sends('process')
export const sendSignalThread = sends('thread')

export const overrideReturn: HelperBody = (env, _context, r2) => BigInt(env.overrideReturn?.(r2) ?? -EINVAL)
