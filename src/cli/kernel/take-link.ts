/** A link as commands name it: `id 3`, `pinned /sys/fs/bpf/x`. */
import type { Syscalls } from '../../abi/index.ts'
import { openObjectById, openPinned } from '../../client/index.ts'
import { must, type OpenObject } from './objects.ts'
import type { Words } from './words.ts'

export function takeLink(syscalls: Syscalls, words: Words): OpenObject {
  return words.oneOf(['id', 'pinned']) === 'id'
    ? must(openObjectById(syscalls, 'link', words.number('an id')))
    : must(openPinned(syscalls, words.take('a path')))
}
