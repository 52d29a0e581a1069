/** The commands of `kernel/commands.ts` on the command line, with the options that they share. */
import { type Command, Option } from 'commander'
import { CliFailure } from './failure.ts'
import type { GuestOptions } from './guest-session.ts'
import type { Host } from './host.ts'
import type { KernelCommand, KernelCommandGroup, OutputForm } from './kernel/command.ts'
import { kernelCommands } from './kernel/commands.ts'

/** What the command line has in common for all commands, and lends to these. */
export interface SharedOptions {
  readonly finish: (result: number | CliFailure) => void
  readonly examples: (rows: KernelCommand['examples']) => string
  readonly wholeNumber: (text: string) => number
  readonly addGuestOptions: (command: Command) => Command
  readonly guestOptions: (host: Host, options: never) => Omit<GuestOptions, 'onConsole'> | CliFailure
}

interface TargetCliOptions {
  readonly on: 'guest' | 'linux'
  readonly load?: readonly string[]
  readonly attach?: boolean
  readonly run?: number
  readonly json?: true
  readonly pretty?: true
}

const groupSummaries: Readonly<Record<KernelCommandGroup, string>> = {
  prog: 'look at programs',
  map: 'look at maps, and change them',
  btf: 'look at types',
  link: 'look at what is attached',
  feature: 'what a kernel can do',
}

export function addKernelCommands(program: Command, host: Host, shared: SharedOptions): void {
  for (const row of kernelCommands) {
    const group =
      program.commands.find((command) => command.name() === row.group) ??
      program.command(row.group).description(groupSummaries[row.group])
    addKernelCommand(group, row, host, shared)
  }
  const batch = program
    .command('batch')
    .description(
      'Runs the commands of a file, a line each, on one kernel: what one does to a map, the next one sees. A line is ' +
        'a command without anybpf, such as: map lookup name calls key 64 0 0 0. Lines that begin with # are left out.',
    )
    .argument('<file>', 'a file with commands')
  addTargetOptions(batch, shared)
    .addHelpText(
      'after',
      shared.examples([['anybpf batch steps.txt --load bpf/syscount.bpf.o', 'several steps in one guest']]),
    )
    .action(async (path: string, options: TargetCliOptions) => {
      const guest = shared.guestOptions(host, options as never)
      if (guest instanceof CliFailure) return shared.finish(guest)
      const { runBatch } = await import('./kernel/batch.ts')
      shared.finish(await runBatch(host, path, formOf(options), { ...targetOptions(options), guest }))
    })
}

function addKernelCommand(parent: Command, row: KernelCommand, host: Host, shared: SharedOptions): void {
  const command = parent
    .command(row.name)
    .description(row.summary)
    .argument('[words...]', row.words === '' ? 'nothing more' : row.words)
  if (row.alias !== undefined) command.alias(row.alias)
  addTargetOptions(command, shared)
    .addHelpText('after', shared.examples(row.examples))
    .action(async (words: readonly string[], options: TargetCliOptions) => {
      const guest = shared.guestOptions(host, options as never)
      if (guest instanceof CliFailure) return shared.finish(guest)
      const { runKernelCommand } = await import('./kernel/run-command.ts')
      const target = { ...targetOptions(options), guest }
      shared.finish(await runKernelCommand(host, row, words, formOf(options), target))
    })
}

function addTargetOptions(command: Command, shared: SharedOptions): Command {
  command
    .option('-j, --json', 'print JSON')
    .option('-p, --pretty', 'print JSON, indented')
    .optionsGroup('Kernel:')
    .addOption(
      new Option(
        '--on <kernel>',
        "the kernel to ask: of a guest that is booted for it, or this machine's own",
      )
        .choices(['guest', 'linux'])
        .default('guest'),
    )
    .option('--load <object...>', 'objects to load first, for the time of the command')
    .option('--attach', 'attach their programs (what --on guest does unasked)')
    .option('--no-attach', 'only load them')
    .option('--run <n>', 'instructions that the guest runs before the command', shared.wholeNumber)
  return shared.addGuestOptions(command)
}

const formOf = (options: TargetCliOptions): OutputForm => {
  if (options.pretty) return 'pretty'
  return options.json ? 'json' : 'plain'
}

const targetOptions = (options: TargetCliOptions) => ({
  on: options.on,
  objects: options.load ?? [],
  attach: options.attach ?? options.on === 'guest',
  instructions: options.run ?? 0,
})
