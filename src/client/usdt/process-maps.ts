/** Where a process has a byte of a file in memory. Source: proc_pid_maps(5). */
import type { Syscalls } from '../../abi/index.ts'
import { readTextFile } from '../read-file.ts'

/** The address, or undefined where the process has not mapped it to run it. `pid` 0 is the caller. */
export function addressInProcess(
  syscalls: Syscalls,
  pid: number,
  path: string,
  fileOffset: bigint,
): bigint | undefined {
  const text = readTextFile(syscalls, `/proc/${pid === 0 ? 'self' : pid}/maps`)
  if (typeof text === 'number') return undefined
  const line = /^([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) \S+ \d+ +(.+)$/gm
  for (const [, start, end, offset, file] of text.matchAll(line)) {
    if (file !== path) continue
    const [from, to, at] = [start, end, offset].map((digits) => BigInt(`0x${digits}`)) as [
      bigint,
      bigint,
      bigint,
    ]
    if (fileOffset >= at && fileOffset < at + (to - from)) return from + (fileOffset - at)
  }
  return undefined
}
