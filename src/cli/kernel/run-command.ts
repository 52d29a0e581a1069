/** Runs one command on a kernel, and turns what ends it early into a message. */
import { EACCES, ENOENT, EPERM } from '../../abi/index.ts'
import { SyscallError } from '../../client/index.ts'
import { CliFailure, EXIT_OK } from '../failure.ts'
import type { Host } from '../host.ts'
import { CommandContext, type KernelCommand, type OutputForm } from './command.ts'
import { openTarget, type TargetOptions } from './target.ts'
import { CommandError, Words } from './words.ts'

export async function runKernelCommand(
  host: Host,
  command: KernelCommand,
  words: readonly string[],
  form: OutputForm,
  options: TargetOptions,
): Promise<number | CliFailure> {
  const target = await openTarget(host, options)
  if (target instanceof CliFailure) return target
  using kernel = target
  // Awaited here, so that the kernel is closed after the command.
  return await runOn(host, kernel, command, words, form)
}

/** The same on a kernel that is open already. */
export async function runOn(
  host: Host,
  kernel: { readonly syscalls: CommandContext['syscalls']; readonly bootTimeMs: number | undefined },
  command: KernelCommand,
  words: readonly string[],
  form: OutputForm,
): Promise<number | CliFailure> {
  const run = await command.load()
  const { syscalls, bootTimeMs } = kernel
  const context = new CommandContext({ host, syscalls, form, bootTimeMs })
  const flush = () => {
    if (context.json !== undefined && !context.json.isEmpty) context.print(context.json.text)
  }
  try {
    await run(context, new Words(words))
    flush()
    return EXIT_OK
  } catch (error) {
    if (error instanceof CommandError) {
      flush()
      return error.failure.exitCode === 2 ? withUsage(error.failure, command) : error.failure
    }
    if (error instanceof SyscallError) return new CliFailure(error.message, { advice: adviceOn(error) })
    throw error
  }
}

const withUsage = (failure: CliFailure, command: KernelCommand): CliFailure =>
  new CliFailure(failure.message, {
    ...failure,
    advice: [...failure.advice, `usage: anybpf ${command.group} ${command.name} ${command.words}`.trimEnd()],
  })

function adviceOn(error: SyscallError): readonly string[] {
  if (error.errno === EPERM || error.errno === EACCES) return ['it takes root, or CAP_BPF and CAP_PERFMON']
  if (error.errno === ENOENT && error.call.endsWith('_BY_ID')) return ['list shows the ids that there are']
  return []
}
