/** The kernel that a command asks: of a guest that is booted for it, or the Linux that runs this process. */
import type { Syscalls } from '../../abi/index.ts'
import { AttachError, LoadError, load, ObjectError, objectName, openObject } from '../../client/index.ts'
import { CliFailure, explain } from '../failure.ts'
import type { GuestOptions } from '../guest-session.ts'
import type { Host } from '../host.ts'

export interface TargetOptions {
  readonly on: 'guest' | 'linux'
  /** Objects to load before the command. */
  readonly objects: readonly string[]
  /** Whether to attach their programs. */
  readonly attach: boolean
  /** Instructions that the guest runs before the command. */
  readonly instructions: number
  readonly guest: Omit<GuestOptions, 'onConsole'>
}

export interface Target extends Disposable {
  readonly syscalls: Syscalls
  readonly bootTimeMs: number | undefined
}

/** Opens the kernel, loads the objects, attaches their programs and lets the guest run. */
export async function openTarget(host: Host, options: TargetOptions): Promise<Target | CliFailure> {
  const files: (readonly [path: string, bytes: Uint8Array])[] = []
  for (const path of options.objects) {
    const bytes = host.readFile(path)
    if (bytes instanceof CliFailure) return bytes
    files.push([path, bytes])
  }
  const opened =
    options.on === 'linux'
      ? await host.openLinux()
      : await host.openGuest({ ...options.guest, onConsole: undefined })
  if (opened instanceof CliFailure) return opened
  const guest = 'runInstructions' in opened ? opened : undefined
  const owned: Disposable[] = [opened]
  const close = () => {
    for (const one of owned.splice(0).reverse()) one[Symbol.dispose]()
  }
  const suggest =
    guest === undefined ? {} : { suggestFunctions: (name: string) => guest.suggestFunctions(name) }
  for (const [path, bytes] of files) {
    const failure = loadInto(opened.syscalls, path, bytes, options.attach, owned, suggest)
    if (failure === undefined) continue
    close()
    return failure
  }
  const state = guest?.runInstructions(options.instructions)
  if (state?.kind === 'failed') {
    close()
    return new CliFailure(state.message, { details: state.report })
  }
  const bootTimeMs = 'bootTimeMs' in opened ? opened.bootTimeMs : undefined
  return { syscalls: opened.syscalls, bootTimeMs, [Symbol.dispose]: close }
}

function loadInto(
  syscalls: Syscalls,
  path: string,
  bytes: Uint8Array,
  attach: boolean,
  owned: Disposable[],
  suggest: { suggestFunctions?: (name: string) => readonly string[] },
): CliFailure | undefined {
  const context = { path, ...suggest }
  const spec = openObject(bytes, { name: objectName(path) })
  if (spec instanceof ObjectError) return explain(spec, context)
  const collection = load(spec, syscalls)
  if (collection instanceof LoadError) return explain(collection, context)
  owned.push(collection)
  if (!attach) return undefined
  const links = collection.attach()
  if (links instanceof AttachError) {
    const failure = explain(links, context)
    return new CliFailure(failure.message, {
      ...failure,
      advice: [...failure.advice, '--no-attach only loads the programs'],
    })
  }
  owned.push(links)
  return undefined
}
