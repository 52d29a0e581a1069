/** `prog pin`, `map pin`, `link pin`: keeps an object under a path of a bpffs. */
import { EINVAL, ENOENT, EPERM } from '../../abi/index.ts'
import { pinObject } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import { type OpenObject, takeObject } from './objects.ts'
import { takeLink } from './take-link.ts'
import { CommandError, type Words } from './words.ts'

const pin =
  (take: (context: CommandContext, words: Words) => OpenObject) =>
  (context: CommandContext, words: Words) => {
    using object = take(context, words)
    const path = words.take('the path to pin to')
    words.end()
    pinTo(context, object.fd, path)
    context.done()
  }

/** Pins, and says what to do where the kernel does not. */
export function pinTo({ syscalls }: CommandContext, fd: number, path: string): void {
  const failure = pinObject(syscalls, fd, path)
  if (failure === undefined) return
  const advice =
    failure.errno === EPERM || failure.errno === EINVAL || failure.errno === ENOENT
      ? ['the path must be in an existing folder of a bpffs, such as /sys/fs/bpf']
      : []
  throw new CommandError(failure.message, { advice })
}

export const pinProgram = pin(({ syscalls }, words) => takeObject(syscalls, 'prog', words))
export const pinMap = pin(({ syscalls }, words) => takeObject(syscalls, 'map', words))
export const pinLink = pin(({ syscalls }, words) => takeLink(syscalls, words))
