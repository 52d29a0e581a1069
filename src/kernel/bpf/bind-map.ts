import { EINVAL, progBindMapAttr } from '../../abi/index.ts'
import type { BpfCall } from './call.ts'
import { mapFile, programOf } from './descriptors.ts'

/** BPF_PROG_BIND_MAP: a map that the program does not name lives as long as it (global data that nobody reads). */
export function bindMap({ process, attr: bytes }: BpfCall): number {
  const attr = progBindMapAttr.read(bytes)
  if (attr.flags !== 0) return -EINVAL
  const program = programOf(process, attr.prog_fd)
  if (typeof program === 'number') return program
  const file = mapFile(process, attr.map_fd)
  if (typeof file === 'number') return file
  program.bindMap(file.object)
  return 0
}
