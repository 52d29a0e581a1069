/** What a command that looks at a kernel is, and what it is given. */
import type { Syscalls } from '../../abi/index.ts'
import type { Host } from '../host.ts'
import { JsonWriter } from './json-writer.ts'
import type { Words } from './words.ts'

/** How a command answers. */
export type OutputForm = 'plain' | 'json' | 'pretty'

export class CommandContext {
  readonly host: Host
  readonly syscalls: Syscalls
  readonly form: OutputForm
  /** When the kernel was started, in milliseconds since 1970; undefined for one whose time is its own. */
  readonly bootTimeMs: number | undefined
  /** JSON, where that is asked for. */
  readonly json: JsonWriter | undefined

  constructor(parts: Pick<CommandContext, 'host' | 'syscalls' | 'form' | 'bootTimeMs'>) {
    this.host = parts.host
    this.syscalls = parts.syscalls
    this.form = parts.form
    this.bootTimeMs = parts.bootTimeMs
    this.json = parts.form === 'plain' ? undefined : new JsonWriter(parts.form === 'pretty')
  }

  print(text: string): void {
    this.host.stdout.write(text)
  }

  /** What commands without an answer say: nothing, or `null` as JSON. */
  done(): void {
    this.json?.null()
  }
}

/** One command: `anybpf GROUP NAME WORDS`. It throws a `CommandError` or a `SyscallError` where it cannot go on. */
export interface KernelCommand {
  readonly group: KernelCommandGroup
  readonly name: string
  readonly alias?: string
  /** What it takes, in bpftool's words. */
  readonly words: string
  readonly summary: string
  readonly examples: readonly (readonly [command: string, what: string])[]
  /** Imports the command's module when it is run. */
  readonly load: () => Promise<(context: CommandContext, words: Words) => void | Promise<void>>
}

export type KernelCommandGroup = 'prog' | 'map' | 'btf' | 'link' | 'feature'
