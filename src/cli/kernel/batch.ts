/** `batch FILE`: several commands on one kernel, one after the other, until one fails. */
import { CliFailure, EXIT_OK, EXIT_USAGE } from '../failure.ts'
import type { Host } from '../host.ts'
import type { KernelCommand, OutputForm } from './command.ts'
import { kernelCommands } from './commands.ts'
import { runOn } from './run-command.ts'
import { openTarget, type TargetOptions } from './target.ts'

interface Step {
  readonly line: number
  readonly command: KernelCommand
  readonly words: readonly string[]
}

export async function runBatch(
  host: Host,
  path: string,
  form: OutputForm,
  options: TargetOptions,
): Promise<number | CliFailure> {
  const bytes = host.readFile(path)
  if (bytes instanceof CliFailure) return bytes
  // Every line is read before the first one is run.
  const steps = stepsOf(new TextDecoder().decode(bytes), path)
  if (steps instanceof CliFailure) return steps
  const target = await openTarget(host, options)
  if (target instanceof CliFailure) return target
  using kernel = target
  for (const { line, command, words } of steps) {
    const result = await runOn(host, kernel, command, words, form)
    if (!(result instanceof CliFailure)) continue
    return new CliFailure(`${path}:${line}: ${result.message}`, result)
  }
  return EXIT_OK
}

function stepsOf(text: string, path: string): Step[] | CliFailure {
  const steps: Step[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [group, name, ...words] = line.trim().split(/\s+/)
    if (group === undefined || group === '' || group.startsWith('#')) continue
    const command = kernelCommands.find(
      (row) => row.group === group && (row.name === name || row.alias === name),
    )
    if (command === undefined) {
      const known = kernelCommands.filter((row) => row.group === group).map((row) => row.name)
      const groups = new Set(kernelCommands.map((row) => row.group))
      return new CliFailure(`${path}:${index + 1}: there is no command '${group} ${name ?? ''}'`, {
        advice: [
          known.length > 0 ? `${group} has ${known.join(', ')}` : `there are ${[...groups].join(', ')}`,
        ],
        exitCode: EXIT_USAGE,
      })
    }
    steps.push({ line: index + 1, command, words })
  }
  return steps
}
