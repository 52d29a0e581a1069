import { EINVAL, type Syscalls } from '../abi/index.ts'
import { readTextFile } from './read-file.ts'

/**
 * How many CPUs a per-CPU value has elements for, or -errno. A kernel's number does not change, and is read once.
 *
 * Linux's file lists ranges (`0-3`, `0,2-5`); values are indexed up to the highest one.
 * Source: Documentation/ABI/testing/sysfs-devices-system-cpu.
 */
export function possibleCpuCount(syscalls: Syscalls): number {
  const known = counts.get(syscalls)
  if (known !== undefined) return known
  const count = readCount(syscalls)
  if (count > 0) counts.set(syscalls, count)
  return count
}

const counts = new WeakMap<Syscalls, number>()

function readCount(syscalls: Syscalls): number {
  const text = readTextFile(syscalls, '/sys/devices/system/cpu/possible')
  if (typeof text === 'number') return text
  const highest = Math.max(
    ...text
      .trim()
      .split(',')
      .map((range) => Number(range.split('-').at(-1))),
  )
  return Number.isInteger(highest) && highest >= 0 ? highest + 1 : -EINVAL
}
