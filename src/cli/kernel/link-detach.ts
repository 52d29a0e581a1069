/** `link detach`: takes a program from where it is attached; the link stays as an empty shell until it is closed. */
import { BPF_CMD, EOPNOTSUPP, linkDetachAttr } from '../../abi/index.ts'
import { SyscallError } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import { takeLink } from './take-link.ts'
import { CommandError, type Words } from './words.ts'

export function detachLink(context: CommandContext, words: Words): void {
  const { syscalls } = context
  using link = takeLink(syscalls, words)
  words.end()
  const pointer = syscalls.memory.allocate(linkDetachAttr.size)
  syscalls.memory.view(pointer, linkDetachAttr.size).set(linkDetachAttr.encode({ link_fd: link.fd }))
  const result = syscalls.bpf(BPF_CMD.BPF_LINK_DETACH, pointer, linkDetachAttr.size)
  syscalls.memory.free(pointer)
  if (result === -EOPNOTSUPP) {
    throw new CommandError('links of this type cannot be detached', {
      advice: ['a probe goes when the process that holds its link ends, or its pin is removed'],
    })
  }
  if (result < 0) throw new SyscallError('BPF_LINK_DETACH', result)
  context.done()
}
