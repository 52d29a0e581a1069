/** System calls that a program makes on behalf of the process that runs it: pointers are the program's own. */
import { EBADF } from '../abi/index.ts'
import type { SystemCalls } from '../helpers/index.ts'
import type { Arena } from '../memory/index.ts'
import { bpf } from './bpf/dispatch.ts'
import { KernelProcess } from './process.ts'
import type { UserAccess } from './types.ts'

/** The arena as the memory of a process, where programs may read and write. */
const memoryOf = (arena: Arena): UserAccess => ({
  read(pointer, into) {
    const at = arena.check(pointer, into.length, false)
    if (at >= 0) into.set(arena.bytes.subarray(at, at + into.length))
    return at >= 0
  },
  write(pointer, bytes) {
    const at = arena.check(pointer, bytes.length, true)
    if (at >= 0) arena.bytes.set(bytes, at)
    return at >= 0
  },
})

export function programSyscalls(process: KernelProcess): SystemCalls {
  const { core, table, pid, uid, comm } = process
  return {
    bpf(command, pointer, sizeBytes) {
      // The same descriptors, seen with other memory.
      const caller = new KernelProcess(core, { pid, uid, comm, memory: memoryOf(core.arena) }, table)
      core.processes.delete(caller)
      return bpf(caller, command, pointer, sizeBytes)
    },
    close: (fd) => (process.file(fd) === undefined ? -EBADF : table.close(fd)),
  }
}
