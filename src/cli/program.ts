/**
 * The command line: what `anybpf` and its commands take.
 *
 * A command's module is imported when the command runs, so that none waits for another's.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { CliFailure, EXIT_OK, EXIT_USAGE } from './failure.ts'
import type { GuestOptions } from './guest-session.ts'
import type { Host } from './host.ts'
import { addKernelCommands } from './kernel-commands.ts'

/** Runs a command line (without `node` and the script) and returns the exit code. */
export async function runCli(host: Host, argv: readonly string[], version: string): Promise<number> {
  let exitCode: number = EXIT_OK
  const finish = (result: number | CliFailure) => {
    if (result instanceof CliFailure) host.stderr.write(result.toString())
    exitCode = result instanceof CliFailure ? result.exitCode : result
  }
  const program = buildProgram(host, version, finish)
  try {
    await program.parseAsync(withJoinedNames(argv), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE
  }
  return exitCode
}

/** `prog dump jited OBJECT` takes an object, unlike `prog dump xlated`, which takes a program of a kernel. */
const withJoinedNames = (argv: readonly string[]): readonly string[] =>
  argv[0] === 'prog' && argv[1] === 'dump' && argv[2] === 'jited'
    ? ['prog', 'dump-jited', ...argv.slice(3)]
    : argv

type Finish = (result: number | CliFailure) => void

function buildProgram(host: Host, version: string, finish: Finish): Command {
  const program = new Command('anybpf')
  // Subcommands copy these settings, so they come first.
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => host.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'anybpf: ')),
      getOutHelpWidth: () => host.stdout.columns ?? 100,
      getErrHelpWidth: () => host.stderr.columns ?? 100,
      getOutHasColors: () => host.hasColours,
      getErrHasColors: () => host.hasColours,
    })
    .showHelpAfterError('  --help says what it takes')
    .description('Traces a guest kernel in the embedded machine with eBPF programs.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText(
      'after',
      examples([
        ['anybpf syscount', 'a live table of the system calls of the demo guest'],
        ['anybpf run bpf/opensnoop.bpf.o', 'what an object of your own prints and counts'],
        ['anybpf prog disasm bpf/hello.bpf.o', 'the instructions of an object'],
      ]),
    )

  addSyscount(program, host, finish)
  addRun(program, host, finish)

  addVerify(program, host, finish)
  const prog = program.command('prog').description('look at programs')
  addDisasm(prog, host, finish)
  addProgRun(prog, host, finish)
  addDumpJited(prog, host, finish)
  const btf = program.command('btf').description('look at types')
  addBtfDump(btf, host, finish)
  const kernel = program.command('kernel').description('look at a guest kernel')
  addSymbols(kernel, host, finish)
  const gen = program.command('gen').description('write code')
  addGenObject(gen, host, finish)
  addGenSkeleton(gen, host, finish)
  addGenMinCoreBtf(gen, host, finish)
  const wholeNumber = positiveInteger
  addKernelCommands(program, host, { finish, examples, wholeNumber, addGuestOptions, guestOptions })
  return program
}

function addSyscount(parent: Command, host: Host, finish: Finish): void {
  const command = parent
    .command('syscount')
    .description(
      'Counts the system calls of a guest: by call, or by process. A terminal shows a live table; a pipe, or an ' +
        'interval, one table after the other. The last table has the totals.',
    )
    .option('-P, --process', 'count by process')
    .option('-L, --latency', 'show the time in calls, and sort by it')
    .option('-x, --failures', 'count only calls that fail')
    .option('-p, --pid <pid>', 'count only this process', positiveInteger)
    .option('-T, --top <rows>', 'rows of a table', positiveInteger, 10)
    .option('-i, --interval <seconds>', 'print a table every so many seconds of your time', positiveNumber)
    .option('-d, --duration <seconds>', 'end after so many seconds of your time', positiveNumber)
    .option('-j, --json', 'print a line of JSON for each table, with all rows')
  addGuestOptions(command)
    .addHelpText(
      'after',
      examples([
        ['anybpf syscount', 'a live table, and the totals when the guest ends'],
        ['anybpf syscount -P -L', 'the time that each process spends in calls'],
        ['anybpf syscount -i 1 -T 5', 'the five most frequent calls of each second'],
        ["anybpf syscount -j --script 'ls -l /bin | wc' | tail -n 1", 'the counts of a pipeline, as JSON'],
        ['anybpf syscount -x --harts 4', 'failing calls on a machine with four harts'],
      ]),
    )
    .action(async (options: SyscountOptions & GuestCliOptions) => {
      const guest = guestOptions(host, options)
      if (guest instanceof CliFailure) return finish(guest)
      const { runSyscount } = await import('./commands/syscount.ts')
      finish(
        await runSyscount(host, {
          guest,
          showConsole: options.console === true,
          byProcess: options.process === true,
          withLatency: options.latency === true,
          intervalSeconds: options.interval,
          durationSeconds: options.duration,
          top: options.top,
          json: options.json === true,
          pid: options.pid,
          failedOnly: options.failures === true,
        }),
      )
    })
}

interface SyscountOptions {
  readonly process?: true
  readonly latency?: true
  readonly failures?: true
  readonly pid?: number
  readonly top: number
  readonly interval?: number
  readonly duration?: number
  readonly json?: true
}

function addRun(parent: Command, host: Host, finish: Finish): void {
  const command = parent
    .command('run')
    .description(
      'Loads objects into the kernel of a guest and attaches their programs by the names of their sections. Shows ' +
        'what they print and what they put into buffers, and at the end what their maps hold.',
    )
    .argument('<object...>', 'objects of clang, such as bpf/opensnoop.bpf.o')
    .option('-d, --duration <seconds>', 'end after so many seconds of your time', positiveNumber)
    .option('-s, --set <name=value>', 'set a global variable before loading', collect)
    .option('-r, --record <map=struct>', 'the struct that the records of a buffer are', collect)
    .option('-j, --json', 'print lines of JSON')
    .option('--no-maps', 'leave out the maps at the end')
  addGuestOptions(command)
    .addHelpText(
      'after',
      examples([
        ['anybpf run bpf/hello.bpf.o', 'a line for each program that the guest starts'],
        ['anybpf run bpf/opensnoop.bpf.o --set failed_only=true', 'only opens that fail'],
        ['anybpf run mine.bpf.o -r events=sample --no-maps', 'records are struct sample'],
      ]),
    )
    .action(async (objects: readonly string[], options: RunOptions & GuestCliOptions) => {
      const guest = guestOptions(host, options)
      if (guest instanceof CliFailure) return finish(guest)
      const { runObjects } = await import('./commands/run.ts')
      finish(
        await runObjects(host, {
          objects,
          guest,
          showConsole: options.console === true,
          durationSeconds: options.duration,
          globals: options.set ?? [],
          records: options.record ?? [],
          json: options.json === true,
          showMaps: options.maps,
        }),
      )
    })
}

interface RunOptions {
  readonly duration?: number
  readonly set?: readonly string[]
  readonly record?: readonly string[]
  readonly json?: true
  readonly maps: boolean
}

function addDisasm(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('disasm')
    .description('Lists the instructions of the programs of an object, with the lines of C that clang noted.')
    .argument('<object>', 'an object file')
    .option('-p, --program <name>', 'only this program')
    .option('--no-source', 'leave out the lines of C')
    .addHelpText(
      'after',
      examples([
        ['anybpf prog disasm bpf/syscount.bpf.o', 'all programs'],
        ['anybpf prog disasm bpf/syscount.bpf.o -p syscall_entry --no-source', 'the instructions of one'],
      ]),
    )
    .action(async (path: string, options: { program?: string; source: boolean }) => {
      const { runDisasm } = await import('./commands/disasm.ts')
      finish(runDisasm(host, { path, program: options.program, withSource: options.source }))
    })
}

function addProgRun(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('run')
    .description(
      'Runs a program of an object on an input: its result, what it made of the data, and ns per run.',
    )
    .argument('<object>', 'an object file')
    .option('-p, --program <name>', 'the program, where there are several')
    .option('--data-in <file>', 'a packet (default for programs that take one: 64 bytes of zeroes)')
    .option('--ctx-in <file>', 'the context')
    .option('--repeat <times>', 'run it so often, and give the average', positiveInteger, 1)
    .addOption(
      new Option('--engine <name>', "what runs it; 'linux' is the kernel of this machine")
        .choices(['jit', 'interpreter', 'linux'])
        .default('jit'),
    )
    .addHelpText(
      'after',
      examples([
        ['anybpf prog run filter.bpf.o --data-in frame.bin', 'a filter on a packet'],
        ['anybpf prog run filter.bpf.o --repeat 100000', 'how fast it is'],
        ['anybpf prog run filter.bpf.o --repeat 100000 --engine linux', "how fast Linux's compiler makes it"],
      ]),
    )
    .action(async (path: string, options: ProgRunOptions) => {
      const { runProgRun } = await import('./commands/prog-run.ts')
      const { program, dataIn, ctxIn, repeat, engine } = options
      finish(await runProgRun(host, { path, program, dataPath: dataIn, contextPath: ctxIn, repeat, engine }))
    })
}

function addDumpJited(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('dump-jited')
    .description("Shows the WebAssembly of programs, beside instructions and lines of C; also 'dump jited'.")
    .argument('<object>', 'an object file')
    .option('-p, --program <name>', 'only this program')
    .option('--checked', 'with the checks of a program of which nothing is proved')
    .addHelpText('after', examples([['anybpf prog dump jited bpf/hello.bpf.o', 'what runs for hello']]))
    .action(async (path: string, options: { program?: string; checked?: true }) => {
      const { runDumpJited } = await import('./commands/prog-dump-jited.ts')
      finish(runDumpJited(host, { path, program: options.program, isChecked: options.checked === true }))
    })
}

interface ProgRunOptions {
  readonly program?: string
  readonly dataIn?: string
  readonly ctxIn?: string
  readonly repeat: number
  readonly engine: 'jit' | 'interpreter' | 'linux'
}

function addBtfDump(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('dump')
    .description('Prints the types of an object or a kernel, as a listing or as a C header to compile with.')
    .argument('<file>', 'an ELF file with a section .BTF, or such a section itself')
    .argument('[format...]', "'format c' or 'format raw' (the default)")
    .option('-B, --base <file>', 'the types that the file continues, for kernel modules')
    .addHelpText(
      'after',
      examples([
        ['anybpf btf dump /sys/kernel/btf/vmlinux format c', 'a vmlinux.h of the running Linux'],
        ['anybpf btf dump guest/build/kernel.elf', 'the types of the demo guest, one by one'],
      ]),
    )
    .action(async (path: string, words: readonly string[], options: { base?: string }) => {
      const { runBtfDump } = await import('./commands/btf-dump.ts')
      // bpftool's word for it is accepted, too.
      const [file, ...rest] = path === 'file' && words.length > 0 ? words : [path, ...words]
      finish(runBtfDump(host, { path: file as string, words: rest, basePath: options.base }))
    })
}

function addVerify(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('verify')
    .description(
      'Proves that the programs of objects are safe, as the kernel does before it runs them. Says of each that is ' +
        'not why, where in the source, and what to do.',
    )
    .argument('<objects...>', 'objects of clang')
    .option('-p, --program <name>', 'only this program')
    .option('--btf <file>', "a kernel's types, such as /sys/kernel/btf/vmlinux")
    .option('--kconfig <file>', "a kernel's configuration, such as /proc/config.gz")
    .option('-j, --json', 'print a line of JSON for each program')
    .option('--states', 'print every instruction with the state of the registers')
    .option('--stats', 'print a table of time, instructions processed, states and stack')
    .addHelpText(
      'after',
      examples([
        ['anybpf verify mine.bpf.o', 'all programs'],
        ['anybpf verify --stats bpf/*.bpf.o', 'a table of what it took, for many'],
        ['anybpf verify mine.bpf.o -p on_packet --states', 'what is known at each instruction of one'],
        ['anybpf verify mine.bpf.o --btf /sys/kernel/btf/vmlinux', 'with the types of this kernel'],
        ['anybpf verify mine.bpf.o --kconfig /boot/config-6.12', 'with settings of a kernel, for __kconfig'],
      ]),
    )
    .action(async (paths: readonly string[], options: VerifyOptions) => {
      const { runVerify } = await import('./commands/verify.ts')
      finish(
        runVerify(host, {
          paths,
          program: options.program,
          btf: options.btf,
          kconfig: options.kconfig,
          json: options.json === true,
          states: options.states === true,
          stats: options.stats === true,
        }),
      )
    })
}

interface VerifyOptions {
  readonly program?: string
  readonly btf?: string
  readonly kconfig?: string
  readonly json?: true
  readonly states?: true
  readonly stats?: true
}

function addSymbols(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('symbols')
    .description('Lists what a guest kernel names: address, kind (T function, D object), name, bytes.')
    .argument('[pattern]', 'part of a name, or a whole name with * and ?')
    .option('-f, --functions', 'only functions: what can be probed')
    .option('-j, --json', 'print lines of JSON')
    .addOption(kernelOption())
    .addHelpText(
      'after',
      examples([
        ["anybpf kernel symbols -f 'sys_*'", 'the functions behind the system calls'],
        ['anybpf kernel symbols pipe', 'everything with pipe in its name'],
      ]),
    )
    .action(
      async (pattern: string | undefined, options: { functions?: true; json?: true; kernel?: string }) => {
        const { runSymbols } = await import('./commands/symbols.ts')
        finish(
          runSymbols(host, {
            pattern,
            kernelPath: options.kernel,
            functionsOnly: options.functions === true,
            json: options.json === true,
          }),
        )
      },
    )
}

function addGenObject(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('object')
    .description(
      'Links objects into one: functions, variables and maps that one of them declares are those that another defines.',
    )
    .argument('<out>', 'the file to write')
    .argument('<object...>', 'object files, compiled with -g')
    .addHelpText(
      'after',
      examples([['anybpf gen object mine.bpf.o one.bpf.o two.bpf.o', 'then load mine.bpf.o as any other']]),
    )
    .action(async (output: string, objects: readonly string[]) => {
      const { runGenObject } = await import('./commands/gen-object.ts')
      finish(runGenObject(host, { output, objects }))
    })
}

function addGenMinCoreBtf(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('min_core_btf')
    .description("Writes the part of a kernel's types that the CO-RE relocations of objects look at.")
    .argument('<btf>', "a kernel's types, such as /sys/kernel/btf/vmlinux")
    .argument('<out>', 'the file to write')
    .argument('<object...>', 'objects of clang')
    .option('-B, --base-btf <file>', 'the types that the first file continues, for kernel modules')
    .addHelpText(
      'after',
      examples([
        ['anybpf gen min_core_btf /sys/kernel/btf/vmlinux min.btf mine.bpf.o', 'kilobytes, not megabytes'],
      ]),
    )
    .action(
      async (types: string, output: string, objects: readonly string[], options: { baseBtf?: string }) => {
        const { runGenMinCoreBtf } = await import('./commands/gen-min-core-btf.ts')
        finish(runGenMinCoreBtf(host, { types, output, objects, basePath: options.baseBtf }))
      },
    )
}

function addGenSkeleton(parent: Command, host: Host, finish: Finish): void {
  parent
    .command('skeleton')
    .description(
      'Writes a TypeScript module for an object: a class that loads it, with the types of its maps, global ' +
        'variables and records, and the object itself.',
    )
    .argument('<object>', 'an object file, compiled with -g')
    .option('-n, --name <name>', "the object's name, after which the class is named (default: the file's)")
    .option('-o, --output <file>', 'write there (default: standard output)')
    .option('-r, --record <map=struct>', 'the struct that the records of a buffer are', collect)
    .option('--no-embed', "leave the object's bytes out; they are given when it is loaded")
    .addHelpText(
      'after',
      examples([
        ['anybpf gen skeleton mine.bpf.o -o mine.gen.ts', "then: import { Mine } from './mine.gen.ts'"],
        [
          'anybpf gen skeleton mine.bpf.o -r events=sample',
          'records of the ring buffer events are struct sample',
        ],
      ]),
    )
    .action(async (path: string, options: GenSkeletonOptions) => {
      const { runGenSkeleton } = await import('./commands/gen-skeleton.ts')
      finish(
        runGenSkeleton(host, {
          path,
          name: options.name,
          output: options.output,
          records: options.record ?? [],
          embed: options.embed,
        }),
      )
    })
}

interface GenSkeletonOptions {
  readonly name?: string
  readonly output?: string
  readonly record?: readonly string[]
  readonly embed: boolean
}

interface GuestCliOptions {
  readonly harts: number
  readonly memory: number
  readonly kernel?: string
  readonly disk?: string
  readonly script?: string
  readonly console?: true
}

const kernelOption = () =>
  new Option('--kernel <file>', "the guest's kernel, an ELF file (default: the demo kernel)")

function addGuestOptions(command: Command): Command {
  return command
    .optionsGroup('Guest:')
    .option('--harts <n>', 'harts of the machine, 1 to 8; the demo kernel uses up to 4', integerIn(1, 8), 1)
    .option('--memory <mb>', 'megabytes of memory, 4 to 1024', integerIn(4, 1024), 64)
    .addOption(kernelOption())
    .option('--disk <file>', 'a disk image; what the guest writes is not kept')
    .option(
      '--script <commands>',
      "commands for the guest's shell, or a file with them (default: its /etc/rc)",
    )
    .option('--console', "show the guest's console on standard error")
}

function guestOptions(host: Host, options: GuestCliOptions): Omit<GuestOptions, 'onConsole'> | CliFailure {
  let script = options.script
  if (script !== undefined && host.fileExists(script)) {
    const bytes = host.readFile(script)
    if (bytes instanceof CliFailure) return bytes
    script = new TextDecoder().decode(bytes)
  }
  return {
    harts: options.harts,
    memoryMb: options.memory,
    kernelPath: options.kernel,
    diskPath: options.disk,
    script,
  }
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value]

function positiveInteger(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It takes a whole number from 1.')
  return value
}

function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('It takes a number greater than 0.')
  }
  return value
}

function integerIn(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least || value > most || text.trim() === '') {
      throw new InvalidArgumentError(`It takes a whole number from ${least} to ${most}.`)
    }
    return value
  }
}

/** The lines `  command   what it does` under a heading. */
function examples(rows: readonly (readonly [command: string, what: string])[]): string {
  const lines = rows.map(([command, what]) => `  ${command}\n      ${what}`)
  return `\nExamples:\n${lines.join('\n')}\n`
}
